"""Targets that take their time, fail, and lose their answers; what arrives, they tell the witness."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from scheduler_domain.application.ports.delivery import Delivery
from scheduler_domain.domain.outcome import ACKNOWLEDGED, Delivered, Outcome, Refused, Unreachable
from tests.simulation.witness import Witness


@dataclass(slots=True)
class Manners:
    """How targets behave at present, as shares of attempts."""

    failing: float = 0.0
    losing_answers: float = 0.0
    refusing: float = 0.0
    gone: float = 0.0
    slow: float = 0.0

    def mend(self) -> None:
        self.failing = self.losing_answers = self.refusing = self.gone = self.slow = 0.0


class Targets:
    """What the senders of one dispatcher reach; the broker takes batches, receivers one request each."""

    def __init__(
        self, chance: Random, manners: Manners, witness: Witness, holder: int, note: Callable[[str], None]
    ) -> None:
        self._chance = chance
        self._manners = manners
        self._witness = witness
        self._holder = holder
        self._note = note

    async def send_batch(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        attempts = [self._witness.started(self._holder, delivery.occurrence_id) for delivery in deliveries]
        self._note(f"sends {[_short(delivery) for delivery in deliveries]}")
        await self._on_the_way()
        outcomes = [self._outcome(delivery) for delivery in deliveries]
        await self._on_the_way()
        for attempt, outcome in zip(attempts, outcomes, strict=True):
            self._witness.finished(attempt)
            if isinstance(outcome, Delivered):
                self._witness.told(attempt)
        return outcomes

    def _outcome(self, delivery: Delivery) -> Outcome:
        manners, drawn = self._manners, self._chance.random()
        for share, outcome in (
            (manners.failing, Unreachable("no answer", counts=self._chance.random() < 0.7)),
            (manners.refusing, Refused("not wanted")),
            (manners.gone, Refused("gone", 410, disable=True)),
        ):
            if drawn < share:
                return outcome
            drawn -= share
        self._witness.arrived(delivery.occurrence_id)
        if drawn < manners.losing_answers:
            return Unreachable("the answer is lost")
        return ACKNOWLEDGED if drawn < 0.9 else Delivered(duplicate=True)

    async def _on_the_way(self) -> None:
        if self._chance.random() < self._manners.slow:
            await asyncio.sleep(self._chance.random() * 5)
        elif self._chance.random() < 0.5:
            await asyncio.sleep(self._chance.random() * 0.02)
        else:
            await asyncio.sleep(0)


class Broker:
    """The port `BrokerSender`."""

    def __init__(self, targets: Targets) -> None:
        self._targets = targets

    def prepare(self, delivery: Delivery) -> Delivery:
        return delivery

    async def send(self, messages: Sequence[Delivery], fired_at: bytes) -> Sequence[Outcome]:
        return await self._targets.send_batch(messages)


class Receiver:
    """The port `SingleSender`; keeps within the delivery's timeout."""

    def __init__(self, targets: Targets) -> None:
        self._targets = targets

    async def send(self, delivery: Delivery, fired_at: bytes) -> Outcome:
        [outcome] = await self._targets.send_batch([delivery])
        return outcome


def _short(delivery: Delivery) -> str:
    return f"{delivery.scheduled_for:%M:%S.%f} attempt {delivery.attempt}"
