"""Composes a dispatcher: which technology stands behind each port of the flow."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from urllib.parse import parse_qsl, urlsplit

import asyncpg

from scheduler_domain.application.admit_occurrences import AdmitOccurrences
from scheduler_domain.application.apply_template import ApplyTemplate
from scheduler_domain.application.change_schedule import ChangeSchedule
from scheduler_domain.application.claim_occurrences import ClaimOccurrences
from scheduler_domain.application.deliver_occurrence import SENDS_IN_FLIGHT, DeliverOccurrences
from scheduler_domain.application.find_template import FindTemplate
from scheduler_domain.application.follow_tzdata import FollowTzdata
from scheduler_domain.application.follow_weights import FollowWeights
from scheduler_domain.application.materialise_occurrences import MaterialiseOccurrences
from scheduler_domain.application.plan_anew import Planner
from scheduler_domain.application.ports.clock import Clock
from scheduler_domain.application.ports.leadership import Leadership
from scheduler_domain.application.ports.tracing import Tracer
from scheduler_domain.application.put_off_occurrences import PutOffOccurrences
from scheduler_domain.application.record_outcomes import RecordOutcomes
from scheduler_domain.application.replan_instances import ReplanInstances
from scheduler_domain.application.rescue_occurrences import RescueOccurrences
from scheduler_domain.domain.address_guard import AllowedNets
from scheduler_domain.domain.circuit import USUAL_TERMS, CircuitTerms
from scheduler_domain.domain.fairness import StartTags, Weights
from scheduler_domain.domain.validation import TargetPolicy
from scheduler_domain.infra.built_in_templates import built_in_templates
from scheduler_domain.infra.json_schema.judge import JsonSchemaJudge
from scheduler_domain.infra.nats.publisher import JetStreamPublisher
from scheduler_domain.infra.postgres.callbacks import callback_key
from scheduler_domain.infra.postgres.cursors import PostgresCursors
from scheduler_domain.infra.postgres.database_clock import DatabaseClock
from scheduler_domain.infra.postgres.dispatch_pool import open_dispatch_pool
from scheduler_domain.infra.postgres.dispatchers import PostgresDispatchers
from scheduler_domain.infra.postgres.due_queue import PostgresDueQueue
from scheduler_domain.infra.postgres.housekeeping import Housekeeping
from scheduler_domain.infra.postgres.leadership import PostgresLeadership
from scheduler_domain.infra.postgres.lines import PostgresLines
from scheduler_domain.infra.postgres.notifications import listen
from scheduler_domain.infra.postgres.pool import open_tenant_pool
from scheduler_domain.infra.postgres.replanning import PostgresReplanTurns
from scheduler_domain.infra.postgres.schedules import PostgresSchedules
from scheduler_domain.infra.postgres.template_instances import PostgresTemplateInstances
from scheduler_domain.infra.postgres.templates import PostgresTemplates
from scheduler_domain.infra.postgres.tenant_weights import PostgresTenantWeights
from scheduler_domain.infra.postgres.zone_moves import PostgresZoneMoves
from scheduler_domain.infra.telemetry.measurements import PrometheusMeasurements
from scheduler_domain.infra.webhook.sender import WebhookSender
from scheduler_domain.settings import Settings

_QUEUE_CONNECTIONS = 7  # a claim, an admission, two records, a renewal, a heartbeat, and one to put off
_PLANNING_CONNECTIONS = 2
_HOUSE_CONNECTIONS = 1  # of its own: whatever housekeeping waits for, planning does not
_REPLANNING_CONNECTIONS = 2
_HTTP_SLOTS = 256
BEATS_AT_START = 3
"""Each sets the clock. A single one that took a second could set it half a second fast: all would fire early."""


@dataclass(frozen=True, slots=True)
class DispatcherParts:
    """Everything one dispatcher works with; the loops around it are in entrypoints/dispatcher."""

    materialise: MaterialiseOccurrences
    claim: ClaimOccurrences
    deliver: DeliverOccurrences
    admit: AdmitOccurrences
    put_off: PutOffOccurrences
    outcomes: RecordOutcomes
    rescue: RescueOccurrences
    leadership: Leadership
    claiming: asyncio.Lock
    broker_lanes: tuple[str, ...]
    sends_in_flight: int
    listen: Callable[[Callable[[], None], Callable[[], None]], Coroutine[None, None, None]]
    keep_house: Callable[[], Awaitable[None]]
    follow: FollowTzdata
    follow_weights: FollowWeights
    replan: ReplanInstances


@asynccontextmanager
async def dispatcher_parts(
    settings: Settings, tracer: Tracer, circuit_terms: CircuitTerms = USUAL_TERMS
) -> AsyncIterator[DispatcherParts]:
    """Connect to everything, register this dispatcher, and leave again at the end.

    Fails while PostgreSQL is away, and may be tried again then. NATS and Redis may be away.
    """
    postgres_url = settings.required_postgres_url()
    clock = DatabaseClock()
    async with AsyncExitStack() as stack:
        pool, planning_pool, house_pool = await _pools(stack, postgres_url)
        dispatchers = PostgresDispatchers(pool, clock)
        number = await _registered(stack, dispatchers)
        measurements = PrometheusMeasurements()  # not before: it takes its names once, a start several tries

        publisher = await _publisher(stack, settings)
        webhook = await _webhook_sender(stack, settings, pool)
        leadership = await _leadership(stack, settings, PostgresLeadership(planning_pool))

        lease_length = settings.dispatcher.lease
        queue = PostgresDueQueue(pool, number, lease_length)
        brokers = {"NATS": publisher}
        outcomes = RecordOutcomes(queue, clock, measurements, tracer)
        slots = settings.dispatcher.concurrency or _HTTP_SLOTS
        deliver = DeliverOccurrences(
            brokers, webhook, outcomes, clock, measurements, tracer, slots, circuit_terms=circuit_terms
        )
        claiming = asyncio.Lock()
        weights = Weights()
        follow_weights = FollowWeights(PostgresTenantWeights(planning_pool.fetch), weights)
        await follow_weights.step()  # what is planned first is planned by them as well
        tags = StartTags(weights)
        follow = FollowTzdata(PostgresZoneMoves(planning_pool, clock), clock, tags)
        yield DispatcherParts(
            materialise=MaterialiseOccurrences(
                PostgresCursors(planning_pool),
                leadership,
                clock,
                measurements,
                tracer,
                settings.dispatcher.lookahead,
                follow,
                tags,
            ),
            claim=ClaimOccurrences(queue, brokers, clock, measurements, tracer, lease_length),
            deliver=deliver,
            admit=AdmitOccurrences(PostgresLines(pool), deliver, clock),
            put_off=PutOffOccurrences(queue, deliver, clock, measurements),
            outcomes=outcomes,
            rescue=RescueOccurrences(queue, dispatchers, number, deliver, clock, claiming, lease_length),
            leadership=leadership,
            claiming=claiming,
            broker_lanes=tuple(brokers),
            sends_in_flight=SENDS_IN_FLIGHT,
            listen=lambda on_due, on_revoked: listen(postgres_url, on_due, on_revoked),
            keep_house=Housekeeping(house_pool, clock, measurements, tags, settings.dispatcher.ledger_retention).step,
            follow=follow,
            follow_weights=follow_weights,
            replan=await _replan(stack, settings, planning_pool, clock, tags),
        )


async def _replan(
    stack: AsyncExitStack, settings: Settings, planning_pool: asyncpg.Pool, clock: Clock, tags: StartTags
) -> ReplanInstances:
    """Compose what the API uses for one instance, as the API's role and one tenant at a time, for batches of them."""
    pool = await stack.enter_async_context(open_tenant_pool(settings.required_postgres_url(), _REPLANNING_CONNECTIONS))
    policy = TargetPolicy(settings.webhook.allow_http, AllowedNets.parse(settings.webhook.allow_nets))
    lookahead = settings.dispatcher.lookahead
    change = ChangeSchedule(PostgresSchedules(pool), policy, Planner(lookahead, tags))
    find = FindTemplate(PostgresTemplates(pool), built_in_templates(), policy, JsonSchemaJudge())
    instances = PostgresTemplateInstances(pool)
    apply = ApplyTemplate(find, instances, change, clock, lambda: os.urandom(10), lookahead, tags)
    return ReplanInstances(PostgresReplanTurns(planning_pool, pool), find, instances, apply, change, clock)


