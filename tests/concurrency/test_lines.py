"""One at a time: dispatchers that race for one schedule's occurrences on PostgreSQL, and never deliver two at once."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from scheduler_domain.application.admit_occurrences import AdmitOccurrences
from scheduler_domain.application.claim_occurrences import ClaimOccurrences
from scheduler_domain.application.deliver_occurrence import DeliverOccurrences
from scheduler_domain.application.ports.delivery import Delivery
from scheduler_domain.application.ports.due_queue import Claimed, Ended
from scheduler_domain.application.ports.lines import Decided
from scheduler_domain.application.ports.tracing import UNTRACED
from scheduler_domain.application.record_outcomes import RecordOutcomes
from scheduler_domain.domain import lease
from scheduler_domain.domain.ids import occurrence_id
from scheduler_domain.domain.misfire import MISFIRE_THRESHOLD
from scheduler_domain.domain.outcome import Delivered, Outcome, Unreachable
from scheduler_domain.domain.schedule import FixedDelayTrigger, Overlap, Retry
from scheduler_domain.domain.target import HttpRequest, HttpTarget
from scheduler_domain.infra.postgres.database_clock import DatabaseClock
from scheduler_domain.infra.postgres.dispatch_pool import open_dispatch_pool
from scheduler_domain.infra.postgres.due_queue import PostgresDueQueue
from scheduler_domain.infra.postgres.lines import PostgresLines
from scheduler_domain.infra.postgres.statements import statement
from scheduler_domain.infra.telemetry.measurements import PrometheusMeasurements
from tests.support.stored import definition, store_due, store_schedules
from tests.support.waiting import eventually

TENANT = "acme"
AHEAD = timedelta(seconds=1)
TO_HTTP = HttpTarget(HttpRequest("https://receiver.example/"))


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    opened = await open_dispatch_pool(database, 8)
    yield opened
    await opened.close()


class Receiver:
    """Works on each request for some round trips to the database, and keeps which occurrences it had at once."""

    def __init__(self, pool: asyncpg.Pool, chance: random.Random, failing: float = 0.0) -> None:
        self._pool = pool
        self._chance = chance
        self._failing = failing
        self.under_way: dict[UUID, UUID] = {}
        self.met: list[tuple[UUID, UUID]] = []
        self.started: list[UUID] = []
        self.is_silent = False
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def send(self, delivery: Delivery, _: bytes) -> Outcome:
        other = self.under_way.get(delivery.schedule_id)
        if other is not None and other != delivery.occurrence_id:
            self.met.append((other, delivery.occurrence_id))
        self.under_way[delivery.schedule_id] = delivery.occurrence_id
        self.started.append(delivery.occurrence_id)
        if self.is_silent:
            await asyncio.Event().wait()
        await self.may_answer.wait()
        for _round_trip in range(self._chance.randrange(1, 6)):
            await self._pool.fetchval("SELECT 1")
        if self._chance.random() < self._failing:
            return Unreachable("not this time")  # its place stays taken: no other may be met before it ends
        del self.under_way[delivery.schedule_id]
        return Delivered(200)


class Dispatcher:
    """The flow from claim to record, in a loop without pauses."""

    def __init__(
        self, pool: asyncpg.Pool, number: int, receiver: Receiver, lease_length: timedelta = lease.LENGTH
    ) -> None:
        queue, clock = PostgresDueQueue(pool, number, lease_length), DatabaseClock()
        measurements = PrometheusMeasurements(CollectorRegistry())
        self.outcomes = RecordOutcomes(queue, clock, measurements, UNTRACED)
        self.deliver = DeliverOccurrences({}, receiver, self.outcomes, clock, measurements, UNTRACED, http_slots=64)
        self._claim = ClaimOccurrences(queue, {}, clock, measurements, UNTRACED, lease_length)
        self._admit = AdmitOccurrences(PostgresLines(pool), self.deliver, clock)
        self._loops: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._loops = [asyncio.create_task(loop()) for loop in (self._claim_on, self._admit_on, self._record_on)]

    async def stop(self) -> None:
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)

    async def _claim_on(self) -> None:
        while True:
            async for held, ended in self._claim.walk(50, lambda: True):
                self.deliver.hold(held)
                self.outcomes.add_ended(ended)
            self.deliver.start_due()
            await asyncio.sleep(0)

    async def _admit_on(self) -> None:
        while True:
            await self._admit.step()

    async def _record_on(self) -> None:
        while True:
            await self.outcomes.available()
            await self.outcomes.step()


async def store_line(
    connection: asyncpg.Connection, schedule: UUID, kind: str, due_at: Sequence[datetime]
) -> list[UUID]:
    ids = [
        occurrence_id(TENANT, schedule, kind, f"{at.isoformat()}-{number}", int(at.timestamp() * 1000))
        for number, at in enumerate(due_at)
    ]
    await connection.executemany(
        "INSERT INTO scheduler.due_queue (tenant_id, schedule_id, id, kind, revision, scheduled_for, due_at, start_tag,"
        " requested_at) VALUES ($1, $2, $3, $4, 1, $5, $5, $5, CASE WHEN $4 = 'BACKFILL' THEN now() END)",
        [(TENANT, schedule, id_, kind, at) for id_, at in zip(ids, due_at, strict=True)],
    )
    return ids


async def all_ended(connection: asyncpg.Connection) -> bool:
    return not await connection.fetchval("SELECT EXISTS (SELECT FROM scheduler.due_queue)")


async def statuses(connection: asyncpg.Connection) -> Counter[str]:
    return Counter(row["status"] for row in await connection.fetch("SELECT status FROM scheduler.ledger"))


@pytest.mark.parametrize("seed", range(4))
async def test_dispatchers_that_race_never_deliver_two_of_one_schedule_at_once(
    connection: asyncpg.Connection, pool: asyncpg.Pool, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret
    retry = Retry(max_attempts=50, initial_delay_sec=0.1, factor=1, max_delay_sec=1)
    of = definition(target=TO_HTTP, overlap="BUFFER_ALL", retry=retry)
    schedules = await store_schedules(connection, TENANT, 4, of=of)
    receiver = Receiver(pool, chance, failing=0.1)
    dispatchers = [Dispatcher(pool, number, receiver) for number in range(3)]
    for dispatcher in dispatchers:
        dispatcher.start()
    stored = 0
    for _ in range(25):
        for schedule in schedules:
            kind = chance.choice(["SCHEDULED", "SCHEDULED", "MANUAL", "BACKFILL"])
            at = datetime.now(UTC) + timedelta(milliseconds=chance.randrange(-2_000, 200))
            stored += len(await store_line(connection, schedule, kind, [at, at]))
        # What comes next may be due before what is under way by then.
        seen = len(receiver.started)
        await eventually(lambda: len(receiver.started) > seen, within=20)  # noqa: B023 - awaited here
    await eventually(lambda: all_ended(connection), within=60)
    for dispatcher in dispatchers:
        await dispatcher.stop()
    assert receiver.met == []
    assert await statuses(connection) == {"COMPLETED": stored}


@pytest.mark.parametrize(("overlap", "completed"), [("SKIP", 1), ("BUFFER_ONE", 2), ("BUFFER_ALL", 10)])
async def test_of_a_backlog_the_oldest_starts_and_the_policy_decides_about_the_rest(
    connection: asyncpg.Connection, pool: asyncpg.Pool, overlap: Overlap, completed: int
) -> None:
    [schedule] = await store_schedules(connection, TENANT, of=definition(target=TO_HTTP, overlap=overlap))
    now = datetime.now(UTC)
    ids = await store_line(connection, schedule, "SCHEDULED", [now + timedelta(milliseconds=n) for n in range(10)])
    receiver = Receiver(pool, random.Random(1))  # noqa: S311 - no secret
    dispatcher = Dispatcher(pool, 1, receiver)
    queue, lines = PostgresDueQueue(pool, 1), PostgresLines(pool)
    held = await queue.claim(10, AHEAD, None)
    async with lines.held(held, now + AHEAD) as looked:
        assert [looked.standings[id_].ahead_count for id_ in ids] == [0, 1, *[2] * 8]
    await queue.release(held)
    dispatcher.start()
    await eventually(lambda: all_ended(connection), within=30)
    await dispatcher.stop()
    assert receiver.started == ids[:completed]
    assert await statuses(connection) == Counter({"COMPLETED": completed, "SKIPPED": 10 - completed})


async def test_what_was_backfilled_stands_behind_what_is_due_and_is_done_in_order(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    [schedule] = await store_schedules(connection, TENANT, of=definition(target=TO_HTTP, overlap="SKIP"))
    now = datetime.now(UTC)
    past = await store_line(connection, schedule, "BACKFILL", [now - timedelta(days=day) for day in (3, 2, 1)])
    [live] = await store_line(connection, schedule, "SCHEDULED", [now])
    receiver = Receiver(pool, random.Random(1))  # noqa: S311 - no secret
    dispatcher = Dispatcher(pool, 1, receiver)
    dispatcher.start()
    await eventually(lambda: all_ended(connection), within=30)
    await dispatcher.stop()
    assert receiver.started == [live, *past]


async def test_a_replay_waits_behind_what_is_due_and_is_never_skipped(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    [schedule] = await store_schedules(connection, TENANT, of=definition(target=TO_HTTP, overlap="SKIP"))
    now = datetime.now(UTC)
    [replayed] = await store_line(connection, schedule, "SCHEDULED", [now - timedelta(days=1)])
    [live] = await store_line(connection, schedule, "SCHEDULED", [now])
    await connection.execute(
        "UPDATE scheduler.due_queue SET requested_at = now(), first_fired_at = due_at, start_tag = now() WHERE id = $1",
        replayed,
    )
    receiver = Receiver(pool, random.Random(1))  # noqa: S311 - no secret
    dispatcher = Dispatcher(pool, 1, receiver)
    dispatcher.start()
    await eventually(lambda: all_ended(connection), within=30)
    await dispatcher.stop()
    assert receiver.started == [live, replayed]


async def test_a_chain_goes_on_after_an_occurrence_that_was_skipped_for_a_run_by_hand(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    of = definition(FixedDelayTrigger(delay_sec=3600), TO_HTTP, overlap="SKIP")
    [schedule] = await store_schedules(connection, TENANT, of=of)
    now = datetime.now(UTC)
    [by_hand] = await store_line(connection, schedule, "MANUAL", [now - timedelta(seconds=1)])
    [planned] = await store_line(connection, schedule, "SCHEDULED", [now])
    dispatcher = Dispatcher(pool, 1, Receiver(pool, random.Random(1)))  # noqa: S311 - no secret
    dispatcher.start()
    await eventually(lambda: all_ended(connection), within=30)
    await dispatcher.stop()
    rows = await connection.fetch("SELECT id, status FROM scheduler.ledger")
    assert {row["id"]: row["status"] for row in rows} == {by_hand: "COMPLETED", planned: "SKIPPED"}
    next_fire_at = await connection.fetchval("SELECT next_fire_at FROM scheduler.schedule_cursor")
    assert next_fire_at > now + timedelta(minutes=59)


async def test_a_place_outlives_the_lease_of_a_dispatcher_that_vanished(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    [schedule] = await store_schedules(connection, TENANT, of=definition(target=TO_HTTP, overlap="BUFFER_ALL"))
    now = datetime.now(UTC)
    [running, waiting] = await store_line(connection, schedule, "SCHEDULED", [now, now + timedelta(milliseconds=1)])
    receiver = Receiver(pool, random.Random(1))  # noqa: S311 - no secret
    receiver.is_silent = True
    vanishing = Dispatcher(pool, 1, receiver, lease.MARGIN + timedelta(seconds=1))
    vanishing.start()
    await eventually(lambda: receiver.started == [running], within=10)
    await vanishing.stop()
    receiver.is_silent = False
    survivor = Dispatcher(pool, 2, receiver)
    survivor.start()
    await eventually(lambda: all_ended(connection), within=30)
    await survivor.stop()
    assert receiver.started == [running, running, waiting]
    assert receiver.met == []


async def claimed_line(
    connection: asyncpg.Connection, queue: PostgresDueQueue, count: int, overlap: Overlap = "BUFFER_ALL"
) -> Sequence[Claimed]:
    schedules = await store_schedules(connection, TENANT, of=definition(target=TO_HTTP, overlap=overlap))
    now = datetime.now(UTC)
    for number in range(count):
        await store_due(connection, TENANT, schedules, now + timedelta(milliseconds=number))
    return await queue.claim(count, AHEAD, None)


def completed(claimed: Claimed) -> Ended:
    now = datetime.now(UTC)
    return Ended(claimed, "COMPLETED", None, 1, now, now, 3, "HTTP", frees_line=True)


async def test_one_that_started_stands_ahead_of_one_that_is_planned_late_and_due_before_it(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    queue, lines = PostgresDueQueue(pool, 1), PostgresLines(pool)
    [runs] = await claimed_line(connection, queue, 1)
    now = datetime.now(UTC) + AHEAD
    async with lines.held([runs], now) as held:
        assert held.standings[runs.id].ahead_count == 0
        assert await held.decide([Decided(runs, None)]) == {runs.id}
    await store_line(
        connection, runs.schedule_id, "SCHEDULED", [datetime.fromtimestamp(runs.due_at, UTC) - timedelta(hours=1)]
    )
    [late] = await queue.claim(1, AHEAD, None)
    async with lines.held([late, runs], now) as held:
        assert (held.standings[late.id].ahead_count, held.standings[late.id].has_started) == (1, False)
        assert held.standings[runs.id].has_started


async def test_two_looks_at_one_line_never_overlap(connection: asyncpg.Connection, pool: asyncpg.Pool) -> None:
    queue, lines = PostgresDueQueue(pool, 1), PostgresLines(pool)
    [first, second] = await claimed_line(connection, queue, 2)
    now = datetime.now(UTC) + AHEAD
    order: list[str] = []

    async def look_second() -> None:
        async with lines.held([second], now) as held:
            order.append("second")
            assert held.standings[second.id].ahead_count == 1

    async with lines.held([first], now) as held:
        rival = asyncio.create_task(look_second())
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        await eventually(lambda: connection.fetchval(waiting), within=5)
        await held.decide([Decided(first, None)])
        order.append("first")
    await rival
    assert order == ["first", "second"]


async def test_an_end_wakes_the_next_in_line_and_only_it(connection: asyncpg.Connection, pool: asyncpg.Pool) -> None:
    queue, lines = PostgresDueQueue(pool, 1), PostgresLines(pool)
    [first, second, third] = await claimed_line(connection, queue, 3)
    for_long = timedelta(minutes=1)
    async with lines.held([first, second, third], datetime.now(UTC) + AHEAD) as held:
        await held.decide([Decided(third, for_long), Decided(first, None), Decided(second, for_long)])
    assert await queue.claim(10, AHEAD, None) == []
    assert await queue.record_ended([completed(first)]) == 1
    assert [item.id for item in await queue.claim(10, AHEAD, None)] == [second.id]


async def test_an_end_wakes_the_next_in_line_though_it_was_claimed_ahead_of_asking_again(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    queue, lines = PostgresDueQueue(pool, 1), PostgresLines(pool)
    [first, second, third] = await claimed_line(connection, queue, 3)
    later, in_a_minute = datetime.now(UTC) + 2 * AHEAD, timedelta(minutes=1)
    async with lines.held([first, second, third], later) as held:
        await held.decide([Decided(first, None), Decided(second, 2 * AHEAD), Decided(third, in_a_minute)])
    [ahead] = await queue.claim(10, 3 * AHEAD, None)
    await queue.record_ended([completed(first)])
    [woken] = await PostgresDueQueue(pool, 2).claim(10, AHEAD, None)
    assert (woken.id, woken.may_have_started) == (second.id, False)
    assert woken.start_tag < ahead.start_tag
    async with lines.held([ahead, woken], later) as held:
        assert await held.decide([Decided(ahead, None)]) == set(), "whoever had claimed it ahead has lost it"
        assert held.standings[second.id].ahead_count == 0
    assert await queue.renew([ahead]) == {}


async def test_an_end_takes_nothing_from_a_holder_that_asks_at_its_instant_or_has_started(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    """As where an edit gave the schedule its policy while an occurrence of it, tagged a little late, was under way."""
    queue, lines = PostgresDueQueue(pool, 1), PostgresLines(pool)
    [first, second] = await claimed_line(connection, queue, 2)
    async with lines.held([first, second], datetime.now(UTC) + AHEAD) as held:
        await held.decide([Decided(first, None)])
    await connection.execute(
        "UPDATE scheduler.due_queue SET due_at = now(), start_tag = now() + $2 WHERE id = $1",
        second.id,
        MISFIRE_THRESHOLD,
    )
    await queue.record_ended([completed(first)])
    assert await PostgresDueQueue(pool, 2).claim(10, 2 * AHEAD, None) == []
    assert list(await queue.renew([second])) == [second.id]


async def test_what_waited_starts_when_the_one_before_ends_and_not_when_it_would_have_asked_again(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    [schedule] = await store_schedules(connection, TENANT, of=definition(target=TO_HTTP, overlap="BUFFER_ALL"))
    a_while_ago = datetime.now(UTC) - timedelta(seconds=14)  # a quarter of it is waited, less than a claim's reach
    [running, waiting] = await store_line(connection, schedule, "SCHEDULED", [a_while_ago, a_while_ago + AHEAD])
    receiver = Receiver(pool, random.Random(1))  # noqa: S311 - no secret
    receiver.may_answer.clear()
    dispatchers = [Dispatcher(pool, number, receiver) for number in range(2)]
    for dispatcher in dispatchers:
        dispatcher.start()
    claimed_ahead = (
        "SELECT start_tag FROM scheduler.due_queue"
        " WHERE id = $1 AND start_tag > now() + interval '1 second' AND lease_until > now()"
    )
    would_have_asked_at = await eventually(lambda: connection.fetchval(claimed_ahead, waiting), within=20)
    receiver.may_answer.set()
    await eventually(lambda: all_ended(connection), within=20)
    for dispatcher in dispatchers:
        await dispatcher.stop()
    assert receiver.started == [running, waiting]
    assert receiver.met == []
    fired_at = await connection.fetchval("SELECT fired_at FROM scheduler.ledger WHERE id = $1", waiting)
    assert fired_at < would_have_asked_at


async def test_what_starts_before_it_would_have_asked_again_may_be_called_back_at_once(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    queue, lines = PostgresDueQueue(pool, 1), PostgresLines(pool)
    [first, second] = await claimed_line(connection, queue, 2)
    async with lines.held([first, second], datetime.now(UTC) + AHEAD) as held:
        await held.decide([Decided(first, None), Decided(second, AHEAD / 2)])
    [ahead] = await queue.claim(10, AHEAD, None)
    await connection.execute("DELETE FROM scheduler.due_queue WHERE id = $1", first.id)  # withdrawn, which wakes nobody
    async with lines.held([ahead], datetime.now(UTC) + AHEAD) as held:
        assert await held.decide([Decided(ahead, None)]) == {ahead.id}
    await connection.execute("SET search_path = scheduler")
    expected = await connection.fetchrow(statement("hold_expectation"), TENANT, ahead.schedule_id, ahead.id)
    assert expected["is_awaited"]


async def test_a_success_that_was_called_back_counts_though_an_edit_ended_the_waiting_for_callbacks(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    """An edit while the first attempt is under way takes the row along: nothing shows that it began otherwise."""
    [schedule] = await store_schedules(connection, TENANT, of=definition(target=TO_HTTP))
    await store_line(connection, schedule, "SCHEDULED", [datetime.now(UTC) - AHEAD])
    await connection.execute(
        "UPDATE scheduler.due_queue SET lease_token = 1, first_fired_at = due_at, awaiting_since = due_at,"
        " called_back_at = now(), callback_succeeded = true"
    )
    receiver = Receiver(pool, random.Random(1))  # noqa: S311 - no secret
    dispatcher = Dispatcher(pool, 1, receiver)
    dispatcher.start()
    await eventually(lambda: all_ended(connection), within=20)
    await dispatcher.stop()
    assert receiver.started == []
    assert await connection.fetchval("SELECT status FROM scheduler.ledger") == "COMPLETED"


async def test_a_success_that_was_called_back_outlives_the_failure_of_a_last_attempt(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    queue = PostgresDueQueue(pool, 1)
    [last] = await claimed_line(connection, queue, 1)
    await connection.execute("UPDATE scheduler.due_queue SET called_back_at = now(), callback_succeeded = true")
    now = datetime.now(UTC)
    failed = Ended(last, "FAILED", "retries-exhausted", 2, now, now, 3, "HTTP", error="timed out")
    assert await queue.record_ended([failed]) == 1
    row = await connection.fetchrow("SELECT status, reason, error FROM scheduler.ledger")
    assert tuple(row) == ("COMPLETED", None, None)


async def test_a_lost_lease_decides_nothing(connection: asyncpg.Connection, pool: asyncpg.Pool) -> None:
    lines = PostgresLines(pool)
    [lost] = await claimed_line(connection, PostgresDueQueue(pool, 1, timedelta(milliseconds=50)), 1)
    [taken] = await eventually(lambda: PostgresDueQueue(pool, 2).claim(1, AHEAD, None), within=5)
    async with lines.held([lost], datetime.now(UTC) + AHEAD) as held:
        assert held.standings == {}
        assert await held.decide([Decided(lost, None)]) == set()
    async with lines.held([taken], datetime.now(UTC) + AHEAD) as held:
        assert not held.standings[taken.id].has_started


async def test_what_was_given_back_by_a_commit_whose_answer_was_lost_is_not_started_on_the_second_try(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    queue, lines = PostgresDueQueue(pool, 1), PostgresLines(pool)
    [first, second] = await claimed_line(connection, queue, 2)
    now = datetime.now(UTC) + AHEAD
    async with lines.held([first, second], now) as held:
        await held.decide([Decided(first, None), Decided(second, timedelta(minutes=1))])
    async with lines.held([first, second], now) as held:
        assert held.standings[first.id].has_started
        assert second.id not in held.standings


async def test_many_lines_are_locked_in_one_order(connection: asyncpg.Connection, pool: asyncpg.Pool) -> None:
    schedules = await store_schedules(connection, TENANT, 60, of=definition(target=TO_HTTP, overlap="BUFFER_ALL"))
    await store_due(connection, TENANT, schedules, datetime.now(UTC))
    claimed = list(await PostgresDueQueue(pool, 1).claim(60, AHEAD, None))
    lines, now = PostgresLines(pool), datetime.now(UTC) + AHEAD

    async def look(order: list[Claimed]) -> int:
        async with lines.held(order, now) as held:
            return len(held.standings)

    chance = random.Random(1)  # noqa: S311 - no secret
    orders = [chance.sample(claimed, len(claimed)) for _ in range(40)]
    assert set(await asyncio.gather(*(look(order) for order in orders))) == {60}
