"""api_create, api_get: requests per second of one `scheduler serve`, on the cores that PostgreSQL and the load use too.

Over HTTP with a signed token, 32 connections, no think time. `api_create` stores a schedule with each request, in a
database that holds 10,000 already; `api_get` reads those 10,000 by id.
"""

import asyncio
import json
import time
from collections.abc import Iterator, Sequence

import jwt

from benchmarks.figures import Result, result
from benchmarks.load import CONNECTIONS, Figures, drive
from benchmarks.population import PAYLOAD, connect, definition, names, store, yearly
from benchmarks.stage import Running, Stage, api, stage

STORED = 10_000
_TENANT = "tenant-0000"
_SECONDS, _FULL_SECONDS, _WARM_UP_SEC = 5, 30, 2


def create(full: bool) -> Iterator[Result]:
    asked = {
        "name": "Daily report",
        "tz": "Europe/Berlin",
        "trigger": {"type": "CRON", "cron": "0 9 * * 1-5"},
        "target": {"kind": "EVENT", "eventTopic": "reports.daily.generate"},
        "payload": PAYLOAD,
    }
    yield _measured("api_create", [f"POST /schedules\n{json.dumps(asked)}"], full)


def get(full: bool) -> Iterator[Result]:
    yield _measured("api_get", [f"GET /schedules/{id_}" for _, id_ in names(STORED, tenants=1)], full)


def token(own: Stage, role: str = "editor") -> str:
    """Return a token as the API under test accepts it."""
    now = int(time.time())
    claims = {"tenant_id": _TENANT, "roles": [role], "sub": "benchmark", "iss": "benchmark", "aud": "benchmark"}
    return jwt.encode({**claims, "iat": now, "exp": now + 3_600}, own.jwt_secret, algorithm="HS256")


def _measured(name: str, requests: Sequence[str], full: bool) -> Result:
    with stage() as own:
        settings = asyncio.run(_stocked(own))
        with api(own) as running:
            _drive(own, running, requests, _WARM_UP_SEC)
            spent = own.processor_time(running)
            figures = _drive(own, running, requests, _FULL_SECONDS if full else _SECONDS)
            processor = spent.microseconds_per_item(figures["n"])
    n, load = figures.pop("n"), figures.pop("load")
    settings = {**settings, "connections": CONNECTIONS, "load": load, "stored": STORED}
    return result(name, n, settings, **figures, cpu_us=processor)


def _drive(own: Stage, running: Running, requests: Sequence[str], seconds: int) -> Figures:
    headers = {
        "Authorization": f"Bearer {token(own)}",
        "X-Tenant-Id": _TENANT,
        "Content-Type": "application/json",
    }
    return drive(running.url, requests, headers, seconds, own.folder)


async def _stocked(own: Stage) -> dict[str, object]:
    connection = await connect(own.postgres_url)
    try:
        stored = names(STORED, tenants=1)
        await store(connection, stored, [definition(yearly())] * STORED, [None] * STORED)
        await connection.execute("VACUUM ANALYZE schedule, schedule_cursor")
        return await own.settings(connection)
    finally:
        await connection.close()
