"""Start tags: tenants take turns within a herd, and catching up leaves room for live work."""

from datetime import UTC, datetime, timedelta

from scheduler_domain.domain.fairness import StartTags

NINE = datetime(2026, 11, 22, 9, tzinfo=UTC)


def test_a_small_tenant_is_tagged_among_the_first_of_a_herd() -> None:
    tags = StartTags()
    herd = [tags.live("big", NINE) for _ in range(100_000)]
    small = [tags.live("small", NINE) for _ in range(100)]
    assert sum(tag < max(small) for tag in herd) <= 100


def test_a_heavier_tenant_gets_its_share() -> None:
    tags = StartTags()
    heavy = [tags.live("heavy", NINE, weight=2.0) for _ in range(1_000)]
    light = [tags.live("light", NINE) for _ in range(1_000)]
    first_thousand = sorted(heavy + light)[:999]
    assert sum(tag in set(heavy) for tag in first_thousand) >= 660


def test_an_alone_occurrence_is_tagged_with_its_own_instant() -> None:
    tags = StartTags()
    assert tags.live("acme", NINE) == NINE
    assert tags.live("acme", NINE + timedelta(seconds=1)) == NINE + timedelta(seconds=1)


def test_caught_up_occurrences_are_spread_from_now_on() -> None:
    tags = StartTags()
    lane = [tags.caught_up(NINE) for _ in range(10_000)]
    assert lane[0] == NINE
    assert lane[-1] - NINE > timedelta(seconds=4.9)
    assert lane == sorted(lane)


def test_a_schedule_planned_after_a_busy_one_of_its_tenant_keeps_its_instants() -> None:
    """A minute of one schedule is planned before the next schedule of the same tenant comes to be planned."""
    tags = StartTags()
    minute = [NINE + timedelta(seconds=second) for second in range(60)]
    for _ in range(100):
        for instant in minute:
            tags.live("acme", instant)
    assert all(tags.live("acme", instant) - instant < timedelta(milliseconds=2) for instant in minute)
