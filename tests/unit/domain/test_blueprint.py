"""Blueprints: places filled, choices made, and nothing that a parameter holds is ever read as a place."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from scheduler_domain.domain.blueprint import kept_for_firing, parse_blueprint
from scheduler_domain.domain.errors import InvalidField
from scheduler_domain.domain.fired_days import first_left
from scheduler_domain.domain.ids import occurrence_id
from scheduler_domain.domain.leap_days import leap_day_note
from scheduler_domain.domain.triggers import Cron, Rrule, Rule, RuleSpec, compile_rule

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TOMORROW = datetime(2026, 11, 23, 8, tzinfo=UTC)


def filled(document: dict[str, Any], **values: Any) -> Any:
    nodes = kept_for_firing(parse_blueprint(document), frozenset(values))
    return {name: node.fill({"key": "k-1", **values}) for name, node in nodes.items()}


@pytest.mark.parametrize(
    ("document", "values", "expected"),
    [
        ({"name": "Dear ${who}, $$5"}, {"who": "Ada $ ${x}"}, {"name": "Dear Ada $ ${x}, $5"}),
        ({"payload": "Dear ${who}, $$5"}, {"who": "Ada $ ${x}"}, {"payload": "Dear Ada $$ $${x}, $$5"}),
        ({"payload": ["${n}", "${n}!"]}, {"n": 3}, {"payload": [3, "3!"]}),
        ({"payload": "${o}"}, {"o": {"a$": ["$"]}}, {"payload": {"a$$": ["$$"]}}),
        ({"payload": {"${localDate}": "${key} ${localDate}"}}, {}, {"payload": {"${localDate}": "k-1 ${localDate}"}}),
        ({"name": "${d.year}-${d.month}-${d.day}/${d.yearDay}"}, {"d": "1988-02-29"}, {"name": "1988-2-29/60"}),
        ({"target": "${t}"}, {"t": {"url": "?d=${localDate}"}}, {"target": {"url": "?d=${localDate}"}}),
        (
            {"target": {"http": {"url": "https://a/?n=${n}&d=${localDate}"}}},
            {"n": "a b&c=/"},
            {"target": {"http": {"url": "https://a/?n=a%20b%26c%3D%2F&d=${localDate}"}}},
        ),
        ({"maxRuns": {"$choose": "${k}", "cases": {"A": 1}, "otherwise": 2}}, {"k": "A"}, {"maxRuns": 1}),
        ({"maxRuns": {"$choose": "${k}", "cases": {"A": 1}, "otherwise": "${n}"}}, {"k": "B", "n": 7}, {"maxRuns": 7}),
        ({"tz": {"$choose": "${f}", "cases": {"true": "UTC"}}}, {"f": True}, {"tz": "UTC"}),
    ],
)
def test_a_blueprint_is_filled(document: dict[str, Any], values: dict[str, Any], expected: Any) -> None:
    assert filled(document, **values) == expected


def test_a_choice_without_a_case_says_which_there_are() -> None:
    with pytest.raises(InvalidField) as refused:
        filled({"tz": {"$choose": "${k}", "cases": {"A": "UTC"}}}, k="B")
    assert (refused.value.problems[0].code, refused.value.problems[0].pointer) == ("no-such-case", "/blueprint/tz")


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({"payload": {"${who}": 1}}, "place-in-name"),
        ({"name": {"$choose": 1, "cases": {}}}, "invalid-choice"),
        ({"name": {"$choose": "a", "cases": {}, "other": 1}}, "invalid-choice"),
        ({"name": "${d.week}"}, "unknown-part"),
        ({"payload": [[[[[[[[[[[[[1]]]]]]]]]]]]]}, "blueprint-too-large"),
        ({"payload": list(range(3_000))}, "blueprint-too-large"),
    ],
)
def test_what_is_no_blueprint_is_refused(document: dict[str, Any], code: str) -> None:
    with pytest.raises(InvalidField) as refused:
        parse_blueprint(document)
    assert [problem.code for problem in refused.value.problems] == [code]


def rule(trigger: Cron | Rrule, tz: str = "UTC") -> Rule:
    return compile_rule(RuleSpec(trigger, tz, NOW))


@pytest.mark.parametrize(
    ("trigger", "words"),
    [
        (Cron("0 9 29 2 *"), "in leap years only, on 29 February"),
        (Cron("0 9 L 2 *"), "in leap years on 29 February, in common years on 28 February"),
        (
            Rrule("FREQ=YEARLY;BYYEARDAY=60", "1970-01-01T09:00"),
            "in leap years on 29 February, in common years on 1 March",
        ),
        (Cron("0 9 28 2 *"), None),
        (Cron("0 9 * * *"), None),
    ],
)
@pytest.mark.parametrize("tz", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_leap_days_are_told_by_what_a_rule_does(trigger: Cron | Rrule, words: str | None, tz: str) -> None:
    note = leap_day_note(rule(trigger, tz), NOW)
    assert (None if note is None else note.message) == words


def fired_at(*times: str) -> list[UUID]:
    nominal = [datetime.fromisoformat(f"2026-11-22T{time}").replace(tzinfo=UTC) for time in times]
    return [
        occurrence_id("acme", UUID(int=1), "SCHEDULED", at.isoformat(), int(at.timestamp() * 1000)) for at in nominal
    ]


@pytest.mark.parametrize(
    ("cron", "fired", "expected"),
    [
        ("0 17 * * *", (), "2026-11-22T17:00"),
        ("0 17 * * *", ("09:00",), "2026-11-23T17:00"),
        ("0 10,18 * * *", ("09:00",), "2026-11-22T18:00"),
        ("0 10,18 * * *", ("09:00", "11:00"), "2026-11-23T10:00"),
        ("30 */1 * * *", tuple(f"{hour:02}:00" for hour in range(12)), "2026-11-22T12:30"),
        ("0 9 22 11 *", ("08:00",), "2027-11-22T09:00"),
        ("* * * * * *", ("11:59:59",), "2026-11-22T12:00"),
    ],
)
def test_a_local_date_on_which_an_instance_fired_is_not_begun_anew(
    cron: str, fired: tuple[str, ...], expected: str
) -> None:
    first = first_left(rule(Cron(cron)), NOW, fired_at(*fired))
    assert first is not None
    assert first.at == datetime.fromisoformat(expected).replace(tzinfo=UTC)


def test_a_day_that_is_over_in_one_zone_is_over_in_every_other() -> None:
    """Fired at 09:00 of the 22nd somewhere: the 22nd of a zone further west goes without."""
    first = first_left(rule(Cron("0 9 * * *"), "America/Los_Angeles"), NOW, fired_at("09:00"))
    assert first is not None
    assert first.local.date() == date(2026, 11, 22) + timedelta(days=1)


def test_a_day_that_is_over_is_left_out_though_the_one_before_it_is_not() -> None:
    """Fired at 08:00 of the 23rd in Tokyo, and moved to Los Angeles, where it is the 22nd still."""
    fired = [occurrence_id("acme", UUID(int=1), "SCHEDULED", "2026-11-23T08:00", int(TOMORROW.timestamp() * 1000))]
    daily = first_left(rule(Cron("0 20 * * *"), "America/Los_Angeles"), NOW, fired)
    assert daily is not None
    assert daily.local.date() == date(2026, 11, 24)
    hourly = first_left(rule(Cron("0 * * * *"), "America/Los_Angeles"), NOW, fired)
    assert hourly is not None
    assert hourly.at - NOW < timedelta(hours=1), "a date that has more to come is not left out"
