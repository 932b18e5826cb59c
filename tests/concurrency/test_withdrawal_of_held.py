"""Withdrawing what dispatchers hold: what may have been delivered is never forgotten, and nothing that is planned anew
goes with a row that was about to leave.
"""

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from scheduler_domain.domain.fairness import StartTags
from scheduler_domain.domain.schedule import CronTrigger, FixedDelayTrigger
from scheduler_domain.domain.withdrawal import Ending, withdraw
from scheduler_domain.infra.postgres.database_clock import DatabaseClock
from scheduler_domain.infra.postgres.housekeeping import Housekeeping
from scheduler_domain.infra.telemetry.measurements import PrometheusMeasurements
from tests.support.changing import ANY, CALLER, Changes, Dispatcher, delivered, until, walked
from tests.support.stored import definition
from tests.support.waiting import eventually

ODD_SECONDS = CronTrigger("1/2 * * * * *")
SHORT_LEASE = timedelta(milliseconds=600)


@pytest.fixture
def dying(pool: asyncpg.Pool) -> Dispatcher:
    """A dispatcher whose leases run out almost at once, as those of one that was killed do later."""
    return Dispatcher(pool, SHORT_LEASE)


async def queued(store: asyncpg.Connection) -> list[asyncpg.Record]:
    return await store.fetch("SELECT * FROM due_queue ORDER BY scheduled_for")


async def ledger(store: asyncpg.Connection) -> list[tuple[datetime, str, str | None]]:
    rows = await store.fetch("SELECT scheduled_for, status, reason FROM ledger ORDER BY scheduled_for")
    return [tuple(row) for row in rows]


@pytest.mark.parametrize("ending", [Ending.DELETED, Ending.PAUSED])
async def test_what_became_due_while_a_change_hung_and_its_holder_died_is_in_the_ledger(
    api: Changes, dying: Dispatcher, dispatcher: Dispatcher, store: asyncpg.Connection, ending: Ending
) -> None:
    schedule = await api.created()
    held = await dying.held()
    first = held[0].claimed.instant
    async with api.schedules.held("acme", schedule.id) as found:
        assert found is not None
        withdrawal = withdraw(found.queued, found.now, ending)
        await until(first)  # delivered by now, and its dispatcher killed before it could say so
        await found.delete(withdrawal, ending)
    await until(first + SHORT_LEASE)
    await eventually(lambda: ended_as(store, dispatcher, first, "schedule-deleted"), within=5)
    assert await queued(store) == []


async def ended_as(store: asyncpg.Connection, dispatcher: Dispatcher, at: datetime, reason: str) -> bool:
    assert await dispatcher.held() == []
    return (at, "CANCELLED", reason) in await ledger(store)


async def test_what_a_holder_started_before_it_heard_of_the_pause_ends_as_delivered(
    api: Changes, dispatcher: Dispatcher, store: asyncpg.Connection
) -> None:
    schedule = await api.created()
    held = await dispatcher.held()
    paused = await api.paused(schedule)
    assert paused.next_fire_at is None
    assert await dispatcher.queue.record_ended([delivered(held[0])]) == 1
    assert await ledger(store) == [(held[0].claimed.instant, "COMPLETED", None)]


@pytest.mark.parametrize("change", ["pause", "delete", "other instants"])
async def test_what_is_let_go_ahead_of_its_instant_leaves_no_trace(
    api: Changes, dispatcher: Dispatcher, store: asyncpg.Connection, change: str
) -> None:
    schedule = await api.created()
    held = await dispatcher.held()
    if change == "pause":
        await api.paused(schedule)
    elif change == "delete":
        await api.change.delete(CALLER, schedule.id, ANY)
    else:
        await api.retriggered(schedule, CronTrigger("0 0 1 1 *"))
    assert len(await queued(store)) == len(held), "what is held is left to its holder, and nothing else is there"
    await dispatcher.let_go(held)
    assert await dispatcher.held() == []
    assert await queued(store) == []
    assert {status for _, status, _ in await ledger(store)} <= {"CANCELLED"}
    assert len(await ledger(store)) < len(held), "only what has become due meanwhile is told"
    if change == "pause":
        assert (await api.schedules.by_id("acme", schedule.id)).next_fire_at is None


async def test_an_edit_takes_over_the_instants_it_keeps_and_leaves_the_others_to_their_holder(
    api: Changes, dispatcher: Dispatcher, store: asyncpg.Connection
) -> None:
    schedule = await api.created()
    held = await dispatcher.held()
    await api.retriggered(schedule, ODD_SECONDS)
    rows = {row["id"]: row for row in await queued(store)}
    for item in held[1:]:
        kept = item.claimed.instant.second % 2 == 1
        assert rows[item.claimed.id]["revision"] == (2 if kept else 1)
        assert (rows[item.claimed.id]["lease_token"] == item.claimed.lease_token) is not kept
    await dispatcher.let_go(held)
    again = await dispatcher.held()
    assert {item.claimed.revision for item in again} == {2}
    assert {item.claimed.instant.second % 2 for item in again} == {1}
    assert {row["revision"] for row in await queued(store)} == {2}


