"""One connection to NATS that is always being kept: an outage, however long or odd, ends by itself.

nats-py holds the connection, speaks TLS and authentication, follows the cluster and answers requests. Two things it
does not do are here. It closes for good when the server refuses it once (an authorisation that is being changed, a
connection limit), so a closed client is replaced by a new one. And it has no way to write many publishes at once, so
`write` hands ready-made protocol bytes to its transport; that, and the socket option, are the only uses of its
private attributes in this project (nats-py 2.16; both can go when it offers atomic batches of its own).
"""

import asyncio
import random
import socket
from collections.abc import Awaitable, Callable

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.client import Server as KnownServer
from nats.aio.msg import Msg

from scheduler_domain.domain.errors import ConfigurationError, Unavailable

_log = structlog.get_logger(__name__)

CONNECT_TIMEOUT_SECONDS = 2
PING_INTERVAL_SECONDS = 5
UNACKNOWLEDGED_LIMIT_MS = 10_000
"""How long the peer's host may leave bytes unacknowledged. The kernel's own answer to a vanished host is 15 minutes."""
_LONGEST_RECONNECT_WAIT_SECONDS = 2.0
_CLOSE_TIMEOUT_SECONDS = 2.0


class NatsConnection:
    """Connects in the background for as long as it is open.

    `on_connected` runs after each time a server was reached; `on_lost` when the connection broke, before the next
    attempt. Each client has one inbox; `on_reply` receives what arrives below it.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str,
        on_reply: Callable[[Msg], Awaitable[None]],
        on_connected: Callable[[], Awaitable[None]],
        on_lost: Callable[[], None],
    ) -> None:
        self._servers = [server.strip() for server in url.split(",")]
        if any(server.startswith(("ws:", "wss:")) for server in self._servers):
            raise ConfigurationError("NATS_URL: deliveries need nats:// or tls://; WebSocket is not supported")
        self._name = name
        self._on_reply = on_reply
        self._on_connected = on_connected
        self._on_lost = on_lost
        self._client = Client()
        self._inbox = b""
        self._keeper: asyncio.Task[None] | None = None
        self._is_open = True
        self._ready = asyncio.Event()
        self._closed = asyncio.Event()

    @property
    def is_connected(self) -> bool:
        return bool(self._inbox) and self._client.is_connected

    @property
    def inbox(self) -> bytes:
        """The subject below which replies are received; it changes when the client is replaced."""
        return self._inbox

    @property
    def max_payload(self) -> int:
        """Bytes of headers and body that the server takes in one message."""
        return self._client.max_payload

    async def open(self, wait_seconds: float) -> bool:
        """Begin to connect; return whether that succeeded within the wait. It goes on either way."""
        self._keeper = asyncio.create_task(self._keep(), name="nats-connection")
        return await self.connected_within(wait_seconds)

    async def connected_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._ready.wait()
        except TimeoutError:
            return False
        return self.is_connected

    async def close(self) -> None:
        self._is_open = False
        self._inbox = b""
        self._closed.set()
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait((self._keeper,), timeout=_CLOSE_TIMEOUT_SECONDS)
            await self._discard_client()

    def write(self, frames: bytes) -> None:
        """Write whole protocol frames at once, uninterrupted by others; raises `Unavailable` if nothing was written.

        Past nats-py's own pending buffer on purpose: what that holds when a connection breaks is sent again on the
        next one, long after its sender was told that it failed.
        """
        transport = self._client._transport
        if transport is None or not self.is_connected:
            raise Unavailable("NATS is away")
        try:
            transport.write(frames)
        except (OSError, RuntimeError) as error:  # closed beneath us, and not noticed yet
            raise Unavailable("NATS is away") from error

    async def request(self, subject: str, payload: bytes, timeout_seconds: float) -> bytes:
        """Return the answer's body; raises `Unavailable` where there is none in time."""
        if not self.is_connected:
            raise Unavailable("NATS is away")
        try:
            answer = await self._client.request(subject, payload, timeout=timeout_seconds)
        except (nats.errors.Error, TimeoutError) as error:
            raise Unavailable("NATS is away") from error
        return answer.data

    async def _keep(self) -> None:
        while self._is_open:
            self._closed.clear()
            self._client = Client()
            try:
                await self._connect()
                await self._closed.wait()
            except Exception as error:  # noqa: BLE001 - this loop's one guard: whatever it was, we try again
                _log.warning("nats_connect_failed", error=str(error) or type(error).__name__)
                await self._discard_client()
            self._inbox = b""
            self._ready.clear()
            await asyncio.sleep(_LONGEST_RECONNECT_WAIT_SECONDS * random.uniform(0.1, 1))  # noqa: S311 - spreads load

    async def _connect(self) -> None:
        await self._client.connect(
            self._servers,
            name=self._name,
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            reconnect_time_wait=1,
            max_reconnect_attempts=-1,
            ping_interval=PING_INTERVAL_SECONDS,
            max_outstanding_pings=2,
            error_cb=self._note_error,
            disconnected_cb=self._lost,
            reconnected_cb=self._connected,
            closed_cb=self._note_closed,
            reconnect_to_server_handler=_spread_reconnects,
        )
        inbox = self._client.new_inbox()
        await self._client.subscribe(f"{inbox}.>", cb=self._on_reply)
        await self._client.flush()
        self._inbox = inbox.encode()
        await self._connected()

    async def _connected(self) -> None:
        _give_up_on_a_vanished_host(self._client)
        _log.info("nats_connected", server_version=str(self._client.connected_server_version))
        await self._on_connected()
        self._ready.set()

    async def _discard_client(self) -> None:
        """Close the client, but do not wait for a server that no longer reads."""
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_SECONDS):
                await self._client.close()
        except TimeoutError:
            _log.warning("nats_close_timed_out")
        except Exception as error:  # noqa: BLE001 - what broke may break again on its way out; the next one is tried
            _log.warning("nats_close_failed", error=str(error) or type(error).__name__)

    async def _lost(self) -> None:
        self._ready.clear()
        if self._is_open:
            _log.warning("nats_connection_lost")
        self._on_lost()

    async def _note_error(self, error: Exception) -> None:
        # Each failed attempt to reconnect passes here; the outage itself was logged once, when it began.
        _log.debug("nats_error", error=str(error) or type(error).__name__)

    async def _note_closed(self) -> None:
        self._closed.set()


def _spread_reconnects(servers: list[KnownServer], _info: object) -> tuple[KnownServer, float]:
    """Choose any server and wait a random while that grows, so that dispatchers do not come back as a herd."""
    server = random.choice(servers)  # noqa: S311 - spreads load
    bound = min(_LONGEST_RECONNECT_WAIT_SECONDS, 0.1 * 2 ** min(server.reconnects, 10))
    return server, random.uniform(0, bound)  # noqa: S311 - spreads load


def _give_up_on_a_vanished_host(client: Client) -> None:
    transport = client._transport
    writer = getattr(transport, "_bare_io_writer", None)
    if writer is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        connected = writer.get_extra_info("socket")
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_LIMIT_MS)
