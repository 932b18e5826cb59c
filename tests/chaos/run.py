"""One run: fill, break things for a while, let everything drain, and judge."""

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import asyncpg
import msgspec
from msgspec import Struct
from msgspec.structs import replace

from tests.chaos.checker import Findings, check
from tests.chaos.faults import Faults
from tests.chaos.history import Absence, History, Instance, Queued, Recorded
from tests.chaos.plan import Fault, plan_faults
from tests.chaos.stage import Stage, open_stage
from tests.chaos.stream_reader import stored_deliveries
from tests.chaos.workload import Workload

HISTORY = "history.json"
_QUIET_FIRST = 8.0
# Probes of an open circuit come after 33, 66, 132 and 264 s, and what waits for one keeps its place in line though it
# is answered, or another dispatcher's is; then lines have to work off what the faults kept back, for as long as these.
_DRAINS_WITHIN = 300.0
_ANSWERED_WITHIN = 240.0  # of a machine that has much else to do as well
_LOOK_EVERY = 0.25
_BEAT = 0.05
_LOOK_FOR_ABSENCES_EVERY = 1.0

_READ_LEDGER = """
SELECT id::text, schedule_id::text, kind, extract(epoch FROM scheduled_for)::float8, status, reason,
       extract(epoch FROM ended_at)::float8, attempt_count
FROM scheduler.ledger
"""
_READ_QUEUE = """
SELECT id::text, schedule_id::text, kind, extract(epoch FROM scheduled_for)::float8
FROM scheduler.due_queue WHERE scheduled_for <= to_timestamp($1)
"""
_COUNT_QUEUE = "SELECT count(*) FROM scheduler.due_queue WHERE scheduled_for <= to_timestamp($1)"
_READ_ABSENCE = """
SELECT extract(epoch FROM absent_from)::float8, extract(epoch FROM absent_until)::float8 FROM scheduler.presence
"""
_READ_INSTANCES = "SELECT tenant_id, template, key, schedule_id::text FROM scheduler.template_instance"


class Verdict(Struct, frozen=True):
    """What a run found. `broken_promises` are of the processes themselves: ended unasked, drained badly, refused."""

    seed: int
    seconds: float
    faults: dict[str, int]
    findings: Findings
    broken_promises: list[str]
    figures: dict[str, float]

    @property
    def passed(self) -> bool:
        return self.findings.passed and not self.broken_promises


async def run(seed: int, seconds: float, say: Callable[[str], None], logs: Path | None = None) -> Verdict:
    """Run for `seconds` of faults and as long as the rest takes, a minute or two; `logs` keeps logs and history."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        kept = logs or Path(folder)
        kept.mkdir(parents=True, exist_ok=True)
        async with open_stage(kept) as stage:
            workload = Workload(stage, seed)
            try:
                return await _run_on(stage, workload, seed, seconds, say)
            finally:
                await workload.close()


async def _run_on(stage: Stage, workload: Workload, seed: int, seconds: float, say: Callable[[str], None]) -> Verdict:
    await workload.populate()
    say(f"{len(workload.stories)} schedules, {seconds:.0f} s of faults by seed {seed}")
    faults = plan_faults(seed, seconds)
    absences: set[Absence] = set()
    watching = asyncio.create_task(_watch_absences(stage, absences))
    pulse = Pulse()
    beating = asyncio.create_task(pulse.beat())
    await asyncio.gather(_break(stage, faults, say), workload.keep_changing(seconds))
    say("faults are over; waiting for answers")
    await asyncio.wait_for(workload.settled(), _ANSWERED_WITHIN)
    history, drained_after = await _drained(stage, workload, _DRAINS_WITHIN + seconds, say)
    watching.cancel()
    beating.cancel()
    history = replace(history, absences=sorted(absences, key=lambda absence: absence.began))
    (stage.folder / HISTORY).write_bytes(msgspec.json.encode(history))
    findings = check(history)
    return Verdict(
        seed,
        seconds,
        dict(Counter(fault.kind for fault in faults)),
        findings,
        [*stage.broken_promises, *workload.requests.refused, *stage.receiver.callbacks.refused],
        {
            "seconds to drain": drained_after,
            "longest stall of this program, seconds": pulse.longest_stall,
            "slowest answer of the API, seconds": workload.requests.slowest_answer,
            "answers 503": workload.requests.answers[503],
            **_log_figures(stage),
        },
    )


class Pulse:
    """How long the loop stood still at worst: receiver and network are of this program, and look sick if it is busy."""

    def __init__(self) -> None:
        self.longest_stall = 0.0

    async def beat(self) -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(_BEAT)
            self.longest_stall = max(self.longest_stall, time.monotonic() - began - _BEAT)


async def _watch_absences(stage: Stage, seen: set[Absence]) -> None:
    """Collect what the product takes for absences; it keeps the last, and each lasts longer than a look."""
    while True:
        with suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            connection = await asyncpg.connect(stage.servers.urls.postgres_url, timeout=1)
            try:
                began, ended = await connection.fetchrow(_READ_ABSENCE, timeout=1)
            finally:
                connection.terminate()
            if began is not None:
                seen.add(Absence(began, ended))
        await asyncio.sleep(_LOOK_FOR_ABSENCES_EVERY)


async def _break(stage: Stage, faults: list[Fault], say: Callable[[str], None]) -> None:
    began = time.monotonic()
    ways = Faults(stage)
    async with asyncio.TaskGroup() as befalling:
        for fault in faults:
            await asyncio.sleep(max(began + fault.at - time.monotonic(), 0))
            say(f"{fault.at:6.1f} s  {fault.kind} ({fault.part}) for {fault.seconds} s")
            befalling.create_task(ways.befall(fault))


async def _drained(
    stage: Stage, workload: Workload, within: float, say: Callable[[str], None]
) -> tuple[History, float]:
    """Wait in peace until nothing is left of what was due by then, end the dispatchers, and read everything."""
    horizon = time.time() + _QUIET_FIRST
    connection = await asyncpg.connect(stage.servers.urls.postgres_url, timeout=30)
    try:
        while (left := await connection.fetchval(_COUNT_QUEUE, horizon)) or time.time() < horizon:
            if time.time() > horizon + within:
                say(f"{left} occurrences are left after {within:.0f} s of peace")
                break
            await asyncio.sleep(_LOOK_EVERY)
        drained_after = max(time.time() - horizon, 0.0)
        say("drained; ending the dispatchers")
        await stage.drain_dispatchers()
        await asyncio.wait_for(stage.receiver.callbacks.settled(), _ANSWERED_WITHIN)
        ledger = [Recorded(*row) for row in await connection.fetch(_READ_LEDGER)]
        queued = [Queued(*row) for row in await connection.fetch(_READ_QUEUE, horizon)]
        instances = [Instance(*row) for row in await connection.fetch(_READ_INSTANCES)]
    finally:
        await connection.close()
    deliveries = stage.receiver.deliveries + await stored_deliveries(stage.servers.urls.nats_url)
    callbacks = stage.receiver.callbacks.made
    return History(workload.stories, deliveries, ledger, queued, horizon, instances, callbacks), drained_after


def _log_figures(stage: Stage) -> dict[str, float]:
    lines = [line for log in stage.logs() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    return {"log lines": len(lines), "tracebacks": sum(line.startswith("Traceback") for line in lines)}
