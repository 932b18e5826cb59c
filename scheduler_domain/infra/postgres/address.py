"""Which of the servers that POSTGRES_URL names: the one that takes writes, found again whenever it changes.

One address may name several hosts, of which one is the primary and the others stream from it. asyncpg tries them in
their order and gives all of them one deadline together, so a primary whose host vanished (packets are swallowed,
nothing is refused) would use it up, and its promoted standby would never be asked. Here each host has its share, and
the one that took writes last is asked first.

A server that only reads is never of use: every process writes. So it is refused when connecting, be it one host or
several, whatever `target_session_attrs` says.
"""

import re
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg

_SCHEME: Final = re.compile(r"^(postgres|postgresql)(\+\w+)?://")
_ASK_THE_NEXT: Final = (
    OSError,
    asyncpg.OperatorInterventionError,  # it is starting, or shutting down
    asyncpg.PostgresConnectionError,
    asyncpg.TargetServerAttributeNotMatched,
)
ONLY_READS: Final = "25006"
"""The state of an error that says: this server takes no writes (any more)."""


def asyncpg_url(postgres_url: str) -> str:
    return _SCHEME.sub("postgresql://", postgres_url)


class PostgresAddress:
    """Connects to the server that takes writes; remembers which one that was. For one event loop."""

    def __init__(self, postgres_url: str) -> None:
        self._hosts = each_host(asyncpg_url(postgres_url))

    async def connect(self, *, timeout: float, **options: Any) -> asyncpg.Connection:  # noqa: ASYNC109 (the driver's)
        """Return a connection within `timeout` seconds, shared out among the hosts.

        Raises OSError where no host takes writes in time, and asyncpg's errors where one refuses us.
        """
        share = timeout / len(self._hosts)
        failures: list[BaseException] = []
        for host in list(self._hosts):
            try:
                connection = await asyncpg.connect(host, timeout=share, target_session_attrs="read-write", **options)
            except _ASK_THE_NEXT as failure:
                failures.append(failure)
            else:
                self._ask_first(host)
                return connection
        if all(isinstance(failure, asyncpg.TargetServerAttributeNotMatched) for failure in failures):
            raise ConnectionError("the server takes no writes: it is a standby, or set read-only") from failures[-1]
        raise next(failure for failure in failures if not isinstance(failure, asyncpg.TargetServerAttributeNotMatched))

    def _ask_first(self, host: str) -> None:
        self._hosts.remove(host)
        self._hosts.insert(0, host)


def each_host(url: str) -> list[str]:
    """Return an address for each host.

    >>> each_host("postgresql://app@first:5432,second/scheduler?ssl=on")
    ['postgresql://app@first:5432/scheduler?ssl=on', 'postgresql://app@second/scheduler?ssl=on']
    >>> each_host("postgresql:///scheduler?host=/run/postgresql")
    ['postgresql:///scheduler?host=/run/postgresql']
    """
    parts = urlsplit(url)
    user, at, hosts = parts.netloc.rpartition("@")
    if "," not in hosts:
        return [url]
    return [urlunsplit(parts._replace(netloc=f"{user}{at}{host}")) for host in hosts.split(",")]
