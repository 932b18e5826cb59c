"""What becomes of an instant that was missed (domain/misfire.py)."""

from datetime import UTC, datetime, timedelta

import pytest

from scheduler_domain.domain.misfire import reason_to_skip
from scheduler_domain.domain.schedule import CronTrigger, FixedDelayTrigger, Misfire, Trigger

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
MINUTELY, DELAY = CronTrigger("* * * * *"), FixedDelayTrigger(60)


@pytest.mark.parametrize(
    ("misfire", "trigger", "earlier", "latest"),
    [
        (Misfire("FIRE_LATEST"), MINUTELY, "misfire-coalesced", None),
        (Misfire("FIRE_ALL"), MINUTELY, None, None),
        (Misfire("FIRE_ALL"), DELAY, "misfire-coalesced", None),
        (Misfire("SKIP"), MINUTELY, "misfire-skipped", "misfire-skipped"),
        (Misfire("FIRE_LATEST", 10), MINUTELY, "misfire-window", "misfire-window"),
        (Misfire("FIRE_ALL", 10), MINUTELY, "misfire-window", "misfire-window"),
        (Misfire("SKIP", 10), MINUTELY, "misfire-window", "misfire-window"),
        (Misfire("FIRE_ALL", 11), MINUTELY, None, None),
    ],
)
def test_the_policy_and_its_window_decide(
    misfire: Misfire, trigger: Trigger, earlier: str | None, latest: str | None
) -> None:
    at = NOW - timedelta(seconds=11)
    assert reason_to_skip(misfire, trigger, at, NOW, is_latest=False) == earlier
    assert reason_to_skip(misfire, trigger, at, NOW, is_latest=True) == latest
