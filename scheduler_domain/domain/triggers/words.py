"""A rule in words, so that its author can see what the machine understood.

Own words for all kinds rather than a library's: one voice for cron and RRULE, and right about what a library for cron
alone gets wrong (both day fields given, `W`, `#`, a step that restarts each hour).
"""

from datetime import datetime
from typing import assert_never

from scheduler_domain.domain.triggers.cron import CronExpression, parse_cron
from scheduler_domain.domain.triggers.fixed_delay import check_fixed_delay
from scheduler_domain.domain.triggers.local_time import wall_datetime
from scheduler_domain.domain.triggers.one_shot import parse_one_shot
from scheduler_domain.domain.triggers.phrases import (
    DAY_NAMES,
    clock,
    elapsed,
    listed,
    months,
    ordinal,
    runs,
    weekdays,
)
from scheduler_domain.domain.triggers.recurrence import anchor_of, local_second
from scheduler_domain.domain.triggers.rrule import clock_of, steps_elapsed_time
from scheduler_domain.domain.triggers.rrule_text import RuleParts, TimeText, parse_block
from scheduler_domain.domain.triggers.spec import Cron, Exclusions, FixedDelay, OneShot, Rrule, RuleSpec
from scheduler_domain.domain.triggers.zones import Zone, load_zone

_DAY = 86_400


def describe(spec: RuleSpec) -> str:
    """Return the rule as one sentence without its full stop; TriggerError as `compile_rule` raises it.

    >>> from datetime import UTC, datetime
    >>> describe(RuleSpec(Cron("0 9 * * 1-5"), "Europe/Berlin", datetime(2026, 1, 1, tzinfo=UTC)))
    'At 09:00 on Monday to Friday, Europe/Berlin time'
    """
    trigger = spec.trigger
    match trigger:
        case Cron():
            words = f"{cron_in_words(parse_cron(trigger.cron))}, {spec.tz} time"
        case Rrule():
            words = _recurrence_in_words(trigger, spec)
        case FixedDelay():
            words = _delay_in_words(trigger, spec)
        case OneShot():
            words = _once_in_words(trigger, spec)
        case _:
            assert_never(trigger)
    words += _window_in_words(spec) + _exclusions_in_words(spec.exclude)
    return words[0].upper() + words[1:]


def cron_in_words(expression: CronExpression) -> str:
    """Return a cron expression in words, without its zone.

    >>> cron_in_words(parse_cron("0 0 1,15 * MON"))
    'at 00:00 on the 1st and 15th of the month or on Monday'
    """
    parts = [clock(expression.hours, expression.minutes, expression.seconds)]
    by_month, by_week = _month_days_in_words(expression), _week_days_in_words(expression)
    if expression.either_day and not (by_month and by_week):
        by_month = by_week = ""  # one of the two names every day, and a day matches by either
    if by_month and by_week:
        parts.append(f"{by_month} or on {by_week}" if expression.either_day else f"{by_month}, if it is {by_week}")
    elif by_month:
        parts.append(by_month)
    elif by_week:
        parts.append(f"on {by_week}")
    elif len(expression.hours) < 24:
        parts.append("every day")
    if len(expression.months) < 12:
        parts.append(f"in {months(expression.months)}")
    return " ".join(parts)


def _month_days_in_words(expression: CronExpression) -> str:
    field = expression.month_days
    if len(field.numbers) == 31:
        return ""
    words = []
    if field.numbers:
        words.append(f"the {listed([ordinal(day) for day in sorted(field.numbers)])}")
    if field.last:
        words.append("the last day")
    if field.last_weekday:
        words.append("the last weekday (Monday to Friday)")
    if field.nearest_weekday is not None:
        words.append(f"the weekday (Monday to Friday) nearest to the {ordinal(field.nearest_weekday)}")
    return f"on {listed(words)} of the month" if words else ""


def _week_days_in_words(expression: CronExpression) -> str:
    field = expression.week_days
    if len(field.numbers) == 7:
        return ""
    words = [weekdays([(day - 1) % 7 for day in field.numbers])] if field.numbers else []
    words += [
        f"the {ordinal(nth)} {DAY_NAMES[(day - 1) % 7]} of the month"
        for day, nth in sorted(field.nth, key=lambda pair: pair[1])
    ]
    return listed(words)


_UNITS = {
    "YEARLY": "year", "MONTHLY": "month", "WEEKLY": "week", "DAILY": "day",
    "HOURLY": "hour", "MINUTELY": "minute", "SECONDLY": "second",
}  # fmt: skip


def _recurrence_in_words(trigger: Rrule, spec: RuleSpec) -> str:
    zone = load_zone(spec.tz)
    block = parse_block(trigger.rrule)
    start = wall_datetime(anchor_of(trigger, zone, spec.created_at).local)
    rules = [_rule_in_words(rule, start, zone) for rule in block.rules]
    words = "; and ".join(rules) if rules else "on the dates that RDATE lists"
    if block.rules and block.added:
        words += f", and at {len(block.added)} added {'time' if len(block.added) == 1 else 'times'}"
    if block.removed:
        words += f", except {len(block.removed)} removed {'time' if len(block.removed) == 1 else 'times'}"
    return f"{words}, from {start:%Y-%m-%d} on, {spec.tz} time"


