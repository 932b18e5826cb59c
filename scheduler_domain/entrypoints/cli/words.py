"""What the API answers, in the words and the order that a person reads."""

import json
from collections.abc import Iterator
from typing import Any

Fields = Iterator[tuple[str, object]]


def trigger_in_short(trigger: dict[str, Any]) -> str:
    """
    >>> trigger_in_short({"type": "FIXED_DELAY", "delaySec": 90, "anchor": "COMPLETION"})
    'every 90 s after completion'
    """
    match trigger["type"]:
        case "CRON":
            return str(trigger["cron"])
        case "RRULE":
            return " ".join(str(trigger["rrule"]).split())
        case "FIXED_DELAY":
            after = " after completion" if trigger.get("anchor", "COMPLETION") == "COMPLETION" else ""
            return f"every {trigger['delaySec']} s{after}"
        case "ONE_SHOT":
            return f"once, {trigger['startAt']}"
    return str(trigger["type"])


def target_in_short(target: dict[str, Any]) -> str:
    """
    >>> target_in_short({"kind": "EVENT", "eventTopic": "reports.daily"})
    'event reports.daily'
    """
    match target["kind"]:
        case "EVENT":
            return f"event {target['eventTopic']}"
        case "HTTP":
            return f"{target['http'].get('method', 'POST')} {target['http']['url']}"
        case "QUEUE":
            return f"queue {target['queue']['topic']} on {target['queue'].get('broker', 'NATS')}"
    return str(target["kind"])


def schedule_fields(schedule: dict[str, Any]) -> Fields:
    yield "id", schedule["id"]
    yield "key", schedule.get("key")
    yield "name", schedule["name"]
    yield "description", schedule.get("description") or None
    yield "labels", ", ".join(f"{name}={value}" for name, value in schedule.get("labels", {}).items()) or None
    yield "trigger", f"{schedule['trigger']['type']} {trigger_in_short(schedule['trigger'])}"
    yield "time zone", schedule.get("tz")
    yield "target", target_in_short(schedule["target"])
    yield "payload", None if schedule.get("payload") is None else json.dumps(schedule["payload"], ensure_ascii=False)
    reason = schedule.get("stateReason")
    yield "state", f"{schedule['state']} ({reason})" if reason else schedule["state"]
    yield "next", schedule.get("nextFireAt")
    yield "last", schedule.get("lastFireAt")
    yield "version", schedule.get("version")


def occurrence_fields(occurrence: dict[str, Any]) -> Fields:
    yield "id", occurrence["id"]
    yield "schedule", occurrence["scheduleId"]
    yield "kind", occurrence["kind"]
    yield "scheduled for", occurrence["scheduledFor"]
    if occurrence.get("dueAt") != occurrence["scheduledFor"]:
        yield "due", occurrence.get("dueAt")
    reason = occurrence.get("reason")
    yield "status", f"{occurrence['status']} ({reason})" if reason else occurrence["status"]
    yield "next attempt", occurrence.get("nextAttemptAt")
    yield "completed", occurrence.get("completedAt")
    yield "lateness", lateness(occurrence)


def lateness(occurrence: dict[str, Any]) -> str | None:
    milliseconds = occurrence.get("latenessMs")
    return None if milliseconds is None else f"{milliseconds} ms"


def instant_row(instant: dict[str, Any]) -> tuple[object, ...]:
    """Return local time, offset, instant and what a policy did to it.

    >>> instant_row({"at": "2027-03-28T01:30:00Z", "local": "2027-03-28T03:30:00", "offset": "+02:00"})
    ('2027-03-28 03:30:00', '+02:00', '2027-03-28T01:30:00Z', '')
    """
    excluded = instant.get("excluded")
    note = f"excluded: {excluded}" if excluded else (instant.get("dst") or "").lower()
    return instant["local"].replace("T", " "), instant["offset"], instant["at"], note
