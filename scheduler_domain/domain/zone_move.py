"""What becomes of a plan when a government changes its clocks: the tz database moves, and instants move with it.

An occurrence is named by its nominal local time, and the name stays. So a plan is followed by name: what is queued
goes to the instant that its name has now, what exists already (queued, held or ended) is not planned again, and the
cursor stands at the first instant that does not exist yet. Nothing is lost and nothing fires twice, whichever way and
however far the clocks went, the day line included.

Which instants are still to come: those from now on, or from the cursor where the planner was away, and those that
were ahead of the cursor by name and lie in the past now, which are misfires like any other.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from scheduler_domain.domain.fairness import StartTags
from scheduler_domain.domain.ids import occurrence_id
from scheduler_domain.domain.misfire import MISFIRE_THRESHOLD
from scheduler_domain.domain.occurrence import OccurrenceKind
from scheduler_domain.domain.planning import (
    Cursor,
    Plan,
    instant_id,
    placed,
    plan_instants,
)
from scheduler_domain.domain.schedule import rule_spec_of
from scheduler_domain.domain.triggers import Instant, Rule, compile_rule, tzdata_version

# Offsets lie between -12 and +14 hours, so nothing moves farther; an hour more for what the rules themselves shift.
_FARTHEST = timedelta(hours=27)
# Where clocks jump nearby, neighbours move by up to this much more or less than the instant that was looked at.
_JUMP = timedelta(hours=3)
_HELD = timedelta(seconds=5)  # longer than dispatchers claim ahead
_JUST_BEFORE = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_CANDIDATES = 12_000  # twice the instants that any wall-clock rule may have in the farthest reach


class QueuedAhead(Struct, frozen=True, gc=False):
    """A planned occurrence that waits in the queue, held by nobody and not due yet."""

    id: UUID
    scheduled_for: datetime
    due_at: datetime
    start_tag: datetime
    is_last: bool


class PlannedAhead(Struct, frozen=True):
    """A cursor, and what its schedule has queued ahead."""

    cursor: Cursor
    queued: Sequence[QueuedAhead] = ()


class Candidate(Struct, frozen=True, gc=False):
    """An instant of the rule as it is now, near the plan, with the id of its occurrence."""

    id: UUID
    instant: Instant


class Change(Struct, frozen=True, gc=False):
    """One occurrence that moved; no `was_at`: it is new; no `is_at`: it is not expected any more."""

    occurrence_id: UUID
    was_at: datetime | None
    is_at: datetime | None


class ZoneMove(Struct, frozen=True):
    """What follows for one schedule: its plan, queued occurrences at new instants, others to be taken out."""

    plan: Plan
    moved: Sequence[QueuedAhead] = ()
    unplanned: Sequence[UUID] = ()
    changes: Sequence[Change] = ()


def left_alone(ahead: PlannedAhead, now: datetime) -> ZoneMove | None:
    """Return the move of a schedule that stands where it stood, or None where it has to be looked at closely.

    Cheap, because nearly all schedules are of this kind: one page of the rule, as long as what is queued. What is due
    within the next moments is left out, since dispatchers hold it already and fire it as planned.
    """
    cursor = ahead.cursor
    if cursor.rule.is_chained or (cursor.next_fire_at is None and not ahead.queued):
        return marked(cursor)
    rule = _rule_of(cursor)
    start = now + _HELD if cursor.next_fire_at is None else min(now + _HELD, cursor.next_fire_at)
    known = sorted((row.scheduled_for, order_ms_of(row.id)) for row in ahead.queued)
    if not all(_names(rule, cursor, at) == (at, order_ms) for at, order_ms in known if at < start):
        return None
    known = [row for row in known if row[0] >= start]
    wanted = len(known) + (cursor.next_fire_at is not None)
    found = rule.page(start - _JUST_BEFORE, wanted, checkpoint=cursor.checkpoint).instants
    if len(found) != wanted or [(instant.at, instant.order_ms) for instant in found[: len(known)]] != known:
        return None
    if cursor.next_fire_at is None:
        return marked(cursor)
    is_same = found[-1].at == cursor.next_fire_at and cursor.next_order_ms in (None, found[-1].order_ms)
    return _only(placed(cursor, found[-1])) if is_same else None


def marked(cursor: Cursor) -> ZoneMove:
    """Return the move of a cursor that goes nowhere, and is of the edition in use from now on."""
    return _only(replace(cursor, tzdata=tzdata_version()))


def candidates(ahead: PlannedAhead, now: datetime) -> list[Candidate]:
    """Return the instants of the rule that the plan may go to, ascending; which of them exist decides `moved`."""
    cursor, rule = ahead.cursor, _rule_of(ahead.cursor)
    from_ = _begins(cursor, now)
    earlier, later = _reach(ahead, rule)
    end = max([from_, now, *(row.scheduled_for for row in ahead.queued)]) + later
    page = rule.page(from_ - earlier - _JUST_BEFORE, _MOST_CANDIDATES, until=end, checkpoint=cursor.checkpoint).instants
    queued = {row.id for row in ahead.queued}
    found = (Candidate(instant_id(cursor, OccurrenceKind.SCHEDULED, instant), instant) for instant in page)
    return [item for item in found if item.id in queued or _is_to_come(cursor, item.instant, from_)]


def moved(ahead: PlannedAhead, near: Sequence[Candidate], taken: set[UUID], now: datetime, tags: StartTags) -> ZoneMove:
    """Return what follows for a schedule, where `taken` of the candidates `near` exist already, queued or ended."""
    return _Following(ahead, near, taken, now).move(tags)


def order_ms_of(id_: UUID) -> int:
    """Return the nominal time that an occurrence's id begins with (domain/ids.py)."""
    return id_.int >> 80


