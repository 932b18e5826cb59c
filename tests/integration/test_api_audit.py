"""The audit: what should have fired, against what is known to have become of it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from prometheus_client import CollectorRegistry

from scheduler_domain.application.follow_tzdata import FollowTzdata
from scheduler_domain.application.materialise_occurrences import MaterialiseOccurrences
from scheduler_domain.application.ports.tracing import UNTRACED
from scheduler_domain.domain.fairness import StartTags
from scheduler_domain.domain.schedule import CronTrigger, FixedDelayTrigger
from scheduler_domain.infra.postgres.cursors import PostgresCursors
from scheduler_domain.infra.postgres.database_clock import DatabaseClock
from scheduler_domain.infra.postgres.dispatch_pool import open_dispatch_pool
from scheduler_domain.infra.postgres.leadership import PostgresLeadership
from scheduler_domain.infra.postgres.zone_moves import PostgresZoneMoves
from scheduler_domain.infra.telemetry.measurements import PrometheusMeasurements
from tests.integration.api_server import RunningApi
from tests.support.stored import definition, store_schedules

Connection = asyncpg.Connection
MINUTELY = CronTrigger("* * * * *")
MINUTE = timedelta(minutes=1)
BEGUN = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=2)
"""Two hours ago, to the minute: each test's schedule is as old, and nobody planned since."""


async def plan_all(database: str) -> None:
    pool = await open_dispatch_pool(database, 2, hash_joins=True)
    planner = MaterialiseOccurrences(
        PostgresCursors(pool),
        PostgresLeadership(pool),
        DatabaseClock(),
        PrometheusMeasurements(CollectorRegistry()),
        UNTRACED,
        MINUTE,
        FollowTzdata(PostgresZoneMoves(pool, DatabaseClock()), DatabaseClock(), StartTags()),
        StartTags(),
    )
    while await planner.plan_due():
        pass
    await pool.close()


@pytest.fixture
async def schedule(database: str, connection: Connection) -> UUID:
    """A schedule that should have fired each minute for two hours, found late by a planner."""
    [id_] = await store_schedules(connection, "acme", of=definition(MINUTELY), planned_from=BEGUN)
    await plan_all(database)
    return id_


