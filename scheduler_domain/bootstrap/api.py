"""Composes the API: which technology stands behind each use case."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache

from scheduler_domain.application.accept_schedule import AcceptSchedule
from scheduler_domain.application.answer_once import AnswerOnce
from scheduler_domain.application.apply_template import ApplyTemplate
from scheduler_domain.application.audit_ledger import AuditLedger
from scheduler_domain.application.backfill_schedule import BackfillSchedule
from scheduler_domain.application.cancel_occurrence import CancelOccurrence
from scheduler_domain.application.change_schedule import ChangeSchedule
from scheduler_domain.application.check_health import CheckHealth
from scheduler_domain.application.complete_occurrence import CompleteOccurrence
from scheduler_domain.application.define_template import DefineTemplates
from scheduler_domain.application.define_tenant import DefineTenants
from scheduler_domain.application.find_template import FindTemplate
from scheduler_domain.application.follow_weights import FollowWeights
from scheduler_domain.application.plan_anew import Planner
from scheduler_domain.application.ports.clock import Clock
from scheduler_domain.application.ports.identity import Identity
from scheduler_domain.application.ports.tracing import Tracer
from scheduler_domain.application.preview_schedule import PreviewSchedule
from scheduler_domain.application.read_occurrences import ReadOccurrences
from scheduler_domain.application.read_schedules import ReadSchedules
from scheduler_domain.application.replay_occurrences import ReplayOccurrences
from scheduler_domain.application.trigger_schedule import TriggerSchedule
from scheduler_domain.application.upsert_schedule import UpsertSchedule
from scheduler_domain.bootstrap.telemetry import render_metrics, start_telemetry
from scheduler_domain.domain.address_guard import AllowedNets
from scheduler_domain.domain.fairness import StartTags, Weights
from scheduler_domain.domain.validation import TargetPolicy
from scheduler_domain.infra.built_in_templates import built_in_templates
from scheduler_domain.infra.identity.claims import ClaimRules
from scheduler_domain.infra.identity.fetch_keys import fetch_over_http
from scheduler_domain.infra.identity.key_set import KeySet
from scheduler_domain.infra.identity.verifier import PublicKeys, SharedSecret, Signatures, TokenVerifier
from scheduler_domain.infra.json_schema.judge import JsonSchemaJudge
from scheduler_domain.infra.postgres.answers import PostgresAnswers
from scheduler_domain.infra.postgres.audits import PostgresAudits
from scheduler_domain.infra.postgres.callbacks import PostgresCallbacks
from scheduler_domain.infra.postgres.database_clock import DatabaseClock
from scheduler_domain.infra.postgres.dead_letters import PostgresDeadLetters
from scheduler_domain.infra.postgres.health import DispatchersAlive, MigrationsApplied, PostgresReachable
from scheduler_domain.infra.postgres.occurrences import PostgresOccurrences
from scheduler_domain.infra.postgres.pool import TenantPool, open_tenant_pool
from scheduler_domain.infra.postgres.schedules import PostgresSchedules
from scheduler_domain.infra.postgres.template_instances import PostgresTemplateInstances
from scheduler_domain.infra.postgres.templates import PostgresTemplates
from scheduler_domain.infra.postgres.tenant_weights import PostgresTenantWeights
from scheduler_domain.infra.postgres.tenants import PostgresTenants
from scheduler_domain.infra.reachability import Reachable
from scheduler_domain.infra.telemetry.metrics import HttpRequestDurations, PoolGauge
from scheduler_domain.settings import IdentitySettings, Settings

ObserveRequest = Callable[[str, str | None, int, float], None]
"""Method, route template or None, status, seconds."""


@dataclass(frozen=True, slots=True)
class ApiServices:
    """Everything the routes work with."""

    identity: Identity
    clock: Clock
    accept: AcceptSchedule
    change: ChangeSchedule
    upsert: UpsertSchedule
    trigger: TriggerSchedule
    backfill: BackfillSchedule
    replay: ReplayOccurrences
    cancel: CancelOccurrence
    answer_once: AnswerOnce
    complete: CompleteOccurrence
    read_schedules: ReadSchedules
    read_occurrences: ReadOccurrences
    audit: AuditLedger
    preview_schedule: PreviewSchedule
    templates: DefineTemplates
    apply_template: ApplyTemplate
    tenants: DefineTenants
    health: CheckHealth
    tracer: Tracer


class RequestMetrics:
    """What the API measures about itself."""

    def __init__(self) -> None:
        self.observe: ObserveRequest = HttpRequestDurations().observe
        self.render = render_metrics
        self._pool: TenantPool | None = None
        PoolGauge(self._connections)

    def watch(self, pool: TenantPool | None) -> None:
        self._pool = pool

    def _connections(self) -> dict[str, int]:
        if self._pool is None:
            return {}
        open_count, idle_count = self._pool.counts()
        return {"idle": idle_count, "used": open_count - idle_count}


@cache
def request_metrics() -> RequestMetrics:
    """Return this process's metrics: one of them, since the registry takes each name once."""
    return RequestMetrics()


