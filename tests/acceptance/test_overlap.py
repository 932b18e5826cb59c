"""Overlap policies on real processes: a receiver that is slow never gets two occurrences of one schedule at once."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import asyncpg
import pytest
from aiohttp import web

from scheduler_domain.domain.schedule import Overlap, Retry
from scheduler_domain.domain.target import HttpRequest, HttpTarget
from scheduler_domain.infra.embedded import ServerUrls
from tests.integration.api_server import environment, running_api
from tests.support.processes import Processes, RunningProcess
from tests.support.receiver import Answer, Receiver, reply
from tests.support.stored import definition, store_due, store_schedules
from tests.support.waiting import eventually

LOOPBACK = {"WEBHOOK_ALLOW_NETS": "127.0.0.0/8", "WEBHOOK_ALLOW_HTTP": "true"}
READY = '"event":"dispatcher.ready"'
START_SEC = 15
StartDispatcher = Callable[[], RunningProcess]


class Crowd:
    """Answers slowly, and keeps how many requests of one path it had at once, and in which order they came."""

    def __init__(self) -> None:
        self.at_once: Counter[str] = Counter()
        self.most: Counter[str] = Counter()

    def slow(self, seconds: float) -> Answer:
        async def answer(receiver: Receiver, request: web.Request) -> web.StreamResponse:
            self.at_once[request.path] += 1
            self.most[request.path] = max(self.most[request.path], self.at_once[request.path])
            await receiver.closing_within(seconds)
            self.at_once[request.path] -= 1
            return web.Response()

        return answer


@pytest.fixture
def dispatcher(processes: Processes, database: str, servers: ServerUrls) -> StartDispatcher:
    variables = {
        "POSTGRES_URL": database,
        "NATS_URL": servers.nats_url,
        "DISPATCHER_PORT": "0",
        "DISPATCHER_LEASE_SEC": "5",
        **LOOPBACK,
    }
    return lambda: processes.scheduler("dispatch", environment=variables)


async def store(
    connection: asyncpg.Connection, receiver: Receiver, overlap: Overlap, path: str = "/hook", **fields: object
) -> UUID:
    target = HttpTarget(HttpRequest(f"{receiver.url}{path}"))
    of = definition(target=target, overlap=overlap, **fields)
    (schedule,) = await store_schedules(connection, "acme", of=of)
    return schedule


async def due(connection: asyncpg.Connection, schedule: UUID, count: int, apart: timedelta) -> list[UUID]:
    """Store occurrences that come due in turn, the first in half a second."""
    first = datetime.now(UTC) + timedelta(seconds=0.5)
    async with connection.transaction():
        return [(await store_due(connection, "acme", [schedule], first + number * apart))[0] for number in range(count)]


async def ended(connection: asyncpg.Connection) -> dict[UUID, tuple[str, str | None]]:
    rows = await connection.fetch("SELECT id, status, reason FROM scheduler.ledger")
    return {row["id"]: (row["status"], row["reason"]) for row in rows}


async def all_ended(connection: asyncpg.Connection) -> bool:
    return not await connection.fetchval("SELECT EXISTS (SELECT FROM scheduler.due_queue)")


COMPLETED, SKIPPED = ("COMPLETED", None), ("SKIPPED", "overlap")


@pytest.mark.parametrize(
    ("overlap", "ends", "most"),
    [
        ("ALLOW_ALL", [COMPLETED] * 4, 4),
        ("SKIP", [COMPLETED, SKIPPED, SKIPPED, SKIPPED], 1),
        ("BUFFER_ONE", [COMPLETED, COMPLETED, SKIPPED, SKIPPED], 1),
        ("BUFFER_ALL", [COMPLETED] * 4, 1),
    ],
)
async def test_while_the_receiver_works_on_one_the_policy_decides_about_the_others(
    connection: asyncpg.Connection,
    dispatcher: StartDispatcher,
    receiver: Receiver,
    overlap: Overlap,
    ends: list[tuple[str, str | None]],
    most: int,
) -> None:
    crowd = Crowd()
    receiver.always(crowd.slow(1.5))
    for process in (dispatcher(), dispatcher()):
        await process.wait_for_line(READY, within=START_SEC)
    ids = await due(connection, await store(connection, receiver, overlap), 4, timedelta(seconds=0.2))
    await eventually(lambda: all_ended(connection), within=20)
    found = await ended(connection)
    assert [found[id_] for id_ in ids] == ends
    assert crowd.most["/hook"] == most
    sent = [request.headers["Idempotency-Key"] for request in receiver.requests]
    assert sent == [str(id_) for id_, end in zip(ids, ends, strict=True) if end == COMPLETED]


async def test_what_waits_starts_when_the_one_before_has_ended(
    connection: asyncpg.Connection, dispatcher: StartDispatcher, receiver: Receiver
) -> None:
    receiver.always(Crowd().slow(0.8))
    for process in (dispatcher(), dispatcher()):
        await process.wait_for_line(READY, within=START_SEC)
    await due(connection, await store(connection, receiver, "BUFFER_ALL"), 6, timedelta(seconds=0.01))
    await due(connection, await store(connection, receiver, "BUFFER_ALL", path="/b"), 6, timedelta(seconds=0.01))
    await eventually(lambda: len(receiver.requests) >= 7, within=20)
    came = [request.at for request in receiver.requests if request.path == "/b"]
    pauses = [(later - earlier).total_seconds() - 0.8 for earlier, later in pairwise(came)]
    assert max(pauses) < 0.4, pauses
    assert min(pauses) >= -0.05, pauses


async def test_one_that_waits_for_its_next_attempt_has_not_ended(
    connection: asyncpg.Connection, dispatcher: StartDispatcher, receiver: Receiver
) -> None:
    receiver.next_answers(reply(500), reply(500))
    process = dispatcher()
    await process.wait_for_line(READY, within=START_SEC)
    retry = Retry(max_attempts=3, initial_delay_sec=1, factor=1)
    schedule = await store(connection, receiver, "BUFFER_ALL", retry=retry)
    ids = await due(connection, schedule, 3, timedelta(seconds=0.05))
    await eventually(lambda: all_ended(connection), within=20)
    first, second, third = (str(id_) for id_ in ids)
    sent = [request.headers["Idempotency-Key"] for request in receiver.requests]
    assert sent == [first, first, first, second, third]


async def test_a_killed_dispatcher_s_occurrence_keeps_its_place_until_another_ends_it(
    connection: asyncpg.Connection, dispatcher: StartDispatcher, receiver: Receiver
) -> None:
    crowd = Crowd()
    receiver.next_answers(crowd.slow(60))
    receiver.always(crowd.slow(0.3))
    victim = dispatcher()
    await victim.wait_for_line(READY, within=START_SEC)
    ids = await due(connection, await store(connection, receiver, "BUFFER_ALL"), 3, timedelta(seconds=0.05))
    await receiver.wait_for(1, within=10)
    survivor = dispatcher()
    await survivor.wait_for_line(READY, within=START_SEC)
    await victim.kill()
    await eventually(lambda: all_ended(connection), within=25)
    sent = [request.headers["Idempotency-Key"] for request in receiver.requests]
    assert sent == [str(ids[0]), *map(str, ids)]


async def test_policies_hold_over_many_schedules_and_dispatchers(
    connection: asyncpg.Connection, dispatcher: StartDispatcher, receiver: Receiver
) -> None:
    crowd = Crowd()
    receiver.always(crowd.slow(0.02))
    for process in (dispatcher(), dispatcher(), dispatcher()):
        await process.wait_for_line(READY, within=START_SEC)
    for number in range(20):
        schedule = await store(connection, receiver, "BUFFER_ALL", path=f"/{number}")
        await due(connection, schedule, 15, timedelta(milliseconds=1))
    await eventually(lambda: all_ended(connection), within=60)
    assert Counter((await ended(connection)).values()) == {COMPLETED: 300}
    assert max(crowd.most.values()) == 1
    assert len(receiver.requests) == 300


@pytest.mark.parametrize("ending", ["pause", "edit", "delete"])
async def test_what_waits_is_withdrawn_and_what_has_started_ends(
    connection: asyncpg.Connection, dispatcher: StartDispatcher, database: str, receiver: Receiver, ending: str
) -> None:
    receiver.always(Crowd().slow(2))
    process = dispatcher()
    await process.wait_for_line(READY, within=START_SEC)
    async with running_api(environment(database, **LOOPBACK)) as api:
        operator = await api.caller()
        schedule = await store(connection, receiver, "BUFFER_ALL")
        first, *others = await due(connection, schedule, 3, timedelta(seconds=0.05))
        # Given back, or claimed again ahead of asking again: what is to come of it is the same.
        waiting = "SELECT count(*) = 2 FROM scheduler.due_queue WHERE start_tag > due_at + interval '1 s'"
        await eventually(lambda: connection.fetchval(waiting), within=10)
        answers = {
            "pause": lambda: operator.post(f"/schedules/{schedule}/pause"),
            "edit": lambda: operator.patch(
                f"/schedules/{schedule}", json={"trigger": {"type": "CRON", "cron": "0 0 1 1 *"}}
            ),
            "delete": lambda: operator.delete(f"/schedules/{schedule}"),
        }
        assert (await answers[ending]()).is_success
    await eventually(lambda: all_ended(connection), within=20)
    found = await ended(connection)
    reason = {"pause": "schedule-paused", "edit": "schedule-changed", "delete": "schedule-deleted"}[ending]
    assert found[first] == COMPLETED
    assert [found[id_] for id_ in others] == [("CANCELLED", reason)] * 2
    assert len(receiver.requests) == 1
