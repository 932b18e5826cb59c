"""Admit: ask for those due occurrences that their instant alone does not start.

Two kinds ask: occurrences of schedules that do not let them overlap, and attempts that may be waiting for a callback.
They ask at their instant and not when they are claimed, which is seconds before. Design note:

- The authority is the queue. A row stands in its schedule's line until it ends, and `admitted_at` marks the one that
  has started. Looking and marking happen under one lock of the line, so that of two dispatchers the second sees what
  the first decided, also where a row was planned late and stands ahead of one that runs.
- A mark belongs to the occurrence and not to the dispatcher: it outlives a retry, a lost lease, and the wait for a
  callback. Whoever claims the row next starts it, and nobody starts another.
- What has to wait is given back, and is woken by the transaction that records the end it waits for, even out of the
  hands of whoever has claimed it ahead to ask again: that one finds it lost. Where nobody is woken (an end that was no
  end of an attempt, a row that another has locked just then), it asks again by itself, ever more rarely.
- What cannot be prevented: a dispatcher that was stopped for longer than its lease may have a request under way at the
  receiver while its successor ends the occurrence and the next one starts.

Schedules that allow overlap never come here.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import assert_never

from msgspec import Struct

from scheduler_domain.application.deliver_occurrence import DeliverOccurrences
from scheduler_domain.application.held_occurrence import Gate, HeldOccurrence, Stage
from scheduler_domain.application.ports.clock import Clock
from scheduler_domain.application.ports.lines import Decided, Lines, Standing
from scheduler_domain.domain.callback import no_callback, outcome_of
from scheduler_domain.domain.occurrence import Status
from scheduler_domain.domain.overlap import Turn, turn_of

MOST_AT_ONCE = 200
_SHORTEST_WAIT, _LONGEST_WAIT = timedelta(seconds=1), timedelta(minutes=1)


class _Course(Enum):
    """How an occurrence that asked goes on."""

    LOST = auto()
    CALLED_BACK = auto()
    NOT_CALLED_BACK = auto()
    WITHDRAWN = auto()
    START = auto()
    WAIT = auto()
    SKIP = auto()


_COURSE_BY_TURN = {Turn.START: _Course.START, Turn.WAIT: _Course.WAIT, Turn.SKIP: _Course.SKIP}


class _Asked(Struct, gc=False):
    item: HeldOccurrence
    standing: Standing | None
    course: _Course


class AdmitOccurrences:
    def __init__(self, lines: Lines, deliver: DeliverOccurrences, clock: Clock) -> None:
        self._lines = lines
        self._deliver = deliver
        self._clock = clock

    async def step(self) -> int:
        """Decide about one batch, waiting for one; return how many asked. What an error came between asks again."""
        batch = await self._deliver.next_asking(MOST_AT_ONCE)
        if not batch:
            return 0
        try:
            asked = await self._decided(batch, self._clock.now())
        except BaseException:
            self._deliver.ask(batch)
            raise
        for one in asked:
            if one.item.stage is Stage.HELD:  # it may have been revoked while we asked
                self._follow(one)
        return len(batch)

    async def _decided(self, batch: Sequence[HeldOccurrence], now: datetime) -> list[_Asked]:
        async with self._lines.held([item.claimed for item in batch], now) as lines:
            standings = [lines.standings.get(item.claimed.id) for item in batch]
            asked = [_Asked(item, it, _course(item, it)) for item, it in zip(batch, standings, strict=True)]
            decided = [_decision(one, now) for one in asked if _changes_the_queue(one)]
            ours = await lines.decide(decided) if decided else set()
        for one in asked:
            if _changes_the_queue(one) and one.item.claimed.id not in ours:
                one.course = _Course.LOST
        return asked

    def _follow(self, asked: _Asked) -> None:
        item, standing = asked.item, asked.standing
        now = self._clock.now()
        match asked.course:
            case _Course.CALLED_BACK:
                assert standing is not None
                assert standing.callback is not None
                called_at = standing.callback.called_at
                self._deliver.end(item, outcome_of(standing.callback), standing.began_at or called_at, called_at)
            case _Course.NOT_CALLED_BACK:
                assert standing is not None
                self._deliver.end(item, no_callback(_gate(item).timeout_sec), standing.began_at or now, now)
            case _Course.START:
                item.turn_came_at = max(item.claimed.due_at, item.claimed.start_tag)
                self._deliver.start(item)
            case _Course.SKIP:
                self._deliver.end_unattempted(item, Status.SKIPPED, "overlap", now)
            case _Course.WITHDRAWN:
                self._deliver.end_unattempted(item, Status.CANCELLED, _gate(item).withdrawn_for, now)
            case _Course.WAIT | _Course.LOST:
                self._deliver.let_go((item,))
            case _:
                assert_never(asked.course)


def _gate(item: HeldOccurrence) -> Gate:
    assert item.gate is not None  # nothing else asks
    return item.gate


def _course(item: HeldOccurrence, standing: Standing | None) -> _Course:
    if standing is None:
        return _Course.LOST
    if standing.callback is not None:
        return _Course.CALLED_BACK
    if standing.is_awaiting:
        return _Course.NOT_CALLED_BACK  # nothing else wakes it before its callback is due
    if _gate(item).withdrawn_for is not None:
        return _Course.WITHDRAWN
    is_requested = item.claimed.requested_at is not None
    return _COURSE_BY_TURN[
        turn_of(_gate(item).overlap, standing.ahead_count, has_started=standing.has_started, is_requested=is_requested)
    ]


def _changes_the_queue(asked: _Asked) -> bool:
    """Tell whether a place is taken anew, or a lease given back."""
    if asked.course is _Course.START:
        is_new = asked.standing is not None and not asked.standing.has_started
        return is_new and asked.item.frees_line
    return asked.course is _Course.WAIT


def _decision(asked: _Asked, now: datetime) -> Decided:
    """Return what the queue is told; what waits asks again unasked, in proportion to how long it has waited."""
    if asked.course is _Course.START:
        return Decided(asked.item.claimed, None)
    waited = now - datetime.fromtimestamp(asked.item.claimed.due_at, UTC)
    return Decided(asked.item.claimed, min(max(waited / 4, _SHORTEST_WAIT), _LONGEST_WAIT))
