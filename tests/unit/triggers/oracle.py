"""What a rule means, by trying every moment: written from the specifications, sharing nothing with the engine.

Slow on purpose. Each local day, hour, minute and second of a window is asked "do you match?" in the words of crontab(5)
or RFC 5545; each local time that does is looked up in `zoneinfo`. No masks, no walkers, no segments.
"""

import calendar
import importlib.resources
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
MARGIN = timedelta(hours=26)
"""Local times this far outside the window may still land in it: gaps are at most a day."""
FARTHEST_ROLL = 31

Named = tuple[str, bool]
"""The identity of an occurrence: its nominal local time (or UTC instant), and whether it is a fold's second pass."""


@dataclass(frozen=True)
class Policies:
    """How a case treats gaps, folds and excluded days."""

    gap: str = "SHIFT"
    fold: str = "FIRST"
    excluded_dates: frozenset[date] = frozenset()
    excluded_weekdays: frozenset[int] = frozenset()
    roll: str = "SKIP"

    def is_excluded(self, day: date) -> bool:
        return day in self.excluded_dates or day.weekday() in self.excluded_weekdays

    def landing(self, day: date) -> date | None:
        if not self.is_excluded(day):
            return day
        step = {"SKIP": None, "NEXT": DAY, "PREVIOUS": -DAY}[self.roll]
        if step is None:
            return None
        for away in range(1, FARTHEST_ROLL + 1):
            other = day + away * step
            if other.weekday() < 5 and not self.is_excluded(other):
                return other
        return None


@dataclass
class Instants:
    """Instants with the name that each one bears; the better claim to a shared instant wins.

    A local time that exists claims before one that was shifted, one that stands on its own day before one moved there.
    """

    claims: dict[datetime, tuple[bool, bool, datetime, bool, Named]] = field(default_factory=dict)

    def add(self, at: datetime, name: Named, slot: datetime, shifted: bool = False, moved: bool = False) -> None:
        claim = (shifted, name[0].endswith("Z"), slot, moved, name)
        if at not in self.claims or claim < self.claims[at]:
            self.claims[at] = claim

    def between(self, after: datetime, until: datetime) -> list[tuple[datetime, Named]]:
        return [(at, self.claims[at][4]) for at in sorted(self.claims) if after < at <= until]


@lru_cache
def zone(name: str) -> ZoneInfo:
    """Return a zone of the pinned tz database: the machine's own may be older."""
    with importlib.resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def wall(at: datetime, tz: ZoneInfo) -> datetime:
    return at.astimezone(tz).replace(tzinfo=None, fold=0)


