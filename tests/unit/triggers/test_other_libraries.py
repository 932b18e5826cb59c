"""The engine beside croniter, cronsim and dateutil: each disagreement has a reason, listed in docs/semantics.md.

In UTC, where no clock changes, so that only the meaning of the rules is compared. A reason names what in a rule makes
a library read it otherwise; a difference without a reason fails.
"""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from croniter import croniter
from cronsim import CronSim
from dateutil.rrule import rrulestr

from scheduler_domain.domain.triggers import Cron, Rrule, TriggerError, compile_rule
from tests.unit.triggers import generator, oracle
from tests.unit.triggers.conftest import make_spec
from tests.unit.triggers.generator import repeatable

RULES = 800
INSTANTS = 5

Reasons = dict[str, Callable[[str], bool]]


def days(expression: str) -> tuple[str, str]:
    return expression.split()[2], expression.split()[4]


def both_days_restricted(expression: str) -> bool:
    return not any(field.startswith(("*", "?")) for field in days(expression))


def has_single_range(expression: str) -> bool:
    return any(low == high for low, high in re.findall(r"(\w+)-(\w+)", expression))


CRONITER: Reasons = {
    "LW is unknown": lambda cron: "LW" in days(cron)[0],
    "the last weekday of a month is written L5, not 5L": lambda cron: "L" in days(cron)[1],
    "# and W must match both day fields": lambda cron: (
        both_days_restricted(cron) and ("#" in days(cron)[1] or "W" in days(cron)[0])
    ),
    "a range from n to n is the whole field": has_single_range,
}
CRONSIM: Reasons = {
    "nW is unknown": lambda cron: re.search(r"\dW", days(cron)[0]) is not None,
    "a name before L is unknown": lambda cron: re.search(r"[A-Z]{3}L", days(cron)[1]) is not None,
    "n/m of weekdays reaches Sunday as 7": lambda cron: re.search(r"(^|,)[0-9]/", days(cron)[1]) is not None,
    "a range from n to n with a step is open": has_single_range,
}
DATEUTIL: Reasons = {
    "plain and numbered BYDAY are intersected": lambda rule: len({len(day) > 2 for day in part(rule, "BYDAY")}) > 1,
    "BYWEEKNO without BYDAY is the whole week": lambda rule: "BYWEEKNO" in rule and "BYDAY" not in rule,
    "INTERVAL counts calendar years, not week years": lambda rule: "BYWEEKNO" in rule and "INTERVAL" in rule,
    "BYSETPOS of the first week counts from DTSTART": lambda rule: "WEEKLY" in rule and "BYSETPOS" in rule,
    "BYSETPOS counts in calendar years, not week years": lambda rule: "BYWEEKNO" in rule and "BYSETPOS" in rule,
}


def part(rule: str, name: str) -> list[str]:
    found = re.search(rf"{name}=([^;]*)", rule)
    return found[1].split(",") if found else []


def test_croniter_differs_only_for_known_reasons() -> None:
    def ask(expression: str, after: datetime) -> Iterator[datetime]:
        cron = croniter(expression, after, max_years_between_matches=50, implement_cron_bug=True)
        return (cron.get_next(datetime) for _ in range(INSTANTS))

    assert_differences_have_reasons(cron_rules(), ask, CRONITER)


def test_cronsim_differs_only_for_known_reasons() -> None:
    def ask(expression: str, after: datetime) -> Iterator[datetime]:
        return CronSim(expression.replace("?", "*"), after)

    assert_differences_have_reasons(cron_rules(), ask, CRONSIM)


def test_dateutil_differs_only_for_known_reasons() -> None:
    def ask(rule: str, after: datetime) -> Iterator[datetime]:
        return iter(rrulestr(rule, dtstart=after))

    assert_differences_have_reasons(recurrences(), ask, DATEUTIL)


@pytest.mark.parametrize("reason", [*CRONITER, *CRONSIM, *DATEUTIL])
def test_the_documents_list_the_reason(reason: str, pytestconfig: pytest.Config) -> None:
    assert reason in (pytestconfig.rootpath / "docs" / "semantics.md").read_text("utf-8")


def assert_differences_have_reasons(
    rules: Iterator[tuple[str, datetime, list[datetime]]],
    ask: Callable[[str, datetime], Iterator[datetime]],
    reasons: Reasons,
) -> None:
    compared, used = 0, set()
    for rule, after, ours in rules:
        compared += 1
        try:
            theirs = list(islice(ask(rule, after), len(ours)))
        except Exception as refusal:  # noqa: BLE001 - each library has exceptions of its own
            theirs = [refusal]
        if theirs != ours:
            found = [reason for reason, applies in reasons.items() if applies(rule)]
            assert found, f"{rule} after {after}: {theirs}, ours {ours}"
            used.update(found)
    assert compared > RULES // 4
    assert used == set(reasons), f"no longer seen: {set(reasons) - used}"


def cron_rules() -> Iterator[tuple[str, datetime, list[datetime]]]:
    for number in range(RULES):
        random = repeatable(number)
        expression = " ".join(
            (
                generator.term(random, 0, 59),
                generator.term(random, 0, 23),
                generator.month_day(random),
                generator.month(random),
                generator.week_day(random),
            )
        )
        after = datetime(2026, 1, 1) + timedelta(minutes=random.randrange(3 * 365 * 1440))  # noqa: DTZ001 - as they ask
        try:
            rule = compile_rule(make_spec(Cron(expression)))
        except TriggerError:
            continue
        yield expression, after, [at.replace(tzinfo=None) for at in rule.instants(after.replace(tzinfo=UTC), INSTANTS)]


def recurrences() -> Iterator[tuple[str, datetime, list[datetime]]]:
    """Yield rules that come round soon: dateutil looks at every hour, minute or second in between."""
    soon = {"MINUTELY": timedelta(days=20), "SECONDLY": timedelta(hours=3)}
    for number in range(RULES):
        random = repeatable(number)
        frequency = random.choice(oracle.FREQUENCIES)
        start = datetime(2026, 1, 1, 9, 0) + timedelta(days=random.randrange(700))  # noqa: DTZ001 - as they ask
        parts = generator.rule_parts(random, frequency, start, timedelta(days=900))
        text = ";".join(f"{name}={value}" for name, value in parts.items() if name != "UNTIL")
        try:
            rule = compile_rule(make_spec(Rrule(text, start.isoformat())))
        except TriggerError:
            continue
        found = rule.instants(start.replace(tzinfo=UTC) - timedelta(seconds=1), INSTANTS)
        near = [at.replace(tzinfo=None) for at in found]
        if near and near[-1] - start < soon.get(frequency, timedelta(days=3000)):
            yield text, start, near
