"""The ports application/ports/schedules.py and, for manual occurrences, ports/occurrences.py: what writing leaves."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from scheduler_domain.application.ports.due_queue import Ended
from scheduler_domain.domain.errors import Conflict, KeyTaken
from scheduler_domain.domain.withdrawal import Ending as Reason
from scheduler_domain.domain.withdrawal import withdraw
from scheduler_domain.infra.postgres.database_clock import DatabaseClock
from tests.contract.schedules_made import TENANT, a_moment_ago, accepted, id_at, in_an_hour, paused, revised, skipped
from tests.contract.stores import Store
from tests.support.stored import definition
from tests.support.waiting import eventually

AHEAD = timedelta(seconds=2)


def soon() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=1)


async def test_what_is_accepted_is_stored_with_its_plan(store: Store) -> None:
    now = datetime.now(UTC)
    new = accepted(now, next_fire_at=now + timedelta(hours=1), skipped_at=[now - timedelta(minutes=1)])
    await store.schedules.add(new, None)
    found = await store.schedules.by_id(TENANT, new.schedule.id)
    assert (found.definition, found.state, found.revision) == (new.schedule.definition, "ACTIVE", 1)
    assert set(await store.queued()) == {id_at(new.schedule.id, now)}
    assert set(await store.ledger()) == {item.id for item in new.plan.skipped}


async def test_a_key_is_given_once_and_a_refused_schedule_leaves_nothing(store: Store) -> None:
    await store.schedules.add(accepted(of=definition(key="report")), None)
    with pytest.raises(KeyTaken):
        await store.schedules.add(accepted(a_moment_ago(), of=definition(key="report")), None)
    assert await store.queued() == {}


async def test_a_schedule_that_is_not_there_is_held_as_none(store: Store) -> None:
    async with store.schedules.held(TENANT, UUID(int=1)) as held:
        assert held is None


async def test_a_hold_shows_the_queue_and_the_stores_clock(store: Store) -> None:
    new = accepted(a_moment_ago(), in_an_hour())
    await store.schedules.add(new, None)
    [claimed] = await store.queue(7).claim(1, AHEAD, None)
    async with store.schedules.held(TENANT, new.schedule.id) as held:
        by_id = {row.id: row for row in held.queued}
        assert by_id.keys() == {item.id for item in new.plan.due}
        assert (by_id[claimed.id].leased_by, by_id[claimed.id].was_tried) == (7, False)
        assert by_id[claimed.id].lease_until > held.now
        others = [row for row in held.queued if row.id != claimed.id]
        assert [row.lease_until < held.now for row in others] == [True]
        assert abs(held.now - datetime.now(UTC)) < timedelta(seconds=1)


async def test_a_hold_tells_what_of_the_plan_was_attempted_lately_newest_first(store: Store) -> None:
    instants = [a_moment_ago() - timedelta(minutes=minutes) for minutes in range(4)]
    new = accepted(*instants, skipped_at=[instants[0] - timedelta(seconds=1)])
    await store.schedules.add(new, None)
    claimed = await store.queue(1).claim(9, AHEAD, None)
    now = datetime.now(UTC)
    await store.queue(1).record_ended([Ended(item, "COMPLETED", None, 1, now, now, 3, "EVENT") for item in claimed])
    async with store.schedules.held(TENANT, new.schedule.id) as held:
        found = await held.fired_since(instants[2], 2)
    assert list(found) == [id_at(new.schedule.id, at) for at in instants[:2]]


async def test_two_holders_of_one_schedule_take_turns(store: Store) -> None:
    new = accepted()
    await store.schedules.add(new, None)
    order: list[str] = []

    async def second() -> None:
        async with store.schedules.held(TENANT, new.schedule.id):
            order.append("second")

    async with store.schedules.held(TENANT, new.schedule.id):
        waiting = asyncio.create_task(second())
        await store.schedules.by_id(TENANT, new.schedule.id)
        order.append("first")
    await waiting
    assert order == ["first", "second"]


async def test_a_hold_that_is_left_by_an_exception_undoes_everything(store: Store) -> None:
    new = accepted(in_an_hour())
    await store.schedules.add(new, None)

    async def change_and_fail() -> None:
        async with store.schedules.held(TENANT, new.schedule.id) as held:
            await held.change(paused(held), None)
            raise KeyError

    with pytest.raises(KeyError):
        await change_and_fail()
    assert await store.state(TENANT, new.schedule.id) == ("ACTIVE", None)
    assert len(await store.queued()) == 1


async def test_a_pause_forgets_what_is_ahead_and_cancels_what_was_due(store: Store) -> None:
    new = accepted(a_moment_ago(), in_an_hour())
    await store.schedules.add(new, None)
    async with store.schedules.held(TENANT, new.schedule.id) as held:
        await held.change(paused(held), None)
    assert await store.queued() == {}
    [row] = (await store.ledger()).values()
    assert (row.status, row.reason) == ("CANCELLED", "schedule-paused")
    assert (await store.state(TENANT, new.schedule.id))[0] == "PAUSED"


async def test_a_deletion_leaves_the_history_and_nothing_else(store: Store) -> None:
    new = accepted(a_moment_ago(), in_an_hour())
    await store.schedules.add(new, None)
    async with store.schedules.held(TENANT, new.schedule.id) as held:
        await held.delete(withdraw(held.queued, held.now, Reason.DELETED), Reason.DELETED)
    assert await store.schedules.by_id(TENANT, new.schedule.id) is None
    assert await store.queued() == {}
    assert [row.reason for row in (await store.ledger()).values()] == ["schedule-deleted"]


async def test_what_waits_goes_by_the_new_revision_of_an_edit(store: Store) -> None:
    new = accepted(soon())
    await store.schedules.add(new, None)
    async with store.schedules.held(TENANT, new.schedule.id) as held:
        await held.change(revised(held), None)
    [claimed] = await store.queue(2).claim(1, AHEAD, None)
    assert (claimed.revision, claimed.schedule_revision) == (2, 2)


async def test_an_edit_plans_what_has_not_ended(store: Store) -> None:
    ended_at, at = a_moment_ago(), in_an_hour()
    new = accepted()
    new.plan.skipped.append(skipped(new.schedule.id, ended_at))
    await store.schedules.add(new, None)
    async with store.schedules.held(TENANT, new.schedule.id) as held:
        await held.change(revised(held, ended_at, at), None)
    assert set(await store.queued()) == {id_at(new.schedule.id, at)}


async def test_the_outcome_of_a_row_that_was_withdrawn_does_not_end_the_one_that_was_planned_instead(
    store: Store,
) -> None:
    at = soon()
    new = accepted(at)
    await store.schedules.add(new, None)
    [held_by_one] = await store.queue(1).claim(1, AHEAD, None)
    async with store.schedules.held(TENANT, new.schedule.id) as held:
        withdrawal = withdraw(held.queued, held.now, Reason.REPLANNED)
        await held.change(revised(held, at, withdrawal=withdrawal), None)
    await store.queue(1).release([held_by_one])
    [row] = (await store.queued()).values()
    assert row.lease_token > held_by_one.lease_token
    assert row.revision == 2


async def held_and_paused(store: Store, number: int, lease_length: timedelta) -> UUID:
    """Let a dispatcher hold the one occurrence of a schedule, and pause that."""
    new = accepted(datetime.now(UTC) + AHEAD)
    await store.schedules.add(new, None)
    await store.queue(number, lease_length).claim(1, AHEAD, None)
    async with store.schedules.held(TENANT, new.schedule.id) as held:
        await held.change(paused(held), None)
    return new.schedule.id


async def test_a_change_is_obeyed_once_each_holder_has_said_so(store: Store) -> None:
    dispatchers = store.dispatchers(DatabaseClock())
    number = await dispatchers.register("one")
    schedule = await held_and_paused(store, number, timedelta(seconds=15))
    assert not await store.schedules.is_obeyed(TENANT, [schedule])
    assert not await store.schedules.is_obeyed(TENANT, [UUID(int=1), schedule])
    assert await store.schedules.is_obeyed(TENANT, [UUID(int=1)])
    [told] = await dispatchers.recent_revocations()
    assert (told.tenant_id, told.schedule_id) == (TENANT, schedule)
    await dispatchers.beat(number, [told.sequence])
    assert await store.schedules.is_obeyed(TENANT, [schedule])


async def test_a_change_is_obeyed_once_the_leases_of_silent_holders_have_run_out(store: Store) -> None:
    number = await store.dispatchers(DatabaseClock()).register("one")
    schedule = await held_and_paused(store, number, timedelta(milliseconds=200))
    await eventually(lambda: store.schedules.is_obeyed(TENANT, [schedule]), within=5)


async def test_what_is_held_is_left_to_its_holder_and_forgotten_by_a_claim_that_finds_it_withdrawn(
    store: Store,
) -> None:
    number = await store.dispatchers(DatabaseClock()).register("one")
    await held_and_paused(store, number, timedelta(milliseconds=200))
    assert len(await store.queued()) == 1
    [claimed] = await eventually(lambda: store.queue(2).claim(1, AHEAD, None), within=5)
    await store.queue(2).forget([replace(claimed, lease_token=claimed.lease_token - 1)])
    assert len(await store.queued()) == 1, "not by who has it no more"
    await store.queue(2).forget([claimed])
    assert await store.queued() == {}
    assert await store.ledger() == {}


async def test_a_change_that_nobody_holds_anything_of_is_true_at_once(store: Store) -> None:
    new = accepted(in_an_hour())
    await store.schedules.add(new, None)
    async with store.schedules.held(TENANT, new.schedule.id) as held:
        await held.change(paused(held), None)
    assert await store.schedules.is_obeyed(TENANT, [new.schedule.id])


async def test_a_manual_occurrence_is_due_at_once_and_once(store: Store) -> None:
    new = accepted()
    await store.schedules.add(new, None)
    at = a_moment_ago()
    identity = id_at(new.schedule.id, at)
    assert await store.occurrences.add_manual(TENANT, new.schedule.id, identity, at, None)
    with pytest.raises(Conflict):
        await store.occurrences.add_manual(TENANT, new.schedule.id, identity, at, None)
    [claimed] = await store.queue(1).claim(9, AHEAD, None)
    assert (claimed.id, claimed.kind) == (identity, "MANUAL")


async def test_nothing_is_run_by_hand_of_a_schedule_that_is_gone(store: Store) -> None:
    at = a_moment_ago()
    assert not await store.occurrences.add_manual(TENANT, UUID(int=1), id_at(UUID(int=1), at), at, None)
