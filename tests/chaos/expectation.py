"""What had to fire and what was allowed to, from the requests and their answers alone.

A change takes effect at some moment between the request and its 2xx. So each rule is in force for sure from the answer
that brought it to the request that ended it, and perhaps a little longer on both sides. Instants for sure have to be in
the ledger; instants perhaps may be; every other is one too many.
"""

from collections.abc import Iterator

from msgspec import Struct

from tests.chaos.history import FOREVER, Action, Chain, Once, Rule, Story

_ENDS = frozenset({Action.REPLANNED, Action.PAUSED, Action.DELETED})
WITHDRAWN_BY = {
    "schedule-paused": Action.PAUSED,
    "schedule-deleted": Action.DELETED,
    "schedule-changed": Action.REPLANNED,
}


class Phase(Struct):
    """A rule in force: surely within [sure_from, sure_until), at most within [maybe_from, maybe_until]."""

    rule: Rule
    maybe_from: float
    sure_from: float
    sure_until: float = FOREVER
    maybe_until: float = FOREVER


def phases(story: Story) -> list[Phase]:
    found: list[Phase] = []
    rule = story.rule
    is_active = False
    for change in story.changes:
        if change.action in _ENDS and is_active:
            found[-1].sure_until, found[-1].maybe_until = change.sent_at, change.answered_at
            is_active = change.action == Action.REPLANNED
        rule = change.rule or rule
        if change.action in {Action.CREATED, Action.RESUMED} or (change.action == Action.REPLANNED and is_active):
            found.append(Phase(rule, change.sent_at, change.answered_at))
            is_active = True
    return found


def expected(story: Story, horizon: float) -> set[int]:
    """Return the instants up to the horizon that have to end as a row of the ledger; none for a chain."""
    return {
        instant
        for phase in phases(story)
        if not isinstance(phase.rule, Chain) and is_sure(phase.rule)
        for instant in phase.rule.due_between(phase.sure_from, min(phase.sure_until, horizon))
    }


def is_sure(rule: Rule) -> bool:
    return not isinstance(rule, Once) or rule.surely


def is_allowed(story: Story, instant: float) -> bool:
    """Say whether the schedule may have an occurrence at this instant; a chain may whenever it was active."""
    for phase in phases(story):
        if not phase.maybe_from <= instant <= phase.maybe_until:
            continue
        if isinstance(phase.rule, Chain) or instant in list(phase.rule.due_between(instant, instant + 1)):
            return True
    return False


def may_be_withdrawn(story: Story, kind: str, instant: float, since: float, reason: str | None) -> bool:
    """Say whether a change of the kind that the reason names explains why what was wanted `since` was not delivered.

    What somebody asked for is no part of a plan: a new rule does not end it, and a run by hand no pause either. What
    was planned ahead and held when the change was made is ended by the next claim, which may come after its instant.
    """
    action = WITHDRAWN_BY.get(reason or "")
    ends_all = action == Action.DELETED or kind == "SCHEDULED" or (kind == "BACKFILL" and action == Action.PAUSED)
    was_left = kind == "SCHEDULED" and not (_is_in_force(story, since) and is_allowed(story, instant))
    return ends_all and any(
        change.action == action and (change.answered_at >= since or was_left) for change in story.changes
    )


def _is_in_force(story: Story, instant: float) -> bool:
    return any(phase.sure_from <= instant < phase.sure_until for phase in phases(story))


def silences(story: Story) -> Iterator[tuple[Action, float, float]]:
    """Yield (what silenced it, from, until): nothing of its plan may start between these answers and requests."""
    for position, change in enumerate(story.changes):
        if change.action == Action.DELETED:
            yield change.action, change.answered_at, FOREVER
        elif change.action == Action.PAUSED:
            later = (after.sent_at for after in story.changes[position + 1 :] if after.action == Action.RESUMED)
            yield change.action, change.answered_at, next(later, FOREVER)
