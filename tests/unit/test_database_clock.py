"""The database's clock as a process carries it on: exact to half a round trip, and never stuck in the past."""

from datetime import UTC, datetime, timedelta

from scheduler_domain.infra.postgres.database_clock import DatabaseClock


def read(clock: DatabaseClock, ahead: float, *, there: float, back: float) -> None:
    """Let the clock read a database that is `ahead` of this host, over a way that takes so many seconds."""
    answered_at = clock.monotonic()
    asked_at = answered_at - there - back
    clock.observe(datetime.now(UTC) + timedelta(seconds=ahead - back), asked_at, answered_at)


def error(clock: DatabaseClock, ahead: float) -> float:
    return abs((clock.now() - datetime.now(UTC)).total_seconds() - ahead)


def test_before_it_was_read_it_is_the_hosts_clock() -> None:
    assert error(DatabaseClock(), 0) < 0.01


def test_the_sample_of_the_shortest_way_is_believed() -> None:
    clock = DatabaseClock()
    read(clock, 3600, there=0.001, back=0.001)
    for _ in range(10):
        read(clock, 3600, there=0.9, back=0.1)
    assert error(clock, 3600) < 0.01


def test_a_database_clock_that_was_set_is_followed_with_the_next_sample() -> None:
    clock = DatabaseClock()
    for ahead in (0.0, 3600.0, -3600.0, -3599.5):
        read(clock, ahead, there=0.001, back=0.001)
        assert error(clock, ahead) < 0.02, ahead


def test_a_slow_answer_of_another_time_outweighs_quick_ones_that_cannot_be_true_any_more() -> None:
    clock = DatabaseClock()
    for _ in range(10):
        read(clock, 0, there=0.001, back=0.001)
    read(clock, 3600, there=0.2, back=0.2)
    assert error(clock, 3600) < 0.25
