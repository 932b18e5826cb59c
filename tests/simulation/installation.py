"""An installation in memory: one store, dispatchers and an API, composed as bootstrap composes the real ones."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

from scheduler_domain.application.accept_schedule import AcceptSchedule
from scheduler_domain.application.admit_occurrences import AdmitOccurrences
from scheduler_domain.application.change_schedule import ChangeSchedule
from scheduler_domain.application.claim_occurrences import ClaimOccurrences
from scheduler_domain.application.deliver_occurrence import SENDS_IN_FLIGHT, DeliverOccurrences
from scheduler_domain.application.follow_tzdata import FollowTzdata
from scheduler_domain.application.follow_weights import FollowWeights
from scheduler_domain.application.materialise_occurrences import MaterialiseOccurrences
from scheduler_domain.application.plan_anew import Planner
from scheduler_domain.application.ports.tracing import UNTRACED
from scheduler_domain.application.put_off_occurrences import PutOffOccurrences
from scheduler_domain.application.record_outcomes import RecordOutcomes
from scheduler_domain.application.replan_instances import ReplanInstances
from scheduler_domain.application.rescue_occurrences import RescueOccurrences
from scheduler_domain.application.trigger_schedule import TriggerSchedule
from scheduler_domain.bootstrap.dispatcher import BEATS_AT_START, DispatcherParts
from scheduler_domain.domain.fairness import StartTags, Weights
from scheduler_domain.domain.planning import Cursor
from scheduler_domain.domain.validation import TargetPolicy
from scheduler_domain.entrypoints.dispatcher.dispatcher import Dispatcher
from scheduler_domain.entrypoints.dispatcher.loops import try_until_done
from scheduler_domain.infra.postgres.database_clock import DatabaseClock
from tests.simulation.link import Weather, Wire
from tests.simulation.measurements import Unmeasured
from tests.simulation.memory.cursors import MemoryCursors, MemoryZoneMoves
from tests.simulation.memory.dispatchers import Lock, MemoryDispatchers, MemoryLeadership
from tests.simulation.memory.due_queue import MemoryDueQueue
from tests.simulation.memory.lines import MemoryLines
from tests.simulation.memory.schedules import MemorySchedules
from tests.simulation.memory.tables import ScheduleKey, Tables
from tests.simulation.targets import Broker, Manners, Receiver, Targets
from tests.simulation.virtual_time import Process, VirtualTimeLoop
from tests.simulation.witness import Witness

LEASE = timedelta(seconds=6)
LOOKAHEAD = timedelta(seconds=3)
_EPOCH = datetime(2026, 11, 22, 8, 59, 50, tzinfo=UTC)
_GRACE = timedelta(seconds=4)
_HTTP_SLOTS, _MOST_WEBHOOKS_WAITING = 4, 2  # few, so that webhooks are put off now and then


@dataclass(frozen=True)
class Code:
    """The code that is simulated. A planted bug is one of these with a part that is wrong."""

    queue: type[MemoryDueQueue] = MemoryDueQueue
    cursors: type[MemoryCursors] = MemoryCursors
    tables: type[Tables] = Tables
    schedules: type[MemorySchedules] = MemorySchedules
    materialise: type[MaterialiseOccurrences] = MaterialiseOccurrences
    claim: type[ClaimOccurrences] = ClaimOccurrences
    deliver: type[DeliverOccurrences] = DeliverOccurrences
    record: type[RecordOutcomes] = RecordOutcomes
    rescue: type[RescueOccurrences] = RescueOccurrences
    change: type[ChangeSchedule] = ChangeSchedule


class Bells(Witness):
    """The witness, who also passes notifications on to those who listen, some late and some not at all."""

    def __init__(
        self, now: Callable[[], datetime], loop: VirtualTimeLoop, chance: Random, note: Callable[[str, str], None]
    ) -> None:
        super().__init__(now)
        self.note = note
        self.on_due: dict[Process, Callable[[], None]] = {}
        self.on_revoked: dict[Process, Callable[[], None]] = {}
        self.disabled_at: dict[ScheduleKey, datetime] = {}
        """Up to when each disabled schedule had been planned, or when that was, whichever is earlier."""
        self.changed_at: dict[ScheduleKey, datetime] = {}
        self.planned_until: dict[ScheduleKey, datetime | None] = {}
        self._loop = loop
        self._chance = chance

    def _violated(self, what: str) -> None:
        super()._violated(what)
        self.note("witness", what)

    def due_soon(self) -> None:
        self._ring(self.on_due)

    def revoked(self) -> None:
        self._ring(self.on_revoked)

    def disabled(self, key: ScheduleKey, before: Cursor) -> None:
        planned_until = before.next_fire_at or self._now()
        self.disabled_at.setdefault(key, min(planned_until, self._now()))

    def changed(self, key: ScheduleKey, at: datetime, before: Cursor) -> None:
        self.changed_at[key] = at
        self.planned_until[key] = before.next_fire_at

    def _ring(self, bells: dict[Process, Callable[[], None]]) -> None:
        for process, ring in bells.items():
            if self._chance.random() < 0.9 and process.runs_from <= self._loop.time():
                self._loop.call_later(self._chance.random() * 0.02, ring)


class Installation:
    def __init__(self, seed: int, loop: VirtualTimeLoop, code: Code) -> None:
        self.loop = loop
        self.code = code
        self.weather = Weather()
        self.manners = Manners()
        self.trace: list[tuple[float, str, str]] = []
        self.witness = Bells(self.now, loop, Random(f"{seed} bells"), self.note)
        self.tables = code.tables(self.now, self.witness)
        self.lock = Lock()
        self.policy = TargetPolicy()
        self._wires = Random(f"{seed} wires")
        self._targets = Random(f"{seed} targets")
        self._skews = Random(f"{seed} skews")
        self._ids = Random(f"{seed} ids")
        self._began = loop.time()

    def now(self) -> datetime:
        """The true time, and the database's."""
        return _EPOCH + timedelta(seconds=self.seconds)

    @property
    def seconds(self) -> float:
        """How long it has been there, by the virtual clock."""
        return self.loop.time() - self._began

    def note(self, who: str, what: str) -> None:
        self.trace.append((self.seconds, who, what))

    def wire(self, who: str) -> Wire:
        return Wire(self._wires, self.weather, lambda what: self.note(who, what))

    def clock(self) -> DatabaseClock:
        """A clock on a host whose wall clock is anywhere within an hour of the true time."""
        skew, beginning = self._skews.uniform(-3_600, 3_600), self._skews.uniform(0, 1_000_000)
        return DatabaseClock(lambda: self.now().timestamp() + skew, lambda: self.loop.time() + beginning)


