"""What the API says of itself, and what it does while what it stands on is away."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import httpx
import pytest

from scheduler_domain.infra.embedded import EmbeddedServers
from scheduler_domain.infra.postgres import migrate
from tests.integration.api_server import RunningApi, definition, environment, running_api
from tests.support.processes import Processes
from tests.support.waiting import eventually

SLOWEST_REFUSAL = 5.0


@pytest.fixture
async def fragile(tmp_path: Path) -> AsyncIterator[tuple[EmbeddedServers, RunningApi]]:
    """An API on a PostgreSQL of its own, which the test may stop."""
    servers = EmbeddedServers(tmp_path / "servers", nats=False, valkey=False)
    urls = await asyncio.to_thread(servers.start)
    try:
        await asyncio.to_thread(migrate.upgrade, urls.postgres_url)
        async with running_api(environment(urls.postgres_url)) as api:
            yield servers, api
    finally:
        await asyncio.to_thread(servers.stop)


async def refused_in_time(client: httpx.AsyncClient, method: str, path: str) -> None:
    started_at = time.monotonic()
    answer = await client.request(method, path, json=definition() if method == "POST" else None)
    assert answer.status_code == 503, answer.text
    assert answer.json()["code"] == "unavailable"
    assert int(answer.headers["retry-after"]) <= 2
    assert time.monotonic() - started_at < SLOWEST_REFUSAL


async def test_postgresql_killed_is_503_and_its_return_is_noticed(
    fragile: tuple[EmbeddedServers, RunningApi],
) -> None:
    servers, api = fragile
    admin = await api.caller()
    assert (await admin.post("/schedules", json=definition())).status_code == 201
    await asyncio.to_thread(servers.postgres.kill)
    for method, path in (("POST", "/schedules"), ("GET", "/schedules"), ("GET", "/schedules/by-key/x")):
        await refused_in_time(admin, method, path)
    assert (await admin.get("/live")).status_code == 200
    ready = await admin.get("/ready")
    assert (ready.status_code, ready.json()["status"]) == (503, "down")
    assert ready.json()["checks"]["postgres"]["status"] == "down"
    await asyncio.to_thread(servers.postgres.restart)

    async def serves() -> bool:
        return (await admin.get("/ready")).status_code == 200

    await eventually(serves, within=15)
    assert (await admin.get("/schedules")).json()["total"] == 1


async def test_postgresql_that_hangs_is_503_without_a_pile_up(fragile: tuple[EmbeddedServers, RunningApi]) -> None:
    servers, api = fragile
    admin = await api.caller()
    path = (await admin.post("/schedules", json=definition())).headers["location"]
    await asyncio.to_thread(servers.postgres.pause)
    try:
        await asyncio.gather(
            *[refused_in_time(admin, "GET", path) for _ in range(40)],
            refused_in_time(admin, "POST", "/schedules"),
            refused_in_time(admin, "DELETE", path),
        )
        assert (await admin.get("/live")).status_code == 200
    finally:
        await asyncio.to_thread(servers.postgres.resume)

    async def serves() -> bool:
        return (await admin.get(path)).status_code in {200, 404}

    await eventually(serves, within=15)


async def test_a_schema_that_is_behind_is_not_ready(api: RunningApi, connection: asyncpg.Connection) -> None:
    client = await api.client()
    assert (await client.get("/ready")).status_code == 200
    await connection.execute("UPDATE scheduler.alembic_version SET version_num = '0000'")
    behind = await client.get("/ready")
    assert behind.status_code == 503
    assert "scheduler migrate up" in behind.json()["checks"]["migrations"]["detail"]
    assert (await client.get("/live")).status_code == 200


async def test_a_database_without_any_schema_is_not_ready_and_says_what_to_do(empty_database: str) -> None:
    async with running_api(environment(empty_database)) as api:
        client = await api.client()
        ready = await client.get("/ready")
        assert ready.status_code == 503
        assert (await (await api.caller()).get("/schedules")).status_code == 503


async def test_a_lost_nats_degrades_and_leaves_the_api_ready(database: str) -> None:
    async with running_api(
        environment(database, NATS_URL="nats://127.0.0.1:1", REDIS_URL="redis://127.0.0.1:1")
    ) as api:
        operator = await api.caller("acme", "operator")
        detailed = (await operator.get("/health/detailed")).json()
        assert detailed["status"] == "degraded"
        assert [name for name, check in detailed["checks"].items() if check["status"] == "down"] == [
            "dispatchers",
            "nats",
            "redis",
        ]
        assert (await operator.get("/ready")).status_code == 200


async def test_one_server_of_a_nats_cluster_is_enough(database: str, nats_url: str) -> None:
    async with running_api(environment(database, NATS_URL=f"nats://127.0.0.1:1, {nats_url}")) as api:
        operator = await api.caller("acme", "operator")
        checks = (await operator.get("/health/detailed")).json()["checks"]
        assert checks["nats"]["status"] != "down"


async def test_metrics_count_requests_by_route_and_name_no_tenant(api: RunningApi, admin: httpx.AsyncClient) -> None:
    path = (await admin.post("/schedules", json=definition())).headers["location"]
    await admin.get(path)
    await admin.get("/nope")
    metrics = (await admin.get("/metrics")).text
    assert 'route="/schedules/{schedule_id}"' in metrics
    assert 'scheduler_db_pool{state="idle"}' in metrics
    assert "acme" not in metrics
    assert path not in metrics


async def test_a_head_request_is_answered_like_a_get_without_its_body(admin: httpx.AsyncClient) -> None:
    got, head = await admin.get("/live"), await admin.head("/live")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == got.headers["content-length"]
    assert (await admin.head("/nope")).status_code == 404


async def test_the_docs_need_nothing_from_elsewhere(api: RunningApi) -> None:
    client = await api.client()
    page = await client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "script-src 'self';" in page.headers["content-security-policy"]
    assert "://" not in page.text
    assert "<script>" not in page.text
    for path in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        answer = await client.get(path)
        assert answer.status_code == 200, path
        assert answer.content
    assert (await client.get("/docs/openapi-3.0.json")).json()["openapi"] == "3.0.3"
    assert (await client.get("/openapi.json")).json()["openapi"] == "3.1.0"
    assert (await client.get("/docs/other.js")).status_code == 404


async def test_sigterm_ends_the_process_in_order(database: str, processes: Processes) -> None:
    api = processes.scheduler("serve", environment={**environment(database), "PORT": "0", "LOG_LEVEL": "info"})
    line = await api.wait_for_line("http_api.listening", within=30)
    url = "http://" + line.split("http://", maxsplit=1)[1].split('"')[0]
    await api.wait_for_http(f"{url}/ready", within=10)
    assert await api.stop(within=30) == 0


async def test_a_port_in_use_is_told_in_one_line(database: str, api: RunningApi, processes: Processes) -> None:
    port = api.url.rsplit(":", 1)[1]
    second = processes.scheduler("serve", environment={**environment(database), "PORT": port})
    assert await second.wait(within=30) != 0
    assert f"PORT={port}" in second.output
    assert "Traceback" not in second.output
