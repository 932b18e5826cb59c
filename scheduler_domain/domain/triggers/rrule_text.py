"""RFC 5545 text, taken apart: property lines into rules, dates and an anchor, each rule into checked parts.

Strict where RFC 5545 §3.3.10 is strict (its table of which part goes with which frequency), because a lenient reading
changes when something fires. Nothing here knows zones or computes a date.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from scheduler_domain.domain.triggers.errors import TriggerError

LONGEST_RULE = 2_048
LONGEST_BLOCK = 32_768
MOST_RULES = 5
MOST_DATES = 1_000
MOST_ZONES = 20
LARGEST_INTERVAL = 100_000_000
LARGEST_COUNT = 100_000

FIELD = "trigger.rrule"
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
FREQUENCIES = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY")

_PARTS = (
    *("FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "RSCALE", "SKIP", "BYSETPOS"),
    *("BYMONTH", "BYWEEKNO", "BYYEARDAY", "BYMONTHDAY", "BYDAY", "BYHOUR", "BYMINUTE", "BYSECOND"),
)
_NUMBER_LISTS = {
    "BYSECOND": (0, 60, False),
    "BYMINUTE": (0, 59, False),
    "BYHOUR": (0, 23, False),
    "BYMONTHDAY": (1, 31, True),
    "BYYEARDAY": (1, 366, True),
    "BYWEEKNO": (1, 53, True),
    "BYMONTH": (1, 12, False),
    "BYSETPOS": (1, 366, True),
}
_NUMBER = re.compile(r"[+-]?[0-9]{1,9}")
_WEEKDAY = re.compile(r"(?P<nth>[+-]?[0-9]{1,2})?(?P<day>MO|TU|WE|TH|FR|SA|SU)")
_TIME = re.compile(r"(?P<date>[0-9]{8})(?:T(?P<clock>[0-9]{6})(?P<utc>Z)?)?")
_LINE = re.compile(r"(?P<name>[A-Z-]+)(?P<parameters>(?:;[A-Z-]+=[^;:]*)*):(?P<value>.*)")


@dataclass(frozen=True, slots=True)
class TimeText:
    """A DATE or DATE-TIME value as written: digits only, `clock` None for a date, `zone` a TZID, `UTC` or None."""

    date: str
    clock: str | None
    zone: str | None


@dataclass(frozen=True, slots=True)
class RuleParts:
    """One RRULE, checked. Lists are sorted and without repetitions; an empty tuple is a part that was not given."""

    frequency: str
    interval: int = 1
    count: int | None = None
    until: TimeText | None = None
    week_start: int = 0
    skip: str = "OMIT"
    by_month: tuple[int, ...] = ()
    by_week_number: tuple[int, ...] = ()
    by_year_day: tuple[int, ...] = ()
    by_month_day: tuple[int, ...] = ()
    by_weekday: tuple[tuple[int, int], ...] = ()
    """(weekday, n): n is 0 for every such day, else the n-th of the month or year, from its end where negative."""
    by_hour: tuple[int, ...] = ()
    by_minute: tuple[int, ...] = ()
    by_second: tuple[int, ...] = ()
    by_position: tuple[int, ...] = ()

    @property
    def restricts(self) -> bool:
        """Tell whether any BY part is given."""
        return bool(
            self.by_month
            or self.by_week_number
            or self.by_year_day
            or self.by_month_day
            or self.by_weekday
            or self.by_hour
            or self.by_minute
            or self.by_second
        )


@dataclass(frozen=True, slots=True)
class Block:
    """A recurrence set as written."""

    rules: tuple[RuleParts, ...]
    anchor: TimeText | None
    added: tuple[TimeText, ...]
    removed: tuple[TimeText, ...]


def refused(code: str, reason: str) -> TriggerError:
    """Return the refusal of a recurrence."""
    return TriggerError(code, f"trigger.rrule {reason}.", FIELD)


@lru_cache(maxsize=4096)
def parse_block(text: str) -> Block:
    """Return the recurrence set; TriggerError (`rrule-…`) in words that say what is accepted.

    >>> parse_block("FREQ=WEEKLY;BYDAY=MO,FR").rules[0].by_weekday
    ((0, 0), (4, 0))
    """
    if len(text) > LONGEST_BLOCK:
        raise refused("rrule-length", f"has {len(text)} characters; at most {LONGEST_BLOCK:,} for a block")
    if not text.isascii():
        raise refused("rrule-syntax", "holds a character outside ASCII")
    unfolded = re.sub(r"\r?\n[ \t]", "", text.strip())
    rules: list[RuleParts] = []
    anchors: list[TimeText] = []
    dates: dict[str, list[TimeText]] = {"RDATE": [], "EXDATE": []}
    for line in filter(None, (line.strip() for line in re.split(r"\r?\n", unfolded))):
        name, parameters, value = _property(line)
        if name == "RRULE":
            rules.append(parse_rule(value))
        elif name == "DTSTART":
            anchors.append(_time(value, parameters))
        else:
            dates[name].extend(_time(part, parameters) for part in value.split(","))
        if len(rules) > MOST_RULES:
            raise refused("rrule-too-many", f"has more than {MOST_RULES} RRULE lines")
        if len(dates["RDATE"]) + len(dates["EXDATE"]) > MOST_DATES:
            raise refused("rrule-too-many", f"has more than {MOST_DATES:,} RDATE and EXDATE values")
    if len({time.zone for time in (*dates["RDATE"], *dates["EXDATE"])}) > MOST_ZONES:
        raise refused("rrule-too-many", f"has dates in more than {MOST_ZONES} zones")
    if len(anchors) > 1:
        raise refused("rrule-syntax", "has DTSTART more than once")
    if not rules and not dates["RDATE"]:
        raise refused("rrule-syntax", "has no rule; write at least FREQ=DAILY")
    return Block(tuple(rules), anchors[0] if anchors else None, tuple(dates["RDATE"]), tuple(dates["EXDATE"]))


def _property(line: str) -> tuple[str, dict[str, str], str]:
    if ":" not in line:
        return "RRULE", {}, line
    name_end = min((at for at in (line.find(";"), line.find(":")) if at >= 0), default=0)
    name = line[:name_end].upper()
    if name not in ("DTSTART", "RRULE", "RDATE", "EXDATE"):
        if "=" in name:
            return "RRULE", {}, line
        raise refused("rrule-syntax", "has a line that is not DTSTART, RRULE, RDATE or EXDATE")
    parameter_text, colon, value = line[name_end:].partition(":")
    if not colon:
        raise refused("rrule-syntax", f"has no ':' after {name}")
    parameters = {}
    for parameter in filter(None, parameter_text.split(";")):
        key, equals, setting = parameter.partition("=")
        if key.upper() not in ("TZID", "VALUE") or not equals or name == "RRULE":
            raise refused("rrule-syntax", f"has a parameter on {name} that is not TZID or VALUE")
        parameters[key.upper()] = setting
    return name, parameters, value


def _time(text: str, parameters: dict[str, str]) -> TimeText:
    match = _TIME.fullmatch(text.strip().upper())
    kind = parameters.get("VALUE", "").upper()
    if match is None or kind not in ("", "DATE", "DATE-TIME") or (kind == "DATE" and match["clock"]):
        raise refused("rrule-value", "has a date that is not 20260131, 20260131T090000 or 20260131T090000Z")
    if match["utc"] and "TZID" in parameters:
        raise refused("rrule-value", "has a date with both TZID and Z; use one of them")
    return TimeText(match["date"], match["clock"], "UTC" if match["utc"] else parameters.get("TZID"))


def parse_rule(text: str) -> RuleParts:
    """Return one RRULE value's parts, each checked alone and then against the frequency."""
    if len(text) > LONGEST_RULE:
        raise refused("rrule-length", f"has {len(text)} characters; at most {LONGEST_RULE:,} for a rule")
    parts: dict[str, str] = {}
    # calendars in the wild end a rule with a semicolon
    for part in text.strip().upper().removesuffix(";").split(";"):
        name, equals, value = part.partition("=")
        if name not in _PARTS:
            raise refused("rrule-part", f"has an unknown part {name[:20]!r}; use {', '.join(_PARTS)}")
        if name in parts:
            raise refused("rrule-part", f"has {name} more than once")
        if not equals or not value:
            raise refused("rrule-value", f"has no value for {name}")
        parts[name] = value
    if parts.get("FREQ") not in FREQUENCIES:
        raise refused("rrule-frequency", f"needs FREQ, one of {', '.join(FREQUENCIES)}")
    lists = {name: _numbers(name, parts[name]) for name in _NUMBER_LISTS if name in parts}
    rule = RuleParts(
        frequency=parts["FREQ"],
        interval=_number("INTERVAL", parts.get("INTERVAL", "1"), LARGEST_INTERVAL),
        count=_number("COUNT", parts["COUNT"], LARGEST_COUNT) if "COUNT" in parts else None,
        until=_time(parts["UNTIL"], {}) if "UNTIL" in parts else None,
        week_start=_week_start(parts.get("WKST", "MO")),
        skip=_skip(parts),
        by_month=lists.get("BYMONTH", ()),
        by_week_number=lists.get("BYWEEKNO", ()),
        by_year_day=lists.get("BYYEARDAY", ()),
        by_month_day=lists.get("BYMONTHDAY", ()),
        by_weekday=_weekdays(parts["BYDAY"]) if "BYDAY" in parts else (),
        by_hour=lists.get("BYHOUR", ()),
        by_minute=lists.get("BYMINUTE", ()),
        # RFC 5545 §3.3.5: who knows no leap second reads 60 as 59
        by_second=tuple(sorted({min(second, 59) for second in lists.get("BYSECOND", ())})),
        by_position=lists.get("BYSETPOS", ()),
    )
    _check_combination(rule)
    return rule


