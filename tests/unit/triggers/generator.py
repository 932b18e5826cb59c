"""Cases at random: rules, zones and windows that lean towards the places where schedulers go wrong."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from random import Random

from scheduler_domain.domain.triggers import Cron, DstPolicy, Exclusions, Rrule, RuleSpec, compile_rule, zone_names
from tests.unit.triggers import oracle
from tests.unit.triggers.oracle import Named, Policies

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Case:
    """A rule and a window of instants over which engine and oracle have to agree."""

    spec: RuleSpec
    policies: Policies
    after: datetime
    until: datetime
    dtstart: datetime
    added: tuple[datetime, ...] = ()
    removed: frozenset[datetime] = frozenset()

    def may_be_refused(self) -> bool:
        """Tell whether the rule itself (RDATE aside) is due at no instant of the window."""
        return not replace(self, added=()).expected()

    def expected(self) -> list[tuple[datetime, Named]]:
        trigger = self.spec.trigger
        if isinstance(trigger, Cron):
            return oracle.cron_instants(trigger.cron, self.spec.tz, self.policies, self.after, self.until)
        assert isinstance(trigger, Rrule)
        rule = trigger.rrule.splitlines()[0].removeprefix("RRULE:")
        return oracle.rrule_instants(
            rule, self.dtstart, self.spec.tz, self.policies, (self.after, self.until), self.added, self.removed
        )

    def found(self) -> list[tuple[datetime, Named]]:
        page = compile_rule(self.spec).page(self.after, 100_000, until=self.until)
        return [(item.at, (item.nominal.removesuffix("/1"), item.nominal.endswith("/1"))) for item in page.instants]


def repeatable(number: int) -> Random:
    """Return a source of choices that the number alone decides, so that a case can be asked for again."""
    return Random(number)  # noqa: S311 - nothing is kept secret here


@lru_cache
def changes(name: str) -> tuple[datetime, ...]:
    """Return the instants from 1971 to 2037 at which a zone's clocks jump, to the hour, by asking `zoneinfo` weekly."""
    tz = oracle.zone(name)
    found = []
    at, end, week = datetime(1971, 1, 1, tzinfo=UTC), datetime(2037, 1, 1, tzinfo=UTC), timedelta(days=7)
    while at < end:
        low, high = at, at + week
        offset = low.astimezone(tz).utcoffset()
        if high.astimezone(tz).utcoffset() != offset:
            while high - low > timedelta(hours=1):
                middle = low + (high - low) / 2
                low, high = (middle, high) if middle.astimezone(tz).utcoffset() == offset else (low, middle)
            found.append(low)
        at += week
    return tuple(found)


ZONES = sorted(zone_names())
FAVOURITES = (
    "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Antarctica/Troll", "Asia/Gaza",
    "America/Santiago", "Africa/Casablanca", "Pacific/Chatham", "Asia/Kathmandu", "America/St_Johns", "Asia/Beirut",
    "Europe/Dublin", "America/Sao_Paulo", "Asia/Tehran", "Pacific/Kwajalein", "Africa/Monrovia", "UTC", "Asia/Tokyo",
)  # fmt: skip


def any_zone(random: Random) -> str:
    return random.choice(FAVOURITES) if random.random() < 0.6 else random.choice(ZONES)


def near_change(random: Random, zone: str) -> datetime:
    """Return an instant up to three days before a jump of the zone's clocks, mostly; else any instant."""
    found = changes(zone)
    if found and random.random() < 0.75:
        return random.choice(found) - timedelta(minutes=random.randrange(3 * 1440))
    return datetime(1971, 6, 1, tzinfo=UTC) + timedelta(minutes=random.randrange(60 * 365 * 1440))


def policies(random: Random, around: date) -> Policies:
    gap = random.choice(("SHIFT", "SHIFT", "FIRST_VALID", "SKIP"))
    fold = random.choice(("FIRST", "FIRST", "SECOND", "BOTH"))
    if random.random() < 0.85:
        return Policies(gap, fold)
    dates = {around + random.randrange(-4, 8) * DAY for _ in range(random.randrange(5))}
    weekdays = random.choice((frozenset(), frozenset({5, 6}), frozenset({random.randrange(7)})))
    return Policies(gap, fold, frozenset(dates), weekdays, random.choice(("SKIP", "NEXT", "PREVIOUS")))


