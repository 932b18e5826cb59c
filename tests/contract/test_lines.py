"""The port application/ports/lines.py, as far as schedules go that let occurrences overlap."""

from datetime import UTC, datetime, timedelta

from tests.contract.schedules_made import a_moment_ago, accepted
from tests.contract.stores import Store

AHEAD = timedelta(seconds=1)


async def test_each_stands_behind_those_of_its_schedule_that_were_due_before_it(store: Store) -> None:
    await store.schedules.add(accepted(*(a_moment_ago() - timedelta(seconds=second) for second in range(4))), None)
    await store.schedules.add(accepted(a_moment_ago()), None)
    claimed = await store.queue(1).claim(9, AHEAD, None)
    async with store.lines().held(claimed, datetime.now(UTC)) as lines:
        ahead_counts = [lines.standings[item.id].ahead_count for item in claimed]
        assert not any(standing.has_started or standing.is_awaiting for standing in lines.standings.values())
    assert sorted(ahead_counts) == [0, 0, 1, 2, 2]


async def test_what_another_holds_by_now_does_not_stand_for_us(store: Store) -> None:
    await store.schedules.add(accepted(a_moment_ago()), None)
    claimed = await store.queue(1).claim(1, AHEAD, None)
    await store.queue(1).release(claimed)
    await store.queue(2).claim(1, AHEAD, None)
    async with store.lines().held(claimed, datetime.now(UTC)) as lines:
        assert not lines.standings
