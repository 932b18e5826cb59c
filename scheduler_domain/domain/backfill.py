"""Backfill: the instants of the past that a rule names, to be made up for on purpose.

Each has two names: the one it bears in the plan, by which is asked whether it ran, and the one under which it is made
up for. Both are computed, so that a backfill which is asked for twice makes nothing twice.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct

from scheduler_domain.domain.errors import Conflict, InvalidField
from scheduler_domain.domain.occurrence import OccurrenceKind
from scheduler_domain.domain.planning import Cursor, instant_id
from scheduler_domain.domain.schedule import rule_spec_of
from scheduler_domain.domain.triggers import compile_rule

MOST_INSTANTS: Final = 1_000
_JUST_BEFORE: Final = timedelta(microseconds=1)
_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PLAIN_SECONDS: Final = "%Y-%m-%dT%H:%M:%SZ"


class PastInstant(Struct, frozen=True, gc=False):
    """One instant of the past under both its names: `id` as a backfill, `planned_id` as an occurrence of the plan."""

    id: UUID
    planned_id: UUID
    scheduled_for: datetime


def check_computable(cursor: Cursor) -> None:
    """Raise Conflict for a schedule that runs from completion: its instants follow from ends, not from a rule."""
    if cursor.rule.is_chained:
        raise Conflict(
            "this schedule runs from completion: each instant follows from the end of the one before it, so what was"
            " due in the past cannot be computed"
        )


def check_past_range(from_: datetime, to: datetime, now: datetime) -> None:
    if from_ < _EARLIEST:
        raise InvalidField.at("/from", "out-of-range", "instants from 1970 on are accepted")
    if to <= from_:
        raise InvalidField.at("/to", "ends-before-start", "`to` lies after `from`")
    if to > now:
        raise InvalidField.at("/to", "in-the-future", "`to` is not later than now; what is to come is planned already")


def instants_between(cursor: Cursor, from_: datetime, to: datetime, most: int, pointer: str) -> list[PastInstant]:
    """Return the instants of a rule in [from_, to), ascending, as the rule stands.

    Raises InvalidField at the end of the range, which is at `pointer`, where it holds more than `most`: it says where
    to split it.
    """
    rule = compile_rule(rule_spec_of(cursor.rule, cursor.created_at))
    found = rule.page(from_ - _JUST_BEFORE, most + 1, until=to - _JUST_BEFORE).instants
    if len(found) > most:
        split_at = found[most].at.astimezone(UTC).strftime(_PLAIN_SECONDS)
        message = f"more than {most} instants lie in between; ask for those before {split_at}, then go on from there"
        raise InvalidField.at(pointer, "too-many-instants", message)
    return [
        PastInstant(
            instant_id(cursor, OccurrenceKind.BACKFILL, instant),
            instant_id(cursor, OccurrenceKind.SCHEDULED, instant),
            instant.at,
        )
        for instant in found
    ]


def to_backfill(cursor: Cursor, instants: Sequence[PastInstant]) -> list[PastInstant]:
    """Return those of the instants that the planner does not come to by itself yet."""
    planned_until = cursor.next_fire_at
    return [item for item in instants if planned_until is None or item.scheduled_for < planned_until]
