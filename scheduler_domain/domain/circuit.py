"""Circuit: a receiver that is away is asked now and then whether it is back, and by nothing else.

Without it each occurrence finds out for itself, at the price of an attempt, and of a slot for as long as its receiver
hangs. The breaker of M. Nygard, "Release It!" (2007), by the figures of our own requirement (D7): it opens after 10
failures in a row, or where at least 20 outcomes of the last 60 s hold as many failures as answers; then one request at
a time is the probe, after 30 s first and 5 min at most. A probe that is answered closes it, and the past is forgotten.

Now is an argument, in seconds that never jump; chance is one as well.
"""

import math
from collections import deque
from datetime import timedelta
from enum import IntEnum
from typing import assert_never
from uuid import UUID

from msgspec import Struct

from scheduler_domain.domain.outcome import Accepted, Delivered, Outcome, Refused, Unreachable

WINDOW_SECONDS = 60
PROBE_JITTER = 0.1
"""The share of a wait by which chance may lengthen it: dispatchers that opened together do not probe in step."""
UNASKED_AFTER = timedelta(hours=1)
"""An open circuit that nobody came to for so long is of no use: it is the longest that retries wait by default."""

_TOO_SLOW, _TOO_MANY, _SERVER_ERRORS = 408, 429, range(500, 600)


