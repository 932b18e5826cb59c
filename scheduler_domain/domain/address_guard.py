"""Which addresses a webhook may reach. Without it, a tenant's URL would reach what only our own network should.

Two walls use these judgements. When a schedule is saved, `check_url_syntax` refuses what is wrong in the text already:
names of private networks, addresses in disguise, ports of databases. When it fires, `judge` is asked about every
address that the name has at that moment, for a name is its owner's to point anywhere (DNS rebinding).

The denied ranges are our own constants, after the IANA special-purpose registries (RFC 6890 and successors), not
`ipaddress.is_global`: measured on Python 3.11, that calls 6to4 and NAT64 forms of 127.0.0.1, multicast, and a cloud's
metadata address global. The platform's allow list is the only way past them.
"""

import re
import unicodedata
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from msgspec import Struct

from scheduler_domain.domain.errors import ConfigurationError, InvalidField

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
_Problem = tuple[str, str]
"""A stable code, and what would be accepted."""

LONGEST_URL = 2048

_DENIED_IPV4 = tuple(
    (IPv4Network(network), reason)
    for network, reason in (
        ("127.0.0.0/8", "loopback"),
        ("10.0.0.0/8", "private"),
        ("172.16.0.0/12", "private"),
        ("192.168.0.0/16", "private"),
        ("169.254.0.0/16", "link-local"),
        ("100.64.0.0/10", "carrier-grade NAT"),
        ("0.0.0.0/8", "this network"),
        ("168.63.129.16/32", "cloud metadata"),
        ("192.0.0.0/24", "protocol assignments"),
        ("192.0.2.0/24", "documentation"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("192.31.196.0/24", "AS112"),
        ("192.175.48.0/24", "AS112"),
        ("192.52.193.0/24", "AMT"),
        ("192.88.99.0/24", "6to4 relay"),
        ("198.18.0.0/15", "benchmarking"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)
_GLOBAL_IPV6 = IPv6Network("2000::/3")
_DENIED_IPV6 = tuple(
    (IPv6Network(network), reason)
    for network, reason in (
        ("2001::/23", "protocol assignments"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4"),
        ("3fff::/20", "documentation"),
        ("2620:4f:8000::/48", "AS112"),
    )
)

# The WHATWG Fetch standard's blocked ports, then databases, brokers and control planes.
_DENIED_PORTS = frozenset(
    (
        *(0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104),
        *(109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515),
        *(526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049),
        *(3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080),
        *(445, 1433, 1434, 1521, 2375, 2376, 2379, 2380, 2483, 2484, 3050, 3306, 3389, 4222, 5432, 5672, 5900, 5984),
        *(5985, 5986, 6222, 6379, 6380, 6432, 8222, 9042, 9160, 9200, 9300, 10250, 10255, 11211, 26257, 27017, 27018),
        *(27019, 28015),
    )
)
_PRIVATE_SUFFIXES = (
    *("local", "localdomain", "internal", "intranet", "private", "svc", "cluster", "lan", "corp", "home", "home.arpa"),
    *("consul", "onion"),
)

_URL = re.compile(r"(https?)://([^/?#]*)(?:[/?#].*)?", re.IGNORECASE)
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(?::(0|[1-9][0-9]{0,4}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LONGEST_HOST = 253
_LOOPBACK = (IPv4Address("127.0.0.1"), IPv6Address("::1"))


class AllowedNet(Struct, frozen=True):
    network: Network
    port: int | None = None


class AllowedNets(Struct, frozen=True):
    """The platform's allow list, `WEBHOOK_ALLOW_NETS`: networks, each with one port or with all."""

    nets: tuple[AllowedNet, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "AllowedNets":
        """Read a comma-separated list of CIDR[:port]; a bare address means that address alone.

        >>> AllowedNets.parse("127.0.0.0/8, 10.1.0.0/16:8443, ::1").cover(ip_address("10.1.2.3"), 8443)
        True
        """
        return cls(tuple(_allowed_net(item.strip()) for item in text.split(",") if item.strip()))

    def cover(self, address: Address, port: int) -> bool:
        return any(net.port in (None, port) and address in net.network for net in self.nets)

    def reach_beyond_loopback(self, port: int) -> bool:
        """Say whether a name of a private network could lead to an allowed address."""
        return any(net.port in (None, port) and not net.network.is_loopback for net in self.nets)


NOTHING_ALLOWED = AllowedNets()


def judge(address: str, port: int, allowed: AllowedNets) -> str | None:
    """Return why an address may not be reached, as a person would be told; None if it may.

    >>> judge("169.254.169.254", 80, AllowedNets())
    'address 169.254.169.254 is not allowed (link-local)'
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return f"{address!r} is not an address"
    reason = None if allowed.cover(parsed, port) else _denial(parsed)
    return reason and f"address {address} is not allowed ({reason})"


def check_url_syntax(
    url: str, *, allow_http: bool, allowed: AllowedNets = NOTHING_ALLOWED, pointer: str = "/target/http/url"
) -> None:
    """Raise `InvalidField` for what can be seen to be wrong with a URL without asking the DNS.

    >>> check_url_syntax("https://example.com/hook?day=1", allow_http=False)
    """
    problem = _text_problem(url) or _url_problem(url, allow_http, allowed)
    if problem is not None:
        code, message = problem
        raise InvalidField.at(pointer, code, message)


def _text_problem(url: str) -> _Problem | None:
    if len(url) > LONGEST_URL:
        return "url-too-long", f"a URL has {LONGEST_URL:,} characters at most"
    if not url.isprintable() or " " in url or "\\" in url:
        return "invalid-url", "a URL has no spaces, backslashes or control characters"
    return None


def _url_problem(url: str, allow_http: bool, allowed: AllowedNets) -> _Problem | None:
    parts = _URL.fullmatch(url)
    if parts is None:
        return "invalid-url", f"a URL begins with {'https:// or http://' if allow_http else 'https://'} and a host"
    is_http = parts[1].lower() == "http"
    if is_http and not allow_http:
        return "scheme-not-allowed", "only https:// is allowed here"
    return _authority_problem(parts[2], 80 if is_http else 443, allowed)


def _authority_problem(authority: str, usual_port: int, allowed: AllowedNets) -> _Problem | None:
    if "@" in authority:
        return "credentials-in-url", "a URL carries no user name or password; send an Authorization header"
    if "%" in authority:
        return "invalid-host", "a host is written without percent signs"
    split = _AUTHORITY.fullmatch(authority)
    if split is None:
        return "invalid-host", "after the scheme comes a host name, and optionally ':' and a port from 1 to 65535"
    port = int(split[2]) if split[2] else usual_port
    if port > 65535 or port in _DENIED_PORTS:
        return "port-not-allowed", f"port {port} is not for webhooks"
    return _host_problem(split[1], port, allowed)


def _host_problem(host: str, port: int, allowed: AllowedNets) -> _Problem | None:
    if host.startswith("["):
        return _literal_problem(host[1:-1], port, allowed)
    name = _ascii_name(host)
    if name is None:
        return "invalid-host", "the host name is not one that the DNS could hold"
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return _literal_problem(name, port, allowed)
    if len(name) > _LONGEST_HOST or not all(_LABEL.fullmatch(label) for label in labels):
        return "invalid-host", "a host name is made of labels of a-z, 0-9, '-' and '_' (63 each, 253 in all)"
    if labels[-1] in ("localhost", "localdomain"):
        is_allowed = any(allowed.cover(address, port) for address in _LOOPBACK)
    elif len(labels) == 1 or any(name == suffix or name.endswith(f".{suffix}") for suffix in _PRIVATE_SUFFIXES):
        is_allowed = allowed.reach_beyond_loopback(port)
    else:
        is_allowed = True
    return None if is_allowed else ("host-not-allowed", f"{name} is a name of a private network")


def _literal_problem(text: str, port: int, allowed: AllowedNets) -> _Problem | None:
    try:
        address = ip_address(text)
    except ValueError:
        return "invalid-host", "a host that ends in a number is an address written as 198.51.100.7"
    reason = judge(str(address), port, allowed)
    return None if reason is None else ("address-not-allowed", reason)


def _ascii_name(host: str) -> str | None:
    """Return the host as the DNS knows it, lower case, or None where two programs could read two different names.

    Only characters that compatibility mapping (NFKC) leaves alone, and only letters, marks and digits outside ASCII:
    fullwidth digits and the ideographic full stop are ways to write 127.0.0.1.
    """
    name = host.lower().removesuffix(".")
    if host.isascii():
        return name
    if unicodedata.normalize("NFKC", host) != host:
        return None
    if any(not character.isascii() and unicodedata.category(character)[0] not in "LMN" for character in name):
        return None
    try:
        return name.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return None


def _denial(address: Address) -> str | None:
    if isinstance(address, IPv4Address):
        return next((reason for network, reason in _DENIED_IPV4 if address in network), None)
    if address.is_loopback:
        return "loopback"
    if address not in _GLOBAL_IPV6:
        return "not a global address"
    return next((reason for network, reason in _DENIED_IPV6 if address in network), None)


def _allowed_net(item: str) -> AllowedNet:
    address, slash, rest = item.partition("/")
    if slash:
        length, _, port = rest.partition(":")
        address = f"{address.strip('[]')}/{length}"
    elif item.startswith("["):
        address, bracket, port = item[1:].partition("]")
        address, port = address if bracket else item, port.removeprefix(":")
    elif item.count(":") == 1:
        address, _, port = item.partition(":")
    else:
        port = ""
    try:
        number = int(port) if port else None
        if number is not None and not 1 <= number <= 65535:
            raise ValueError(port)
        return AllowedNet(ip_network(address), number)
    except ValueError as error:
        raise ConfigurationError(
            f"WEBHOOK_ALLOW_NETS holds {item!r}; networks such as 10.1.0.0/16 or 10.1.0.0/16:8443 are accepted"
        ) from error
