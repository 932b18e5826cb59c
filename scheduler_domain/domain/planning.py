"""From a rule to the occurrences of the next minute: pure, so that whoever plans, whenever, plans the same.

The cursor of a schedule names the first instant that is not planned yet. Planning moves it forward over a window,
turning each expected instant into exactly one planned or one skipped occurrence.

An instant found more than `MISFIRE_THRESHOLD` late (the platform was down, the planner was lost, a pause was lifted
with `catchUp`) is a misfire and goes by the schedule's policy; all others are simply planned.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from uuid import UUID

from msgspec import Struct, field
from msgspec.structs import replace

from scheduler_domain.domain.fairness import StartTags
from scheduler_domain.domain.ids import occurrence_id
from scheduler_domain.domain.misfire import MISFIRE_THRESHOLD, fires_every_missed, reason_to_skip
from scheduler_domain.domain.occurrence import OccurrenceKind, PlannedOccurrence, SkippedOccurrence
from scheduler_domain.domain.schedule import (
    CronTrigger,
    Dst,
    Exclude,
    FixedDelayTrigger,
    Misfire,
    ScheduleDefinition,
    Trigger,
    rule_spec_of,
)
from scheduler_domain.domain.triggers import Instant, Rule, compile_rule, tzdata_version

MOST_INSTANTS_PER_PLAN = 1_000
_JUST_BEFORE = timedelta(microseconds=1)
_WHENEVER = datetime(1970, 1, 1, tzinfo=UTC)


class PlanningRule(Struct, frozen=True, rename="camel", omit_defaults=True):
    """The part of a definition that decides when it fires, kept beside the cursor so planning reads nothing else."""

    trigger: Trigger
    tz: str = "UTC"
    start_at: datetime | None = None
    end_at: datetime | None = None
    max_runs: int | None = None
    jitter_sec: int = 0
    exclude: Exclude | None = None
    dst: Dst = field(default_factory=Dst)
    misfire: Misfire = field(default_factory=Misfire)

    @classmethod
    def of(cls, definition: ScheduleDefinition) -> "PlanningRule":
        return cls(**{name: getattr(definition, name) for name in cls.__struct_fields__})

    @property
    def is_chained(self) -> bool:
        """True where the end of one occurrence decides when the next is due (FIXED_DELAY from COMPLETION)."""
        return isinstance(self.trigger, FixedDelayTrigger) and self.trigger.anchor == "COMPLETION"


class Cursor(Struct, frozen=True, gc=False):
    """How far a schedule is planned. `next_fire_at` is the first expected instant that is not planned yet.

    `next_order_ms` identifies that instant whatever a zone's clocks do (its nominal time, as `Instant.order_ms`), and
    `tzdata` is the edition of the tz database that it was computed with; None where either is not known.
    """

    tenant_id: str
    schedule_id: UUID
    revision: int
    rule: PlanningRule
    created_at: datetime
    next_fire_at: datetime | None
    checkpoint: str | None = None
    run_count: int = 0
    caught_up_count: int = 0
    next_order_ms: int | None = None
    tzdata: str | None = None
    repeats_until: datetime | None = None
    """Until when an edit makes the rule name again what it has named (domain/repeats.py)."""

    @property
    def is_spent(self) -> bool:
        """Whether it has had all its runs."""
        return self.rule.max_runs is not None and self.run_count >= self.rule.max_runs


class Plan(Struct, frozen=True):
    """What one planning of a schedule decided, and its cursor afterwards; `before` guards the write."""

    before: Cursor
    after: Cursor
    due: list[PlannedOccurrence]
    skipped: list[SkippedOccurrence]
    finished: bool


def first_cursor(
    tenant_id: str, schedule_id: UUID, revision: int, rule: PlanningRule, created_at: datetime, from_: datetime
) -> Cursor:
    """Return the cursor of a new, edited or resumed schedule: its first instant at or after `from_`."""
    page = compile_rule(rule_spec_of(rule, created_at)).page(from_ - _JUST_BEFORE, limit=1)
    cursor = Cursor(tenant_id, schedule_id, revision, rule, created_at, next_fire_at=None)
    return placed(cursor, page.instants[0] if page.instants else None)


def placed(cursor: Cursor, instant: Instant | None) -> Cursor:
    """Return the cursor standing at an instant, computed with the tz database in use; None leaves nothing to plan."""
    return replace(
        cursor,
        next_fire_at=None if instant is None else instant.at,
        next_order_ms=None if instant is None else instant.order_ms,
        tzdata=tzdata_version(),
    )


def compiled(cursor: Cursor) -> Rule:
    """Return the rule of a cursor, ready to be walked."""
    rule = cursor.rule
    if type(rule.trigger) is CronTrigger and rule.exclude is None:
        return _compiled_alike(rule)
    return compile_rule(rule_spec_of(rule, cursor.created_at))


@lru_cache(maxsize=8_192)
def _compiled_alike(rule: PlanningRule) -> Rule:
    """Compile a rule to which it is all one when its schedule was made."""
    return compile_rule(rule_spec_of(rule, _WHENEVER))


def plan(cursor: Cursor, now: datetime, until: datetime, tags: StartTags, limit: int = MOST_INSTANTS_PER_PLAN) -> Plan:
    """Plan every expected instant of the schedule up to `until`, at most `limit`; call again for more.

    Bounded: at most `limit` instants are computed, whatever the rule and however long the platform was away.
    """
    if cursor.next_fire_at is None:
        return Plan(cursor, cursor, [], [], finished=True)
    if cursor.is_spent:  # by an edit, or when a pause was over
        return Plan(cursor, placed(cursor, None), [], [], finished=True)
    if cursor.rule.is_chained:
        return _plan_chained(cursor, now, tags)
    rule = compiled(cursor)
    return _Planning(cursor, rule, now, tags).up_to(until, limit)


def plan_instants(
    cursor: Cursor, instants: list[Instant], following: Instant | None, now: datetime, tags: StartTags
) -> Plan:
    """Plan these instants, ascending, and place the cursor at `following`."""
    rule = compiled(cursor)
    return _Planning(cursor, rule, now, tags).decided(instants, following, cursor.checkpoint)


def instant_id(cursor: Cursor, kind: OccurrenceKind, instant: Instant) -> UUID:
    return occurrence_id(cursor.tenant_id, cursor.schedule_id, kind, instant.nominal, instant.order_ms)


class _Planning:
    """One planning of one cursor; collects the decisions."""

    def __init__(self, cursor: Cursor, rule: Rule, now: datetime, tags: StartTags) -> None:
        self.cursor = cursor
        self.rule = rule
        self.now = now
        self.tags = tags
        self.due: list[PlannedOccurrence] = []
        self.skipped: list[SkippedOccurrence] = []
        self.caught_up_count = cursor.caught_up_count

    def up_to(self, until: datetime, limit: int) -> Plan:
        assert self.cursor.next_fire_at is not None
        start = self.cursor.next_fire_at - _JUST_BEFORE
        page = self.rule.page(start, limit, until=until, checkpoint=self.cursor.checkpoint)
        return self.decided(page.instants, page.following, page.checkpoint)

    def decided(self, instants: list[Instant], following: Instant | None, checkpoint: str | None) -> Plan:
        misfire_count = self._misfire_count(instants)
        misses_go_on = misfire_count == len(instants) and following is not None and self._is_late(following.at)
        for position, instant in enumerate(instants):
            if position < misfire_count:
                self._decide_misfire(instant, is_latest=position == misfire_count - 1 and not misses_go_on)
            else:
                self._fire(instant, self.tags.live(self.cursor.tenant_id, self._due_at(instant)))
            if self._runs_left() == 0:
                following = None
                break
        return self._concluded(checkpoint, following, misses_go_on)

    def _misfire_count(self, instants: list[Instant]) -> int:
        return sum(1 for instant in instants if self._is_late(instant.at))

    def _is_late(self, at: datetime) -> bool:
        return at < self.now - MISFIRE_THRESHOLD

    def _decide_misfire(self, instant: Instant, *, is_latest: bool) -> None:
        misfire, trigger = self.cursor.rule.misfire, self.cursor.rule.trigger
        reason = reason_to_skip(misfire, trigger, instant.at, self.now, is_latest=is_latest)
        if reason is None and fires_every_missed(misfire, trigger) and self.caught_up_count >= misfire.max_count:
            reason = "misfire-limit"
        if reason is not None:
            self._skip(instant, reason)
            return
        self.caught_up_count += 1
        self._fire(instant, max(self.tags.caught_up(self.now), self._due_at(instant)))  # jitter may keep it later

    def _fire(self, instant: Instant, start_tag: datetime) -> None:
        cursor = self.cursor
        self.due.append(
            PlannedOccurrence(
                tenant_id=cursor.tenant_id,
                schedule_id=cursor.schedule_id,
                id=instant_id(cursor, OccurrenceKind.SCHEDULED, instant),
                kind=OccurrenceKind.SCHEDULED,
                revision=cursor.revision,
                scheduled_for=instant.at,
                due_at=self._due_at(instant),
                start_tag=start_tag,
            )
        )

    def _skip(self, instant: Instant, reason: str) -> None:
        cursor = self.cursor
        self.skipped.append(
            SkippedOccurrence(
                tenant_id=cursor.tenant_id,
                schedule_id=cursor.schedule_id,
                id=instant_id(cursor, OccurrenceKind.SCHEDULED, instant),
                kind=OccurrenceKind.SCHEDULED,
                revision=cursor.revision,
                scheduled_for=instant.at,
                due_at=self._due_at(instant),
                reason=reason,
            )
        )

    def _due_at(self, instant: Instant) -> datetime:
        """Jitter is a function of the id: the same occurrence is never given two due instants, and none is early."""
        jitter = self.cursor.rule.jitter_sec
        if jitter == 0:
            return instant.at
        spread = instant_id(self.cursor, OccurrenceKind.SCHEDULED, instant).int & 0xFFFF_FFFF
        return instant.at + timedelta(milliseconds=spread % (jitter * 1000))

    def _runs_left(self) -> int | None:
        most = self.cursor.rule.max_runs
        return None if most is None else max(most - self.cursor.run_count - len(self.due), 0)

    def _concluded(self, checkpoint: str | None, following: Instant | None, misses_go_on: bool) -> Plan:
        cursor = self.cursor
        if following is None and self.due:
            self.due[-1] = replace(self.due[-1], is_last=True)
        after = Cursor(
            cursor.tenant_id,
            cursor.schedule_id,
            cursor.revision,
            cursor.rule,
            cursor.created_at,
            next_fire_at=None if following is None else following.at,
            checkpoint=checkpoint,
            run_count=cursor.run_count + len(self.due),
            caught_up_count=self.caught_up_count if misses_go_on else 0,
            next_order_ms=None if following is None else following.order_ms,
            tzdata=tzdata_version(),
        )
        return Plan(cursor, after, self.due, self.skipped, finished=following is None)


def _plan_chained(cursor: Cursor, now: datetime, tags: StartTags) -> Plan:
    """Plan the one occurrence of a FIXED_DELAY that runs from completion; the record of its end sets the next."""
    assert cursor.next_fire_at is not None
    assert isinstance(cursor.rule.trigger, FixedDelayTrigger)
    at = cursor.next_fire_at
    ends_at = cursor.rule.end_at
    if ends_at is not None and at > ends_at:
        return Plan(cursor, _moved(cursor, None, runs=0), [], [], finished=True)
    instant = Instant(at, at, _utc_text(at), int(at.timestamp() * 1000), None, None)
    planning = _Planning(cursor, compiled(cursor), now, tags)
    if at < now - MISFIRE_THRESHOLD:
        planning._decide_misfire(instant, is_latest=True)
    else:
        planning._fire(instant, tags.live(cursor.tenant_id, planning._due_at(instant)))
    if planning.skipped:
        after_skip = now + timedelta(seconds=cursor.rule.trigger.delay_sec)
        return Plan(cursor, _moved(cursor, after_skip, runs=0), [], planning.skipped, finished=False)
    if planning._runs_left() == 0:
        planning.due[-1] = replace(planning.due[-1], is_last=True)
    return Plan(cursor, _moved(cursor, None, runs=1), planning.due, [], finished=False)


def _moved(cursor: Cursor, next_fire_at: datetime | None, runs: int) -> Cursor:
    return Cursor(
        cursor.tenant_id,
        cursor.schedule_id,
        cursor.revision,
        cursor.rule,
        cursor.created_at,
        next_fire_at,
        run_count=cursor.run_count + runs,
        tzdata=tzdata_version(),
    )


def _utc_text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
