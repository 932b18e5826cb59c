"""No webhook reaches an address that the platform did not allow, however it is written, named, or renamed meanwhile."""

# ruff: noqa: S104 - the unspecified address is one of those that must not be reached

import asyncio
import ssl
import threading
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from scheduler_domain.domain.address_guard import AllowedNets
from scheduler_domain.domain.outcome import Delivered, Refused, Unreachable
from scheduler_domain.infra.webhook.addresses import (
    LOOKUP_SECONDS,
    TENANT_LOOKUPS,
    AddressNotAllowedError,
    GuardedResolver,
    LookupFailedError,
    NameLookups,
    NoLookupFreeError,
    guarded_sockets,
)
from scheduler_domain.infra.webhook.pools import TenantPools
from scheduler_domain.infra.webhook.sender import WebhookSender
from tests.integration.deliveries import FIRED_AT, webhook
from tests.support.receiver import Receiver

NOTHING = AllowedNets()
LOOPBACK = AllowedNets.parse("127.0.0.0/8,::1/128")


class Names:
    """A DNS of the test's own: it answers as it is told, in order, and counts; the last answer stays."""

    def __init__(self, **answers: Sequence[Sequence[str]]) -> None:
        self._answers = {name.replace("_", "."): list(each) for name, each in answers.items()}
        self.asked: defaultdict[str, int] = defaultdict(int)
        self.may_answer = threading.Event()
        self.may_answer.set()

    def __call__(self, host: str) -> Sequence[str]:
        self.asked[host] += 1
        self.may_answer.wait(10)
        answers = self._answers.get(host)
        if answers is None:
            raise OSError("no such name")
        return answers.pop(0) if len(answers) > 1 else answers[0]


@asynccontextmanager
async def sender_with(names: Names, allowed: AllowedNets = NOTHING) -> AsyncIterator[WebhookSender]:
    sender = WebhookSender(allowed, find_addresses=names)
    try:
        yield sender
    finally:
        names.may_answer.set()
        await sender.close()


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.1", "2130706433", "0x7f.1", "0x7f000001", "017700000001", "0", "0.0.0.0", "localhost"),
        *("169.254.169.254", "168.63.129.16", "10.0.0.1", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[2002:7f00:1::]"),
        *("[64:ff9b::a9fe:a9fe]", "[fe80::1]", "127.0.0.1.", "LOCALHOST", "user@127.0.0.1", "receiver"),
        "127\u30020\u30020\u30021",
    ],
)
async def test_no_way_to_write_a_denied_address_reaches_the_receiver(receiver: Receiver, host: str) -> None:
    port = receiver.url.rsplit(":", 1)[1]
    sender = WebhookSender(NOTHING)
    outcome = await sender.send(webhook(f"http://{host}:{port}/"), FIRED_AT)
    await sender.close()
    assert isinstance(outcome, Refused)
    assert receiver.requests == []


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["93.184.216.34", "127.0.0.1"],
        ["93.184.216.34", "::1"],
        ["169.254.169.254"],
        ["::ffff:127.0.0.1"],
        ["fe80::1%eth0"],
        ["10.0.0.1"],
        ["nonsense"],
    ],
)
async def test_a_name_with_any_denied_address_is_refused_for_good(addresses: list[str]) -> None:
    async with sender_with(Names(hooks_example_com=[addresses])) as sender:
        outcome = await sender.send(webhook("https://hooks.example.com/x"), FIRED_AT)
    assert isinstance(outcome, Refused)
    assert outcome.error.startswith("hooks.example.com: ")


async def test_a_name_that_is_moved_between_attempts_is_judged_each_time(receiver: Receiver) -> None:
    port = receiver.url.rsplit(":", 1)[1]
    names = Names(hooks_example_com=[["127.0.0.1"], ["10.0.0.1"]])
    async with sender_with(names, LOOPBACK) as sender:
        first = webhook(f"http://hooks.example.com:{port}/", tenant="a")
        assert await sender.send(first, FIRED_AT) == Delivered(200)
        second = webhook(f"http://hooks.example.com:{port}/", tenant="b")
        outcome = await sender.send(second, FIRED_AT)
    assert outcome == Refused("hooks.example.com: address 10.0.0.1 is not allowed (private)")
    assert receiver.requests[0].headers["Host"] == f"hooks.example.com:{port}"


async def test_an_allowed_port_opens_no_other(receiver: Receiver) -> None:
    port = int(receiver.url.rsplit(":", 1)[1])
    for allowed, kind in ((f"127.0.0.1:{port}", Delivered), (f"127.0.0.1:{port - 1}", Refused)):
        async with sender_with(Names(a_example=[["127.0.0.1"]]), AllowedNets.parse(allowed)) as sender:
            assert isinstance(await sender.send(webhook(f"http://a.example:{port}/"), FIRED_AT), kind)


def test_no_socket_is_made_for_an_address_that_is_not_allowed() -> None:
    make = guarded_sockets(NOTHING)
    with pytest.raises(AddressNotAllowedError, match="loopback"):
        make((2, 1, 6, "", ("127.0.0.1", 80)))
    make((2, 1, 6, "", ("93.184.216.34", 80))).close()


