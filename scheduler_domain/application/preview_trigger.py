"""Preview: what an unsaved trigger, or a schedule from now on, means: in words, with lint notes, as instants.

One use case behind `scheduler preview`, `POST /schedules/preview` and `GET /schedules/{id}/next`, so that all three say
the same.
"""

from dataclasses import dataclass
from datetime import datetime

from scheduler_domain.domain.triggers import Instant, Note, Rule, RuleSpec, compile_rule, describe, lint

DEFAULT_COUNT = 10
LARGEST_COUNT = 1_000


@dataclass(frozen=True, slots=True)
class Preview:
    """A trigger explained. `items` ascend; those that exclusions take away stand among them with their reason."""

    words: str
    notes: tuple[Note, ...]
    items: tuple[Instant, ...]


def preview_trigger(
    spec: RuleSpec,
    after: datetime,
    count: int = DEFAULT_COUNT,
    max_runs: int | None = None,
    last_completed_at: datetime | None = None,
) -> Preview:
    """Return the next `count` instants strictly after `after`, at most `max_runs` that are yet to be dispatched.

    `last_completed_at` is the end of the previous occurrence, from which a completion-anchored delay goes on.
    TriggerError where the trigger is refused.
    """
    rule = rule_to_preview(spec, last_completed_at)
    page = rule.page(after, bounded_count(count, max_runs), include_excluded=True)
    return Preview(describe(spec), tuple(lint(spec)), tuple(page.instants))


def rule_to_preview(spec: RuleSpec, last_completed_at: datetime | None) -> Rule:
    """Return the rule as it goes on after the end of its previous occurrence, where that matters."""
    rule = compile_rule(spec)
    return rule if last_completed_at is None else rule.continued_from(last_completed_at)


def bounded_count(count: int, max_runs: int | None) -> int:
    """Return how many instants to show: a preview is bounded, and so may be the runs that are left."""
    return max(0, min(count, LARGEST_COUNT, LARGEST_COUNT if max_runs is None else max_runs))
