"""Edits of schedules of which something is under way: what its end, or that of a retry, still moves."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from scheduler_domain.application.ports.due_queue import Claimed, Ended, Postponed
from scheduler_domain.application.ports.schedules import Changed, HeldSchedule
from scheduler_domain.domain.occurrence import PlannedOccurrence
from scheduler_domain.domain.planning import Plan
from scheduler_domain.domain.schedule import FixedDelayTrigger
from scheduler_domain.domain.withdrawal import Ending, Withdrawal, withdraw_nothing
from tests.contract.schedules_made import TENANT, a_moment_ago, accepted, id_at, in_an_hour, planned
from tests.contract.stores import Store
from tests.support.stored import definition

AHEAD = timedelta(seconds=2)
CHAIN = definition(FixedDelayTrigger(60))


def ended(claimed: Claimed, next_due_at: datetime | None = None) -> Ended:
    now = datetime.now(UTC)
    return Ended(claimed, "COMPLETED", None, 1, now, now, 3, "EVENT", next_due_at=next_due_at)


def revised(held: HeldSchedule, *due: PlannedOccurrence, next_fire_at: datetime | None = None) -> Changed:
    """Return an edit that makes a new revision, and plans these and what is due next."""
    revision = held.schedule.revision + 1
    schedule = replace(held.schedule, revision=revision, version=held.schedule.version + 1, updated_at=held.now)
    cursor = replace(held.cursor, revision=revision, next_fire_at=next_fire_at)
    plan = Plan(cursor, cursor, [replace(item, revision=revision) for item in due], [], finished=False)
    withdrawal = withdraw_nothing(held.queued, held.now)
    return Changed(schedule, None, None, plan, withdrawal, Ending.REPLANNED, is_soon=False)


async def retried(store: Store, claimed: Claimed) -> Claimed:
    """Let an attempt fail that is tried again at once."""
    now = datetime.now(UTC)
    await store.queue(1).record_postponed([Postponed(claimed, 1, now, 5, now, "no answer", None, None, counts=True)])
    [again] = await store.queue(1).claim(1, timedelta(0), None)
    return again


async def last_under_way(store: Store) -> tuple[UUID, Claimed]:
    new = accepted(a_moment_ago(), is_last=True)
    await store.schedules.add(new, None)
    [claimed] = await store.queue(1).claim(1, AHEAD, None)
    return new.schedule.id, claimed


@pytest.mark.parametrize("is_retried", [False, True])
async def test_a_last_occurrence_completes_its_schedule_though_that_was_edited(store: Store, is_retried: bool) -> None:
    schedule, last = await last_under_way(store)
    last = await retried(store, last) if is_retried else last
    async with store.schedules.held(TENANT, schedule) as held:
        await held.change(revised(held), None)
    await store.queue(1).record_ended([ended(last)])
    assert await store.state(TENANT, schedule) == ("COMPLETED", None)


@pytest.mark.parametrize("given", ["an instant to plan", "another last"])
async def test_a_last_occurrence_completes_no_schedule_that_an_edit_gave_more(store: Store, given: str) -> None:
    schedule, last = await last_under_way(store)
    async with store.schedules.held(TENANT, schedule) as held:
        if given == "another last":
            await held.change(revised(held, planned(schedule, in_an_hour(), is_last=True)), None)
        else:
            await held.change(revised(held, next_fire_at=in_an_hour()), None)
    await store.queue(1).record_ended([ended(last)])
    assert await store.state(TENANT, schedule) == ("ACTIVE", None)


async def test_a_last_occurrence_completes_no_chain_that_goes_on(store: Store) -> None:
    new = accepted(a_moment_ago(), of=CHAIN, is_last=True)
    await store.schedules.add(new, None)
    [last] = await store.queue(1).claim(1, AHEAD, None)
    async with store.schedules.held(TENANT, new.schedule.id) as held:
        await held.change(revised(held, planned(new.schedule.id, a_moment_ago())), None)
    await store.queue(1).record_ended([ended(last)])
    assert await store.state(TENANT, new.schedule.id) == ("ACTIVE", None)


@pytest.mark.parametrize("is_last", [False, True])
async def test_what_an_edit_left_to_its_holder_moves_nothing(store: Store, is_last: bool) -> None:
    new = accepted(datetime.now(UTC) + timedelta(seconds=1), of=CHAIN, is_last=is_last)
    await store.schedules.add(new, None)
    [left] = await store.queue(1).claim(1, AHEAD, None)
    async with store.schedules.held(TENANT, new.schedule.id) as held:
        await held.change(replace(revised(held), withdrawal=Withdrawal(left=[left.id])), None)
    assert await store.queue(1).record_ended([ended(left, in_an_hour())]) == 1
    assert await store.state(TENANT, new.schedule.id) == ("ACTIVE", None)
    assert await store.next_fire_at(TENANT, new.schedule.id) is None


async def test_what_was_left_to_its_holder_is_not_in_the_way_of_the_chain_that_was_planned_instead(
    store: Store,
) -> None:
    new = accepted(datetime.now(UTC) + timedelta(seconds=1), of=CHAIN)
    await store.schedules.add(new, None)
    [left] = await store.queue(1).claim(1, AHEAD, None)
    at, next_due_at = a_moment_ago(), in_an_hour()
    async with store.schedules.held(TENANT, new.schedule.id) as held:
        edit = revised(held, planned(new.schedule.id, at))
        await held.change(replace(edit, withdrawal=Withdrawal(left=[left.id])), None)
    [instead] = await store.queue(2).claim(1, AHEAD, None)
    assert instead.id == id_at(new.schedule.id, at)
    await store.queue(2).record_ended([ended(instead, next_due_at)])
    assert await store.next_fire_at(TENANT, new.schedule.id) == next_due_at


async def test_what_was_started_before_there_was_a_chain_is_followed_by_none_of_it(store: Store) -> None:
    new = accepted(a_moment_ago(), of=CHAIN)
    await store.schedules.add(new, None)
    [started] = await store.queue(1).claim(1, AHEAD, None)
    async with store.schedules.held(TENANT, new.schedule.id) as held:
        edit = revised(held, planned(new.schedule.id, in_an_hour()))
        await held.change(replace(edit, unchained=[started.id]), None)
        assert not any(row.is_last for row in held.queued)
    again = await retried(store, started)
    assert again.is_last
    async with store.schedules.held(TENANT, new.schedule.id) as held:
        assert [row.is_last for row in held.queued if row.id == started.id] == [True]
    await store.queue(1).record_ended([ended(again)])
    assert await store.state(TENANT, new.schedule.id) == ("ACTIVE", None)
