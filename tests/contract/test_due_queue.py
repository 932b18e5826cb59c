"""The port application/ports/due_queue.py: leases, fences and ends."""

from datetime import UTC, datetime, timedelta

import pytest

from scheduler_domain.application.ports.due_queue import Claimed, DeliveredTogether, Ended, Postponed
from scheduler_domain.domain.schedule import FixedDelayTrigger, ScheduleDefinition
from tests.contract.schedules_made import TENANT, a_moment_ago, accepted, id_at, in_an_hour, paused, revised
from tests.contract.stores import Ending, Store
from tests.support.stored import definition
from tests.support.waiting import eventually

AHEAD = timedelta(seconds=1)
CHAIN = definition(FixedDelayTrigger(60))
SHORT_LEASE = timedelta(milliseconds=60)


def completed(claimed: Claimed, *, next_due_at: datetime | None = None, disabled_revision: int | None = None) -> Ended:
    now = datetime.now(UTC)
    return Ended(
        claimed,
        "COMPLETED",
        None,
        1,
        now,
        now,
        3,
        "EVENT",
        next_due_at=next_due_at,
        disabled_revision=disabled_revision,
    )


def postponed(claimed: Claimed, retry_at: datetime, *, counts: bool = True) -> Postponed:
    now = datetime.now(UTC)
    return Postponed(claimed, claimed.attempt_count + counts, now, 5, retry_at, "no answer", None, None, counts)


async def due_now(
    store: Store, count: int = 1, *, is_last: bool = False, of: ScheduleDefinition | None = None
) -> list[datetime]:
    """Store a schedule with so many instants that are due; return them."""
    instants = [a_moment_ago() - timedelta(milliseconds=number) for number in range(count)]
    await store.schedules.add(accepted(*instants, is_last=is_last, of=of), None)
    return instants


async def claimed_and_lost(store: Store) -> tuple[Claimed, Claimed]:
    """Return the lease of a holder who lost it, and that of whoever took over."""
    [lost] = await store.queue(1, SHORT_LEASE).claim(1, AHEAD, None)
    [taken] = await eventually(lambda: store.queue(2).claim(1, AHEAD, None), within=5)
    return lost, taken


async def test_a_claim_leases_what_is_due_in_start_tag_order_and_goes_on_from_a_tag(store: Store) -> None:
    instants = await due_now(store, 5)
    first = await store.queue(1).claim(2, AHEAD, None)
    rest = await store.queue(1).claim(9, AHEAD, first[-1].start_tag)
    assert [item.due_at for item in (*first, *rest)] == [at.timestamp() for at in sorted(instants)]
    assert all(row.is_leased for row in (await store.queued()).values())


async def test_a_claim_brings_the_schedule_as_it_stands(store: Store) -> None:
    await due_now(store)
    [claimed] = await store.queue(1).claim(1, AHEAD, None)
    assert (claimed.schedule_revision, claimed.schedule_state, claimed.lease_token) == (1, "ACTIVE", 1)
    assert claimed.definition is not None
    assert "tests.fired" in claimed.definition


async def test_a_claim_leaves_what_is_due_later_and_what_is_leased(store: Store) -> None:
    await store.schedules.add(accepted(in_an_hour()), None)
    await due_now(store)
    assert len(await store.queue(1).claim(9, AHEAD, None)) == 1
    assert list(await store.queue(2).claim(9, AHEAD, None)) == []


async def test_a_claim_passes_by_what_a_change_holds(store: Store) -> None:
    new = accepted(a_moment_ago())
    await store.schedules.add(new, None)
    async with store.schedules.held(TENANT, new.schedule.id):
        assert list(await store.queue(1).claim(9, AHEAD, None)) == []
    assert len(await store.queue(1).claim(9, AHEAD, None)) == 1


async def test_what_a_lost_holder_writes_changes_nothing(store: Store) -> None:
    await due_now(store)
    lost, taken = await claimed_and_lost(store)
    assert taken.lease_token == lost.lease_token + 1
    assert await store.queue(1).record_postponed([postponed(lost, in_an_hour())]) == 0
    assert await store.queue(1).record_ended([completed(lost)]) == 0
    await store.queue(1).release([lost])
    [row] = (await store.queued()).values()
    assert row.is_leased
    assert await store.ledger() == {}
    assert await store.queue(2).record_ended([completed(taken)]) == 1


async def test_a_lease_is_renewed_while_it_lasts_and_not_when_another_has_it(store: Store) -> None:
    await due_now(store)
    [claimed] = await store.queue(1).claim(1, AHEAD, None)
    assert set(await store.queue(1).renew([claimed])) == {claimed.id}
    await store.queue(1).release([claimed])
    await store.queue(2).claim(1, AHEAD, None)
    assert await store.queue(1).renew([claimed]) == {}


