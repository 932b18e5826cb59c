"""Overlap: whether an occurrence whose instant has come may start while others of its schedule have not ended.

The occurrences of a schedule stand in a line, in the order of (due instant, id); those that a person asked for again,
by a backfill or a replay, stand behind all others that are due, so that making up for the past never holds up the plan.
One that has started keeps its place until it ends, through retries, lost leases and the wait for a callback.
"""

from enum import Enum, auto
from typing import assert_never

from scheduler_domain.domain.schedule import Overlap

MOST_COUNTED = 2
"""How far it matters how many stand ahead: none, one, or more."""


class Turn(Enum):
    START = auto()
    WAIT = auto()
    SKIP = auto()


def turn_of(policy: Overlap, ahead_count: int, *, has_started: bool, is_requested: bool) -> Turn:
    """Return what becomes of a due occurrence with so many unfinished ones ahead of it, counted up to MOST_COUNTED.

    What `is_requested` by a backfill or a replay waits under any policy, and none of it is skipped.

    >>> turn_of("BUFFER_ONE", 1, has_started=False, is_requested=False)
    <Turn.WAIT: 2>
    >>> turn_of("BUFFER_ONE", 2, has_started=False, is_requested=False)
    <Turn.SKIP: 3>
    """
    if has_started or ahead_count == 0:
        return Turn.START
    if is_requested:
        return Turn.START if policy == "ALLOW_ALL" else Turn.WAIT
    match policy:
        case "ALLOW_ALL":
            return Turn.START
        case "SKIP":
            return Turn.SKIP
        case "BUFFER_ONE":
            return Turn.WAIT if ahead_count == 1 else Turn.SKIP
        case "BUFFER_ALL":
            return Turn.WAIT
        case _:
            assert_never(policy)