def _rule_in_words(rule: RuleParts, start: datetime, zone: Zone) -> str:
    unit = _UNITS[rule.frequency]
    words = f"every {unit}" if rule.interval == 1 else f"every {rule.interval:,} {unit}s"
    if steps_elapsed_time(rule):
        words += f" of elapsed time since {start:%H:%M:%S}"
    else:
        words = " ".join([words, *_days_of_rule(rule, start)])
        hours, minutes, seconds = clock_of(rule, start.hour * 3600 + start.minute * 60 + start.second)
        coarse = rule.frequency in ("YEARLY", "MONTHLY", "WEEKLY", "DAILY")
        words += f" {clock(hours, minutes, seconds)}" if coarse or rule.interval == 1 else _finer(rule)
    if rule.by_position:
        chosen = listed([ordinal(position) for position in rule.by_position])
        words += f", of these the {chosen} of each {unit if rule.interval == 1 else 'such ' + unit}"
    if rule.count is not None:
        words += ", once" if rule.count == 1 else f", {rule.count:,} times"
    if rule.until is not None:
        words += f", until {_until_in_words(rule.until, zone)}"
    return words


def _days_of_rule(rule: RuleParts, start: datetime) -> list[str]:
    words: list[str] = []
    of = " of the year" if rule.frequency == "YEARLY" and not rule.by_month else " of the month"
    if rule.by_weekday:
        plain = [day for day, nth in rule.by_weekday if nth == 0]
        numbered = [
            f"the {ordinal(nth)} {DAY_NAMES[day]}{of}"
            for day, nth in sorted(rule.by_weekday, key=lambda pair: pair[1])
            if nth
        ]
        words.append("on " + listed([*([weekdays(plain)] if plain else []), *numbered]))
    if rule.by_month_day:
        words.append(f"on the {listed([_month_day(day) for day in rule.by_month_day])} of the month")
    if rule.by_year_day:
        words.append(f"on {listed([_year_day(day) for day in rule.by_year_day])} of the year")
    if rule.by_week_number:
        words.append(f"in week {listed([str(week) for week in rule.by_week_number])}")
    if not (rule.by_weekday or rule.by_month_day or rule.by_year_day):
        words += _implied_day(rule, start)
    if rule.by_month:
        words.append(f"in {months(rule.by_month)}")
    if rule.skip != "OMIT":
        instead = "the day before" if rule.skip == "BACKWARD" else "the day after"
        words.append(f"(or {instead}, where that day does not exist)")
    return words


def _implied_day(rule: RuleParts, start: datetime) -> list[str]:
    if rule.frequency == "WEEKLY" or rule.by_week_number:
        return [f"on {DAY_NAMES[start.weekday()]}"]
    if rule.frequency == "MONTHLY" or (rule.frequency == "YEARLY" and rule.by_month):
        return [f"on the {ordinal(start.day)}"]
    if rule.frequency == "YEARLY":
        return [f"on {start.day} {months([start.month])}"]
    return []


def _month_day(day: int) -> str:
    return "last day" if day == -1 else ordinal(day) + (" day" if day < 0 else "")


def _year_day(day: int) -> str:
    return "the last day" if day == -1 else f"day {day}" if day > 0 else f"the {ordinal(day)} day"


def _finer(rule: RuleParts) -> str:
    words = ""
    for name, numbers in (("hour", rule.by_hour), ("minute", rule.by_minute), ("second", rule.by_second)):
        if numbers:
            words += f", {name}{'s' if len(numbers) > 1 else ''} {runs(numbers)}"
    return words


def _until_in_words(until: TimeText, zone: Zone) -> str:
    local = local_second(until, zone, _DAY - 1)
    return f"{wall_datetime(local):%Y-%m-%d}" if until.clock is None else f"{wall_datetime(local):%Y-%m-%d %H:%M:%S}"


def _delay_in_words(trigger: FixedDelay, spec: RuleSpec) -> str:
    check_fixed_delay(trigger)
    since = "after the end of the previous occurrence" if trigger.anchor == "COMPLETION" else "on a fixed grid"
    start = "creation" if spec.start_at is None else "startAt"
    return f"every {elapsed(trigger.delay_sec)} of elapsed time, {since}, from {start} on"


def _once_in_words(trigger: OneShot, spec: RuleSpec) -> str:
    once = parse_one_shot(trigger)
    shown = wall_datetime(once.second, once.microsecond).isoformat(sep=" ")
    return f"once, at {shown}{' UTC' if once.is_instant else f', {spec.tz} time'}"


def _window_in_words(spec: RuleSpec) -> str:
    words = ""
    if spec.start_at is not None and not isinstance(spec.trigger, FixedDelay):
        words += f", not before {spec.start_at:%Y-%m-%d %H:%M:%S %Z}"
    if spec.end_at is not None:
        words += f", not after {spec.end_at:%Y-%m-%d %H:%M:%S %Z}"
    return words


def _exclusions_in_words(exclude: Exclusions | None) -> str:
    if exclude is None:
        return ""
    days = []
    if exclude.weekdays:
        days.append(", ".join(exclude.weekdays))
    if exclude.dates:
        days.append("one date" if len(exclude.dates) == 1 else f"{len(exclude.dates):,} dates")
    if exclude.country is not None:
        region = exclude.country if exclude.subdivision is None else f"{exclude.country}-{exclude.subdivision}"
        days.append(f"public holidays in {region}")
    if not days:
        return ""
    moved = {"NEXT": " (moved to the next business day)", "PREVIOUS": " (moved to the business day before)"}
    return f", except on {listed(days)}{moved.get(exclude.roll, '')}"
