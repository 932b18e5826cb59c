"""Payloads: places are filled inside JSON text without ever breaking it."""

import json
from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from scheduler_domain.domain.payload import (
    FIRED_AT_LENGTH,
    BodySource,
    body_pieces,
    fired_at_text,
    unknown_places,
)

FIRED_AT = fired_at_text(datetime(2026, 11, 22, 9, 0, 0, 1234, tzinfo=UTC))


def source(name: str = "Daily") -> BodySource:
    return BodySource(
        tenant_id="acme",
        schedule_id=UUID(int=1),
        schedule_name=name,
        key="daily",
        tz="Europe/Berlin",
        occurrence_id=UUID(int=2),
        scheduled_for=datetime(2026, 11, 22, 8, tzinfo=UTC),
        attempt=3,
    )


def body(payload: object, name: str = "Daily") -> object:
    text = json.dumps(payload).encode()
    return json.loads(FIRED_AT.join(body_pieces(text, source(name))))


def test_without_a_payload_the_envelope_is_sent() -> None:
    assert body(None) == {
        "tenantId": "acme",
        "scheduleId": str(UUID(int=1)),
        "scheduleName": "Daily",
        "occurrenceId": str(UUID(int=2)),
        "scheduledFor": "2026-11-22T08:00:00Z",
        "firedAt": "2026-11-22T09:00:00.001234Z",
        "attempt": 3,
    }


def test_places_are_filled_with_local_time_of_the_schedule() -> None:
    assert body({"text": "${localDate} ${localTime} ${tz} ${key} ${attempt} $$5"}) == {
        "text": "2026-11-22 09:00:00 Europe/Berlin daily 3 $5"
    }


def test_the_firing_instant_can_stand_in_several_places() -> None:
    assert body(["${firedAt}", {"again": "at ${firedAt}"}]) == [
        FIRED_AT.decode(),
        {"again": f"at {FIRED_AT.decode()}"},
    ]


def test_a_fired_at_text_always_has_the_same_length() -> None:
    for at in (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)):
        assert len(fired_at_text(at)) == FIRED_AT_LENGTH


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_message_never_says_that_it_fired_before_it_was_due(at: datetime) -> None:
    assert datetime.fromisoformat(fired_at_text(at).decode()) == at


@given(st.text())
def test_no_schedule_name_can_break_the_json(name: str) -> None:
    clean = name.encode("utf-8", "ignore").decode()
    assert body({"name": "${scheduleName}"}, clean) == {"name": clean}


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text('ab$\\"é'), st.lists, max_leaves=8))
def test_a_payload_without_places_arrives_as_it_was_saved(value: object) -> None:
    if "$" not in json.dumps(value) and value is not None:
        assert body(value) == value


def test_unknown_names_are_found_and_escaped_dollars_are_not_names() -> None:
    assert unknown_places("${firedAt} ${nope} $${fine} ${also wrong}") == ["nope", "also wrong"]
