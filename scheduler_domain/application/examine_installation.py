"""Judges an installation: what is in order, what will hurt, what is broken, and how to mend it.

Without this, the first sign of a server that is too old or a stream that forgets would be a delivery that went missing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from enum import StrEnum
from typing import TypeVar

from msgspec import Struct

from scheduler_domain.application.ports.inspection import (
    CacheFacts,
    InspectCache,
    InspectNats,
    InspectPostgres,
    NatsFacts,
    PostgresFacts,
    StreamFacts,
)
from scheduler_domain.domain.errors import SchedulerError

OLDEST_POSTGRES = 160_000
OLDEST_NATS = (2, 12)  # the first with atomic batches
LONGEST_PAYLOAD = 256 * 1024
SHORTEST_DUPLICATE_WINDOW = timedelta(minutes=10)
STREAMS = {"EVENTS": "events.>", "QUEUES": "queues.>", "LIFECYCLE": "lifecycle.>"}
"""What each stream has to take."""
# Processes go by PostgreSQL's clock. But logs go by the host's, beyond the first they mislead; and beyond the second,
# which is the leeway of tokens, a process that has not reached PostgreSQL yet refuses good ones.
NOTICEABLE_SKEW, HARMFUL_SKEW = timedelta(seconds=1), timedelta(seconds=30)

Facts = TypeVar("Facts")


class Judgement(StrEnum):
    OK = "ok"
    WARNING = "warning"
    BROKEN = "broken"


class Finding(Struct, frozen=True):
    """One thing that was looked at; `mend` says what to do, where there is something to do."""

    subject: str
    judgement: Judgement
    found: str
    mend: str | None = None


async def examine_installation(
    postgres: InspectPostgres | None, nats: InspectNats | None, cache: InspectCache | None
) -> list[Finding]:
    """Look at every server at once; None stands for one that no variable names. Never raises for one that is away."""
    groups = await asyncio.gather(
        _looked_at("PostgreSQL", "POSTGRES_URL", postgres, judge_postgres),
        _looked_at("NATS", "NATS_URL", nats, judge_nats),
        _looked_at("Redis", "REDIS_URL", cache, judge_cache),
    )
    return [finding for group in groups for finding in group]


async def _looked_at(
    subject: str,
    variable: str,
    inspect: Callable[[], Awaitable[Facts]] | None,
    judge: Callable[[Facts], Iterator[Finding]],
) -> list[Finding]:
    if inspect is None and variable == "REDIS_URL":
        return [Finding(subject, Judgement.OK, "not used: a PostgreSQL advisory lock decides who plans")]
    if inspect is None:
        mend = f"set {variable}; while `scheduler dev` runs, `. .scheduler/servers.env` names its own"
        return [Finding(subject, Judgement.BROKEN, f"{variable} is not set", mend)]
    try:
        return list(judge(await inspect()))
    except SchedulerError as error:
        # Redis only spares work, so its absence breaks nothing.
        judgement = Judgement.WARNING if variable == "REDIS_URL" else Judgement.BROKEN
        return [Finding(subject, judgement, str(error), f"start the server, or correct {variable}")]


def judge_postgres(facts: PostgresFacts) -> Iterator[Finding]:
    version = f"version {facts.version // 10_000}.{facts.version % 10_000}"
    if facts.version < OLDEST_POSTGRES:
        yield Finding("PostgreSQL", Judgement.BROKEN, version, "upgrade to PostgreSQL 16 or newer")
    else:
        yield Finding("PostgreSQL", Judgement.OK, version)
    if not facts.is_durable:
        yield Finding(
            "PostgreSQL durability",
            Judgement.WARNING,
            "fsync or synchronous_commit is off: a power cut loses what was acknowledged",
            "set fsync = on and synchronous_commit = on",
        )
    yield _judge_clock(facts.clock_ahead)
    if facts.current_revision == facts.head_revision:
        yield Finding("migrations", Judgement.OK, f"revision {facts.current_revision}")
    else:
        found = f"revision {facts.current_revision or 'none'}, this version needs {facts.head_revision}"
        yield Finding("migrations", Judgement.BROKEN, found, "run `scheduler migrate`")


def _judge_clock(ahead: timedelta) -> Finding:
    found = f"PostgreSQL's is {ahead.total_seconds() * 1000:+.0f} ms from ours"
    if abs(ahead) <= NOTICEABLE_SKEW:
        return Finding("clocks", Judgement.OK, found)
    judgement = Judgement.WARNING if abs(ahead) <= HARMFUL_SKEW else Judgement.BROKEN
    return Finding("clocks", judgement, found, "synchronise both hosts by NTP")


def judge_nats(facts: NatsFacts) -> Iterator[Finding]:
    version = f"version {'.'.join(map(str, facts.version))}"
    if facts.version < OLDEST_NATS:
        yield Finding("NATS", Judgement.BROKEN, version, "upgrade to NATS 2.12 or newer")
    else:
        yield Finding("NATS", Judgement.OK, version)
    if facts.longest_message < LONGEST_PAYLOAD:
        found = f"max_payload is {facts.longest_message} bytes"
        yield Finding("NATS messages", Judgement.BROKEN, found, f"set max_payload to {4 * LONGEST_PAYLOAD} or more")
    if facts.streams is None:
        yield Finding("JetStream", Judgement.BROKEN, "not enabled", "start NATS with JetStream: nats-server -js")
        return
    found_streams = {stream.name: stream for stream in facts.streams}
    for name in STREAMS:
        yield _judge_stream(name, found_streams.get(name))


def _judge_stream(name: str, stream: StreamFacts | None) -> Finding:
    subject = f"stream {name}"
    if stream is None:
        return Finding(subject, Judgement.WARNING, "not there yet", "start a dispatcher: it creates the stream")
    if STREAMS[name] not in stream.subjects:
        found = f"takes {', '.join(stream.subjects) or 'nothing'}, not {STREAMS[name]}"
        return Finding(subject, Judgement.BROKEN, found, f"add the subject {STREAMS[name]} to it")
    if name == "LIFECYCLE":
        return Finding(subject, Judgement.OK, "there")
    if not stream.is_on_file:
        return Finding(subject, Judgement.BROKEN, "kept in memory, forgotten at a restart", "make it anew on file")
    if not stream.is_atomic or stream.duplicate_window < SHORTEST_DUPLICATE_WINDOW:
        found = f"atomic batches {stream.is_atomic}, duplicate window {stream.duplicate_window.total_seconds():.0f} s"
        return Finding(subject, Judgement.WARNING, found, "restart a dispatcher: it puts both right")
    return Finding(subject, Judgement.OK, "on file, atomic batches, duplicates known for ten minutes or more")


def judge_cache(facts: CacheFacts) -> Iterator[Finding]:
    yield Finding("Redis", Judgement.OK, f"{facts.name} {facts.version}")
