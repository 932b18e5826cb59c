"""When a failed attempt is tried again: full jitter over an exponential bound, within a count and an age.

Full jitter after M. Brooker, "Exponential Backoff And Jitter" (2015): the wait is uniform in [0, bound), which keeps
the retries of a herd from arriving as a herd. A `Retry-After` of the target is honoured between 1 s and 1 h.
"""

from datetime import datetime, timedelta

from scheduler_domain.domain.schedule import Retry

SHORTEST_RETRY_AFTER = timedelta(seconds=1)
LONGEST_RETRY_AFTER = timedelta(hours=1)
GIVEN_UP_AFTER = timedelta(days=5)
"""A schedule whose webhooks all fail for so long, through all their retries, is disabled."""
_LARGEST_EXPONENT = 64


def next_attempt_at(
    policy: Retry,
    attempt: int,
    counted_from: datetime,
    failed_at: datetime,
    jitter: float,
    retry_after: timedelta | None = None,
) -> datetime | None:
    """Return when to try again after attempt number `attempt` (from 1), or None once the policy is spent.

    `jitter` in [0, 1) comes from the caller, so that tests need no seed. The age is counted from
    `counted_from`: the due instant, or that of a replay.
    """
    if attempt >= policy.max_attempts:
        return None
    wait = retry_after_within_bounds(retry_after) or _backoff(policy, attempt) * jitter
    retry_at = failed_at + wait
    return retry_at if retry_at <= counted_from + timedelta(seconds=policy.max_age_sec) else None


def retry_after_within_bounds(retry_after: timedelta | None) -> timedelta | None:
    if retry_after is None:
        return None
    return min(max(retry_after, SHORTEST_RETRY_AFTER), LONGEST_RETRY_AFTER)


def _backoff(policy: Retry, attempt: int) -> timedelta:
    bound = policy.initial_delay_sec * policy.factor ** min(attempt - 1, _LARGEST_EXPONENT)
    return timedelta(seconds=min(bound, policy.max_delay_sec))
