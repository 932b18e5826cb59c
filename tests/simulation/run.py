"""One seed, from an empty store to a judgement."""

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from random import Random

from structlog.testing import capture_logs

from tests.simulation.expectation import problems_of
from tests.simulation.faults import Faults
from tests.simulation.installation import Api, Code, Installation
from tests.simulation.virtual_time import Process, VirtualTimeLoop
from tests.simulation.witness import false_completions, repeated_deliveries, untold_deliveries
from tests.simulation.workload import Tenant

BUSY_SECONDS = 8.0
_LONGEST_SETTLING = 60.0
_LOOK_EVERY = 0.5
AS_IT_IS = Code()


@dataclass(frozen=True)
class Verdict:
    """`problems` is empty where every invariant held; `trace` is for a person who reads how it came about."""

    seed: int
    problems: tuple[str, ...]
    trace: tuple[tuple[float, str, str], ...]
    virtual_seconds: float
    occurrence_count: int

    @property
    def digest(self) -> str:
        """Equal for equal runs: a seed that is replayed must have it again."""
        return blake2b(repr(self.trace).encode(), digest_size=8).hexdigest()


def simulate(seed: int, code: Code = AS_IT_IS) -> Verdict:
    """Run one seed; the same seed and code take the same course, whatever else the process has done."""
    state = random.getstate()
    random.seed(seed)  # the application draws its jitter from the module's own generator
    loop = VirtualTimeLoop(Random(f"{seed} loop"))
    installation = Installation(seed, loop, code)
    run = _Run(seed, installation)
    try:
        with capture_logs() as logs:
            installation.logs = logs
            loop.run(run.course())
    finally:
        random.setstate(state)
    problems = [*installation.witness.violations, *run.problems]
    problems += [_told(report) for report in loop.reports]
    return Verdict(
        seed, tuple(problems), tuple(installation.trace), installation.seconds, len(installation.tables.ledger)
    )


class _Run:
    def __init__(self, seed: int, installation: Installation) -> None:
        self.problems: list[str] = []
        self._installation = installation
        self._chance = Random(f"{seed} course")
        self._severity = self._chance.choice((0, 1, 1, 1))
        self._faults = Faults(installation, Random(f"{seed} faults"), self._chance.choice((1, 2, 2, 3)), self._severity)
        self._tenants: list[Tenant] = []

    async def course(self) -> None:
        api, process = Api(self._installation), Process("api", is_steady=True)
        count = self._chance.randrange(1, 5)
        self._tenants = [
            Tenant(number, self._installation, api, Random(self._chance.random()), BUSY_SECONDS)
            for number in range(count)
        ]
        living = [self._installation.loop.start(process, tenant.live()) for tenant in self._tenants]
        await self._faults.befall(BUSY_SECONDS)
        await asyncio.gather(*living)
        if self._installation.witness.violations:
            return
        if not await self._settled():
            self.problems += self._leftovers()
        self.problems += self._final_problems()

    async def _settled(self) -> bool:
        """Wait until nothing is queued, planned or missing; False if that does not come."""
        deadline = self._installation.loop.time() + _LONGEST_SETTLING
        while self._installation.loop.time() < deadline:
            if not any(True for _ in self._leftovers()) and not any(True for _ in self._missing()):
                return True
            await asyncio.sleep(_LOOK_EVERY)
        return False

    def _leftovers(self) -> Iterator[str]:
        tables = self._installation.tables
        for row in tables.queue.values():
            yield f"{row.id} is still queued: leased until {row.lease_until:%M:%S}, due at {row.start_tag:%M:%S}"
        for cursor in tables.cursors.values():
            if cursor.next_fire_at is not None:
                yield f"{cursor.schedule_id} is still to be planned from {cursor.next_fire_at:%M:%S}"
        for process in self._faults.processes:
            if process.open_count:
                yield f"{process.name} still has {process.open_count} occurrences on its hands"

    def _missing(self) -> Iterator[str]:
        for tenant in self._tenants:
            if tenant.history is not None:
                yield from problems_of(tenant.history, self._installation, self._installation.now())

    def _final_problems(self) -> Iterator[str]:
        witness, ledger = self._installation.witness, self._installation.tables.ledger
        yield from self._missing()
        yield from (f"{id_} is COMPLETED and never arrived" for id_ in false_completions(witness, ledger))
        vanished = {process.number for process in self._faults.processes if process.is_killed}
        yield from (f"{id_} arrived and is not in the ledger" for id_ in untold_deliveries(witness, ledger, vanished))
        if not self._severity:
            yield from (f"{id_} arrived twice, and nothing had failed" for id_ in repeated_deliveries(witness))


def _told(report: dict[str, object]) -> str:
    return f"{report.get('message')}: {report.get('exception')!r}"
