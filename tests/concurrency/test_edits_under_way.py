"""Edits while an attempt is under way, whose end its holder judges by the schedule as it was: what is to go on goes on,
and once, and what is over is completed.
"""

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from scheduler_domain.application.held_occurrence import HeldOccurrence
from scheduler_domain.application.ports.due_queue import Ended, Postponed
from scheduler_domain.domain.fairness import StartTags
from scheduler_domain.domain.schedule import CronTrigger, FixedDelayTrigger, OneShotTrigger, Schedule, Trigger
from scheduler_domain.infra.postgres.database_clock import DatabaseClock
from scheduler_domain.infra.postgres.housekeeping import Housekeeping
from scheduler_domain.infra.telemetry.measurements import PrometheusMeasurements
from tests.support.changing import EACH_SECOND, Changes, Dispatcher, delivered, until
from tests.support.waiting import eventually

WITHOUT_DRIFT = FixedDelayTrigger(1, anchor="SCHEDULE")
PLANNED_AT_ONCE, PLANNED_LATER = FixedDelayTrigger(4), FixedDelayTrigger(60)
CHAINS = pytest.mark.parametrize("chain", [PLANNED_AT_ONCE, PLANNED_LATER], ids=["planned at once", "planned later"])


async def started(dispatcher: Dispatcher) -> HeldOccurrence:
    """Wait for the first occurrence to be under way, and let go of those after it."""
    first, *others = await dispatcher.held()
    await until(datetime.fromtimestamp(first.claimed.due_at, UTC))
    await dispatcher.let_go(others)
    return first


async def start(api: Changes, dispatcher: Dispatcher, trigger: Trigger) -> tuple[Schedule, HeldOccurrence]:
    schedule = await api.created(trigger)
    return schedule, await started(dispatcher)


def once_in(wait: timedelta) -> OneShotTrigger:
    return OneShotTrigger((datetime.now(UTC) + wait).isoformat(), "RUN_NOW")


def done(item: HeldOccurrence) -> Ended:
    """Return its success, as its holder judges it."""
    delay = item.chain_delay_sec
    return delivered(item, None if delay is None else timedelta(seconds=delay))


async def tried_in_vain(dispatcher: Dispatcher, item: HeldOccurrence, *, awaits: bool = False) -> None:
    """Record a failed attempt, or one that waits for its callback: what is next is due at once."""
    now = datetime.now(UTC)
    postponed = Postponed(item.claimed, 1, now, 3, now, "no answer", None, None, counts=not awaits, awaits=awaits)
    assert await dispatcher.queue.record_postponed([postponed]) == 1


async def again(dispatcher: Dispatcher, item: HeldOccurrence) -> HeldOccurrence:
    """Claim an occurrence once more, as soon as it may be; whatever else is claimed stays held."""

    async def claimed() -> list[HeldOccurrence]:
        return [one for one in await dispatcher.held() if one.claimed.id == item.claimed.id]

    [found] = await eventually(claimed, within=5)
    return found


async def state(store: asyncpg.Connection) -> str:
    found: str = await store.fetchval("SELECT state FROM schedule")
    return found


async def followed_by(store: asyncpg.Connection) -> int:
    """Return how many occurrences of its plan a schedule goes on with: planned, or to be planned."""
    queued: int = await store.fetchval(
        "SELECT count(*) FROM due_queue AS q JOIN schedule AS s ON s.id = q.schedule_id"
        " WHERE q.revision = s.revision AND q.requested_at IS NULL"
    )
    return queued + await store.fetchval("SELECT count(next_fire_at) FROM schedule_cursor")


async def ended_as_one(dispatcher: Dispatcher, store: asyncpg.Connection, item: HeldOccurrence) -> None:
    """End what was under way, and see the schedule go on once."""
    assert await dispatcher.queue.record_ended([done(item)]) == 1
    assert await followed_by(store) == 1
    assert await state(store) == "ACTIVE"


async def pause_is_over(pool: asyncpg.Pool, store: asyncpg.Connection) -> None:
    await store.execute("UPDATE schedule SET resume_at = now()")
    await Housekeeping(pool, DatabaseClock(), PrometheusMeasurements(CollectorRegistry()), StartTags()).step()