def _number(name: str, text: str, largest: int) -> int:
    if not text.isdigit() or len(text) > 12 or not 1 <= int(text) <= largest:
        raise refused("rrule-value", f"has {name}={text[:20]}; use 1 to {largest:,}")
    return int(text)


def _numbers(name: str, text: str) -> tuple[int, ...]:
    low, high, signed = _NUMBER_LISTS[name]
    numbers = set()
    for item in text.split(","):
        if not _NUMBER.fullmatch(item) or (not signed and item[0] in "+-") or not low <= abs(int(item)) <= high:
            negative = f" or -{high} to -{low}" if signed else ""
            raise refused("rrule-value", f"has {item[:20]!r} in {name}; use {low} to {high}{negative}")
        numbers.add(int(item))
    return tuple(sorted(numbers))


def _weekdays(text: str) -> tuple[tuple[int, int], ...]:
    days = set()
    for item in text.split(","):
        match = _WEEKDAY.fullmatch(item)
        if match is None or (match["nth"] and not 1 <= abs(int(match["nth"])) <= 53):
            raise refused("rrule-value", f"has {item[:20]!r} in BYDAY; use {' '.join(WEEKDAYS)}, or 1MO to 53MO, -1SU")
        days.add((WEEKDAYS.index(match["day"]), int(match["nth"] or 0)))
    return tuple(sorted(days))


