"""What people asked for beside the plan: runs by hand, backfills and replays of dead letters."""

from collections.abc import Iterator
from math import inf

from tests.chaos.evidence import Defect, Evidence
from tests.chaos.history import Backfill


def recovery_defects(evidence: Evidence) -> Iterator[Defect]:
    yield from _by_hand(evidence)
    for backfill in evidence.story.backfills:
        yield from _made_up_for(evidence, backfill)
    yield from _made_up_for_unasked(evidence)
    yield from _made_up_for_though_it_ran(evidence)
    replayed = {replay.id for replay in evidence.story.replays if replay.id is not None}
    for id_ in sorted(replayed - evidence.known):
        yield evidence.defect("missing", None, f"{id_} was replayed, and is neither in the ledger nor in the queue")


def _by_hand(evidence: Evidence) -> Iterator[Defect]:
    for id_ in sorted(evidence.story.manual - evidence.known):
        yield evidence.defect("missing", None, f"{id_} was asked for and accepted")
    for row in evidence.ledger:
        if row.kind == "MANUAL" and not evidence.is_manual(row.id):
            yield evidence.defect("unexpected", row.scheduled_for, f"{row.id} was run by hand, and nobody asked for it")


def _made_up_for(evidence: Evidence, backfill: Backfill) -> Iterator[Defect]:
    """Of what an answer promised, so much has to be there; how each of it ended is judged as of all rows."""
    instants = backfill.instants
    counted = backfill.created + backfill.present + backfill.unplanned
    if counted != len(instants):
        yield evidence.defect(
            "backfill-count", None, f"{counted} instants were counted, the rule names {len(instants)}"
        )
    rows = [row for row in evidence.rows if backfill.start <= row.scheduled_for < backfill.end]
    there = {row.scheduled_for for row in rows}
    for instant in instants[: len(instants) - backfill.unplanned]:
        if instant not in there:
            yield evidence.defect("missing", instant, "a backfill was accepted, and nothing is there")
    made = {row.id for row in rows if row.kind == "BACKFILL"}
    if len(made) < backfill.created:
        detail = f"{backfill.created} backfills were accepted, {len(made)} are there"
        yield evidence.defect("missing", backfill.start, detail)


def _made_up_for_unasked(evidence: Evidence) -> Iterator[Defect]:
    made = [row for row in evidence.rows if row.kind == "BACKFILL"]
    for row in made:
        if not evidence.backfills_of(row.scheduled_for):
            yield evidence.defect("unexpected", row.scheduled_for, f"{row.id}: no backfill was asked for")
    most = sum(backfill.created for backfill in evidence.story.backfills)
    if len(made) > most:
        yield evidence.defect("backfill-count", None, f"{len(made)} backfills are there, {most} were accepted")


def _made_up_for_though_it_ran(evidence: Evidence) -> Iterator[Defect]:
    """A dispatcher that is lost may have delivered what it could not record, and a change then withdrew."""
    ran = {row.scheduled_for for row in evidence.planned if row.status == "COMPLETED"}
    for row in evidence.ledger:
        if row.kind != "BACKFILL" or row.scheduled_for not in ran:
            continue
        asked_at = max((it.answered_at for it in evidence.backfills_of(row.scheduled_for)), default=inf)
        changes = evidence.story.changes[1:]
        if not any(it.answered_at >= row.scheduled_for and it.sent_at <= asked_at for it in changes):
            yield evidence.defect("backfilled-again", row.scheduled_for, f"{row.id}, though the plan had run it")