class CircuitState(IntEnum):
    """From best to worst, as the metric shows it. HALF_OPEN: the probe is under way."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class CircuitTerms(Struct, frozen=True):
    """When a circuit opens, and when it is probed. The wait for a probe doubles each time one fails."""

    failures_in_a_row: int = 10
    judged_from: int = 20
    """Of fewer outcomes than this in the window, their share says nothing."""
    failed_share: float = 0.5
    first_probe_after: timedelta = timedelta(seconds=30)
    longest_wait: timedelta = timedelta(minutes=5)
    probes_in_a_round: int = 3
    """How many schedules have to be answered with trouble, each once, before it is left alone for another wait."""


USUAL_TERMS = CircuitTerms()


def answered(outcome: Outcome) -> bool | None:
    """Tell whether the receiver is there and well enough to answer; None where the outcome says nothing of it.

    A schedule with a wrong path, or a receiver that has gone for good (410), has been answered. What our own policy
    refused never left us, and what this dispatcher had no socket or look-up for neither.

    >>> answered(Unreachable("the receiver answered 404", 404)), answered(Unreachable("it answered 503", 503))
    (True, False)
    >>> answered(Unreachable("connection refused")), answered(Refused("10.0.0.1 is not a public address"))
    (False, None)
    """
    match outcome:
        case Delivered() | Accepted():
            return True
        case Refused(status_code=None) | Unreachable(counts=False):
            return None
        case Refused():
            return True
        case Unreachable(status_code=status):
            return status is not None and status not in (_TOO_SLOW, _TOO_MANY) and status not in _SERVER_ERRORS
        case _:
            assert_never(outcome)


class Circuit:
    """The circuit to one receiver.

    A request takes the `stretch` along in which it began. What ends in a later one changes nothing: requests that were
    under way when the circuit opened neither close it nor put off its probe. So in a stretch that began with an opening
    the only request is the probe.
    """

    __slots__ = (
        "_came_at",
        "_failures_in_a_row",
        "_prober",
        "_terms",
        "_troubled",
        "_used_at",
        "_wait",
        "_window",
        "probe_at",
        "state",
        "stretch",
    )

    def __init__(self, terms: CircuitTerms) -> None:
        self.state = CircuitState.CLOSED
        self.stretch = 0
        self.probe_at = -math.inf
        """From when on whoever comes is the probe, the first of a round."""
        self._prober: UUID | None = None
        self._came_at = -math.inf
        self._troubled: set[UUID] = set()  # the schedules whose probes of this round were answered with trouble
        self._terms = terms
        self._wait = terms.first_probe_after
        self._failures_in_a_row = 0
        self._window = _Window()
        self._used_at = -math.inf

    def lets_through(self, now: float, schedule_id: UUID) -> bool:
        """Tell whether one more request may go; where a probe is due, the schedule that asks has become it.

        It is to `begin`, or to be let go of.
        """
        if self.state is CircuitState.OPEN and self._may_probe(now, schedule_id):
            self.state, self._prober, self._came_at = CircuitState.HALF_OPEN, schedule_id, now
            return True
        return self.state is CircuitState.CLOSED

    def _may_probe(self, now: float, schedule_id: UUID) -> bool:
        if now >= self.probe_at:
            self._troubled.clear()
            return True
        return 0 < len(self._troubled) < self._terms.probes_in_a_round and schedule_id not in self._troubled

    def wait(self, now: float) -> timedelta | None:
        """Return how long who was not let through had better wait; None where it is closed.

        Until the next probe; or while one is under way as long again as it has been: most are answered in a moment,
        and one that hangs is not asked after too often.
        """
        match self.state:
            case CircuitState.CLOSED:
                return None
            case CircuitState.HALF_OPEN:
                return timedelta(seconds=now - self._came_at)
            case CircuitState.OPEN:
                return timedelta(seconds=max(self.probe_at - now, 0))

    def begin(self, now: float) -> int:
        """Note that a request that was let through begins; return the stretch that its end is to name."""
        self._used_at = now
        return self.stretch

    def end(
        self, stretch: int, *, is_answered: bool | None, now: float, jitter: float, has_status: bool = False
    ) -> None:
        """Take how a request ended that began in `stretch`; `jitter` in [0, 1) lengthens the wait for a probe.

        None stands for one that says nothing of the receiver, or was let go of: a probe leaves its place to the next.
        What failed although it `has_status` was answered with trouble.
        """
        if stretch != self.stretch:
            return
        self._used_at = now
        if self.state is CircuitState.CLOSED:
            if is_answered is not None:
                self._count(now, jitter, is_answered=is_answered)
        elif is_answered is None:
            self.state = CircuitState.OPEN
        elif is_answered:
            self._close()
        else:
            self._take_failed_probe(has_status=has_status)
            self._open(now, jitter)

    def is_idle(self, now: float) -> bool:
        """Tell whether nothing is lost by forgetting it: no request is under way, and nothing it counted matters.

        No attempt takes as long as the window, so what is not used for two has none under way.
        """
        match self.state:
            case CircuitState.CLOSED:
                return now - self._used_at > 2 * WINDOW_SECONDS
            case CircuitState.OPEN:
                return now - max(self.probe_at, self._used_at) > UNASKED_AFTER.total_seconds()
            case CircuitState.HALF_OPEN:
                return False

    def _count(self, now: float, jitter: float, *, is_answered: bool) -> None:
        self._window.add(int(now), is_failure=not is_answered)
        if is_answered:
            self._failures_in_a_row = 0
            return
        self._failures_in_a_row += 1
        if self._failures_in_a_row >= self._terms.failures_in_a_row or self._too_many_failed():
            self._open(now, jitter)

    def _too_many_failed(self) -> bool:
        window = self._window
        is_enough = window.outcome_count >= self._terms.judged_from
        return is_enough and window.failure_count >= self._terms.failed_share * window.outcome_count

    def _take_failed_probe(self, *, has_status: bool) -> None:
        if not self._troubled:  # the first of its round
            self._wait = min(self._wait * 2, self._terms.longest_wait)
        if has_status and self._prober is not None:
            self._troubled.add(self._prober)
        else:
            self._troubled.clear()

    def _open(self, now: float, jitter: float) -> None:
        self.state = CircuitState.OPEN
        self.stretch += 1
        self.probe_at = now + self._wait.total_seconds() * (1 + PROBE_JITTER * jitter)

    def _close(self) -> None:
        self.state = CircuitState.CLOSED
        self.stretch += 1
        self._wait = self._terms.first_probe_after
        self._troubled.clear()
        self._failures_in_a_row = 0
        self._window = _Window()


class _Window:
    """Outcomes of the last minute, by the second in which they ended: at most sixty numbers, however many they are."""

    __slots__ = ("_seconds", "failure_count", "outcome_count")

    def __init__(self) -> None:
        self._seconds: deque[list[int]] = deque()
        self.outcome_count = self.failure_count = 0

    def add(self, second: int, *, is_failure: bool) -> None:
        while self._seconds and self._seconds[0][0] <= second - WINDOW_SECONDS:
            _, outcome_count, failure_count = self._seconds.popleft()
            self.outcome_count -= outcome_count
            self.failure_count -= failure_count
        if not self._seconds or self._seconds[-1][0] < second:
            self._seconds.append([second, 0, 0])
        latest = self._seconds[-1]
        latest[1] += 1
        latest[2] += is_failure
        self.outcome_count += 1
        self.failure_count += is_failure