def _week_start(text: str) -> int:
    if text not in WEEKDAYS:
        raise refused("rrule-value", f"has {text[:20]!r} as WKST; use one of {' '.join(WEEKDAYS)}")
    return WEEKDAYS.index(text)


def _skip(parts: dict[str, str]) -> str:
    if parts.get("RSCALE", "GREGORIAN") not in ("GREGORIAN", "GREGORY"):
        raise refused("rrule-calendar", f"has RSCALE={parts['RSCALE'][:20]}; only the GREGORIAN calendar is kept here")
    skip = parts.get("SKIP", "OMIT")
    if skip not in ("OMIT", "BACKWARD", "FORWARD"):
        raise refused("rrule-value", "has a SKIP that is not OMIT, BACKWARD or FORWARD")
    if skip != "OMIT" and parts["FREQ"] not in ("YEARLY", "MONTHLY"):
        raise refused("rrule-combination", "has SKIP with a frequency other than MONTHLY or YEARLY")
    return skip


def _check_combination(rule: RuleParts) -> None:
    """Refuse what the table of RFC 5545 §3.3.10 marks as not applicable, and contradictions."""
    frequency = rule.frequency
    ordinal = any(nth for _, nth in rule.by_weekday)
    wrong = {
        "both COUNT and UNTIL; use one of them": rule.count is not None and rule.until is not None,
        "BYWEEKNO, which goes with FREQ=YEARLY only": bool(rule.by_week_number) and frequency != "YEARLY",
        "BYYEARDAY, which does not go with DAILY, WEEKLY or MONTHLY": bool(rule.by_year_day)
        and frequency in ("DAILY", "WEEKLY", "MONTHLY"),
        "BYMONTHDAY, which does not go with WEEKLY": bool(rule.by_month_day) and frequency == "WEEKLY",
        "a numbered BYDAY such as 1MO, which goes with MONTHLY and YEARLY only": ordinal
        and frequency not in ("MONTHLY", "YEARLY"),
        "a numbered BYDAY together with BYWEEKNO": ordinal and bool(rule.by_week_number),
        "BYSETPOS without another BY part to choose from": bool(rule.by_position) and not rule.restricts,
    }
    for reason, applies in wrong.items():
        if applies:
            raise refused("rrule-combination", f"has {reason}")