def exclusions(chosen: Policies) -> Exclusions | None:
    if not chosen.excluded_dates and not chosen.excluded_weekdays:
        return None
    return Exclusions(
        dates=tuple(day.isoformat() for day in sorted(chosen.excluded_dates)),
        weekdays=tuple(oracle.DAYS[day] for day in sorted(chosen.excluded_weekdays)),
        roll=chosen.roll,
    )


def cron_case(random: Random) -> Case:
    """Return a cron case; its window is as long as the rule is sparse."""
    zone = any_zone(random)
    after = near_change(random, zone)
    chosen = policies(random, after.date())
    minute = term(random, 0, 59)
    hour = term(random, 0, 23) if random.random() < 0.7 else random.choice(("2", "1", "0", "23", "*/2", "0-23", "1-3"))
    expression = f"{minute} {hour} {month_day(random)} {month(random)} {week_day(random)}"
    if random.random() < 0.1 and not minute.startswith("*"):
        expression = f"{random.choice(('0', '30', '*/20', '5,35', '59'))} {expression}"
    dense = expression.startswith("*") or " * " in expression[: len(minute) + len(hour) + 8]
    length = timedelta(days=random.choice((1, 2)) if dense else random.choice((4, 8, 30)))
    spec = RuleSpec(Cron(expression), zone, after, DstPolicy(chosen.gap, chosen.fold), exclusions(chosen))
    return Case(spec, chosen, after, after + length, after.replace(tzinfo=None))


def term(random: Random, low: int, high: int) -> str:
    def number() -> int:
        return random.randrange(low, high + 1)

    match random.randrange(6):
        case 0 if random.random() < 0.4:
            return "*"
        case 1:
            return f"*/{random.choice((2, 3, 5, 7, 10, 15, 30))}"
        case 2:
            first, last = sorted((number(), number()))
            return f"{first}-{last}" + random.choice(("", "", "/2", "/7"))
        case 3:
            return ",".join(str(number()) for _ in range(random.randrange(2, 5)))
        case 4 if random.random() < 0.3:
            return f"{number()}/{random.randrange(1, 20)}"
    return str(number())


def month_day(random: Random) -> str:
    if random.random() < 0.6:
        return random.choice(("*", "*", "*", "?", "*/2"))
    return random.choice((term(random, 1, 31), "L", "LW", f"{random.randrange(1, 32)}W", "15,L", "1,LW", "31", "30,31"))


def month(random: Random) -> str:
    return "*" if random.random() < 0.8 else random.choice((term(random, 1, 12), "MAR,OCT", "JAN-JUN", "11-12,1-4"))


def week_day(random: Random) -> str:
    if random.random() < 0.6:
        return random.choice(("*", "*", "?"))
    day = random.randrange(8)
    choices = (str(day), f"{day}L", f"{day}#{random.randrange(1, 6)}", "MON-FRI", "0-7", "6-7", "SUNL", "FRI#5", "*/2")
    return random.choice((*choices, "1/2", "5-7/2", "SUN,3L", term(random, 0, 7)))


def rrule_case(random: Random) -> Case:
    """Return a recurrence case, anchored mostly shortly before its window and sometimes long before."""
    zone = any_zone(random)
    around = near_change(random, zone)
    tz = oracle.zone(zone)
    frequency = random.choice(oracle.FREQUENCIES)
    length, back = span(random, frequency)
    local = oracle.wall(around, tz).replace(second=0, microsecond=0)
    dtstart = local - timedelta(days=random.randrange(back))
    dtstart = dtstart.replace(hour=random.choice((0, 1, 2, 2, 3, 9, 23)), minute=random.choice((0, 0, 15, 30, 45, 59)))
    if frequency in ("MINUTELY", "SECONDLY") or random.random() < 0.1:
        dtstart = local - timedelta(minutes=random.randrange(180), seconds=random.choice((0, 0, 30, 59)))
    chosen = policies(random, around.date())
    parts = rule_parts(random, frequency, dtstart, length + timedelta(days=back))
    elapsed = frequency == "HOURLY" and not any(name.startswith("BY") for name in parts)
    if elapsed or frequency in ("MINUTELY", "SECONDLY"):
        # without a move: the oracle does not look at every second of a month, nor move elapsed steps
        chosen = Policies(chosen.gap, chosen.fold, chosen.excluded_dates, chosen.excluded_weekdays)
    text = ";".join(f"{name}={value}" for name, value in parts.items())
    added, removed = (), frozenset()
    if random.random() < 0.15:
        added = tuple(dtstart + timedelta(hours=random.randrange(24 * 20)) for _ in range(random.randrange(1, 4)))
        removed = frozenset(dtstart + timedelta(hours=random.choice((0, 1, 24, 48, 168))) for _ in range(2))
    block = [f"RRULE:{text}"]
    block += [f"RDATE:{','.join(f'{at:%Y%m%dT%H%M%S}' for at in added)}"] if added else []
    block += [f"EXDATE:{','.join(f'{at:%Y%m%dT%H%M%S}' for at in sorted(removed))}"] if removed else []
    trigger = Rrule("\n".join(block), dtstart.isoformat())
    spec = RuleSpec(trigger, zone, around, DstPolicy(chosen.gap, chosen.fold), exclusions(chosen))
    return Case(spec, chosen, around, around + length, dtstart, added, removed)


