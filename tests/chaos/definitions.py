"""Rules and targets drawn at random: on the wire, and what they mean."""

import math
import random
import time
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from tests.chaos.history import Chain, Every, Once, Rule
from tests.chaos.receiver import Receiver

RETRY = {"maxAttempts": 100, "initialDelaySec": 0.2, "factor": 2, "maxDelaySec": 2}
TIMEOUT_SECONDS = 2
_STEPS, _STEP_WEIGHTS = (1, 2, 3, 5), (60, 20, 10, 10)
_TARGET_KINDS = ("EVENT", "HTTP", "QUEUE")


class Planned(Struct, frozen=True):
    """The wire form of a rule beside what it means."""

    rule: Rule
    fields: dict[str, Any]


class Definitions:
    def __init__(self, draw: random.Random, receiver: Receiver) -> None:
        self._draw = draw
        self._receiver = receiver

    def planned(self) -> Planned:
        ways = (self.cron, self.rrule, self._fixed_rate, self.chain, self._one_shot)
        return self._draw.choices(ways, weights=(35, 25, 15, 10, 15))[0]()

    def plain(self) -> Planned:
        """Return a rule that comes round by itself."""
        return self._draw.choice((self.cron, self.rrule))()

    def replanned(self, rule: Rule) -> Planned:
        """Return another rule for a schedule that has this one; a chain stays a chain."""
        return self.chain() if isinstance(rule, Chain) else self.plain()

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
        return {"kind": "HTTP", "http": {"url": self._receiver.url}}

    def fragile_target(self) -> dict[str, Any]:
        """Return a target that refuses some occurrences for good."""
        return {"kind": "HTTP", "http": {"url": self._receiver.fragile_url}}

    def key(self) -> str:
        """Return an Idempotency-Key."""
        return str(UUID(int=self._draw.getrandbits(128), version=4))

    def _step(self) -> int:
        return self._draw.choices(_STEPS, weights=_STEP_WEIGHTS)[0]


def in_utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