class _Following:
    """One schedule being followed; first the queue is decided, then the cursor."""

    def __init__(self, ahead: PlannedAhead, near: Sequence[Candidate], taken: set[UUID], now: datetime) -> None:
        self.cursor = ahead.cursor
        self.rows = sorted(ahead.queued, key=lambda row: row.scheduled_for)
        self.near = near
        self.now = now
        self.by_id = {item.id: item.instant for item in near}
        self.changes: list[Change] = []
        self.unplanned: list[UUID] = []
        self.kept: list[QueuedAhead] = []
        self.taken = taken

    def move(self, tags: StartTags) -> ZoneMove:
        for row in self.rows:
            self._decide(row)
        existing = (self.taken - set(self.unplanned)) | {row.id for row in self.kept}
        free = [item for item in self.near if item.id not in existing]
        last_existing = max((item.instant.at for item in self.near if item.id in existing), default=None)
        between = [item for item in free if last_existing is not None and item.instant.at < last_existing]
        following = self._following(free[len(between) :], last_existing)
        self._note_cursor([item.instant for item in between], following)
        before = replace(self.cursor, run_count=max(self.cursor.run_count - len(self.unplanned), 0))
        if between:
            planned = replace(
                plan_instants(before, [item.instant for item in between], following, self.now, tags),
                before=self.cursor,
            )
        else:
            is_over = following is None and (self.cursor.next_fire_at is not None or bool(self.unplanned))
            planned = Plan(self.cursor, placed(before, following), [], [], finished=is_over and not self.kept)
            if is_over and self.kept:
                self.kept[-1] = replace(self.kept[-1], is_last=True)
        were = {row.id: row for row in self.rows}
        return ZoneMove(planned, [row for row in self.kept if row != were[row.id]], self.unplanned, self.changes)

    def _decide(self, row: QueuedAhead) -> None:
        """Keep a row at its new instant; a row that is late now, or not expected any more, leaves the queue."""
        instant = self.by_id.get(row.id)
        at = None if instant is None else instant.at
        if at != row.scheduled_for:
            self.changes.append(Change(row.id, row.scheduled_for, at))
        if at is None or (at != row.scheduled_for and at < self.now - MISFIRE_THRESHOLD):
            self.unplanned.append(row.id)
            return
        by = at - row.scheduled_for
        self.kept.append(
            replace(row, scheduled_for=at, due_at=row.due_at + by, start_tag=row.start_tag + by) if by else row
        )

    def _following(self, free: Sequence[Candidate], last_existing: datetime | None) -> Instant | None:
        """Return where the cursor stands: the first instant that does not exist, after all that do."""
        if free:
            return free[0].instant
        if self.cursor.next_fire_at is None:
            return None
        after = max(
            [_begins(self.cursor, self.now) - _JUST_BEFORE, *(item.instant.at for item in self.near)]
            + ([] if last_existing is None else [last_existing])
        )
        found = _rule_of(self.cursor).page(after, limit=1, checkpoint=self.cursor.checkpoint).instants
        return found[0] if found else None

    def _note_cursor(self, between: Sequence[Instant], following: Instant | None) -> None:
        """List what became of the instant that the cursor named, and what is new before it."""
        was_at, order_ms = self.cursor.next_fire_at, self.cursor.next_order_ms
        if was_at is None or order_ms is None:
            return
        ahead = [*between, *([] if following is None else [following])]
        named = next((instant for instant in ahead if instant.order_ms == order_ms), None)
        named = named or self._named(was_at, order_ms)
        if named is None:
            self.changes.append(Change(_id_by_order(self.cursor, order_ms), was_at, None))
        elif named.at != was_at:
            self.changes.append(Change(self._id(named), was_at, named.at))
        listed = {change.occurrence_id for change in self.changes}
        fresh = [instant for instant in ahead if instant.at < was_at and self._id(instant) not in listed]
        self.changes.extend(Change(self._id(instant), None, instant.at) for instant in fresh)

    def _named(self, was_at: datetime, order_ms: int) -> Instant | None:
        rule = _rule_of(self.cursor)
        earlier, later = _reach(PlannedAhead(self.cursor), rule)
        page = rule.page(
            was_at - earlier - _JUST_BEFORE, _MOST_CANDIDATES, until=was_at + later, checkpoint=self.cursor.checkpoint
        )
        return next((instant for instant in page.instants if instant.order_ms == order_ms), None)

    def _id(self, instant: Instant) -> UUID:
        return instant_id(self.cursor, OccurrenceKind.SCHEDULED, instant)


