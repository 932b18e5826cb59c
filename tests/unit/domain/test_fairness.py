"""Start tags: tenants take turns within a herd, and catching up leaves room for live work."""

from datetime import UTC, datetime, timedelta

import pytest

from scheduler_domain.domain.fairness import STEP, StartTags, Weights

NINE = datetime(2026, 11, 22, 9, tzinfo=UTC)


def weighing(**by_tenant: float) -> Weights:
    weights = Weights()
    weights.replace(by_tenant)
    return weights


def test_a_small_tenant_is_tagged_among_the_first_of_a_herd() -> None:
    tags = StartTags()
    herd = [tags.live("big", NINE) for _ in range(100_000)]
    small = [tags.live("small", NINE) for _ in range(100)]
    assert sum(tag < max(small) for tag in herd) <= 100


@pytest.mark.parametrize("weight", [0.1, 0.3, 2.0, 3.0, 7.0, 100.0])
def test_a_tenant_gets_its_share_by_weight_for_as_long_as_both_have_work(weight: float) -> None:
    """Neither a step that is no whole number of microseconds nor one that is less than one rounds a share away."""
    tags = StartTags(weighing(weighted=weight))
    of_weighted = [tags.live("weighted", NINE) for _ in range(10_000)]
    of_other = [tags.live("other", NINE) for _ in range(10_000)]
    first = min(max(of_weighted), max(of_other))
    shares = [sum(tag < first for tag in of) for of in (of_weighted, of_other)]
    assert shares[0] / shares[1] == pytest.approx(weight, rel=0.02)


def test_a_weight_that_changes_counts_from_the_next_tag_on() -> None:
    weights = weighing(acme=2.0)
    tags = StartTags(weights)
    before = [tags.live("acme", NINE) for _ in range(3)]
    weights.replace({"acme": 5.0})
    after = [tags.live("acme", NINE) for _ in range(3)]
    weights.replace({})
    last = tags.live("acme", NINE)
    assert [(tag - NINE).microseconds for tag in [*before, *after, last]] == [0, 5, 10, 12, 14, 16, 26]


def test_no_weight_makes_a_tenant_wait_where_nobody_is_before_it() -> None:
    """Tags further apart than a machine needs for one occurrence would hold back a light tenant that is alone."""
    for weights in ({"light": 0.1}, {"light": 0.1, "heavy": 100.0}, {"heavy": 100.0}, {}):
        tags = StartTags(weighing(**weights))
        for tenant in ("light", "heavy", "other"):
            herd = [tags.live(tenant, NINE) for _ in range(1_000)]
            assert herd == sorted(herd)
            assert herd[-1] - NINE <= 999 * STEP, (weights, tenant)


def test_weights_do_not_move_a_tenant_that_is_alone_at_its_instant_nor_the_catch_up_lane() -> None:
    tags = StartTags(weighing(light=0.1, heavy=100.0))
    assert [tags.live(tenant, NINE) for tenant in ("light", "heavy", "other")] == [NINE] * 3
    assert tags.waits(NINE, 3) == StartTags().waits(NINE, 3)


def test_more_instants_than_are_remembered_cost_no_order_within_one() -> None:
    tags = StartTags()
    for second in range(100_001):
        tags.live("acme", NINE + timedelta(seconds=second))
    herd = [tags.live("other", NINE) for _ in range(3)]
    assert herd == [NINE, NINE + STEP, NINE + 2 * STEP]


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
