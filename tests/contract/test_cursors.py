"""The ports application/ports/cursors.py and ports/zone_moves.py: planned once, whoever writes last."""

from datetime import UTC, datetime, timedelta

from scheduler_domain.domain.triggers import tzdata_version
from tests.contract.schedules_made import TENANT, accepted, id_at, in_an_hour, moved_on, revised, skipped
from tests.contract.stores import Store

HOUR = timedelta(hours=1)


async def test_cursors_come_by_their_next_instant_from_inclusive_until_exclusive(store: Store) -> None:
    now = datetime.now(UTC)
    for minutes in (3, 1, 2, 0):
        await store.schedules.add(accepted(next_fire_at=now + timedelta(minutes=minutes)), None)
    await store.schedules.add(accepted(), None)
    found = await store.cursors().due_between(now, now + timedelta(minutes=3), 10)
    assert [cursor.next_fire_at for cursor in found] == [now + timedelta(minutes=minutes) for minutes in (0, 1, 2)]
    assert len(await store.cursors().due_between(now, now + HOUR, 2)) == 2


async def test_a_plan_moves_the_cursor_and_queues_what_it_passed(store: Store) -> None:
    at = datetime.now(UTC)
    new = accepted(next_fire_at=at)
    await store.schedules.add(new, None)
    [cursor] = await store.cursors().due_between(at, at + HOUR, 10)
    assert await store.cursors().record_plans([moved_on(cursor, at + HOUR, at)]) == 1
    assert await store.next_fire_at(TENANT, new.schedule.id) == at + HOUR
    assert set(await store.queued()) == {id_at(new.schedule.id, at)}


async def test_a_plan_that_was_written_already_inserts_nothing_though_its_rows_are_gone(store: Store) -> None:
    at = datetime.now(UTC)
    await store.schedules.add(accepted(next_fire_at=at), None)
    [cursor] = await store.cursors().due_between(at, at + HOUR, 10)
    plan = moved_on(cursor, at + HOUR, at)
    await store.cursors().record_plans([plan])
    claimed = await store.queue(1).claim(1, timedelta(seconds=1), None)
    assert len(claimed) == 1
    assert await store.cursors().record_plans([plan]) == 0
    assert len(await store.queued()) == 1


async def test_a_row_that_is_queued_already_is_not_queued_again(store: Store) -> None:
    at = datetime.now(UTC) + HOUR
    new = accepted(at, next_fire_at=at)
    await store.schedules.add(new, None)
    [cursor] = await store.cursors().due_between(at, at + HOUR, 10)
    assert await store.cursors().record_plans([moved_on(cursor, None, at)]) == 0
    assert len(await store.queued()) == 1


async def test_what_is_skipped_ends_in_the_ledger(store: Store) -> None:
    at = datetime.now(UTC)
    new = accepted(next_fire_at=at)
    await store.schedules.add(new, None)
    [cursor] = await store.cursors().due_between(at, at + HOUR, 10)
    plan = moved_on(cursor, at + HOUR)
    plan.skipped.append(skipped(new.schedule.id, at))
    await store.cursors().record_plans([plan])
    [row] = (await store.ledger()).values()
    assert (row.status, row.reason) == ("SKIPPED", "misfire-coalesced")


async def test_a_plan_with_nothing_left_to_deliver_completes_the_schedule(store: Store) -> None:
    at = datetime.now(UTC)
    new = accepted(next_fire_at=at)
    await store.schedules.add(new, None)
    [cursor] = await store.cursors().due_between(at, at + HOUR, 10)
    await store.cursors().record_plans([moved_on(cursor, None, finished=True)])
    assert await store.state(TENANT, new.schedule.id) == ("COMPLETED", None)


async def test_a_cursor_that_cannot_be_planned_is_set_aside_with_the_reason(store: Store) -> None:
    new = accepted(next_fire_at=in_an_hour())
    await store.schedules.add(new, None)
    await store.cursors().set_aside(new.plan.before, "no such zone any more")
    assert await store.state(TENANT, new.schedule.id) == ("DISABLED", "no such zone any more")
    assert await store.next_fire_at(TENANT, new.schedule.id) is None


async def test_a_cursor_that_was_edited_since_it_was_read_is_not_set_aside(store: Store) -> None:
    new = accepted(next_fire_at=in_an_hour())
    await store.schedules.add(new, None)
    async with store.schedules.held(TENANT, new.schedule.id) as held:
        await held.change(revised(held), None)
    await store.cursors().set_aside(new.plan.before, "no such zone any more")
    assert await store.state(TENANT, new.schedule.id) == ("ACTIVE", None)


async def test_with_one_edition_of_the_tz_database_nothing_is_to_be_followed(store: Store) -> None:
    await store.schedules.add(accepted(next_fire_at=in_an_hour()), None)
    version = tzdata_version()
    assert await store.zone_moves().leading(version) == version
    visit = await store.zone_moves().visit(None, version)
    assert list(visit.of_other_edition) == []
    assert (await store.zone_moves().visit(visit.reached, version)).reached is None
