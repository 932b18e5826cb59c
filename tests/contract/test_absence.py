"""The ports of dispatchers and of the queue, where no dispatcher was there for a while (domain/misfire.py)."""

import time
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from scheduler_domain.domain.misfire import ABSENT_AFTER
from scheduler_domain.infra.postgres.database_clock import DatabaseClock
from tests.contract.schedules_made import accepted, in_an_hour
from tests.contract.stores import Store
from tests.contract.test_due_queue import AHEAD, claimed_and_lost, completed, due_now
from tests.support.waiting import eventually

LONG_AGO = timedelta(hours=1)


async def test_the_first_heartbeat_after_a_silence_ends_an_absence_for_all(store: Store) -> None:
    await store.seen_last(datetime.now(UTC) - LONG_AGO)
    dispatchers = store.dispatchers(DatabaseClock())
    first, second = await dispatchers.register("one"), await dispatchers.register("two")
    absence = await dispatchers.beat(first, [])
    assert absence is not None
    assert abs(absence.ended - time.time()) < 2
    assert abs(absence.ended - absence.began - LONG_AGO.total_seconds()) < 2
    assert await dispatchers.beat(second, []) == absence
    assert await dispatchers.beat(first, []) == absence


async def test_a_short_silence_is_none(store: Store) -> None:
    await store.seen_last(datetime.now(UTC) - LONG_AGO)
    dispatchers = store.dispatchers(DatabaseClock())
    number = await dispatchers.register("one")
    absence = await dispatchers.beat(number, [])
    await store.seen_last(datetime.now(UTC) - ABSENT_AFTER + timedelta(seconds=1))
    assert await dispatchers.beat(number, []) == absence


async def test_what_was_given_back_unstarted_is_told_from_what_a_vanished_holder_may_have_started(store: Store) -> None:
    await due_now(store)
    [first] = await store.queue(1).claim(1, AHEAD, None)
    await store.queue(1).release([first])
    lost, taken = await claimed_and_lost(store)
    assert [item.may_have_started for item in (first, lost, taken)] == [False, False, True]
    await store.queue(2).release([taken])
    [again] = await store.queue(1).claim(1, AHEAD, None)
    assert again.may_have_started


async def test_an_instant_is_overtaken_by_a_later_one_that_is_queued_or_has_ended(store: Store) -> None:
    latest, _, _ = await due_now(store, 3)
    claimed = await store.queue(1).claim(9, AHEAD, None)
    by_instant = sorted(claimed, key=lambda item: item.scheduled_for)
    queue, until = store.queue(1), latest.timestamp() + 1
    assert await queue.overtaken(claimed, until) == {item.id for item in by_instant[:2]}
    assert await queue.overtaken(claimed, by_instant[1].due_at + 0.0005) == {by_instant[0].id}
    await queue.record_ended([completed(by_instant[2])])
    assert await queue.overtaken(by_instant[:2], until) == {item.id for item in by_instant[:2]}


async def test_an_instant_that_was_withdrawn_or_belongs_to_another_schedule_overtakes_none(store: Store) -> None:
    latest, _ = await due_now(store, 2)
    await store.schedules.add(accepted(latest + timedelta(milliseconds=1)), None)
    claimed = await store.queue(1).claim(9, AHEAD, None)
    first, second = sorted(claimed, key=lambda item: item.scheduled_for)[:2]
    await store.queue(1).record_ended([replace(completed(second), status="CANCELLED", reason="cancelled-by-hand")])
    assert await store.queue(1).overtaken([first], latest.timestamp() + 1) == set()


async def test_an_instant_is_overtaken_by_one_that_nobody_has_planned_yet(store: Store) -> None:
    await store.schedules.add(accepted(datetime.now(UTC) - LONG_AGO, next_fire_at=in_an_hour()), None)
    [claimed] = await eventually(lambda: store.queue(1).claim(1, AHEAD, None), within=5)
    assert await store.queue(1).overtaken([claimed], time.time()) == set()
    assert await store.queue(1).overtaken([claimed], time.time() + 3_601) == {claimed.id}
