"""Which fault when: a function of the seed, so that a run can be repeated."""

import random
from collections.abc import Iterator
from types import MappingProxyType

from msgspec import Struct

LEASE_SECONDS = 6
DISPATCHERS = 3
_SPACING = 2.0

# kind → what it befalls, and the shortest and longest time until it is mended; no part has two faults at a time.
KINDS = MappingProxyType(
    {
        "dispatcher-killed": ("dispatcher", 0.2, 2.0),
        "dispatcher-restarted": ("dispatcher", 0.0, 0.5),
        "dispatcher-stopped": ("dispatcher", 0.5, LEASE_SECONDS / 3),
        "dispatcher-stopped-beyond-its-lease": ("dispatcher", LEASE_SECONDS * 1.2, LEASE_SECONDS * 1.6),
        "postgres-killed": ("postgres", 0.1, 1.0),
        "postgres-restarted": ("postgres", 0.1, 1.0),
        "postgres-stopped": ("postgres", 0.5, 4.0),
        "postgres-connections-ended": ("postgres", 0.0, 0.0),
        "nats-killed": ("nats", 0.1, 2.0),
        "nats-restarted": ("nats", 0.1, 1.0),
        "nats-stopped": ("nats", 0.5, 4.0),
        "valkey-killed": ("valkey", 0.1, 4.0),
        "valkey-stopped": ("valkey", 0.5, 4.0),
        "valkey-flushed": ("valkey", 0.0, 0.0),
        "leader-lock-stolen": ("valkey", 1.0, 5.0),
        "api-killed": ("api", 0.1, 1.0),
        "api-stopped": ("api", 0.5, 3.0),
        "receiver-unavailable": ("receiver", 0.5, 3.0),
        "receiver-hangs": ("receiver", 0.5, 3.0),
        "receiver-resets": ("receiver", 0.5, 3.0),
        "network-to-postgres-slow": ("network-to-postgres", 1.0, 4.0),
        "network-to-postgres-cut": ("network-to-postgres", 1.0, LEASE_SECONDS * 1.5),
        "network-to-postgres-reset": ("network-to-postgres", 0.0, 0.0),
        "network-to-nats-slow": ("network-to-nats", 1.0, 4.0),
        "network-to-nats-cut": ("network-to-nats", 1.0, 6.0),
        "network-to-nats-reset": ("network-to-nats", 0.0, 0.0),
    }
)


class Fault(Struct, frozen=True):
    """`at` and `seconds` from the start of the run; `place` says which dispatcher, where it befalls one."""

    at: float
    kind: str
    seconds: float
    place: int

    @property
    def part(self) -> str:
        part = KINDS[self.kind][0]
        return f"{part}-{self.place}" if part == "dispatcher" else part


def plan_faults(seed: int, seconds: float) -> list[Fault]:
    """Return a fault every two seconds or so; every kind comes up before one is repeated, as far as parts are free."""
    draw = random.Random(seed)  # noqa: S311 - to be repeated, not to be unguessable
    faults: list[Fault] = []
    mended: dict[str, float] = {}
    waiting: list[str] = []
    for at in _instants(draw, seconds):
        waiting = waiting if len(waiting) > len(KINDS) // 3 else waiting + draw.sample(list(KINDS), len(KINDS))
        for kind in waiting:
            _, shortest, longest = KINDS[kind]
            fault = Fault(at, kind, round(draw.uniform(shortest, longest), 2), draw.randrange(DISPATCHERS))
            if mended.get(fault.part, 0.0) <= at:
                mended[fault.part] = at + fault.seconds + 1.0
                waiting.remove(kind)
                faults.append(fault)
                break
    return faults


def _instants(draw: random.Random, seconds: float) -> Iterator[float]:
    at = draw.uniform(0.5, _SPACING)
    while at < seconds:
        yield round(at, 2)
        at += draw.uniform(0.5, 1.5) * _SPACING