async def _pools(stack: AsyncExitStack, postgres_url: str) -> tuple[asyncpg.Pool, asyncpg.Pool, asyncpg.Pool]:
    """Open the pools for the queue, for planning and for housekeeping; they close together."""
    pools: list[asyncpg.Pool] = []
    stack.push_async_callback(_close, pools)
    pools.append(await open_dispatch_pool(postgres_url, _QUEUE_CONNECTIONS))
    pools.append(await open_dispatch_pool(postgres_url, _PLANNING_CONNECTIONS, hash_joins=True))
    pools.append(await open_dispatch_pool(postgres_url, _HOUSE_CONNECTIONS))
    queue, planning, house = pools
    return queue, planning, house


async def _registered(stack: AsyncExitStack, dispatchers: PostgresDispatchers) -> int:
    """Return this dispatcher's number, once its clock is set."""
    number = await dispatchers.register(f"{socket.gethostname()}:{os.getpid()}")
    stack.push_async_callback(dispatchers.leave, number)
    for _ in range(BEATS_AT_START):
        await dispatchers.beat(number, [])
    return number


async def _publisher(stack: AsyncExitStack, settings: Settings) -> JetStreamPublisher:
    publisher = JetStreamPublisher(settings.required_nats_url(), replicas=settings.nats_replicas)
    await publisher.start()
    stack.push_async_callback(publisher.stop)
    return publisher


