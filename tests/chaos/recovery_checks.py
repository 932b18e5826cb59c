"""What people asked for beside the plan: runs by hand."""

from collections.abc import Iterator

from tests.chaos.evidence import Defect, Evidence


def recovery_defects(evidence: Evidence) -> Iterator[Defect]:
    for id_ in sorted(evidence.story.manual - evidence.known):
        yield evidence.defect("missing", None, f"{id_} was asked for and accepted")
    for row in evidence.ledger:
        if row.kind == "MANUAL" and not evidence.is_manual(row.id):
            yield evidence.defect("unexpected", row.scheduled_for, f"{row.id} was run by hand, and nobody asked for it")