def _only(after: Cursor) -> ZoneMove:
    return ZoneMove(Plan(after, after, [], [], finished=False))


def _names(rule: Rule, cursor: Cursor, at: datetime) -> tuple[datetime, int] | None:
    found = rule.page(at - _JUST_BEFORE, limit=1, checkpoint=cursor.checkpoint).instants
    return (found[0].at, found[0].order_ms) if found else None


def _rule_of(cursor: Cursor) -> Rule:
    return compile_rule(rule_spec_of(cursor.rule, cursor.created_at))


def _begins(cursor: Cursor, now: datetime) -> datetime:
    return now if cursor.next_fire_at is None else min(now, cursor.next_fire_at)


def _is_to_come(cursor: Cursor, instant: Instant, from_: datetime) -> bool:
    if cursor.next_fire_at is None:
        return False
    return instant.at >= from_ or (cursor.next_order_ms is not None and instant.order_ms >= cursor.next_order_ms)


def _reach(ahead: PlannedAhead, rule: Rule) -> tuple[timedelta, timedelta]:
    """Return how far before and after its old instants an occurrence may lie now.

    The offset that an instant had is known, its nominal time less the instant; the one it has now, the rule says.
    """
    cursor = ahead.cursor
    points = [(row.scheduled_for, order_ms_of(row.id)) for row in (*ahead.queued[:1], *ahead.queued[-1:])]
    if cursor.next_fire_at is not None and cursor.next_order_ms is not None:
        points.append((cursor.next_fire_at, cursor.next_order_ms))
    earlier = later = _JUMP
    for at, order_ms in points:
        found = rule.page(at - _JUST_BEFORE, limit=1, checkpoint=cursor.checkpoint).instants
        if not found:
            return _FARTHEST, _FARTHEST
        if found[0].nominal.endswith("Z"):
            return timedelta(), timedelta()  # named by its instant, which no clock moves
        was = timedelta(milliseconds=order_ms) - (at - _EPOCH)
        is_ = found[0].local.replace(tzinfo=UTC) - found[0].at
        earlier, later = max(earlier, is_ - was + _JUMP), max(later, was - is_ + _JUMP)
    return min(earlier, _FARTHEST), min(later, _FARTHEST)


def _id_by_order(cursor: Cursor, order_ms: int) -> UUID:
    """Return the id of an instant that the rule no longer names; exact for rules in whole seconds."""
    local = (_EPOCH + timedelta(seconds=order_ms // 1000)).replace(tzinfo=None).isoformat()
    nominal = f"{local}/1" if order_ms % 1000 == 1 else local
    return occurrence_id(cursor.tenant_id, cursor.schedule_id, OccurrenceKind.SCHEDULED, nominal, order_ms)