async def test_a_name_that_leads_nowhere_is_not_asked_for_again_at_once() -> None:
    names = Names()
    async with sender_with(names) as sender:
        for _ in range(3):
            outcome = await sender.send(webhook("https://gone.example.com/"), FIRED_AT)
            assert isinstance(outcome, Unreachable)
            assert outcome.error.startswith("the name gone.example.com was not found")
    assert names.asked == {"gone.example.com": 1}


async def test_many_deliveries_share_one_look_up(receiver: Receiver) -> None:
    names = Names(hooks_example_com=[["127.0.0.1"]])
    names.may_answer.clear()
    port = receiver.url.rsplit(":", 1)[1]
    async with sender_with(names, LOOPBACK) as sender:
        url = f"http://hooks.example.com:{port}/"
        sends = [asyncio.create_task(sender.send(webhook(url), FIRED_AT)) for _ in range(20)]
        await asyncio.wait(sends, timeout=0.05)
        names.may_answer.set()
        assert set(await asyncio.gather(*sends)) == {Delivered(200)}
    assert names.asked["hooks.example.com"] == 1


async def test_slow_names_of_one_tenant_leave_room_for_the_others() -> None:
    names = Names(quick_example_com=[["93.184.216.34"]])
    names.may_answer.clear()
    lookups = NameLookups(names)
    slow, other = GuardedResolver(lookups, NOTHING), GuardedResolver(lookups, NOTHING)
    began = time.monotonic()
    attempts = [asyncio.create_task(slow.resolve(f"slow{number}.example.com", 443)) for number in range(50)]
    done, waiting = await asyncio.wait(attempts, timeout=0.5)
    assert (len(done), len(waiting)) == (50 - TENANT_LOOKUPS, TENANT_LOOKUPS)
    names.may_answer.set()
    assert [found["host"] for found in await other.resolve("quick.example.com", 443)] == ["93.184.216.34"]
    failures = Counter(type(failure) for failure in await asyncio.gather(*attempts, return_exceptions=True))
    assert failures == {LookupFailedError: TENANT_LOOKUPS, NoLookupFreeError: 50 - TENANT_LOOKUPS}
    assert time.monotonic() - began < LOOKUP_SECONDS
    lookups.close()


async def test_a_look_up_that_takes_too_long_is_given_up() -> None:
    names = Names(slow_example_com=[["93.184.216.34"]])
    names.may_answer.clear()
    lookups = NameLookups(names)
    resolver = GuardedResolver(lookups, NOTHING)
    with pytest.raises(LookupFailedError, match="not found within 2 s"):
        await resolver.resolve("slow.example.com", 443)
    with pytest.raises(LookupFailedError, match="a moment ago"):
        await resolver.resolve("slow.example.com", 443)
    names.may_answer.set()
    lookups.close()


async def test_a_pool_is_given_up_when_its_time_is_over_even_if_it_is_busy() -> None:
    lookups = NameLookups(Names())
    pools = TenantPools(LOOPBACK, lookups, ssl.create_default_context(), life_seconds=0.05)
    first, same = pools.lend("acme"), pools.lend("acme")
    assert first is same
    await asyncio.wait({asyncio.ensure_future(asyncio.Event().wait())}, timeout=0.06)
    second = pools.lend("acme")
    assert second is not first
    await pools.take_back(same)
    assert not first.session.closed, "it is still in use"
    await pools.take_back(first)
    assert first.session.closed
    await pools.take_back(second)
    await pools.close()
    assert second.session.closed
    lookups.close()


async def test_the_certificate_is_checked_for_the_name_not_the_address(tmp_path: Path) -> None:
    server_context, client_context = certificates(tmp_path, "hooks.example.com")
    seen: list[str | None] = []
    server_context.sni_callback = lambda _connection, name, _context: seen.append(name)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_context)
    port = server.sockets[0].getsockname()[1]
    names = Names(hooks_example_com=[["127.0.0.1"]], other_example_com=[["127.0.0.1"]])
    sender = WebhookSender(LOOPBACK, find_addresses=names, tls=client_context)
    try:
        assert await sender.send(webhook(f"https://hooks.example.com:{port}/"), FIRED_AT) == Delivered(204)
        outcome = await sender.send(webhook(f"https://other.example.com:{port}/"), FIRED_AT)
        assert isinstance(outcome, Unreachable)
        assert outcome.error.startswith(f"the certificate of other.example.com:{port} is not valid: ")
        assert seen == ["hooks.example.com", "other.example.com"]
    finally:
        await sender.close()
        server.close()


async def test_a_receiver_without_tls_is_told_as_such(receiver: Receiver) -> None:
    sender = WebhookSender(LOOPBACK)
    outcome = await sender.send(webhook(receiver.url.replace("http:", "https:")), FIRED_AT)
    await sender.close()
    assert outcome == Unreachable(f"no TLS connection to {receiver.url.removeprefix('http://')} could be agreed")


async def test_http_can_be_switched_off_for_what_is_stored_already(receiver: Receiver) -> None:
    sender = WebhookSender(LOOPBACK, allow_http=False)
    outcome = await sender.send(webhook(receiver.url), FIRED_AT)
    await sender.close()
    assert outcome == Refused("only https:// is allowed here")
    assert receiver.requests == []


def certificates(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a server's context with a certificate for the name alone, and a client's that trusts its maker."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ip_address("192.0.2.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "certificate.pem"
    pem.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    return server, ssl.create_default_context(cadata=certificate.public_bytes(serialization.Encoding.PEM).decode())