async def _webhook_sender(stack: AsyncExitStack, settings: Settings, pool: asyncpg.Pool) -> WebhookSender:
    webhook = WebhookSender(
        AllowedNets.parse(settings.webhook.allow_nets),
        allow_http=settings.webhook.allow_http,
        callback_key=await callback_key(pool),
    )
    stack.push_async_callback(webhook.close)
    return webhook


async def _close(pools: Sequence[asyncpg.Pool]) -> None:
    """Close politely for a second, all at once; connections to a database that is away are cut."""
    try:
        async with asyncio.timeout(timedelta(seconds=1).total_seconds()):
            await asyncio.gather(*(pool.close() for pool in pools))
    except TimeoutError:
        for pool in pools:
            pool.terminate()


async def _leadership(stack: AsyncExitStack, settings: Settings, fallback: Leadership) -> Leadership:
    if settings.redis_url is None:
        return fallback
    from scheduler_domain.infra.redis.leadership import RedisLeadership  # noqa: PLC0415 - optional

    key = _planning_key(settings.required_postgres_url())
    leadership = RedisLeadership.connect(settings.redis_url, fallback, key=key)
    stack.push_async_callback(leadership.close)
    return leadership


def _planning_key(postgres_url: str) -> str:
    """Return the lock's name: one per database, so that installations which share a Redis do not share a planner.

    >>> _planning_key("postgresql://a@One,two/jobs") == _planning_key("postgresql://b:c@two,one/jobs?sslmode=require")
    True
    >>> _planning_key("postgresql:///jobs?host=/run/one") == _planning_key("postgresql:///jobs?host=/run/two")
    False
    """
    where = urlsplit(postgres_url)
    hosts = sorted(where.netloc.rpartition("@")[2].lower().split(","))
    hosts += [value for name, value in parse_qsl(where.query) if name in {"host", "port"}]
    database = f"{','.join(hosts)}{where.path}"
    return f"scheduler:plan:{sha256(database.encode()).hexdigest()[:16]}"