def showings(local: datetime, tz: ZoneInfo) -> list[datetime]:
    """Return each instant at which the wall clock shows a local time: none in a gap, two in a fold."""
    found = {local.replace(tzinfo=tz, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return sorted(at for at in found if wall(at, tz) == local)


def placed(local: datetime, tz: ZoneInfo, gap: str, fold: str) -> list[tuple[datetime, bool, bool]]:
    """Return (instant, shifted?, second pass?) of one local time under the policies."""
    shown = showings(local, tz)
    if len(shown) == 2:
        both = [(shown[0], False, False), (shown[1], False, True)]
        return {"FIRST": both[:1], "SECOND": both[1:], "BOTH": both}[fold]
    if shown:
        return [(shown[0], False, False)]
    if gap == "SKIP":
        return []
    # PEP 495: fold=0 in a gap reads the time with the offset before it
    shifted = local.replace(tzinfo=tz, fold=0).astimezone(UTC)
    return [(shifted if gap == "SHIFT" else first_valid(shifted, local, tz), True, False)]


def first_valid(shifted: datetime, local: datetime, tz: ZoneInfo) -> datetime:
    """Return the instant of the jump that skips a local time, by halving the stretch in which it lies."""
    low, high = shifted - 2 * DAY, shifted
    while high - low > SECOND:
        middle = low + (high - low) // 2
        middle = middle.replace(microsecond=0)
        if wall(middle, tz) > local:
            high = middle
        else:
            low = middle
    return high


def named_by(slot: datetime, tz: ZoneInfo, policies: Policies, until: datetime) -> bool:
    """Tell whether the first instant of a local time is in time, on the day that the rule names."""
    fold = "FIRST" if policies.fold == "BOTH" else policies.fold
    gap = "SHIFT" if policies.gap == "SKIP" else policies.gap
    return placed(slot, tz, gap, fold)[0][0] <= until


def fixed_time(
    slots: Iterator[datetime], tz: ZoneInfo, policies: Policies, found: Instants, until: datetime | None = None
) -> None:
    """Place every named wall-clock slot once a date, moved off excluded days. `until` is an inclusive instant."""
    for slot in slots:
        landing = policies.landing(slot.date())
        if landing is None:
            continue
        moved = datetime.combine(landing, slot.time())
        if moved != slot and until is not None and not named_by(slot, tz, policies, until):
            continue
        for at, shifted, second_pass in placed(moved, tz, policies.gap, policies.fold):
            if until is None or at <= until or moved != slot:
                found.add(at, (slot.isoformat(), second_pass), moved, shifted, moved != slot)


# --- cron -----------------------------------------------------------------------------------------------------------

WEEKDAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
MONTHS = ["", "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]


def number(text: str, names: list[str]) -> int:
    return names.index(text) if text in names else int(text)


def field_matches(text: str, value: int, low: int, high: int, names: list[str]) -> bool:
    """Tell whether a value is in a list of `*`, `n`, `a-b`, each with an optional step."""
    for term in text.split(","):
        span, _, step = term.partition("/")
        first, dash, last = span.partition("-")
        if span in ("*", "?"):
            begin, end = low, high
        elif dash:
            begin, end = number(first, names), number(last, names)
        else:
            begin = number(span, names)
            end = high if step else begin
        if begin <= value <= end and (value - begin) % int(step or 1) == 0:
            return True
    return False


def month_day_matches(text: str, day: date) -> bool:
    length = calendar.monthrange(day.year, day.month)[1]
    for term in text.split(","):
        if term == "L":
            if day.day == length:
                return True
        elif term == "LW":
            if day == nearest_weekday(day, length):
                return True
        elif term.endswith("W"):
            if day == nearest_weekday(day, min(int(term[:-1]), length)):
                return True
        elif field_matches(term, day.day, 1, 31, []):
            return True
    return False


def nearest_weekday(month: date, number_of_day: int) -> date:
    """Return the Monday-to-Friday day closest to a day, looking at every day of its month."""
    wanted = month.replace(day=number_of_day)
    days = [month.replace(day=n) for n in range(1, calendar.monthrange(month.year, month.month)[1] + 1)]
    return min((day for day in days if day.weekday() < 5), key=lambda day: abs(day - wanted))


def week_day_matches(text: str, day: date) -> bool:
    own = day.isoweekday() % 7
    for term in text.split(","):
        if "#" in term:
            name, _, nth = term.partition("#")
            if number(name, WEEKDAYS) % 7 == own and (day.day - 1) // 7 + 1 == int(nth):
                return True
        elif term.endswith("L"):
            if number(term[:-1], WEEKDAYS) % 7 == own and (day + 7 * DAY).month != day.month:
                return True
        elif field_matches(term, own, 0, 6, WEEKDAYS) or (own == 0 and field_matches_seven(term)):
            return True
    return False


def field_matches_seven(term: str) -> bool:
    """Tell whether a term names Sunday as 7, which only a plain number or a range can."""
    span, _, step = term.partition("/")
    first, dash, last = span.partition("-")
    if dash:
        return last == "7" and (7 - number(first, WEEKDAYS)) % int(step or 1) == 0
    return span == "7" and not step


def cron_slots(expression: str, start: date, end: date) -> Iterator[datetime]:
    """Yield each local time from one date to before another that a six-field expression names."""
    seconds, minutes, hours, month_days, months, week_days = expression.split()
    both = month_days[0] in "*?" or week_days[0] in "*?"
    day = start
    while day < end:
        by_month, by_week = month_day_matches(month_days, day), week_day_matches(week_days, day)
        if field_matches(months, day.month, 1, 12, MONTHS) and (by_month and by_week if both else by_month or by_week):
            yield from day_times(
                day,
                lambda hour: field_matches(hours, hour, 0, 23, []),
                lambda minute: field_matches(minutes, minute, 0, 59, []),
                lambda second: field_matches(seconds, second, 0, 59, []),
            )
        day += DAY


def day_times(
    day: date, hour_matches: Callable[[int], bool], minute_matches: Callable[[int], bool],
    second_matches: Callable[[int], bool],
) -> Iterator[datetime]:  # fmt: skip
    seconds = [second for second in range(60) if second_matches(second)]
    minutes = [minute for minute in range(60) if minute_matches(minute)]
    for hour in range(24):
        if hour_matches(hour):
            for minute in minutes:
                for second in seconds:
                    yield datetime.combine(day, time(hour, minute, second))


def cron_instants(
    expression: str, tz_name: str, policies: Policies, after: datetime, until: datetime
) -> list[tuple[datetime, Named]]:
    """Return every instant of a cron expression after one instant and up to another."""
    if len(expression.split()) == 5:
        expression = f"0 {expression}"
    tz, found = zone(tz_name), Instants()
    reach = MARGIN if policies.roll == "SKIP" else FARTHEST_ROLL * DAY + MARGIN
    slots = cron_slots(expression, (wall(after, tz) - reach).date(), (wall(until, tz) + reach).date())
    if all(field_matches(expression.split()[2], hour, 0, 23, []) for hour in range(24)):
        for slot in slots:
            landing = policies.landing(slot.date())
            if landing is not None:
                for at in showings(datetime.combine(landing, slot.time()), tz):
                    found.add(at, (at.replace(tzinfo=None).isoformat() + "Z", False), slot)
    else:
        fixed_time(slots, tz, policies, found)
    return found.between(after, until)


# --- RFC 5545 -------------------------------------------------------------------------------------------------------

FREQUENCIES = ["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY"]
DAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]


@dataclass(frozen=True)
class Recurrence:
    """One RRULE as its parts, and its anchor."""

    parts: dict[str, str]
    dtstart: datetime

    @property
    def frequency(self) -> str:
        return self.parts["FREQ"]

    @property
    def interval(self) -> int:
        return int(self.parts.get("INTERVAL", "1"))

    @property
    def week_start(self) -> int:
        return DAYS.index(self.parts.get("WKST", "MO"))

    def numbers(self, name: str) -> list[int]:
        return [int(item) for item in self.parts[name].split(",")] if name in self.parts else []


def parse_parts(text: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in text.split(";"))


def from_end(value: int, size: int, wanted: list[int]) -> bool:
    """Tell whether a position (from 1) of `size` is wanted, counted from the front or (negative) from the back."""
    return value in wanted or value - size - 1 in wanted


def week_of(day: date, week_start: int) -> tuple[int, int, int]:
    """Return (year, number, weeks in that year) of the week of a day; a week belongs to the year of its fourth day."""
    fourth = day - (day.weekday() - week_start) % 7 * DAY + 3 * DAY
    number_of_week = (fourth - date(fourth.year, 1, 1)).days // 7 + 1
    last = date(fourth.year, 12, 31)
    while True:
        last_fourth = last - (last.weekday() - week_start) % 7 * DAY + 3 * DAY
        if last_fourth.year == fourth.year:
            return fourth.year, number_of_week, (last_fourth - date(fourth.year, 1, 1)).days // 7 + 1
        last -= DAY


def weekday_matches(rule: Recurrence, day: date) -> bool:
    for item in rule.parts["BYDAY"].split(","):
        if DAYS.index(item[-2:]) != day.weekday():
            continue
        if len(item) == 2:
            return True
        if rule.frequency == "MONTHLY" or "BYMONTH" in rule.parts:
            position, size = day.day, calendar.monthrange(day.year, day.month)[1]
        else:
            position, size = day.timetuple().tm_yday, 366 if calendar.isleap(day.year) else 365
        if int(item[:-2]) in ((position - 1) // 7 + 1, -((size - position) // 7 + 1)):
            return True
    return False


def day_matches(rule: Recurrence, day: date) -> bool:
    """Tell whether every given BY part names a day, or else what DTSTART implies does."""
    parts, start = rule.parts, rule.dtstart
    month_length, year_length = calendar.monthrange(day.year, day.month)[1], 366 if calendar.isleap(day.year) else 365
    tests = {
        "BYMONTH": lambda: day.month in rule.numbers("BYMONTH"),
        "BYMONTHDAY": lambda: from_end(day.day, month_length, rule.numbers("BYMONTHDAY")),
        "BYYEARDAY": lambda: from_end(day.timetuple().tm_yday, year_length, rule.numbers("BYYEARDAY")),
        "BYWEEKNO": lambda: from_end(*week_of(day, rule.week_start)[1:], rule.numbers("BYWEEKNO")),
        "BYDAY": lambda: weekday_matches(rule, day),
    }
    if not all(test() for name, test in tests.items() if name in parts):
        return False
    if any(name in parts for name in ("BYDAY", "BYMONTHDAY", "BYYEARDAY")):
        return True
    if rule.frequency == "WEEKLY" or "BYWEEKNO" in parts:
        return day.weekday() == start.weekday()
    if rule.frequency == "MONTHLY" or (rule.frequency == "YEARLY" and "BYMONTH" in parts):
        return day.day == start.day
    if rule.frequency == "YEARLY":
        return (day.month, day.day) == (start.month, start.day)
    return True


def day_period(rule: Recurrence, day: date) -> int:
    """Return the number of the year, month, week or day that a date lies in."""
    if "BYWEEKNO" in rule.parts:
        return week_of(day, rule.week_start)[0]
    match rule.frequency:
        case "YEARLY":
            return day.year
        case "MONTHLY":
            return 12 * day.year + day.month
        case "WEEKLY":
            return (day.toordinal() - 1 - rule.week_start) // 7
    return day.toordinal()


def local_slots(rule: Recurrence, end: datetime) -> Iterator[datetime]:
    """Yield the local times of a rule that has BY parts or is not sub-daily, from DTSTART to `end`, before COUNT."""
    periods = moments(rule, end) if rule.frequency in FREQUENCIES[4:] else day_groups(rule, end)
    positions = rule.numbers("BYSETPOS")
    for period in periods:
        for position, slot in enumerate(period, start=1):
            if (not positions or from_end(position, len(period), positions)) and rule.dtstart <= slot <= end:
                yield slot


def day_groups(rule: Recurrence, end: datetime) -> Iterator[list[datetime]]:
    """Yield the matching local times of each period in phase, whole periods, from the one that holds DTSTART."""
    first = day_period(rule, rule.dtstart.date())
    day = rule.dtstart.date()
    while day.toordinal() > 1 and day_period(rule, day - DAY) == first:
        day -= DAY
    current, group = first, []
    while day <= end.date() + 8 * DAY or (day_period(rule, day) == current and group):
        period = day_period(rule, day)
        if period != current:
            yield group
            current, group = period, []
        if (period - first) % rule.interval == 0 and day_matches(rule, day):
            group += list(rule_times(rule, day))
        day += DAY
    yield group


def rule_times(rule: Recurrence, day: date) -> Iterator[datetime]:
    start = rule.dtstart
    hours = rule.numbers("BYHOUR") or [start.hour]
    minutes = rule.numbers("BYMINUTE") or [start.minute]
    seconds = rule.numbers("BYSECOND") or [start.second]
    return day_times(day, hours.__contains__, minutes.__contains__, seconds.__contains__)


def moments(rule: Recurrence, end: datetime) -> Iterator[list[datetime]]:
    """Yield the matching local times of every n-th hour, minute or second from DTSTART's own on."""
    start = rule.dtstart
    finer = FREQUENCIES.index(rule.frequency) - 4
    unit = [timedelta(hours=1), timedelta(minutes=1), SECOND][finer]
    at = start.replace(minute=0 if finer < 1 else start.minute, second=0 if finer < 2 else start.second)
    hours, minutes, seconds = (rule.numbers(name) for name in ("BYHOUR", "BYMINUTE", "BYSECOND"))
    judged: tuple[date | None, bool] = (None, False)
    while at <= end:
        if judged[0] != at.date():
            judged = (at.date(), day_matches(rule, at.date()))
        if (
            judged[1]
            and (not hours or at.hour in hours)
            and (finer < 1 or not minutes or at.minute in minutes)
            and (finer < 2 or not seconds or at.second in seconds)
        ):
            in_minutes = sorted(set(minutes or [start.minute])) if finer < 1 else [at.minute]
            in_seconds = sorted(set(seconds or [start.second])) if finer < 2 else [at.second]
            yield [at.replace(minute=minute, second=second) for minute in in_minutes for second in in_seconds]
        at += rule.interval * unit


def parse_time(text: str) -> datetime:
    return datetime.strptime(text.removesuffix("Z"), "%Y%m%dT%H%M%S" if "T" in text else "%Y%m%d")  # noqa: DTZ007 - local


def rrule_instants(
    text: str, dtstart: datetime, tz_name: str, policies: Policies, window: tuple[datetime, datetime],
    added: tuple[datetime, ...] = (), removed: frozenset[datetime] = frozenset(),
) -> list[tuple[datetime, Named]]:  # fmt: skip
    """Return every instant of a recurrence within a window of instants (first one excluded)."""
    rule = Recurrence(parse_parts(text), dtstart)
    tz, found = zone(tz_name), Instants()
    sub_daily = rule.frequency in FREQUENCIES[4:]
    # a later local time lies in the window only in a fold, and no fold since 1970 is longer than three hours
    reach = timedelta(hours=4) if policies.roll == "SKIP" else FARTHEST_ROLL * DAY + MARGIN
    end = wall(window[1], tz) + reach
    if sub_daily and not any(name.startswith("BY") for name in rule.parts):
        elapsed_instants(rule, tz, policies, window, found, removed)
    else:
        until, limited = None, local_slots(rule, end)
        if "COUNT" in rule.parts:
            limited = first_slots(limited, int(rule.parts["COUNT"]), tz, policies)
        elif "UNTIL" in rule.parts:
            stop = parse_time(rule.parts["UNTIL"])
            if rule.parts["UNTIL"].endswith("Z"):
                until = stop.replace(tzinfo=UTC)
            else:
                stop = stop if "T" in rule.parts["UNTIL"] else stop + DAY - SECOND
                limited = (slot for slot in limited if slot <= stop)
        fixed_time((slot for slot in limited if slot not in removed), tz, policies, found, until)
    fixed_time((slot for slot in sorted(added) if slot not in removed), tz, policies, found)
    return found.between(*window)


def first_slots(slots: Iterator[datetime], count: int, tz: ZoneInfo, policies: Policies) -> Iterator[datetime]:
    """Yield the first `count` local instances; one that no clock shows, and that SKIP leaves out, is not counted."""
    for slot in slots:
        if count == 0:
            return
        if policies.gap != "SKIP" or showings(slot, tz):
            count -= 1
            yield slot


def elapsed_instants(
    rule: Recurrence, tz: ZoneInfo, policies: Policies, window: tuple[datetime, datetime], found: Instants,
    removed: frozenset[datetime],
) -> None:  # fmt: skip
    """Step real time from the instant of DTSTART on, one interval after the other."""
    gap = "FIRST_VALID" if policies.gap == "FIRST_VALID" else "SHIFT"
    fold = "SECOND" if policies.fold == "SECOND" else "FIRST"
    at = placed(rule.dtstart, tz, gap, fold)[0][0]
    step = rule.interval * [timedelta(hours=1), timedelta(minutes=1), SECOND][FREQUENCIES.index(rule.frequency) - 4]
    left = int(rule.parts.get("COUNT", "-1"))
    until = rule.parts.get("UNTIL")
    stop = None if until is None else parse_time(until) + (DAY - SECOND if "T" not in until else 0 * DAY)
    while at <= window[1] and left != 0:
        if stop is not None and until is not None:
            if until.endswith("Z") and at.replace(tzinfo=None) > stop:
                return
            if not until.endswith("Z") and wall(at, tz) > stop and wall(at + DAY, tz) > stop + DAY:
                # past the stop for good: a fold may still bring earlier local times back
                return
        local = wall(at, tz)
        within = stop is None or (until or "").endswith("Z") or local <= stop
        if within and local not in removed and not policies.is_excluded(local.date()):
            found.add(at, (at.replace(tzinfo=None).isoformat() + "Z", False), local)
        at += step
        left -= 1
