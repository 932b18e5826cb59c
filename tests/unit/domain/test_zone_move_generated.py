"""Any rule, any two sets of clocks, any moment: following loses no instant and makes none twice.

The two editions of a zone are two zones: occurrences are named by local time, so a schedule that is planned in one zone
and followed in the other is a schedule whose zone got the other's clocks.
"""

from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from scheduler_domain.domain.fairness import StartTags
from scheduler_domain.domain.occurrence import OccurrenceKind
from scheduler_domain.domain.planning import PlanningRule, first_cursor, instant_id, plan
from scheduler_domain.domain.schedule import CronTrigger, Dst, Exclude, Misfire, rule_spec_of
from scheduler_domain.domain.triggers import compile_rule
from scheduler_domain.domain.zone_move import PlannedAhead, QueuedAhead, candidates, left_alone, moved

SCHEDULE = UUID("01900000-0000-7000-8000-000000000001")
CREATED = datetime(2026, 1, 1, tzinfo=UTC)
WINDOW, DAYS, JUST = timedelta(seconds=60), timedelta(days=3), timedelta(microseconds=1)
ZONES = (
    "Africa/Casablanca",
    "America/New_York",
    "America/St_Johns",
    "Asia/Kolkata",
    "Asia/Tokyo",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Pacific/Apia",
    "Pacific/Honolulu",
    "UTC",
)
# Around the changes of Berlin, New York and Lord Howe in 2026 and 2027, and where nothing changes.
DAYS_OF_INTEREST = [
    datetime(*day, tzinfo=UTC)
    for day in ((2026, 3, 29), (2026, 4, 5), (2026, 7, 1), (2026, 10, 4), (2026, 10, 25), (2026, 11, 1), (2027, 3, 14))
]

moments = st.builds(
    lambda day, minutes: day + timedelta(minutes=minutes, seconds=20),
    st.sampled_from(DAYS_OF_INTEREST),
    st.integers(-1_440, 1_440),
)
minutes = st.sampled_from(["0", "30", "0,30", "*/20", "59"])
hours = st.sampled_from(["*", "2", "0,1,2,3", "9", "*/2", "1-3", "23", "0,12"])
rules = st.builds(
    lambda minute, hour, gap, fold, exclude: PlanningRule(
        trigger=CronTrigger(f"{minute} {hour} * * *"),
        dst=Dst(gap, fold),
        exclude=exclude,
        misfire=Misfire("FIRE_ALL", window_sec=10 * 86_400),
    ),
    minutes,
    hours,
    st.sampled_from(["SHIFT", "FIRST_VALID", "SKIP"]),
    st.sampled_from(["FIRST", "SECOND", "BOTH"]),
    st.sampled_from([None, None, Exclude(weekdays=["SU"], roll="NEXT"), Exclude(weekdays=["SU"])]),
)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(rules, st.sampled_from(ZONES), st.sampled_from(ZONES), moments)
def test_every_instant_to_come_is_planned_once_at_its_new_time(
    rule: PlanningRule, old: str, new: str, now: datetime
) -> None:
    before = first_cursor("acme", SCHEDULE, 1, replace(rule, tz=old), CREATED, now + WINDOW + JUST)
    passed = compile_rule(rule_spec_of(before.rule, CREATED)).page(now - DAYS, 5_000, until=now + WINDOW).instants
    named = [(instant_id(before, OccurrenceKind.SCHEDULED, instant), instant.at) for instant in passed]
    ended = [id_ for id_, at in named if at <= now]
    rows = [QueuedAhead(id_, at, at, at, is_last=False) for id_, at in named if at > now]
    ahead = PlannedAhead(replace(before, rule=replace(rule, tz=new), tzdata="2020a"), rows)

    move = left_alone(ahead, now)
    if move is None:
        near = candidates(ahead, now)
        move = moved(ahead, near, {item.id for item in near} & {id_ for id_, _ in named}, now, StartTags())
    queue = {row.id: row.scheduled_for for row in rows if row.id not in set(move.unplanned)}
    queue |= {row.id: row.scheduled_for for row in move.moved}
    later = plan(move.plan.after, now, now + DAYS, StartTags(), limit=5_000)
    planned = [*queue.items(), *((item.id, item.scheduled_for) for item in (*move.plan.due, *later.due))]

    counts = Counter([*ended, *(id_ for id_, _ in planned)])
    assert [id_ for id_, count in counts.items() if count > 1] == []
    ruled = compile_rule(rule_spec_of(ahead.cursor.rule, CREATED)).page(now - DAYS, 9_000, until=now + DAYS).instants
    instants = {instant_id(ahead.cursor, OccurrenceKind.SCHEDULED, instant): instant.at for instant in ruled}
    assert [id_ for id_, at in planned if at != instants.get(id_) and at > now + timedelta(seconds=3)] == []
    assert before.next_order_ms is not None
    to_come = [
        instant
        for instant in ruled
        if instant.at > now + timedelta(seconds=3) or instant.order_ms >= before.next_order_ms
    ]
    lost = [i for i in to_come if instant_id(ahead.cursor, OccurrenceKind.SCHEDULED, i) not in counts]
    assert lost == []
