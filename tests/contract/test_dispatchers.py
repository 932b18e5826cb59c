"""The ports application/ports/dispatchers.py and ports/leadership.py."""

from datetime import UTC, datetime, timedelta

from scheduler_domain.infra.postgres.database_clock import DatabaseClock
from tests.contract.stores import Store


async def test_dispatchers_have_numbers_of_their_own(store: Store) -> None:
    dispatchers = store.dispatchers(DatabaseClock())
    assert await dispatchers.register("one") != await dispatchers.register("one")


async def test_a_heartbeat_sets_the_clock_by_the_stores(store: Store) -> None:
    an_hour_slow = DatabaseClock(host_time=lambda: datetime.now(UTC).timestamp() - 3_600)
    dispatchers = store.dispatchers(an_hour_slow)
    await dispatchers.beat(await dispatchers.register("one"), [])
    assert abs(an_hour_slow.now() - datetime.now(UTC)) < timedelta(seconds=1)


async def test_a_dispatcher_that_was_given_up_for_lost_is_heard_again(store: Store) -> None:
    clock = DatabaseClock()
    dispatchers = store.dispatchers(clock)
    number = await dispatchers.register("one")
    await dispatchers.leave(number)
    await dispatchers.beat(number, [])
    await dispatchers.beat(number, [])
    await dispatchers.leave(number)


async def test_one_turn_at_a_time(store: Store) -> None:
    async with store.leadership().turn() as first, store.leadership().turn() as second:
        assert (first, second) == (True, False)
    async with store.leadership().turn() as again:
        assert again
