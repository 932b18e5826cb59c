"""Judge: what was planned ahead for a time in which no dispatcher lived goes by its schedule's misfire policy.

The planner judges what nobody had planned; both follow domain/misfire.py. Only what surely nobody started is judged:
an occurrence that a dispatcher held when it vanished may have been delivered, so it is attempted again.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from scheduler_domain.application.held_occurrence import DeliveryTerms, ended_unattempted
from scheduler_domain.application.ports.due_queue import Claimed, DueQueue, Ended
from scheduler_domain.domain.misfire import Absence, fires_every_missed, reason_to_skip
from scheduler_domain.domain.occurrence import OccurrenceKind, Status

Missed = tuple[Claimed, DeliveryTerms]


def was_missed(claimed: Claimed, absence: Absence) -> bool:
    """Tell whether its instant was in the absence, and its schedule's own plan named it."""
    return (
        absence.began <= claimed.due_at < absence.missed_until
        and not (claimed.may_have_started or claimed.was_tried)
        and claimed.kind == OccurrenceKind.SCHEDULED
        and claimed.requested_at is None
    )


async def judge_misfires(
    missed: Sequence[Missed], queue: DueQueue, absence: Absence, now: datetime
) -> tuple[list[Missed], list[Ended]]:
    """Part what was missed into what fires all the same and what ends as SKIPPED, for a reason."""
    alone = [claimed for claimed, terms in missed if not fires_every_missed(terms.misfire, terms.trigger)]
    overtaken = await queue.overtaken(alone, absence.missed_until) if alone else set()
    fires: list[Missed] = []
    skipped: list[Ended] = []
    for claimed, terms in missed:
        at, is_latest = datetime.fromtimestamp(claimed.due_at, UTC), claimed.id not in overtaken
        reason = reason_to_skip(terms.misfire, terms.trigger, at, now, is_latest=is_latest)
        if reason is None:
            fires.append((claimed, terms))
        else:
            skipped.append(ended_unattempted(claimed, terms, Status.SKIPPED, reason, now))
    return fires, skipped