async def test_a_second_edit_brings_nothing_back_that_the_first_has_left_to_a_holder(
    api: Changes, dispatcher: Dispatcher, store: asyncpg.Connection
) -> None:
    schedule = await api.created()
    held = await dispatcher.held()
    await api.retriggered(schedule, ODD_SECONDS)
    await api.change.edit(CALLER, schedule.id, ANY, lambda _: definition(ODD_SECONDS, priority=5))
    await dispatcher.let_go(held)
    assert {item.claimed.instant.second % 2 for item in await dispatcher.held()} == {1}
    assert {row["scheduled_for"].second % 2 for row in await queued(store)} == {1}


async def test_what_is_about_to_be_ended_as_paused_takes_nothing_of_a_resumed_plan_with_it(
    api: Changes, dispatcher: Dispatcher, store: asyncpg.Connection
) -> None:
    schedule = await api.created()
    held = await dispatcher.held()
    await api.paused(schedule)
    await dispatcher.let_go(held)
    remaining, ended = await walked(dispatcher.claim)
    assert remaining == []
    resumed = await api.resumed(schedule)
    planned = {row["id"] for row in await queued(store) if row["scheduled_for"] > resumed.updated_at}
    await dispatcher.claim.let_go()
    await dispatcher.queue.record_ended(ended)
    assert planned & {item.claimed.id for item in held}
    assert planned <= {row["id"] for row in await queued(store)}


async def test_what_becomes_due_before_it_can_be_forgotten_is_judged_again(
    api: Changes, dispatcher: Dispatcher, store: asyncpg.Connection
) -> None:
    """A chain that is resumed meanwhile waits for the end of it."""
    schedule = await api.created(FixedDelayTrigger(1))
    [held] = await dispatcher.held()
    await api.paused(schedule)
    await dispatcher.let_go([held])
    assert await walked(dispatcher.claim) == ([], [])
    await until(datetime.fromtimestamp(held.claimed.due_at, UTC))
    await api.resumed(schedule)
    await dispatcher.claim.let_go()
    await store.execute("UPDATE due_queue SET lease_until = now()")
    assert [item.claimed.id for item in await dispatcher.held()] == [held.claimed.id]


@pytest.mark.parametrize("resumed_by", ["hand", "its end"])
async def test_a_chain_goes_on_once_though_its_occurrence_was_left_to_a_holder(
    api: Changes, dispatcher: Dispatcher, pool: asyncpg.Pool, store: asyncpg.Connection, resumed_by: str
) -> None:
    schedule = await api.created(FixedDelayTrigger(2))
    held = await dispatcher.held()
    assert len(held) == 1
    await api.paused(schedule)
    if resumed_by == "hand":
        await api.resumed(schedule)
    else:
        await store.execute("UPDATE schedule SET resume_at = now()")
        await Housekeeping(pool, DatabaseClock(), PrometheusMeasurements(CollectorRegistry()), StartTags()).step()
    await dispatcher.queue.record_ended([delivered(held[0])])
    ahead = await store.fetchval("SELECT count(*) FROM due_queue")
    planned = await store.fetchval("SELECT count(next_fire_at) FROM schedule_cursor")
    assert ahead + planned == 1


async def test_a_chain_goes_on_once_though_what_an_edit_left_was_started_before_it_was_let_go(
    api: Changes, dispatcher: Dispatcher, store: asyncpg.Connection
) -> None:
    schedule = await api.created(FixedDelayTrigger(1))
    [left] = await dispatcher.held()
    await api.retriggered(schedule, FixedDelayTrigger(2))
    [planned] = [row["id"] for row in await queued(store) if row["id"] != left.claimed.id]
    await dispatcher.queue.record_ended([delivered(left, timedelta(seconds=1))])
    assert await store.fetchval("SELECT next_fire_at FROM schedule_cursor") is None
    assert [row["id"] for row in await queued(store)] == [planned]
    [held] = await dispatcher.held()
    await dispatcher.queue.record_ended([delivered(held, timedelta(seconds=2))])
    assert await store.fetchval("SELECT next_fire_at FROM schedule_cursor") is not None


async def test_a_chain_whose_occurrence_is_under_way_is_moved_on_by_its_end_alone(
    api: Changes, dispatcher: Dispatcher, pool: asyncpg.Pool, store: asyncpg.Connection
) -> None:
    schedule = await api.created(FixedDelayTrigger(1))
    [held] = await dispatcher.held()
    await until(datetime.fromtimestamp(held.claimed.due_at, UTC))
    await api.paused(schedule)
    await store.execute("UPDATE schedule SET resume_at = now()")
    await Housekeeping(pool, DatabaseClock(), PrometheusMeasurements(CollectorRegistry()), StartTags()).step()
    assert await store.fetchval("SELECT next_fire_at FROM schedule_cursor") is None
    assert [row["id"] for row in await queued(store)] == [held.claimed.id]


async def test_a_row_that_an_edit_changed_while_it_was_claimed_is_given_back_and_not_ended(
    api: Changes, dispatcher: Dispatcher, store: asyncpg.Connection
) -> None:
    """The claim began before the edit committed and saw the schedule of then, but the row of now."""
    await api.created()
    await store.execute("UPDATE due_queue SET revision = 2")
    assert await dispatcher.held() == []
    assert await ledger(store) == []
    await store.execute("UPDATE schedule SET revision = 2")
    assert len(await dispatcher.held()) >= 3
