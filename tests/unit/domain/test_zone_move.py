"""Plans follow the tz database: by name, without a loss and without a second run, whichever way the clocks went.

The rules are those of the tz database in use; the plan that follows them is made as another edition would have made
it: the names are right, the instants are off by what a government changed.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from scheduler_domain.domain.fairness import StartTags
from scheduler_domain.domain.occurrence import OccurrenceKind
from scheduler_domain.domain.planning import Cursor, PlanningRule, first_cursor, instant_id, plan
from scheduler_domain.domain.schedule import (
    CronTrigger,
    Dst,
    Exclude,
    FixedDelayTrigger,
    Misfire,
    OneShotTrigger,
    RruleTrigger,
    Trigger,
    rule_spec_of,
)
from scheduler_domain.domain.triggers import Instant, compile_rule, tzdata_version
from scheduler_domain.domain.zone_move import (
    Change,
    PlannedAhead,
    QueuedAhead,
    ZoneMove,
    candidates,
    left_alone,
    moved,
    order_ms_of,
)

SCHEDULE = UUID("01900000-0000-7000-8000-000000000001")
CREATED = datetime(2026, 1, 1, tzinfo=UTC)
HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
DAILY_AT_NINE = CronTrigger("0 9 * * *")
WINTER = datetime(2026, 12, 1, tzinfo=UTC)  # Berlin is at +01:00; its 09:00 is 08:00Z
NINE_IN_BERLIN = datetime(2026, 12, 1, 8, tzinfo=UTC)


def rule(trigger: Trigger = DAILY_AT_NINE, tz: str = "Europe/Berlin", **fields: object) -> PlanningRule:
    return PlanningRule(trigger=trigger, tz=tz, **fields)  # type: ignore[arg-type]


def cursor_at(from_: datetime, of: PlanningRule, *, was_later_by: timedelta = timedelta()) -> Cursor:
    """Return a cursor at the first instant from `from_`, where another edition had that instant later by so much."""
    cursor = first_cursor("acme", SCHEDULE, 1, of, CREATED, from_)
    assert cursor.next_fire_at is not None
    return replace(cursor, next_fire_at=cursor.next_fire_at + was_later_by, tzdata="2020a")


def instants(cursor: Cursor, from_: datetime, count: int) -> list[Instant]:
    of = compile_rule(rule_spec_of(cursor.rule, cursor.created_at))
    return of.page(from_ - timedelta(microseconds=1), count).instants


def queued(cursor: Cursor, instant: Instant, *, was_later_by: timedelta = timedelta()) -> QueuedAhead:
    at = instant.at + was_later_by
    return QueuedAhead(instant_id(cursor, OccurrenceKind.SCHEDULED, instant), at, at, at, is_last=False)


def ids(cursor: Cursor, named: Sequence[Instant]) -> set[UUID]:
    return {instant_id(cursor, OccurrenceKind.SCHEDULED, instant) for instant in named}


def followed(ahead: PlannedAhead, now: datetime, taken: set[UUID] = frozenset()) -> ZoneMove:  # type: ignore[assignment]
    """Follow as the use case does; what is queued ahead exists, and so does what is `taken`."""
    alone = left_alone(ahead, now)
    if alone is not None:
        return alone
    near = candidates(ahead, now)
    existing = taken | {row.id for row in ahead.queued}
    return moved(ahead, near, existing & {item.id for item in near}, now, StartTags())


def test_a_schedule_that_did_not_move_keeps_its_instant_and_is_of_the_new_edition() -> None:
    cursor = cursor_at(WINTER, rule())
    move = followed(PlannedAhead(cursor), WINTER)
    assert move.plan.after == replace(cursor, tzdata=tzdata_version())
    assert (move.changes, move.moved, move.unplanned) == ((), (), ())


@pytest.mark.parametrize("by", [HOUR, -HOUR, 30 * MINUTE, 2 * HOUR, 24 * HOUR, -24 * HOUR])
def test_a_cursor_goes_to_the_instant_that_its_name_has_now(by: timedelta) -> None:
    cursor = cursor_at(WINTER, rule(), was_later_by=by)
    fired = ids(cursor, instants(cursor, NINE_IN_BERLIN - timedelta(days=3), 3))
    move = followed(PlannedAhead(cursor), NINE_IN_BERLIN - 12 * HOUR, fired)
    assert move.plan.after.next_fire_at == NINE_IN_BERLIN
    assert move.plan.after.next_order_ms == cursor.next_order_ms
    [change] = move.changes
    assert (change.was_at, change.is_at) == (NINE_IN_BERLIN + by, NINE_IN_BERLIN)


def test_an_instant_that_moved_into_the_past_is_planned_as_a_misfire_and_the_next_goes_on() -> None:
    now = NINE_IN_BERLIN + 10 * MINUTE
    cursor = cursor_at(NINE_IN_BERLIN, rule(), was_later_by=HOUR)
    move = followed(PlannedAhead(cursor), now)
    assert move.plan.after.next_fire_at == NINE_IN_BERLIN
    decided = plan(move.plan.after, now, now + MINUTE, StartTags())
    assert [item.scheduled_for for item in decided.due] == [NINE_IN_BERLIN]
    assert decided.due[0].start_tag == now
    assert decided.after.next_fire_at == NINE_IN_BERLIN + timedelta(days=1)


def test_an_instant_that_fired_and_comes_round_again_is_not_planned_again() -> None:
    now = NINE_IN_BERLIN - 20 * MINUTE
    tomorrow = cursor_at(NINE_IN_BERLIN + MINUTE, rule(), was_later_by=-HOUR)
    fired = ids(tomorrow, instants(tomorrow, NINE_IN_BERLIN, 1))
    move = followed(PlannedAhead(tomorrow), now, fired)
    assert move.plan.after.next_fire_at == NINE_IN_BERLIN + timedelta(days=1)
    assert move.plan.due == []


def test_what_is_queued_goes_to_its_new_instant_and_keeps_its_id() -> None:
    now = NINE_IN_BERLIN - 2 * MINUTE
    cursor = cursor_at(NINE_IN_BERLIN + HOUR, rule(), was_later_by=-HOUR)
    [nine] = instants(cursor, NINE_IN_BERLIN, 1)
    row = replace(queued(cursor, nine, was_later_by=-90 * SECOND), due_at=nine.at - 80 * SECOND)
    move = followed(PlannedAhead(cursor, [row]), now)
    [to] = move.moved
    assert (to.id, to.scheduled_for, to.due_at) == (row.id, nine.at, nine.at + 10 * SECOND)
    assert to.start_tag - row.start_tag == 90 * SECOND
    assert Change(row.id, row.scheduled_for, nine.at) in move.changes
    assert move.plan.after.next_fire_at == nine.at + timedelta(days=1)


def test_a_queued_occurrence_that_is_late_by_now_goes_by_the_misfire_policy() -> None:
    now = NINE_IN_BERLIN + 59 * MINUTE
    cursor = cursor_at(NINE_IN_BERLIN + HOUR, rule(misfire=Misfire("SKIP")), was_later_by=HOUR)
    cursor = replace(cursor, run_count=5)
    [nine] = instants(cursor, NINE_IN_BERLIN, 1)
    move = followed(PlannedAhead(cursor, [queued(cursor, nine, was_later_by=HOUR)]), now)
    assert list(move.unplanned) == list(ids(cursor, [nine]))
    assert move.plan.after.next_fire_at == nine.at
    assert move.plan.after.run_count == 4
    decided = plan(move.plan.after, now, now + MINUTE, StartTags())
    assert [item.reason for item in decided.skipped] == ["misfire-skipped"]


def test_the_last_occurrence_of_a_finished_schedule_moves_and_stays_the_last() -> None:
    now = NINE_IN_BERLIN - 2 * MINUTE
    once = cursor_at(NINE_IN_BERLIN, rule(OneShotTrigger("2026-12-01T09:00:00")))
    [nine] = instants(once, NINE_IN_BERLIN, 1)
    row = replace(queued(once, nine, was_later_by=-90 * SECOND), is_last=True)
    finished = replace(once, next_fire_at=None, next_order_ms=None)
    move = followed(PlannedAhead(finished, [row]), now)
    assert [(to.scheduled_for, to.is_last) for to in move.moved] == [(nine.at, True)]
    assert move.plan.after.next_fire_at is None
    assert not move.plan.finished


def test_a_local_time_that_no_clock_shows_any_more_is_taken_out_where_the_policy_skips_it() -> None:
    # Berlin, 2027-03-28: 02:30 is in the gap; another edition had none.
    two_thirty = rule(CronTrigger("30 2 * * *"), dst=Dst(gap="SKIP"))
    before_gap = datetime(2027, 3, 28, 0, 55, tzinfo=UTC)
    cursor = cursor_at(datetime(2027, 3, 29, tzinfo=UTC), two_thirty)
    name = int(datetime(2027, 3, 28, 2, 30, tzinfo=UTC).timestamp() * 1000)
    there = datetime(2027, 3, 28, 1, 30, tzinfo=UTC)
    cursor = replace(cursor, next_fire_at=there, next_order_ms=name)
    move = followed(PlannedAhead(cursor), before_gap)
    assert move.plan.after.next_fire_at == datetime(2027, 3, 29, 0, 30, tzinfo=UTC)
    [change] = move.changes
    assert (change.was_at, change.is_at) == (there, None)
    assert order_ms_of(change.occurrence_id) == name


def test_a_local_time_that_exists_now_is_planned_though_the_next_one_did_not_move() -> None:
    # Another edition had a gap at 02:30 on this day, and the policy skipped it.
    cursor = cursor_at(datetime(2026, 12, 2, tzinfo=UTC), rule(CronTrigger("30 2 * * *"), dst=Dst(gap="SKIP")))
    move = followed(PlannedAhead(cursor), WINTER)
    assert move.plan.after.next_fire_at == datetime(2026, 12, 1, 1, 30, tzinfo=UTC)
    assert [(change.was_at, change.is_at) for change in move.changes] == [
        (None, datetime(2026, 12, 1, 1, 30, tzinfo=UTC))
    ]


def test_an_instant_that_comes_before_others_that_exist_is_planned_at_once_and_the_others_not_again() -> None:
    """A gap that is given up an hour late: what it had shifted lies before what has fired already."""
    half_hours = rule(CronTrigger("0,30 2-4 * * *"))
    now = datetime(2026, 12, 1, 1, 15, tzinfo=UTC)
    named = instants(cursor_at(WINTER, half_hours), now, 3)  # 02:30, 03:00, 03:30
    cursor = replace(
        cursor_at(named[2].at, half_hours), next_fire_at=named[0].at + HOUR, next_order_ms=named[0].order_ms
    )
    move = followed(PlannedAhead(cursor), now, ids(cursor, named[1:2]))
    assert [item.scheduled_for for item in move.plan.due] == [named[0].at]
    assert move.plan.after.next_fire_at == named[2].at


def test_both_passes_of_a_fold_are_told_apart() -> None:
    # Berlin, 2026-10-25: 02:30 is shown at 00:30Z and 01:30Z; the first pass has fired.
    both = rule(CronTrigger("30 2 * * *"), dst=Dst(fold="BOTH"))
    first_pass, second_pass = datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    cursor = cursor_at(second_pass, both, was_later_by=HOUR)
    fired = ids(cursor, instants(cursor, first_pass, 1))
    move = followed(PlannedAhead(cursor), first_pass - 10 * MINUTE, fired)
    assert move.plan.after.next_fire_at == second_pass
    assert len(move.changes) == 1


def test_a_schedule_rolled_to_another_day_is_neither_lost_nor_doubled() -> None:
    rolled = rule(DAILY_AT_NINE, exclude=Exclude(weekdays=["SA", "SU"], roll="NEXT"))
    saturday = datetime(2026, 12, 5, tzinfo=UTC)
    monday = datetime(2026, 12, 7, 8, tzinfo=UTC)
    cursor = cursor_at(saturday, rolled, was_later_by=-HOUR)
    assert cursor.next_fire_at == monday - HOUR
    assert followed(PlannedAhead(cursor), saturday).plan.after.next_fire_at == monday


@pytest.mark.parametrize(
    "trigger",
    [
        CronTrigger("*/15 * * * *"),
        CronTrigger("* * * * * *"),
        FixedDelayTrigger(3_600, "SCHEDULE"),
        RruleTrigger("FREQ=HOURLY;INTERVAL=7"),
        OneShotTrigger("2026-12-24T18:00:00+01:00"),
    ],
)
def test_what_is_named_by_its_instant_stays(trigger: Trigger) -> None:
    cursor = cursor_at(WINTER, rule(trigger))
    move = followed(PlannedAhead(cursor), WINTER - SECOND / 2)
    assert move.plan.after.next_fire_at == cursor.next_fire_at
    assert move.changes == ()


def test_an_hourly_schedule_of_a_zone_that_changed_by_half_an_hour_fires_at_the_full_hour_from_now_on() -> None:
    hourly = rule(CronTrigger("0 * * * *"), tz="Asia/Kolkata")
    now = datetime(2026, 12, 1, 9, 20, tzinfo=UTC)
    cursor = replace(cursor_at(now, hourly), next_fire_at=now + 40 * MINUTE)
    cursor = replace(cursor, next_order_ms=int((now + 40 * MINUTE).timestamp() * 1000))
    assert followed(PlannedAhead(cursor), now).plan.after.next_fire_at == now + 10 * MINUTE


def test_a_schedule_that_runs_from_completion_and_a_paused_one_are_only_marked() -> None:
    chained = cursor_at(WINTER, rule(FixedDelayTrigger(60)))
    paused = replace(cursor_at(WINTER, rule()), next_fire_at=None, next_order_ms=None)
    for cursor in (chained, paused):
        move = left_alone(PlannedAhead(cursor), WINTER)
        assert move is not None
        assert move.plan.after == replace(cursor, tzdata=tzdata_version())


def test_a_schedule_whose_last_instant_moved_out_of_its_window_is_finished() -> None:
    ends = rule(end_at=NINE_IN_BERLIN - MINUTE)
    unended = cursor_at(WINTER, rule(), was_later_by=-HOUR)
    move = followed(PlannedAhead(replace(unended, rule=ends)), WINTER)
    assert move.plan.finished
    assert move.plan.after.next_fire_at is None


def test_a_cursor_of_an_unknown_edition_stands_at_the_first_instant_from_where_it_stood() -> None:
    cursor = replace(cursor_at(WINTER, rule()), next_order_ms=None, tzdata=None)
    move = followed(PlannedAhead(cursor), WINTER)
    assert move.plan.after.next_fire_at == NINE_IN_BERLIN
    assert move.plan.after.next_order_ms == instants(cursor, WINTER, 1)[0].order_ms


def test_counted_recurrences_go_on_counting_where_they_were() -> None:
    counted = rule(RruleTrigger("FREQ=DAILY;COUNT=3", "2026-12-01T09:00:00"))
    last = cursor_at(datetime(2026, 12, 3, tzinfo=UTC), counted, was_later_by=HOUR)
    now = datetime(2026, 12, 2, 12, tzinfo=UTC)
    move = followed(PlannedAhead(last), now)
    assert move.plan.after.next_fire_at == datetime(2026, 12, 3, 8, tzinfo=UTC)
    assert plan(move.plan.after, now, now + timedelta(days=3), StartTags()).finished
