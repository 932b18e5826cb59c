"""When a schedule is due: cron, recurrences, fixed delays and one-shots as exact instants, in every zone.

Pure: no clock, no input or output, no state but caches. Read it in the order in which a rule becomes instants:

    spec.py          what may be asked for
    cron.py          cron text        ┐
    rrule_text.py    RFC 5545 text    ├─ to fields and parts, strictly
    one_shot.py      a point in time  ┘
    years.py         a year as one integer, days as bits
    rrule_days.py    the days a recurrence names
    slots.py         local times, walked in order (rrule.py: the recurrences' own walkers)
    exclusions.py    days on which nothing fires
    zones.py         a zone as stretches of constant offset (tzif.py reads them)
    wall_clock.py    local times to instants: gaps and folds (placement.py joins the last three)
    recurrence.py    several rules, RDATE, EXDATE, COUNT and UNTIL as one timeline
    fixed_delay.py   steps of real time
    rule.py          pages of instants, the window, identity
    words.py, notes.py   the rule explained
"""

from scheduler_domain.domain.triggers.errors import TriggerError
from scheduler_domain.domain.triggers.notes import Note, lint
from scheduler_domain.domain.triggers.rule import Instant, Page, Rule, compile_rule
from scheduler_domain.domain.triggers.spec import (
    Cron,
    DstPolicy,
    Exclusions,
    FixedDelay,
    OneShot,
    Rrule,
    RuleSpec,
    Trigger,
)
from scheduler_domain.domain.triggers.words import describe
from scheduler_domain.domain.triggers.zones import tzdata_version, wall_time, zone_names

__all__ = [
    "Cron",
    "DstPolicy",
    "Exclusions",
    "FixedDelay",
    "Instant",
    "Note",
    "OneShot",
    "Page",
    "Rrule",
    "Rule",
    "RuleSpec",
    "Trigger",
    "TriggerError",
    "compile_rule",
    "describe",
    "lint",
    "tzdata_version",
    "wall_time",
    "zone_names",
]