class Api:
    """The use cases that write, as the API composes them; its host's clock is nearly right."""

    def __init__(self, installation: Installation) -> None:
        wire = installation.wire("api")
        self.schedules = installation.code.schedules(installation.tables, wire)
        clock = TrueClock(installation)
        ids = installation._ids
        tags, policy = StartTags(), installation.policy
        self.accept = AcceptSchedule(self.schedules, clock, lambda: ids.randbytes(10), policy, LOOKAHEAD, tags)
        self.change = installation.code.change(self.schedules, policy, Planner(LOOKAHEAD, tags))
        self.trigger = TriggerSchedule(self.schedules, self.schedules, clock)


class TrueClock:
    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def now(self) -> datetime:
        return self._installation.now()

    def monotonic(self) -> float:
        return self._installation.loop.time()


class DispatcherProcess(Process):
    """One dispatcher from its start to its orderly end, or to whatever else happens to it."""

    def __init__(self, name: str, installation: Installation) -> None:
        super().__init__(name)
        self._installation = installation
        self._leadership: MemoryLeadership | None = None
        self._stop = asyncio.Event()
        self._dispatcher: Dispatcher | None = None
        self.has_left = False
        self.number = 0

    @property
    def is_told_to_stop(self) -> bool:
        return self._stop.is_set()

    @property
    def open_count(self) -> int:
        """How much it has on its hands."""
        is_alive = self._dispatcher is not None and not self.is_killed and not self.has_left
        return self._parts_in_use.deliver.open_count if is_alive else 0

    def start(self) -> None:
        self._note("starts")
        self._installation.loop.start(self, self._live())

    def stop(self) -> None:
        self._note("is told to drain")
        self._stop.set()
        if self._dispatcher is not None:
            self._dispatcher.stop()

    def die(self) -> None:
        self._note("is killed")
        self.kill()
        self._silence()
        if self._leadership is not None:
            self._leadership.lose()

    def freeze(self, seconds: float) -> None:
        self._note(f"stands still for {seconds:.2f} s")
        self.stand_still(self._installation.loop.time() + seconds)

    async def _live(self) -> None:
        clock = self._installation.clock()
        dispatchers = MemoryDispatchers(self._installation.tables, clock, self._wire())

        async def connect() -> int:
            number = await dispatchers.register(self.name)
            for _ in range(BEATS_AT_START):
                await dispatchers.beat(number, [])
            return number

        number = await try_until_done("dispatcher.start", connect, self._stop)
        if number is not None:
            self.number = number
            self._parts_in_use = self._parts(clock, dispatchers, number)
            self._dispatcher = Dispatcher(self._parts_in_use, _GRACE)
            if self._stop.is_set():
                self._dispatcher.stop()
            await self._dispatcher.run()
            self._silence()
            try:
                await dispatchers.leave(number)
            except ConnectionError:
                self._note("could not say that it leaves")
        self.has_left = True
        self._note("has left")

    def _parts(self, clock: DatabaseClock, dispatchers: MemoryDispatchers, number: int) -> DispatcherParts:
        place, code = self._installation, self._installation.code
        queue = code.queue(place.tables, number, LEASE, self._wire())
        targets = Targets(place._targets, place.manners, place.witness, number, self._note)
        brokers = {"NATS": Broker(targets)}
        measurements = Unmeasured()
        outcomes = code.record(queue, clock, measurements, UNTRACED)
        deliver = code.deliver(
            brokers,
            Receiver(targets),
            outcomes,
            clock,
            measurements,
            UNTRACED,
            http_slots=_HTTP_SLOTS,
            most_webhooks_waiting=_MOST_WEBHOOKS_WAITING,
        )
        claiming = asyncio.Lock()
        tags = StartTags()
        follow = FollowTzdata(MemoryZoneMoves(place.tables, self._wire()), clock, tags)
        self._leadership = MemoryLeadership(place.lock, self._wire())
        cursors = code.cursors(place.tables, self._wire())
        return DispatcherParts(
            materialise=code.materialise(
                cursors, self._leadership, clock, measurements, UNTRACED, LOOKAHEAD, follow, tags
            ),
            claim=code.claim(queue, brokers, clock, measurements, UNTRACED, LEASE),
            deliver=deliver,
            outcomes=outcomes,
            rescue=code.rescue(queue, dispatchers, number, deliver, clock, claiming, LEASE),
            leadership=self._leadership,
            claiming=claiming,
            broker_lanes=tuple(brokers),
            sends_in_flight=SENDS_IN_FLIGHT,
            admit=AdmitOccurrences(MemoryLines(place.tables, self._wire()), deliver, clock),
            put_off=PutOffOccurrences(queue, deliver, clock, measurements),
            listen=self._listen,
            keep_house=_nothing_to_keep,
            follow=follow,
            follow_weights=FollowWeights(_EqualTenants(), Weights()),
            replan=_NoTemplates(),
        )

    async def _listen(self, on_due: Callable[[], None], on_revoked: Callable[[], None]) -> None:
        self._installation.witness.on_due[self] = on_due
        self._installation.witness.on_revoked[self] = on_revoked

    def _silence(self) -> None:
        self._installation.witness.on_due.pop(self, None)
        self._installation.witness.on_revoked.pop(self, None)

    def _wire(self) -> Wire:
        return self._installation.wire(self.name)

    def _note(self, what: str) -> None:
        self._installation.note(self.name, what)


class _EqualTenants:
    """No tenant was ever given a weight."""

    async def by_tenant(self) -> dict[str, float]:
        return {}


class _NoTemplates(ReplanInstances):
    """No schedule is made from a template here, so that none follows one."""

    def __init__(self) -> None: ...

    async def step(self) -> bool:
        return False


async def _nothing_to_keep() -> None:
    """No pause names its end here, and tables need no partitions."""