@CHAINS
@pytest.mark.parametrize("before", [EACH_SECOND, WITHOUT_DRIFT], ids=["cron", "without drift"])
async def test_what_becomes_a_chain_goes_on_though_what_is_under_way_ends_by_the_old_rule(
    api: Changes, dispatcher: Dispatcher, store: asyncpg.Connection, before: Trigger, chain: FixedDelayTrigger
) -> None:
    schedule, first = await start(api, dispatcher, before)
    edited = await api.retriggered(schedule, chain)
    assert edited.next_fire_at == edited.updated_at + timedelta(seconds=chain.delay_sec)
    await ended_as_one(dispatcher, store, first)


@CHAINS
@pytest.mark.parametrize("edited_while", ["under way", "it waits"])
@pytest.mark.parametrize("awaits", [False, True], ids=["retry", "callback"])
async def test_what_becomes_a_chain_goes_on_once_though_what_was_started_ends_by_the_new_rule(
    api: Changes,
    dispatcher: Dispatcher,
    store: asyncpg.Connection,
    chain: FixedDelayTrigger,
    edited_while: str,
    *,
    awaits: bool,
) -> None:
    schedule, first = await start(api, dispatcher, EACH_SECOND)
    if edited_while == "it waits":
        await tried_in_vain(dispatcher, first, awaits=awaits)
        await api.retriggered(schedule, chain)
    else:
        await api.retriggered(schedule, chain)
        await tried_in_vain(dispatcher, first, awaits=awaits)
    retried = await again(dispatcher, first)
    assert retried.chain_delay_sec == chain.delay_sec
    await ended_as_one(dispatcher, store, retried)


async def test_what_becomes_a_chain_goes_on_once_though_another_takes_over_what_was_started(
    api: Changes, dispatcher: Dispatcher, store: asyncpg.Connection
) -> None:
    schedule, first = await start(api, dispatcher, EACH_SECOND)
    await api.retriggered(schedule, PLANNED_AT_ONCE)
    await store.execute("UPDATE due_queue SET lease_until = now()")
    taken = await again(dispatcher, first)
    assert await dispatcher.queue.record_ended([done(first)]) == 0
    await ended_as_one(dispatcher, store, taken)


@CHAINS
async def test_a_second_edit_does_not_wait_for_an_end_that_the_first_did_not_wait_for(
    api: Changes, dispatcher: Dispatcher, store: asyncpg.Connection, chain: FixedDelayTrigger
) -> None:
    schedule, first = await start(api, dispatcher, EACH_SECOND)
    await api.retriggered(schedule, PLANNED_AT_ONCE)
    await api.retriggered(schedule, FixedDelayTrigger(chain.delay_sec + 1))
    await ended_as_one(dispatcher, store, first)


async def test_a_chain_that_was_none_for_a_while_goes_on_once(
    api: Changes, dispatcher: Dispatcher, store: asyncpg.Connection
) -> None:
    schedule, first = await start(api, dispatcher, FixedDelayTrigger(1))
    await api.retriggered(schedule, CronTrigger("0 0 1 1 *"))
    await api.retriggered(schedule, PLANNED_LATER)
    await ended_as_one(dispatcher, store, first)


@pytest.mark.parametrize("paused", ["after the edit", "before the edit"])
@pytest.mark.parametrize("resumed_by", ["hand", "its end"])
async def test_a_pause_does_not_stop_what_has_become_a_chain(
    api: Changes, dispatcher: Dispatcher, pool: asyncpg.Pool, store: asyncpg.Connection, paused: str, resumed_by: str
) -> None:
    schedule, first = await start(api, dispatcher, EACH_SECOND)
    if paused == "before the edit":
        await api.paused(schedule)
        await api.retriggered(schedule, PLANNED_LATER, enabled=False)
    else:
        await api.retriggered(schedule, PLANNED_LATER)
        await api.paused(schedule)
    if resumed_by == "hand":
        await api.resumed(schedule)
    else:
        await pause_is_over(pool, store)
    await ended_as_one(dispatcher, store, first)