async def test_a_lease_that_ran_out_is_not_renewed_though_nobody_has_it(store: Store) -> None:
    await due_now(store)
    [claimed] = await store.queue(1, SHORT_LEASE).claim(1, AHEAD, None)

    async def has_run_out() -> bool:
        return not (await store.queued())[claimed.id].is_leased

    await eventually(has_run_out, within=5)
    assert await store.queue(1).renew([claimed]) == {}
    assert len(await store.queue(2).claim(1, AHEAD, None)) == 1


async def test_what_is_released_is_claimable_at_once(store: Store) -> None:
    await due_now(store)
    await store.queue(1).release(await store.queue(1).claim(1, AHEAD, None))
    [again] = await store.queue(2).claim(1, AHEAD, None)
    assert again.lease_token == 2


async def test_what_is_put_off_is_claimable_after_its_wait_and_keeps_its_due_instant(store: Store) -> None:
    await due_now(store, 2)
    soon, late = await store.queue(1).claim(2, AHEAD, None)
    await store.queue(1).put_off([soon, late], [timedelta(), timedelta(hours=1)])
    rows = await store.queued()
    assert not any(row.is_leased for row in rows.values())
    assert abs(rows[late.id].start_tag - in_an_hour()) < timedelta(seconds=10)
    [again] = await store.queue(2).claim(9, AHEAD, None)
    assert (again.id, again.due_at, again.lease_token) == (soon.id, soon.due_at, soon.lease_token + 1)
    assert again.start_tag > soon.start_tag


async def test_a_lost_lease_is_not_put_off(store: Store) -> None:
    await due_now(store)
    lost, taken = await claimed_and_lost(store)
    await store.queue(1).put_off([lost], [timedelta(hours=1)])
    [row] = (await store.queued()).values()
    assert row.is_leased
    assert row.start_tag.timestamp() == taken.start_tag


async def test_a_retry_that_is_put_off_stays_a_retry(store: Store) -> None:
    await due_now(store)
    [first] = await store.queue(1).claim(1, AHEAD, None)
    await store.queue(1).record_postponed([postponed(first, datetime.now(UTC))])
    [retry] = await store.queue(1).claim(1, AHEAD, None)
    await store.queue(1).put_off([retry], [timedelta()])
    [again] = await store.queue(1).claim(1, AHEAD, None)
    assert (again.attempt_count, again.was_tried, again.due_at) == (1, True, first.due_at)


async def test_what_ended_leaves_the_queue_for_the_ledger(store: Store) -> None:
    [at] = await due_now(store)
    [claimed] = await store.queue(1).claim(1, AHEAD, None)
    assert await store.queue(1).record_ended([completed(claimed)]) == 1
    assert await store.queued() == {}
    assert await store.ledger() == {id_at(claimed.schedule_id, at): Ending("COMPLETED", None, 1)}


async def test_what_was_delivered_together_leaves_the_queue_by_its_place_or_without_it(store: Store) -> None:
    await due_now(store, 3)
    first, renewed, foreign = await store.queue(1).claim(3, AHEAD, None)
    await store.queue(1).renew([renewed])
    await store.queue(1).release([foreign])
    await store.queue(2).claim(1, AHEAD, None)
    now = datetime.now(UTC)
    together = DeliveredTogether([first, renewed, foreign], now, now, 3, ["EVENT"] * 3)
    assert await store.queue(1).record_delivered([together]) == 2
    assert (await store.ledger()).keys() == {first.id, renewed.id}
    assert (await store.queued()).keys() == {foreign.id}


async def test_deliveries_that_are_written_again_change_nothing(store: Store) -> None:
    await due_now(store)
    claimed = list(await store.queue(1).claim(1, AHEAD, None))
    now = datetime.now(UTC)
    together = DeliveredTogether(claimed, now, now, 3, ["EVENT"])
    assert await store.queue(1).record_delivered([together]) == 1
    assert await store.queue(1).record_delivered([together]) == 0
    assert len(await store.ledger()) == 1


async def test_an_end_that_is_written_again_changes_nothing(store: Store) -> None:
    await due_now(store)
    [claimed] = await store.queue(1).claim(1, AHEAD, None)
    await store.queue(1).record_ended([completed(claimed)])
    assert await store.queue(1).record_ended([completed(claimed)]) == 0
    assert len(await store.ledger()) == 1


