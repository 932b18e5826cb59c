"""Rules and targets drawn at random: on the wire, and what they mean."""

import math
import random
import time
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from tests.chaos.history import Chain, Every, Once, Rule, Story

MOST_ATTEMPTS = 100
FRAGILE_ATTEMPTS = 2
RETRY = {"maxAttempts": MOST_ATTEMPTS, "initialDelaySec": 0.2, "factor": 2, "maxDelaySec": 2}
TIMEOUT_SECONDS = 2
_STEPS, _STEP_WEIGHTS = (1, 2, 3, 5), (60, 20, 10, 10)
_LATER_SHARE = 0.3
_TARGET_KINDS = ("EVENT", "HTTP", "QUEUE")


class Planned(Struct, frozen=True):
    """The wire form of a rule beside what it means."""

    rule: Rule
    fields: dict[str, Any]


class ReceiverUrls(Struct, frozen=True):
    """Where the receiver takes all, refuses some until it is mended, accepts now to call back later, takes long."""

    hook: str
    fragile: str
    later: str
    slow: str


class Drawn(Struct, frozen=True):
    """A schedule that is wanted: its definition on the wire beside what a judge has to know of it."""

    rule: Rule
    definition: dict[str, Any]
    most_attempts: int = 100
    awaits_callback: bool = False
    overlap: str = "ALLOW_ALL"


class Definitions:
    def __init__(self, draw: random.Random, urls: ReceiverUrls) -> None:
        self._draw = draw
        self._urls = urls

    def drawn(self) -> Drawn:
        ways = (self._ordinary, self._fragile, self._called_back, self._in_line)
        return self._draw.choices(ways, weights=(65, 10, 10, 15))[0]()

    def _ordinary(self) -> Drawn:
        planned = self.planned()
        return Drawn(planned.rule, self._definition(planned, self.target()))

    def _fragile(self) -> Drawn:
        """Return a schedule some of whose occurrences are dead letters soon."""
        planned = self.plain()
        definition = self._definition(planned, _http(self._urls.fragile), attempts=FRAGILE_ATTEMPTS)
        return Drawn(planned.rule, definition, FRAGILE_ATTEMPTS)

    def _called_back(self) -> Drawn:
        planned = self._draw.choice((self.plain, self.plain, self.chain))()
        attempts = self._draw.choice((FRAGILE_ATTEMPTS, MOST_ATTEMPTS, MOST_ATTEMPTS))
        if isinstance(planned.rule, Chain):
            attempts = MOST_ATTEMPTS
        definition = self._definition(planned, _http(self._urls.later), attempts=attempts)
        return Drawn(planned.rule, {**definition, "completion": "CALLBACK"}, attempts, awaits_callback=True)

    def _in_line(self) -> Drawn:
        """Return a schedule whose occurrences wait for each other; each takes a while, but less than to the next."""
        policy, awaits = self._draw.choice(("SKIP", "BUFFER_ONE", "BUFFER_ALL")), self._draw.random() < _LATER_SHARE
        planned = self._spaced(awaits)
        definition = self._definition(planned, _http(self._urls.later if awaits else self._urls.slow))
        definition |= {"overlap": policy, "completion": "CALLBACK" if awaits else "ACK"}
        return Drawn(planned.rule, definition, awaits_callback=awaits, overlap=policy)

    def _spaced(self, awaits_callback: bool) -> Planned:
        """Return a rule that leaves its occurrences the time that they take."""
        step = self._draw.choice((3, 5) if awaits_callback else (2, 3, 5))
        return Planned(Every(0, step), {"trigger": {"type": "CRON", "cron": f"*/{step} * * * * *"}})

    def _definition(self, planned: Planned, target: dict[str, Any], *, attempts: int = MOST_ATTEMPTS) -> dict[str, Any]:
        return {
            "name": "chaos",
            "target": target,
            "retry": {**RETRY, "maxAttempts": attempts},
            "timeoutSec": TIMEOUT_SECONDS,
            "misfire": {"policy": self._draw.choice(("FIRE_LATEST", "FIRE_ALL"))},
            **planned.fields,
        }

    def planned(self) -> Planned:
        ways = (self.cron, self.rrule, self._fixed_rate, self.chain, self._one_shot)
        return self._draw.choices(ways, weights=(35, 25, 15, 10, 15))[0]()

    def plain(self) -> Planned:
        """Return a rule that comes round by itself."""
        return self._draw.choice((self.cron, self.rrule))()

    def replanned(self, story: Story) -> Planned:
        """Return another rule for the schedule; a chain stays a chain."""
        if story.overlap != "ALLOW_ALL":
            return self._spaced(story.awaits_callback)
        return self.chain() if isinstance(story.rule, Chain) else self.plain()

    def cron(self) -> Planned:
        step = self._step()
        second = "*" if step == 1 else f"*/{step}"
        return Planned(Every(0, step), {"trigger": {"type": "CRON", "cron": f"{second} * * * * *"}})

    def rrule(self) -> Planned:
        step, first = self._step(), int(time.time())
        dtstart = datetime.fromtimestamp(first, UTC).replace(tzinfo=None).isoformat()
        trigger = {"type": "RRULE", "rrule": f"FREQ=SECONDLY;INTERVAL={step}", "dtstart": dtstart}
        return Planned(Every(first, step), {"trigger": trigger})

    def chain(self) -> Planned:
        delay = self._step()
        return Planned(Chain(delay), {"trigger": {"type": "FIXED_DELAY", "delaySec": delay}})

    def _fixed_rate(self) -> Planned:
        step, first = self._step(), math.ceil(time.time()) + self._draw.randrange(1, 4)
        trigger = {"type": "FIXED_DELAY", "delaySec": step, "anchor": "SCHEDULE"}
        return Planned(Every(first, step), {"trigger": trigger, "startAt": in_utc(first)})

    def _one_shot(self) -> Planned:
        at = math.ceil(time.time()) + self._draw.randrange(2, 20)
        return Planned(Once(at), {"trigger": {"type": "ONE_SHOT", "startAt": in_utc(at), "ifPast": "RUN_NOW"}})

    def target(self) -> dict[str, Any]:
        kind = self._draw.choice(_TARGET_KINDS)
        match kind:
            case "EVENT":
                return {"kind": kind, "eventTopic": "chaos.fired"}
            case "QUEUE":
                return {"kind": kind, "queue": {"topic": "chaos"}}
        return _http(self._urls.hook)

    def key(self) -> str:
        """Return an Idempotency-Key."""
        return str(UUID(int=self._draw.getrandbits(128), version=4))

    def _step(self) -> int:
        return self._draw.choices(_STEPS, weights=_STEP_WEIGHTS)[0]


def _http(url: str) -> dict[str, Any]:
    return {"kind": "HTTP", "http": {"url": url}}


def in_utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