def span(random: Random, frequency: str) -> tuple[timedelta, int]:
    """Return how long a window is, and how many days before it a rule begins at most."""
    days, back = {
        "YEARLY": (random.choice((400, 1500)), 2000), "MONTHLY": (random.choice((100, 400)), 700),
        "WEEKLY": (60, 200), "DAILY": (20, 90), "HOURLY": (6, 12), "MINUTELY": (2, 2), "SECONDLY": (1, 1),
    }[frequency]  # fmt: skip
    if frequency == "SECONDLY":
        return timedelta(minutes=random.randrange(5, 120)), 1
    return timedelta(days=days), back


def rule_parts(random: Random, frequency: str, dtstart: datetime, length: timedelta) -> dict[str, str]:
    """Return parts that RFC 5545's table allows with a frequency."""
    parts = {"FREQ": frequency}
    if random.random() < 0.5:
        largest = {
            "YEARLY": 4,
            "MONTHLY": 14,
            "WEEKLY": 6,
            "DAILY": 40,
            "HOURLY": 50,
            "MINUTELY": 400,
            "SECONDLY": 9999,
        }
        parts["INTERVAL"] = str(random.randrange(1, largest[frequency] + 1))
    parts |= {name: value for name, value in by_parts(random, frequency).items() if random.random() < 0.22}
    if "BYWEEKNO" in parts and "BYDAY" in parts:
        parts["BYDAY"] = ",".join(sorted({item[-2:] for item in parts["BYDAY"].split(",")}))
    if any(name.startswith("BY") for name in parts) and random.random() < 0.25:
        parts["BYSETPOS"] = random.choice(("1", "-1", "2", "1,-1", "-2,3", "-3", "5"))
    if random.random() < 0.2:
        parts["WKST"] = random.choice(oracle.DAYS)
    match random.randrange(6):
        case 0:
            parts["COUNT"] = str(random.choice((1, 2, 5, 20, 60)))
        case 1:
            stop = dtstart + random.random() * length
            parts["UNTIL"] = random.choice((f"{stop:%Y%m%d}", f"{stop:%Y%m%dT%H%M%S}", f"{stop:%Y%m%dT%H%M%S}Z"))
    return parts


def by_parts(random: Random, frequency: str) -> dict[str, str]:
    """Return a value for each BY part that goes with a frequency."""

    def some(low: int, high: int, most: int = 3, signed: bool = False) -> str:
        chosen = {random.randrange(low, high + 1) for _ in range(random.randrange(1, most + 1))}
        return ",".join(str(-n if signed and random.random() < 0.3 else n) for n in sorted(chosen))

    days = random.sample(oracle.DAYS, random.randrange(1, 5))
    if frequency in ("MONTHLY", "YEARLY") and random.random() < 0.6:
        nth = (1, 2, 3, 4, 5, -1, -2) if frequency == "MONTHLY" else (1, 5, 13, 20, 53, -1, -20)
        days = [f"{random.choice(nth)}{day}" if random.random() < 0.7 else day for day in days]
    parts = {
        "BYMONTH": some(1, 12, 5),
        "BYDAY": ",".join(days),
        "BYHOUR": some(0, 23, 4) if random.random() < 0.5 else random.choice(("1,2,3", "2", "0,23")),
        "BYMINUTE": some(0, 59, 4),
        "BYSECOND": some(0, 59, 3),
    }
    if frequency != "WEEKLY":
        parts["BYMONTHDAY"] = some(1, 31, 6, signed=True)
    if frequency not in ("WEEKLY", "DAILY", "MONTHLY"):
        parts["BYYEARDAY"] = some(1, 366, 20, signed=True)
    if frequency == "YEARLY":
        parts["BYWEEKNO"] = some(1, 53, 5, signed=True)
    return parts


def any_case(random: Random) -> Case:
    return cron_case(random) if random.random() < 0.5 else rrule_case(random)
