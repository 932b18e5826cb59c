"""A definition as it is stored: without defaults, and the same when it is read again."""

import msgspec
import pytest
from msgspec.structs import fields, replace

from scheduler_domain.application.held_occurrence import DeliveryTerms
from scheduler_domain.domain.schedule import (
    CronTrigger,
    Dst,
    Exclude,
    FixedDelayTrigger,
    Misfire,
    Retry,
    ScheduleDefinition,
)
from scheduler_domain.domain.target import EventTarget
from scheduler_domain.infra.postgres.schedule_rows import stored_definition

SHORTEST = ScheduleDefinition(name="a", trigger=CronTrigger(cron="0 9 * * *"), target=EventTarget("due"))


def test_what_is_as_by_default_is_left_out() -> None:
    assert stored_definition(SHORTEST) == (
        '{"name":"a","trigger":{"type":"CRON","cron":"0 9 * * *"},"target":{"kind":"EVENT","eventTopic":"due"}}'
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"key": "k"},
        {"description": "why", "labels": {"team": "billing"}},
        {"tz": "Europe/Berlin", "dst": Dst(gap="SKIP")},
        {"payload": False},
        {"payload": {"at": [1, None, "${firedAt}"]}},
        {"enabled": False},
        {"max_runs": 1, "jitter_sec": 1},
        {"exclude": Exclude(weekdays=["SAT"])},
        {"misfire": Misfire(policy="SKIP"), "retry": Retry(max_attempts=1)},
        {"trigger": FixedDelayTrigger(delay_sec=5), "overlap": "SKIP", "completion": "CALLBACK", "timeout_sec": 60},
        {"priority": -1},
    ],
)
def test_what_was_decided_is_read_again(changed: dict[str, object]) -> None:
    definition = replace(SHORTEST, **changed)
    assert msgspec.json.decode(stored_definition(definition), type=ScheduleDefinition) == definition


def test_delivering_takes_the_same_defaults() -> None:
    """What delivers reads the stored text by a type of its own."""
    definition = {each.name: each for each in fields(ScheduleDefinition)}
    for each in fields(DeliveryTerms):
        if each.name == "payload":  # it is kept as text there
            continue
        known = definition[each.name]
        assert each.default == known.default
        assert each.default_factory == known.default_factory
    assert bytes(msgspec.json.decode(stored_definition(SHORTEST), type=DeliveryTerms).payload) == b"null"


def test_a_default_that_changes_would_change_what_is_stored() -> None:
    """A row means what its definition leaves out by these: to change one, write the old one into all rows first."""
    assert msgspec.to_builtins(SHORTEST) == {
        "key": None,
        "name": "a",
        "description": "",
        "labels": {},
        "tz": "UTC",
        "trigger": {"type": "CRON", "cron": "0 9 * * *"},
        "target": {"kind": "EVENT", "eventTopic": "due"},
        "payload": None,
        "enabled": True,
        "startAt": None,
        "endAt": None,
        "maxRuns": None,
        "jitterSec": 0,
        "exclude": None,
        "dst": {"gap": "SHIFT", "fold": "FIRST"},
        "misfire": {"policy": "FIRE_LATEST", "windowSec": 86_400, "maxCount": 1_000},
        "overlap": "ALLOW_ALL",
        "completion": "ACK",
        "retry": {"maxAttempts": 12, "initialDelaySec": 5, "factor": 2, "maxDelaySec": 3_600, "maxAgeSec": 86_400},
        "timeoutSec": 15,
        "priority": 0,
    }
