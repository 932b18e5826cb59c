"""Instances follow a changed template: each once, in batches, from wherever the walk was left, and none fires twice."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from scheduler_domain.application.apply_template import ApplyTemplate
from scheduler_domain.application.change_schedule import ChangeSchedule
from scheduler_domain.application.find_template import FindTemplate
from scheduler_domain.application.plan_anew import Planner
from scheduler_domain.application.ports.templates import FoundInstance
from scheduler_domain.application.replan_instances import INSTANCES_AT_ONCE, ReplanInstances
from scheduler_domain.domain.fairness import StartTags
from scheduler_domain.domain.validation import TargetPolicy
from scheduler_domain.infra.json_schema.judge import JsonSchemaJudge
from scheduler_domain.infra.postgres.database_clock import DatabaseClock
from scheduler_domain.infra.postgres.dispatch_pool import open_dispatch_pool
from scheduler_domain.infra.postgres.pool import open_tenant_pool
from scheduler_domain.infra.postgres.replanning import PostgresReplanTurns
from scheduler_domain.infra.postgres.schedules import PostgresSchedules
from scheduler_domain.infra.postgres.template_instances import PostgresTemplateInstances
from scheduler_domain.infra.postgres.templates import PostgresTemplates
from tests.integration.test_api_instance_batches import NDJSON, ndjson
from tests.integration.test_api_instances import fired
from tests.integration.test_api_templates import RENEWAL

Connection = asyncpg.Connection
PATH = "/templates/renewal"


@asynccontextmanager
async def replanning(
    database: str, instances: type[PostgresTemplateInstances] = PostgresTemplateInstances
) -> AsyncIterator[ReplanInstances]:
    """The use case as a dispatcher has it."""
    lookahead, clock = timedelta(seconds=60), DatabaseClock()
    dispatch_pool = await open_dispatch_pool(database, 1)
    async with open_tenant_pool(database, 4) as pool:
        change = ChangeSchedule(PostgresSchedules(pool), TargetPolicy(), Planner(lookahead, StartTags()))
        find = FindTemplate(PostgresTemplates(pool), {}, TargetPolicy(), JsonSchemaJudge())
        stored = instances(pool)
        apply = ApplyTemplate(find, stored, change, clock, lambda: bytes(10), lookahead, StartTags())
        yield ReplanInstances(PostgresReplanTurns(dispatch_pool, pool), find, stored, apply, change, clock)
    await dispatch_pool.close()


@pytest.fixture
async def replan(database: str) -> AsyncIterator[ReplanInstances]:
    async with replanning(database) as use_case:
        yield use_case


def renewal(**blueprint: Any) -> dict[str, Any]:
    return {**RENEWAL, "blueprint": {**RENEWAL["blueprint"], **blueprint}}


def contract(number: int, **changes: Any) -> dict[str, Any]:
    return {"key": f"c{number:04}", "parameters": {"customer": f"C{number}", "endsOn": "2030-06-30", **changes}}


async def stored(client: httpx.AsyncClient, *contracts: dict[str, Any]) -> None:
    assert (await client.post("/templates", json=RENEWAL)).status_code == 201
    await client.post(f"{PATH}/instances:batch", content=ndjson(*contracts), headers=NDJSON)


async def schedule_of(client: httpx.AsyncClient, key: str) -> dict[str, Any]:
    instance = (await client.get(f"{PATH}/instances/{key}")).json()
    return (await client.get(f"/schedules/{instance['scheduleId']}")).json()


async def test_nothing_is_done_while_nothing_is_behind(admin: httpx.AsyncClient, replan: ReplanInstances) -> None:
    await stored(admin, contract(1))
    assert (await admin.get(PATH)).json()["replanning"] is None
    assert await replan.step() is False


async def test_the_instances_of_a_changed_template_follow_in_batches_and_progress_is_told(
    admin: httpx.AsyncClient, replan: ReplanInstances
) -> None:
    count = INSTANCES_AT_ONCE + 50
    await stored(admin, *map(contract, range(count)))
    await admin.put(PATH, json=renewal(tz="Asia/Tokyo"))
    assert (await admin.get(PATH)).json()["replanning"] == {"total": count, "done": 0, "failed": 0}
    assert await replan.step() is True
    told = (await admin.get(PATH)).json()
    assert (told["version"], told["replanning"]["done"]) == (2, INSTANCES_AT_ONCE)
    assert (await schedule_of(admin, "c0000"))["tz"] == "Asia/Tokyo"
    assert (await schedule_of(admin, f"c{count - 1:04}"))["tz"] == "Europe/Berlin"
    assert await replan.step() is True
    assert await replan.step() is False
    assert (await admin.get(PATH)).json()["replanning"] is None
    last = await schedule_of(admin, f"c{count - 1:04}")
    assert (last["tz"], last["nextFireAt"][10:], last["revision"]) == ("Asia/Tokyo", "T23:00:00Z", 2)


async def test_a_template_that_changes_again_begins_its_walk_anew(
    admin: httpx.AsyncClient, replan: ReplanInstances
) -> None:
    await stored(admin, *map(contract, range(INSTANCES_AT_ONCE + 1)))
    await admin.put(PATH, json=renewal(tz="Asia/Tokyo"))
    await replan.step()
    await admin.put(PATH, json=renewal(tz="Asia/Kolkata"))
    while await replan.step():
        pass
    assert {(await schedule_of(admin, key))["tz"] for key in ("c0000", f"c{INSTANCES_AT_ONCE:04}")} == {"Asia/Kolkata"}
    versions = {item["templateVersion"] for item in (await admin.get(f"{PATH}/instances")).json()["items"]}
    assert versions == {3}


async def test_an_instance_that_cannot_follow_stays_as_it_was_and_says_why(
    admin: httpx.AsyncClient, replan: ReplanInstances
) -> None:
    await stored(admin, contract(1), contract(2, customer="x" * 80), contract(3))
    narrower = {**RENEWAL["parameters"]["properties"], "customer": {"type": "string", "maxLength": 10}}
    changed = {**renewal(tz="Asia/Tokyo"), "parameters": {**RENEWAL["parameters"], "properties": narrower}}
    await admin.put(PATH, json=changed)
    await replan.step()
    assert (await admin.get(PATH)).json()["replanning"] == {"total": 3, "done": 3, "failed": 1}
    left = (await admin.get(f"{PATH}/instances/c0002")).json()
    assert (left["templateVersion"], left["state"]) == (1, "ACTIVE")
    assert "too long" in left["problem"]
    assert (await schedule_of(admin, "c0002"))["tz"] == "Europe/Berlin"
    mended = {"parameters": {"customer": "short", "endsOn": "2030-06-30"}}
    mended = (await admin.put(f"{PATH}/instances/c0002", json=mended)).json()
    assert (mended["templateVersion"], mended["problem"]) == (2, None)


async def test_what_is_queued_moves_and_what_fired_today_does_not_fire_again(
    admin: httpx.AsyncClient, replan: ReplanInstances, connection: Connection
) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    soon, just_now = now + timedelta(seconds=40), now - timedelta(seconds=5)
    utc = renewal(tz="UTC")
    await admin.post("/templates", json=utc)
    ends = {"endsOn": f"2030-{soon:%m-%d}"}
    lines = [contract(1, **ends, sendAt=f"{soon:%H:%M:%S}"), contract(2, **ends, sendAt=f"{just_now:%H:%M:%S}")]
    await admin.post(f"{PATH}/instances:batch", content=ndjson(*lines), headers=NDJSON)
    await fired(connection, await schedule_of(admin, "c0002"), just_now, just_now)
    later = renewal(tz="UTC", trigger={**RENEWAL["blueprint"]["trigger"], "dtstart": "1970-01-01T23:59:58"})
    await admin.put(PATH, json=later)
    await replan.step()
    queued = await connection.fetch("SELECT scheduled_for FROM scheduler.due_queue")
    assert [row["scheduled_for"] for row in queued if row["scheduled_for"] == soon] == []
    assert (await schedule_of(admin, "c0001"))["nextFireAt"] == f"{soon:%Y-%m-%d}T23:59:58Z"
    assert (await schedule_of(admin, "c0002"))["nextFireAt"] == f"{soon.year + 1}-{soon:%m-%d}T23:59:58Z"


async def test_a_walk_that_is_under_way_elsewhere_is_left_to_whoever_walks_until_its_turn_is_over(
    admin: httpx.AsyncClient, replan: ReplanInstances, connection: Connection
) -> None:
    await stored(admin, contract(1))
    await admin.put(PATH, json=renewal(tz="Asia/Tokyo"))
    await connection.execute("UPDATE scheduler.template SET replan_until = now() + interval '1 h'")
    assert await replan.step() is False
    await connection.execute("UPDATE scheduler.template SET replan_until = now() - interval '1 s'")
    assert await replan.step() is True
    assert (await schedule_of(admin, "c0001"))["tz"] == "Asia/Tokyo"


@pytest.mark.parametrize("is_quiet", [True, False])
async def test_a_change_of_parameters_meanwhile_is_not_undone(
    admin: httpx.AsyncClient, database: str, connection: Connection, is_quiet: bool
) -> None:
    """Between reading what made an instance and changing it, its owner changes it; in one statement, and by an edit."""

    class ChangedMeanwhile(PostgresTemplateInstances):
        async def walk(self, tenant_id: str, template: str, after: str, limit: int) -> dict[str, FoundInstance]:
            found = await super().walk(tenant_id, template, after, limit)
            moved = {"parameters": {"customer": "moved", "endsOn": "2030-01-31"}}
            assert (await admin.put(f"{PATH}/instances/c0001", json=moved)).status_code == 200
            return found

    await stored(admin, contract(1))
    if not is_quiet:
        schedule = await schedule_of(admin, "c0001")
        await admin.post(f"/schedules/{schedule['id']}/trigger")
    await admin.put(PATH, json=renewal(tz="Asia/Tokyo"))
    async with replanning(database, ChangedMeanwhile) as replan:
        await replan.step()
    after = (await admin.get(f"{PATH}/instances/c0001")).json()
    assert after["parameters"]["customer"] == "moved"
    assert (await schedule_of(admin, "c0001"))["trigger"]["rrule"] == "FREQ=YEARLY;BYMONTH=1;BYMONTHDAY=31"
    assert (await schedule_of(admin, "c0001"))["tz"] == "Asia/Tokyo"
