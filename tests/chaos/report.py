"""The verdict for people and for machines."""

import json
from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from tests.chaos.checker import MOST_DUPLICATES
from tests.chaos.run import Verdict

_SHOWN_DEFECTS = 20
_PERCENTILES = (50, 90, 99, 100)


def as_json(verdict: Verdict) -> str:
    findings = verdict.findings
    return json.dumps(
        {
            "passed": verdict.passed,
            "seed": verdict.seed,
            "seconds": verdict.seconds,
            "faults": verdict.faults,
            "counts": findings.counts,
            "duplicates": round(findings.duplicates, 5),
            "outcomes": findings.outcomes,
            "lateness_ms": {
                f"p{percent}": round(value * 1000, 1) for percent, value in _percentiles(findings.lateness)
            },
            "defects": [
                {"kind": defect.kind, "scheduleId": defect.schedule_id, "detail": defect.detail}
                for defect in findings.defects
            ],
            "broken_promises": verdict.broken_promises,
            "figures": {name: round(value, 3) for name, value in verdict.figures.items()},
        }
    )


def show(verdict: Verdict, console: Console) -> None:
    findings = verdict.findings
    table = Table(title=f"Chaos, seed {verdict.seed}, {verdict.seconds:.0f} s", title_justify="left", show_header=False)
    table.add_row("faults", f"{sum(verdict.faults.values())} of {len(verdict.faults)} kinds")
    for name, count in findings.counts.items():
        table.add_row(name, f"{count:,}")
    table.add_row("duplicates, share", f"{findings.duplicates:.2%} (at most {MOST_DUPLICATES:.0%})")
    for percent, value in _percentiles(findings.lateness):
        table.add_row(f"lateness p{percent}", f"{value * 1000:,.0f} ms")
    for outcome, count in sorted(findings.outcomes.items()):
        table.add_row(outcome, f"{count:,}")
    for name, value in verdict.figures.items():
        table.add_row(name, f"{value:,.1f}")
    for kind, count in sorted(Counter(defect.kind for defect in findings.defects).items()):
        table.add_row(f"DEFECT {kind}", f"{count:,}")
    console.print(table)
    for defect in findings.defects[:_SHOWN_DEFECTS]:
        console.print(f"{defect.kind}: schedule {defect.schedule_id} at {defect.scheduled_for}: {defect.detail}")
    for promise in verdict.broken_promises[:_SHOWN_DEFECTS]:
        console.print(f"broken promise: {promise}")
    console.print("passed" if verdict.passed else f"FAILED; repeat it with --seed {verdict.seed}")


def _percentiles(ascending: Sequence[float]) -> list[tuple[int, float]]:
    if not ascending:
        return []
    return [(percent, ascending[(len(ascending) - 1) * percent // 100]) for percent in _PERCENTILES]