@asynccontextmanager
async def api_services(settings: Settings, metrics: RequestMetrics) -> AsyncIterator[ApiServices]:
    """Compose the use cases; connections are made when they are first needed, and closed at the end."""
    settings.check_serving()
    tracer = start_telemetry(settings)
    async with open_tenant_pool(settings.required_postgres_url()) as pool:
        metrics.watch(pool)
        clock = DatabaseClock()
        weights = Weights()
        follow_weights = FollowWeights(PostgresTenantWeights(pool.platform_rows), weights)
        following = (
            asyncio.create_task(clock.follow(pool), name="clock"),
            asyncio.create_task(follow_weights.until_cancelled(), name="weights"),
        )
        await clock.has_been_read()
        try:
            yield _composed(settings, pool, clock, tracer, weights)
        finally:
            metrics.watch(None)
            for task in following:
                task.cancel()
            await asyncio.wait(following)


def _composed(settings: Settings, pool: TenantPool, clock: Clock, tracer: Tracer, weights: Weights) -> ApiServices:
    schedules, occurrences = PostgresSchedules(pool), PostgresOccurrences(pool)
    policy = TargetPolicy(settings.webhook.allow_http, AllowedNets.parse(settings.webhook.allow_nets))
    lookahead = settings.dispatcher.lookahead
    tags = StartTags(weights)
    late = StartTags()  # one lane for all that is run on purpose and late, so that it takes turns with live work
    accept = AcceptSchedule(schedules, clock, lambda: os.urandom(10), policy, lookahead, tags)
    change = ChangeSchedule(schedules, policy, Planner(lookahead, tags))
    templates, judge = PostgresTemplates(pool), JsonSchemaJudge()
    find = FindTemplate(templates, built_in_templates(), policy, judge)
    return ApiServices(
        identity=TokenVerifier(_signatures(settings.identity, clock), _claim_rules(settings.identity), clock),
        clock=clock,
        accept=accept,
        change=change,
        upsert=UpsertSchedule(schedules, accept, change),
        trigger=TriggerSchedule(occurrences, schedules, clock),
        backfill=BackfillSchedule(schedules, clock, late),
        replay=ReplayOccurrences(PostgresDeadLetters(pool), occurrences, schedules, clock, late),
        cancel=CancelOccurrence(occurrences, schedules),
        complete=CompleteOccurrence(PostgresCallbacks(pool), occurrences, clock),
        answer_once=AnswerOnce(PostgresAnswers(pool)),
        read_schedules=ReadSchedules(schedules),
        read_occurrences=ReadOccurrences(occurrences, schedules),
        audit=AuditLedger(PostgresAudits(pool)),
        preview_schedule=PreviewSchedule(schedules, clock),
        templates=DefineTemplates(templates, find, judge, clock),
        apply_template=ApplyTemplate(
            find, PostgresTemplateInstances(pool), change, clock, lambda: os.urandom(10), lookahead, tags
        ),
        tenants=DefineTenants(PostgresTenants(pool), clock),
        health=CheckHealth(
            needed={"postgres": PostgresReachable(pool), "migrations": MigrationsApplied(pool)},
            useful={
                "dispatchers": DispatchersAlive(pool),
                "nats": Reachable(settings.nats_url),
                "redis": Reachable(settings.redis_url),
            },
        ),
        tracer=tracer,
    )


def _signatures(identity: IdentitySettings, clock: Clock) -> Signatures:
    if identity.jwks_url is not None:
        return PublicKeys(KeySet(fetch_over_http(identity.jwks_url), clock.monotonic))
    assert identity.jwt_secret is not None  # check_serving
    return SharedSecret(identity.jwt_secret)


def _claim_rules(identity: IdentitySettings) -> ClaimRules:
    return ClaimRules(identity.issuer, identity.audience, identity.tenant_claim, identity.roles_claim)
