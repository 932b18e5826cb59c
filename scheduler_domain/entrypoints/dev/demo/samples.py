"""The demo's schedules: every kind of trigger and of target, something to see every few seconds, and two birthdays."""

from datetime import UTC, datetime, timedelta
from typing import Any

_ONE_SHOT_AFTER = timedelta(seconds=5)
_BIRTHDAY_AFTER = timedelta(seconds=20)


def samples(http_url: str) -> list[dict[str, Any]]:
    """Return definitions under keys of their own, so that the next demo replaces them instead of adding more."""
    once_at = datetime.now(UTC).replace(microsecond=0) + _ONE_SHOT_AFTER
    return [
        {
            "key": "demo-heartbeat",
            "name": "Heartbeat",
            "trigger": {"type": "CRON", "cron": "*/10 * * * * *"},
            "target": {"kind": "EVENT", "eventTopic": "demo.heartbeat"},
        },
        {
            "key": "demo-report",
            "name": "Report",
            "tz": "Europe/Berlin",
            "trigger": {"type": "RRULE", "rrule": "FREQ=MINUTELY;BYSECOND=5,25,45"},
            "target": {"kind": "QUEUE", "queue": {"topic": "demo.reports"}},
        },
        {
            "key": "demo-poll",
            "name": "Poll",
            "trigger": {"type": "FIXED_DELAY", "delaySec": 15},
            "target": {"kind": "HTTP", "http": {"url": f"{http_url}/poll"}},
        },
        {
            "key": "demo-reminder",
            "name": "Reminder",
            "trigger": {"type": "ONE_SHOT", "startAt": f"{once_at:%Y-%m-%dT%H:%M:%SZ}"},
            "target": {"kind": "HTTP", "http": {"url": f"{http_url}/remind"}},
        },
    ]


def birthdays() -> dict[str, dict[str, str]]:
    """Return parameters of the template `birthday` by key: one who is greeted in a moment, one of 29 February."""
    today = datetime.now(UTC).replace(microsecond=0) + _BIRTHDAY_AFTER
    return {
        "demo-ada": {
            "firstName": "Ada",
            "lastName": "Lovelace",
            "dateOfBirth": f"1988-{today:%m-%d}",
            "tz": "Etc/UTC",
            "sendAt": f"{today:%H:%M:%S}",
        },
        "demo-leap": {
            "firstName": "Leo",
            "lastName": "Leap",
            "dateOfBirth": "1988-02-29",
            "tz": "Europe/London",
            "leapDay": "MAR_1",
        },
    }
