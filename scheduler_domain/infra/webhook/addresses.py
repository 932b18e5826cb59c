"""From a host's name to addresses that may be reached, and to nothing else.

Three things would go wrong with the event loop's own look-up: it shares six threads with everything else (measured: 60
slow names made healthy deliveries 3 to 5 s late), it trusts the answer, and a name in an address's disguise slips past
whoever only reads names. So: threads of our own, every address judged before it is used, and sockets that are made for
judged addresses only, whichever way the address came about.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import AddrInfoType

from scheduler_domain.domain.address_guard import AllowedNets, judge

LOOKUP_THREADS = 64
LOOKUP_SECONDS = 2.0
FAILURE_REMEMBERED_SECONDS = 5.0
TENANT_LOOKUPS = 16
"""Threads that one tenant's names may hold: a look-up that we gave up on keeps its thread until the system does."""
_MOST_FAILURES_REMEMBERED = 10_000
_CONNECT_SYN_RETRIES = 1  # the first SYN and one more: the system gives up after 1 + 2 = 3 s

FindAddresses = Callable[[str], Sequence[str]]
"""Look a name up, blocking; raises OSError where it leads nowhere."""


class AddressNotAllowedError(OSError):
    """The platform's policy, in words for the tenant; no attempt can change it."""


class LookupFailedError(OSError):
    """The name led nowhere this time."""


def system_addresses(host: str) -> Sequence[str]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class NoLookupFreeError(OSError):
    """The tenant's other names hold all the threads that it may have; this one was not looked up."""


class NameLookups:
    """Look-ups of one dispatcher: each name once at a time, each failure remembered for a moment."""

    def __init__(self, find_addresses: FindAddresses = system_addresses) -> None:
        self._find_addresses = find_addresses
        self._threads = ThreadPoolExecutor(LOOKUP_THREADS, thread_name_prefix="webhook-lookup")
        self._under_way: dict[str, asyncio.Future[Sequence[str]]] = {}
        self._failed_until: dict[str, float] = {}

    def start(self, host: str) -> tuple[asyncio.Future[Sequence[str]], bool]:
        """Return the look-up of a name and whether it is a new one, holding a thread of its own."""
        known = self._under_way.get(host)
        if known is not None:
            return known, False
        future = asyncio.get_running_loop().run_in_executor(self._threads, self._find_addresses, host)
        self._under_way[host] = future
        future.add_done_callback(lambda done: self._ended(host, done))
        return future, True

    def refuse_if_failed_lately(self, host: str) -> None:
        until = self._failed_until.get(host)
        if until is None:
            return
        if until > asyncio.get_running_loop().time():
            raise LookupFailedError(f"the name {host} was not found a moment ago")
        del self._failed_until[host]

    def remember_failure(self, host: str) -> None:
        if len(self._failed_until) >= _MOST_FAILURES_REMEMBERED:
            self._failed_until.clear()
        self._failed_until[host] = asyncio.get_running_loop().time() + FAILURE_REMEMBERED_SECONDS

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _ended(self, host: str, done: asyncio.Future[Sequence[str]]) -> None:
        del self._under_way[host]
        if not done.cancelled() and done.exception() is not None:
            self.remember_failure(host)


class GuardedResolver(AbstractResolver):
    """aiohttp's resolver for one tenant: a name whose addresses are not all allowed leads nowhere."""

    def __init__(self, lookups: NameLookups, allowed: AllowedNets) -> None:
        self._lookups = lookups
        self._allowed = allowed
        self._threads_held = 0

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002 - part of aiohttp's interface; both are asked for
    ) -> list[ResolveResult]:
        addresses = await self._addresses(host)
        for address in addresses:
            refusal = judge(address, port, self._allowed)
            if refusal is not None:
                raise AddressNotAllowedError(f"{host}: {refusal}")
        return [
            {
                "hostname": host,
                "host": address,
                "port": port,
                "family": socket.AF_INET6 if ":" in address else socket.AF_INET,
                "proto": 0,
                "flags": socket.AI_NUMERICHOST,
            }
            for address in addresses
        ]

    async def close(self) -> None:
        """The look-ups are shared; they are closed with the sender."""

    async def _addresses(self, host: str) -> Sequence[str]:
        self._lookups.refuse_if_failed_lately(host)
        if self._threads_held >= TENANT_LOOKUPS:
            raise NoLookupFreeError(f"too many names of this tenant are being looked up; {host} was not")
        lookup, is_new = self._lookups.start(host)
        if is_new:
            self._threads_held += 1
            lookup.add_done_callback(self._thread_freed)
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                addresses = await asyncio.shield(lookup)
        except TimeoutError:
            self._lookups.remember_failure(host)
            raise LookupFailedError(f"the name {host} was not found within {LOOKUP_SECONDS:.0f} s") from None
        except OSError:
            raise LookupFailedError(f"the name {host} was not found") from None
        if not addresses:
            raise LookupFailedError(f"the name {host} has no address")
        return addresses

    def _thread_freed(self, _: asyncio.Future[Sequence[str]]) -> None:
        self._threads_held -= 1


def guarded_sockets(allowed: AllowedNets) -> Callable[[AddrInfoType], socket.socket]:
    """Return the maker of sockets: the last wall, through which an address written in a URL passes as well."""

    def guarded_socket(destination: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = destination
        refusal = judge(str(address[0]), int(address[1]), allowed)
        if refusal is not None:
            raise AddressNotAllowedError(refusal)
        made = socket.socket(family, kind, protocol)
        if hasattr(socket, "TCP_SYNCNT"):
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, _CONNECT_SYN_RETRIES)
        return made

    return guarded_socket