async def audit(client: httpx.AsyncClient, schedule: UUID, **query: datetime) -> dict[str, Any]:
    named = {name.rstrip("_"): at.isoformat() for name, at in query.items()}
    answer = await client.get(f"/schedules/{schedule}/audit", params=named)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def instant(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


async def test_each_expected_instant_has_a_row_whatever_became_of_it(admin: httpx.AsyncClient, schedule: UUID) -> None:
    assert await audit(admin, schedule, from_=BEGUN, to=BEGUN + 60 * MINUTE) == {
        "expected": 60,
        "found": 60,
        "missing": [],
        "unexpected": [],
        "auditedFrom": instant(BEGUN),
        "auditedTo": instant(BEGUN + 60 * MINUTE),
    }
    whole = await audit(admin, schedule)
    assert whole["expected"] == whole["found"] >= 120
    assert (whole["missing"], whole["unexpected"]) == ([], [])


async def test_a_row_that_is_gone_is_missing_until_it_is_backfilled(
    admin: httpx.AsyncClient, connection: Connection, schedule: UUID
) -> None:
    lost = BEGUN + 5 * MINUTE
    id_ = await connection.fetchval("DELETE FROM ledger WHERE scheduled_for = $1 RETURNING id", lost)
    found = await audit(admin, schedule, from_=BEGUN, to=BEGUN + 60 * MINUTE)
    assert (found["expected"], found["found"]) == (60, 59)
    assert found["missing"] == [{"id": str(id_), "scheduledFor": instant(lost)}]
    body = {"from": lost.isoformat(), "to": (lost + MINUTE).isoformat()}
    assert (await admin.post(f"/schedules/{schedule}/backfill", json=body)).json()["created"] == 1
    assert (await audit(admin, schedule, from_=BEGUN, to=BEGUN + 60 * MINUTE))["missing"] == []


async def test_a_row_at_an_instant_that_the_rule_does_not_name_is_unexpected(
    admin: httpx.AsyncClient, connection: Connection, schedule: UUID
) -> None:
    odd = BEGUN + timedelta(minutes=5, seconds=17)
    await connection.execute(
        "INSERT INTO ledger (tenant_id, id, schedule_id, kind, revision, scheduled_for, due_at, status, reason,"
        " attempt_count, ended_at) VALUES ('acme', $1, $2, 'SCHEDULED', 1, $3, $3, 'SKIPPED', 'tests', 0, now())",
        UUID(int=7),
        schedule,
        odd,
    )
    found = await audit(admin, schedule, from_=BEGUN, to=BEGUN + 60 * MINUTE)
    assert found["unexpected"] == [{"id": str(UUID(int=7)), "scheduledFor": instant(odd), "status": "SKIPPED"}]
    assert found["missing"] == []


async def test_a_run_by_hand_is_part_of_no_plan(admin: httpx.AsyncClient, schedule: UUID) -> None:
    await admin.post(f"/schedules/{schedule}/trigger")
    assert (await audit(admin, schedule))["unexpected"] == []


async def test_it_begins_with_the_rule_and_ends_now(admin: httpx.AsyncClient, schedule: UUID) -> None:
    found = await audit(admin, schedule, from_=BEGUN - timedelta(days=9), to=datetime.now(UTC) + timedelta(days=9))
    assert found["auditedFrom"] == instant(BEGUN)
    assert datetime.fromisoformat(found["auditedTo"]) <= datetime.now(UTC)
    before = await audit(admin, schedule, from_=BEGUN - timedelta(days=9), to=BEGUN - timedelta(days=8))
    assert before == {
        "expected": 0,
        "found": 0,
        "missing": [],
        "unexpected": [],
        "auditedFrom": None,
        "auditedTo": None,
    }


async def test_an_edit_of_the_rule_is_where_it_begins_and_any_other_edit_is_not(
    admin: httpx.AsyncClient, schedule: UUID
) -> None:
    await admin.patch(f"/schedules/{schedule}", json={"name": "renamed", "labels": {"a": "b"}})
    assert (await audit(admin, schedule))["auditedFrom"] == instant(BEGUN)
    edited_at = datetime.now(UTC)
    await admin.patch(f"/schedules/{schedule}", json={"trigger": {"cron": "*/2 * * * *"}})
    found = await audit(admin, schedule)
    assert datetime.fromisoformat(found["auditedFrom"]) >= edited_at
    assert (found["missing"], found["unexpected"]) == ([], [])


async def test_nothing_is_expected_of_a_pause_unless_it_is_caught_up(
    admin: httpx.AsyncClient, connection: Connection, schedule: UUID
) -> None:
    await admin.post(f"/schedules/{schedule}/pause")
    paused_at = BEGUN + 100 * MINUTE
    await connection.execute("UPDATE schedule SET paused_at = $1", paused_at)
    await connection.execute("DELETE FROM ledger WHERE scheduled_for >= $1", paused_at)
    during = await audit(admin, schedule)
    assert (during["auditedTo"], during["expected"], during["missing"]) == (instant(paused_at), 100, [])
    await admin.post(f"/schedules/{schedule}/resume", json={"catchUp": True})
    caught_up = await audit(admin, schedule)
    assert (caught_up["auditedFrom"], caught_up["missing"]) == (instant(BEGUN), [])
    assert caught_up["expected"] >= 120
    await admin.post(f"/schedules/{schedule}/pause")
    resumed = await admin.post(f"/schedules/{schedule}/resume")
    assert (await audit(admin, schedule))["auditedFrom"] in {resumed.json()["updatedAt"], None}


async def test_after_its_last_run_nothing_is_expected(
    admin: httpx.AsyncClient, database: str, connection: Connection
) -> None:
    of = definition(MINUTELY, max_runs=1)
    [id_] = await store_schedules(connection, "acme", of=of, planned_from=BEGUN)
    await plan_all(database)
    found = await audit(admin, id_)
    assert found["missing"] == []
    assert 110 < found["expected"] == found["found"] <= 150


async def test_months_that_the_ledger_has_forgotten_are_not_missing(
    admin: httpx.AsyncClient, connection: Connection
) -> None:
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    [id_] = await store_schedules(connection, "acme", of=definition(CronTrigger("0 0 * * *")), planned_from=long_ago)
    found = await audit(admin, id_, from_=long_ago, to=long_ago + timedelta(days=300))
    assert (found["expected"], found["missing"], found["auditedFrom"]) == (0, [], None)


async def test_what_cannot_be_audited_is_refused_with_a_reason(
    admin: httpx.AsyncClient, connection: Connection
) -> None:
    [chain] = await store_schedules(connection, "acme", of=definition(FixedDelayTrigger(60)))
    assert (await admin.get(f"/schedules/{chain}/audit")).status_code == 409
    [each_second] = await store_schedules(
        connection, "acme", of=definition(CronTrigger("* * * * * *")), planned_from=datetime.now(UTC) - 200 * MINUTE
    )
    refused = await admin.get(f"/schedules/{each_second}/audit")
    assert refused.json()["errors"][0]["code"] == "too-many-instants"
    backwards = {"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}
    wrong = await admin.get(f"/schedules/{each_second}/audit", params=backwards)
    assert wrong.json()["errors"][0]["code"] == "ends-before-start"


async def test_a_viewer_may_ask_and_another_tenant_sees_nothing(api: RunningApi, schedule: UUID) -> None:
    viewer, other = await api.caller("acme", "viewer"), await api.caller("other")
    assert (await viewer.get(f"/schedules/{schedule}/audit")).status_code == 200
    assert (await other.get(f"/schedules/{schedule}/audit")).status_code == 404