@pytest.mark.parametrize("counts", [True, False])
async def test_a_failed_attempt_frees_the_row_until_the_next(store: Store, counts: bool) -> None:
    await due_now(store)
    [claimed] = await store.queue(1).claim(1, AHEAD, None)
    retry_at = datetime.now(UTC)
    assert await store.queue(1).record_postponed([postponed(claimed, retry_at, counts=counts)]) == 1
    [again] = await store.queue(2).claim(1, AHEAD, None)
    assert (again.start_tag, again.attempt_count, again.was_tried) == (retry_at.timestamp(), int(counts), True)
    assert await store.failed_attempts() == ({(claimed.id, 1)} if counts else set())


async def test_the_last_occurrence_completes_its_schedule(store: Store) -> None:
    await due_now(store, is_last=True)
    [claimed] = await store.queue(1).claim(1, AHEAD, None)
    await store.queue(1).record_ended([completed(claimed)])
    assert await store.state(TENANT, claimed.schedule_id) == ("COMPLETED", None)


async def test_an_end_sets_when_a_schedule_that_runs_from_completion_is_due_again(store: Store) -> None:
    await due_now(store, of=CHAIN)
    [claimed] = await store.queue(1).claim(1, AHEAD, None)
    next_due_at = in_an_hour()
    await store.queue(1).record_ended([completed(claimed, next_due_at=next_due_at)])
    assert await store.next_fire_at(TENANT, claimed.schedule_id) == next_due_at


async def test_an_end_moves_on_no_schedule_that_goes_by_the_clock(store: Store) -> None:
    await due_now(store)
    [claimed] = await store.queue(1).claim(1, AHEAD, None)
    await store.queue(1).record_ended([completed(claimed, next_due_at=in_an_hour())])
    assert await store.next_fire_at(TENANT, claimed.schedule_id) is None


async def test_of_two_that_a_chain_has_queued_the_later_one_moves_it_on(store: Store) -> None:
    await due_now(store, 2, of=CHAIN)
    early, late = sorted(await store.queue(1).claim(2, AHEAD, None), key=lambda item: item.due_at)
    next_due_at = in_an_hour()
    await store.queue(1).record_ended([completed(early, next_due_at=next_due_at)])
    assert await store.next_fire_at(TENANT, early.schedule_id) is None
    await store.queue(1).record_ended([completed(late, next_due_at=next_due_at)])
    assert await store.next_fire_at(TENANT, early.schedule_id) == next_due_at


async def test_a_target_that_is_gone_disables_the_schedule_and_leaves_nothing_to_plan(store: Store) -> None:
    new = accepted(a_moment_ago(), next_fire_at=in_an_hour())
    await store.schedules.add(new, None)
    [claimed] = await store.queue(1).claim(1, AHEAD, None)
    await store.queue(1).record_ended([completed(claimed, disabled_revision=1)])
    assert await store.state(TENANT, new.schedule.id) == ("DISABLED", "disabled by its target")
    assert await store.next_fire_at(TENANT, new.schedule.id) is None


async def test_a_target_that_is_gone_disables_a_schedule_that_was_to_go_on_after_a_pause(store: Store) -> None:
    new = accepted(a_moment_ago())
    await store.schedules.add(new, None)
    [claimed] = await store.queue(1).claim(1, AHEAD, None)
    async with store.schedules.held(TENANT, new.schedule.id) as held:
        await held.change(paused(held, resume_at=in_an_hour()), None)
    assert await store.queue(1).record_ended([completed(claimed, disabled_revision=1)]) == 1
    assert await store.state(TENANT, new.schedule.id) == ("DISABLED", "disabled by its target")
    async with store.schedules.held(TENANT, new.schedule.id) as held:
        assert held.resume_at is None


async def test_a_target_that_was_gone_before_an_edit_disables_nothing(store: Store) -> None:
    new = accepted(a_moment_ago(), next_fire_at=in_an_hour())
    await store.schedules.add(new, None)
    [claimed] = await store.queue(1).claim(1, AHEAD, None)
    async with store.schedules.held(TENANT, new.schedule.id) as held:
        await held.change(revised(held), None)
    assert await store.queue(1).record_ended([completed(claimed, disabled_revision=1)]) == 1
    assert await store.state(TENANT, new.schedule.id) == ("ACTIVE", None)
    assert await store.next_fire_at(TENANT, new.schedule.id) is not None


async def test_a_lost_lease_moves_no_schedule_on(store: Store) -> None:
    new = accepted(a_moment_ago(), next_fire_at=in_an_hour(), is_last=True)
    await store.schedules.add(new, None)
    lost, _ = await claimed_and_lost(store)
    assert await store.queue(1).record_ended([completed(lost, disabled_revision=1)]) == 0
    assert await store.state(TENANT, new.schedule.id) == ("ACTIVE", None)