@CHAINS
@pytest.mark.parametrize("edited_while", ["under way", "it waits"])
async def test_a_chain_that_is_given_more_runs_goes_on_after_what_was_to_be_its_last(
    api: Changes, dispatcher: Dispatcher, store: asyncpg.Connection, chain: FixedDelayTrigger, edited_while: str
) -> None:
    schedule = await api.created(FixedDelayTrigger(1), max_runs=1)
    last = await started(dispatcher)
    assert last.claimed.is_last
    if edited_while == "it waits":
        await tried_in_vain(dispatcher, last)
    await api.retriggered(schedule, chain, max_runs=3)
    if edited_while == "it waits":
        last = await again(dispatcher, last)
    await ended_as_one(dispatcher, store, last)


async def test_a_chain_whose_last_run_ends_during_a_pause_has_no_other(
    api: Changes, dispatcher: Dispatcher, pool: asyncpg.Pool, store: asyncpg.Connection
) -> None:
    schedule = await api.created(FixedDelayTrigger(1), max_runs=1)
    last = await started(dispatcher)
    await api.paused(schedule)
    await pause_is_over(pool, store)
    await dispatcher.queue.record_ended([done(last)])
    assert await store.fetchval("SELECT count(*) FROM due_queue") == 0


@pytest.mark.parametrize("change", ["edit", "resume"])
async def test_a_chain_does_not_wait_for_the_end_of_a_replay(
    api: Changes, dispatcher: Dispatcher, store: asyncpg.Connection, change: str
) -> None:
    schedule, first = await start(api, dispatcher, FixedDelayTrigger(1))
    await store.execute("UPDATE due_queue SET requested_at = now()")
    if change == "edit":
        await api.retriggered(schedule, PLANNED_LATER)
    else:
        await api.paused(schedule)
        await api.resumed(schedule)
    assert await followed_by(store) == 1
    assert await dispatcher.queue.record_ended([delivered(first)]) == 1
    assert await followed_by(store) == 1


async def test_the_end_of_a_chain_plans_nothing_for_a_schedule_that_goes_by_the_clock(
    api: Changes, dispatcher: Dispatcher, store: asyncpg.Connection
) -> None:
    schedule, first = await start(api, dispatcher, FixedDelayTrigger(1))
    await api.retriggered(schedule, once_in(timedelta(seconds=1)))
    last = next(item for item in await dispatcher.held() if item.claimed.id != first.claimed.id)
    await dispatcher.queue.record_ended([done(first), done(last)])
    assert await followed_by(store) == 0
    assert await state(store) == "COMPLETED"


@pytest.mark.parametrize("edited_while", ["under way", "it waits"])
async def test_a_last_occurrence_completes_its_schedule_though_an_edit_mended_what_it_failed_by(
    api: Changes, dispatcher: Dispatcher, store: asyncpg.Connection, edited_while: str
) -> None:
    at = once_in(timedelta(seconds=2))
    schedule = await api.created(at)
    last = await started(dispatcher)
    if edited_while == "it waits":
        await tried_in_vain(dispatcher, last)
    await api.retriggered(schedule, at, payload={"mended": True})
    if edited_while == "it waits":
        last = await again(dispatcher, last)
    await dispatcher.queue.record_ended([done(last)])
    assert await state(store) == "COMPLETED"


@pytest.mark.parametrize("after_sec", [3, 60])
async def test_a_last_occurrence_does_not_complete_a_schedule_that_was_given_another(
    api: Changes, dispatcher: Dispatcher, store: asyncpg.Connection, after_sec: int
) -> None:
    schedule = await api.created(once_in(timedelta(seconds=2)))
    last = await started(dispatcher)
    await api.retriggered(schedule, once_in(timedelta(seconds=after_sec)))
    await tried_in_vain(dispatcher, last)
    await ended_as_one(dispatcher, store, await again(dispatcher, last))


async def test_what_runs_at_once_and_is_the_last_completes_a_schedule_though_another_is_under_way(
    api: Changes, dispatcher: Dispatcher, store: asyncpg.Connection
) -> None:
    schedule, first = await start(api, dispatcher, EACH_SECOND)
    await api.retriggered(schedule, once_in(timedelta(hours=-1)))
    last = next(item for item in await dispatcher.held() if item.claimed.is_last)
    assert last.claimed.scheduled_for < first.claimed.scheduled_for
    await dispatcher.queue.record_ended([done(last)])
    assert await state(store) == "COMPLETED"
