"""Lint: what is legal, and perhaps not meant. A note never refuses anything."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from scheduler_domain.domain.triggers.cron import CronExpression, parse_cron
from scheduler_domain.domain.triggers.rule import Rule, compile_rule
from scheduler_domain.domain.triggers.spec import Cron, FixedDelay, RuleSpec

_DAY = 86_400
_RARE = timedelta(days=3 * 365)
_LOOK_AHEAD = timedelta(days=2 * 365)
_MOST_LOOKED_AT = 1_000


class Note(NamedTuple):
    """A remark on a rule: a stable kebab-case code, and a sentence for its author."""

    code: str
    message: str


def lint(spec: RuleSpec) -> list[Note]:
    """Return what the author of a rule may want to know; TriggerError as `compile_rule` raises it.

    >>> from datetime import UTC, datetime
    >>> [note.code for note in lint(RuleSpec(FixedDelay(86400), "UTC", datetime(2026, 1, 1, tzinfo=UTC)))]
    ['day-is-not-24-hours']
    """
    trigger = spec.trigger
    notes: list[Note] = []
    if isinstance(trigger, Cron):
        notes += _cron_notes(trigger, parse_cron(trigger.cron))
    if isinstance(trigger, FixedDelay) and trigger.delay_sec % _DAY == 0:
        notes.append(
            Note(
                "day-is-not-24-hours",
                f"{trigger.delay_sec:,} seconds are {trigger.delay_sec // 3600:,} elapsed hours: where clocks change, "
                "the local time moves. For the same local time each day use a cron trigger.",
            )
        )
    return [*notes, *_calendar_notes(spec)]


def _cron_notes(trigger: Cron, expression: CronExpression) -> Iterator[Note]:
    if expression.either_day:
        yield Note(
            "both-day-fields",
            "Day of month and day of week are both given, so a day matches by either (crontab(5)). "
            "A recurrence with BYMONTHDAY and BYDAY requires both.",
        )
    fields = trigger.cron.split()
    minutes = fields[0] if len(fields) == 5 else fields[1] if len(fields) == 6 else ""
    step = minutes.removeprefix("*/")
    if minutes.startswith("*/") and step.isdigit() and int(step) < 60 and 60 % int(step):
        yield Note("uneven-step", f"{minutes} restarts at each full hour, so its last gap in an hour is shorter.")


def _calendar_notes(spec: RuleSpec) -> Iterator[Note]:
    """Look at the instants of the next two years, and at how far apart they are."""
    rule = compile_rule(spec)
    few = rule.page(spec.created_at, 3).instants
    until = spec.created_at + _LOOK_AHEAD
    if few and few[0].at <= until:
        yield from _clock_notes(spec, rule, until)
    gaps = [later.at - earlier.at for earlier, later in pairwise(few)]
    if gaps and min(gaps) > _RARE:
        yield Note("rare", f"It takes place about every {(min(gaps).days + 1) // 365} years.")
        if all((item.local.month, item.local.day) == (2, 29) for item in few):
            yield Note("year-2100", "The year 2100 has no 29 February: eight years pass between 2096 and 2104.")


def _clock_notes(spec: RuleSpec, rule: Rule, until: datetime) -> Iterator[Note]:
    # under SKIP there would be nothing to see in a gap, so look at what another policy would make of it
    shifting = compile_rule(replace(spec, dst=replace(spec.dst, gap="SHIFT"))) if spec.dst.gap == "SKIP" else rule
    looked_at = shifting.page(spec.created_at, _MOST_LOOKED_AT, until=until).instants
    shifted = next((instant for instant in looked_at if instant.dst == "SHIFTED"), None)
    if shifted is not None:
        fate = "is left out" if spec.dst.gap == "SKIP" else f"takes place at {shifted.local:%H:%M:%S}"
        yield Note(
            "gap-hour",
            f"{shifted.nominal.replace('T', ' ')} does not exist in {spec.tz}, where clocks go forward; "
            f"that occurrence {fate}.",
        )
    repeated = next((instant for instant in looked_at if instant.dst == "REPEATED"), None)
    if repeated is not None:
        which = {"FIRST": "the first", "SECOND": "the second", "BOTH": "both"}[spec.dst.fold]
        yield Note(
            "fold-hour",
            f"{repeated.local:%Y-%m-%d %H:%M:%S} exists twice in {spec.tz}, where clocks go back; {which} is taken.",
        )
