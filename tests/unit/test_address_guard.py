# ruff: noqa: RUF001, S104 - look-alike characters and unspecified addresses are what is being tested
"""What a webhook may be pointed at: every way to write a forbidden address is known and refused."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler_domain.domain.address_guard import LONGEST_URL, AllowedNets, check_url_syntax, judge
from scheduler_domain.domain.errors import ConfigurationError, InvalidField

NONE = AllowedNets()
DEV = AllowedNets.parse("127.0.0.0/8,::1/128")


def refusal(url: str, *, allow_http: bool = True, allowed: AllowedNets = NONE) -> str | None:
    try:
        check_url_syntax(url, allow_http=allow_http, allowed=allowed)
    except InvalidField as problem:
        return problem.problems[0].code
    return None


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://example.com/",
        "https://EXAMPLE.com:8443/a/b?c=d&e=%20#f",
        "https://sub_domain.example.com/hook",
        "https://bücher.example/straße?größe=1",
        "https://xn--bcher-kva.example/",
        "https://例え.テスト/",
        "https://93.184.216.34/hook",
        "https://[2606:4700::1111]:8443/hook",
        "https://example.com./hook",
        "https://1.example.com/",
        "https://a.1b/",
        "http://example.com/",
        "https://metadata.example.com/user@host",
        "https://example.com/?q=a@b:c",
    ],
)
def test_ordinary_urls_are_accepted(url: str) -> None:
    assert refusal(url) is None


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("", "invalid-url"),
        ("example.com/hook", "invalid-url"),
        ("//example.com/", "invalid-url"),
        ("ftp://example.com/", "invalid-url"),
        ("file:///etc/passwd", "invalid-url"),
        ("gopher://example.com/", "invalid-url"),
        ("unix:///run/docker.sock", "invalid-url"),
        ("javascript:alert(1)", "invalid-url"),
        ("https:/example.com/", "invalid-url"),
        ("https:example.com", "invalid-url"),
        (" https://example.com/", "invalid-url"),
        ("https://example.com/a b", "invalid-url"),
        ("https://example.com/\r\nHost: x", "invalid-url"),
        ("https://example.com/\x00", "invalid-url"),
        ("https://exam\u200bple.com/", "invalid-url"),
        ("https://exam\u202eple.com/", "invalid-url"),
        ("https://example.com\\@127.0.0.1/", "invalid-url"),
        ("https://example.com/\\..", "invalid-url"),
        ("https:///hook", "invalid-host"),
        ("https://:443/", "invalid-host"),
        ("https://user@example.com/", "credentials-in-url"),
        ("https://user:pass@example.com/", "credentials-in-url"),
        ("https://example.com%2f@127.0.0.1/", "credentials-in-url"),
        ("https://127.0.0.1%23.example.com/", "invalid-host"),
        ("https://%31%32%37.0.0.1/", "invalid-host"),
        ("https://[fe80::1%25eth0]/", "invalid-host"),
        ("https://[::1/", "invalid-host"),
        ("https://::1/", "invalid-host"),
        ("https://[::1]x/", "invalid-host"),
        ("https://[v1.a]/", "invalid-host"),
        ("https://example.com:/", "invalid-host"),
        ("https://example.com:x/", "invalid-host"),
        ("https://example.com:-1/", "invalid-host"),
        ("https://example.com:0443/", "invalid-host"),
        ("https://example.com:99999/", "port-not-allowed"),
        ("https://example.com:0/", "port-not-allowed"),
        ("https://example.com:22/", "port-not-allowed"),
        ("https://example.com:25/", "port-not-allowed"),
        ("https://example.com:5432/", "port-not-allowed"),
        ("https://example.com:6379/", "port-not-allowed"),
        ("https://example.com:4222/", "port-not-allowed"),
        ("https://exa..mple.com/", "invalid-host"),
        ("https://-example.com/", "invalid-host"),
        ("https://example-.com/", "invalid-host"),
        ("https://exam!ple.com/", "invalid-host"),
        ("https://${tenantId}.example.com/", "invalid-host"),
        (f"https://{'a' * 64}.com/", "invalid-host"),
        (f"https://{'a.' * 130}com/", "invalid-host"),
        ("https://example.com/" + "a" * LONGEST_URL, "url-too-long"),
    ],
)
def test_malformed_urls_are_refused_with_a_code(url: str, code: str) -> None:
    assert refusal(url) == code


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.0.0.1.", "127.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
        *("169.254.169.254", "100.64.0.1", "100.127.255.254", "0.0.0.0", "168.63.129.16", "192.0.0.192", "198.18.0.1"),
        *("203.0.113.7", "198.51.100.1", "192.0.2.1", "192.88.99.1", "224.0.0.1", "239.255.255.255", "255.255.255.255"),
        *("[::1]", "[::]", "[::127.0.0.1]", "[::ffff:127.0.0.1]", "[::ffff:8.8.8.8]", "[64:ff9b::a9fe:a9fe]"),
        *(
            "[64:ff9b:1::1]",
            "[2002:7f00:1::]",
            "[2002:a9fe:a9fe::]",
            "[fe80::1]",
            "[fec0::1]",
            "[fc00::1]",
            "[fd00::1]",
        ),
        *("[ff02::1]", "[2001:db8::1]", "[2001::1]", "[2001:0:4136:e378::]", "[3fff::1]", "[100::1]", "[5f00::1]"),
    ],
)
def test_addresses_of_other_networks_are_refused(host: str) -> None:
    assert refusal(f"https://{host}/") == "address-not-allowed"


@pytest.mark.parametrize(
    "host",
    [
        *("127.1", "2130706433", "0x7f.1", "0x7f000001", "017700000001", "0", "0x7f.0x0.0x0.0x1", "0177.0.0.1"),
        *("127.0.0.01", "127.0.1", "127.0.0.256", "1.2.3.4.5", "08.8.8.8", "8.8.8.0x8", "0x", "example.0x7f", "a.1"),
        *("１２７.0.0.1", "127。0。0。1", "①②⑦.0.0.1", "ⓔxample.com", "exａmple.com", "𝐞xample.com", "\u212aelvin.com"),
    ],
)
def test_addresses_in_disguise_are_refused(host: str) -> None:
    assert refusal(f"https://{host}/") == "invalid-host"


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST", "localhost.", "a.localhost", "localhost.localdomain", "receiver", "metadata"),
        *("printer.local", "metadata.google.internal", "api.default.svc", "api.default.svc.cluster.local", "nas.lan"),
        *("git.corp", "router.home", "router.home.arpa", "wiki.intranet", "web.service.consul"),
    ],
)
def test_names_of_private_networks_are_refused(host: str) -> None:
    assert refusal(f"https://{host}/") == "host-not-allowed"


def test_http_needs_the_platforms_leave() -> None:
    assert refusal("http://example.com/", allow_http=False) == "scheme-not-allowed"
    assert refusal("HTTP://example.com/", allow_http=False) == "scheme-not-allowed"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9000/x", "http://localhost:9000/x", "http://[::1]:9000/x", "http://127.8.9.1/"]
)
def test_the_development_allow_list_opens_loopback(url: str) -> None:
    assert refusal(url, allowed=DEV) is None


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1/", "http://receiver/", "http://nas.lan/", "http://127.1/", "http://0/"]
)
def test_the_development_allow_list_opens_nothing_else(url: str) -> None:
    assert refusal(url, allowed=DEV) is not None


def test_an_allowed_network_opens_its_names_and_only_its_port() -> None:
    allowed = AllowedNets.parse("10.1.0.0/16:8443")
    assert refusal("https://10.1.2.3:8443/", allowed=allowed) is None
    assert refusal("https://receiver:8443/", allowed=allowed) is None
    assert refusal("https://10.1.2.3/", allowed=allowed) == "address-not-allowed"
    assert refusal("https://receiver/", allowed=allowed) == "host-not-allowed"
    assert refusal("https://localhost:8443/", allowed=allowed) == "host-not-allowed"


@pytest.mark.parametrize(
    ("text", "address", "port", "covered"),
    [
        ("127.0.0.0/8", "127.0.0.1", 1234, True),
        ("10.1.0.0/16:8443", "10.1.9.9", 8443, True),
        ("10.1.0.0/16:8443", "10.1.9.9", 443, False),
        ("::1/128", "::1", 80, True),
        ("[::1]/128:80", "::1", 80, True),
        ("::1", "::1", 80, True),
        ("[fd00::1]:8080", "fd00::1", 8080, True),
        ("[fd00::1]:8080", "fd00::1", 80, False),
        ("10.0.0.5:80", "10.0.0.5", 80, True),
        (" , 10.0.0.5 ,", "10.0.0.5", 1, True),
        ("127.0.0.0/8", "::ffff:127.0.0.1", 80, False),
        ("", "127.0.0.1", 80, False),
    ],
)
def test_the_allow_list_is_read_as_networks_with_ports(text: str, address: str, port: int, covered: bool) -> None:
    assert AllowedNets.parse(text).cover(ip_address(address), port) is covered


@pytest.mark.parametrize(
    "text", ["10.0.0.1/8", "nonsense", "10.0.0.0/8:0", "10.0.0.0/8:x", "10.0.0.0/33", "1.2.3", "[::1"]
)
def test_a_bad_allow_list_names_itself_and_the_culprit(text: str) -> None:
    with pytest.raises(ConfigurationError, match="WEBHOOK_ALLOW_NETS"):
        AllowedNets.parse(text)


def test_a_denial_says_what_the_address_is() -> None:
    assert judge("169.254.169.254", 80, NONE) == "address 169.254.169.254 is not allowed (link-local)"
    assert judge("::1", 80, NONE) == "address ::1 is not allowed (loopback)"
    assert judge("no address", 80, NONE) == "'no address' is not an address"
    assert judge("fe80::1%eth0", 80, NONE) == "address fe80::1%eth0 is not allowed (not a global address)"
    assert judge("8.8.8.8", 80, NONE) is None
    assert judge("127.0.0.1", 80, DEV) is None


@given(st.ip_addresses(v=6))
def test_no_ipv6_address_outside_the_global_range_is_ever_allowed(address: object) -> None:
    is_global_unicast = str(ip_address(str(address)).exploded)[0] in "23"
    assert is_global_unicast or judge(str(address), 443, NONE) is not None


@given(st.text(max_size=60))
def test_no_text_makes_the_check_fail_in_another_way(text: str) -> None:
    refusal(text)
    refusal(f"https://{text}")
    refusal(f"https://{text}.com/")
