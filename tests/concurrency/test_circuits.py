"""An open circuit on a real dispatcher: a receiver that fails is left alone, then healed, and nobody else notices."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import structlog

from scheduler_domain.application.ports.tracing import UNTRACED
from scheduler_domain.bootstrap.dispatcher import dispatcher_parts
from scheduler_domain.domain.circuit import CircuitTerms
from scheduler_domain.domain.schedule import Retry
from scheduler_domain.domain.target import HttpRequest, HttpTarget
from scheduler_domain.entrypoints.dispatcher.dispatcher import Dispatcher
from scheduler_domain.infra.embedded import ServerUrls
from scheduler_domain.infra.telemetry.metrics import render
from scheduler_domain.settings import Settings
from tests.support.receiver import Receiver, reply
from tests.support.stored import definition, store_due, store_schedules
from tests.support.waiting import eventually

TERMS = CircuitTerms(first_probe_after=timedelta(seconds=4), longest_wait=timedelta(seconds=4))
COUNT = 40


@asynccontextmanager
async def dispatching(database: str, servers: ServerUrls) -> AsyncIterator[None]:
    settings = Settings.from_environment(
        {
            "POSTGRES_URL": database,
            "NATS_URL": servers.nats_url,
            "WEBHOOK_ALLOW_NETS": "127.0.0.0/8",
            "WEBHOOK_ALLOW_HTTP": "true",
        }
    )
    async with dispatcher_parts(settings, UNTRACED, TERMS) as parts:
        dispatcher = Dispatcher(parts, timedelta(seconds=10))
        work = asyncio.create_task(dispatcher.run())
        try:
            await eventually(lambda: dispatcher.is_ready, within=10)
            yield
        finally:
            dispatcher.stop()
            await work


@pytest.fixture
async def other_receiver() -> AsyncIterator[Receiver]:
    started = Receiver()
    await started.start()
    yield started
    await started.close()


async def test_a_receiver_that_fails_is_left_to_one_probe_at_a_time_until_it_is_well(
    connection: asyncpg.Connection,
    database: str,
    servers: ServerUrls,
    receiver: Receiver,
    other_receiver: Receiver,
) -> None:
    receiver.always(reply(503), path="/ours")
    with structlog.testing.capture_logs() as logs:
        async with dispatching(database, servers):
            first = await due(connection, "acme", receiver, 10)
            await eventually(lambda: len(of(receiver, "/ours")) == 10, within=10)
            await eventually(lambda: shown(receiver) == 2, within=5)

            waiting = await due(connection, "acme", receiver, COUNT)
            short = await due(connection, "acme", receiver, 1, retry=Retry(max_age_sec=1))
            await due(connection, "acme", other_receiver, COUNT)
            await due(connection, "neighbour", receiver, COUNT, path="/theirs")
            await eventually(lambda: len(of(receiver, "/theirs")) == len(other_receiver.requests) == COUNT, within=10)

            await eventually(lambda: len(of(receiver, "/ours")) >= 12, within=30)
            # Two probes failed: they are of what waits, or retries of the first ten; nobody else was tried.
            attempts = await attempt_counts(connection, waiting + first)
            assert sum(attempts.values()) <= len(of(receiver, "/ours")) <= 13
            assert sum(attempts[id_] for id_ in waiting) <= 3

            receiver.always(reply(200), path="/ours")
            await eventually(lambda: have_ended(connection, 2 * COUNT + COUNT + 10 + 1), within=40)
            await eventually(lambda: shown(receiver) is None, within=5)
    rows = await connection.fetch("SELECT id, status, reason, attempt_count, error, fired_at FROM scheduler.ledger")
    dead = [dict(row) for row in rows if row["status"] != "COMPLETED"]
    assert [(row["id"], row["status"], row["reason"], row["attempt_count"], row["fired_at"]) for row in dead] == [
        (short[0], "FAILED", "retries-exhausted", 0, None)
    ]
    assert dead[0]["error"] == f"the circuit to {receiver.url} was open until maxAgeSec was over"
    attempts = Counter(row["attempt_count"] for row in rows if row["id"] in set(waiting))
    assert attempts[1] >= COUNT - 3
    circuit = [(log["event"], log["tenant_id"], log["origin"]) for log in logs if log["event"].startswith("circuit.")]
    assert circuit == [("circuit.opened", "acme", receiver.url), ("circuit.closed", "acme", receiver.url)]


async def due(
    connection: asyncpg.Connection, tenant_id: str, receiver: Receiver, count: int, path: str = "/ours", **fields: Any
) -> list[UUID]:
    target = HttpTarget(HttpRequest(f"{receiver.url}{path}"))
    fields = {"retry": Retry(initial_delay_sec=5, max_attempts=50)} | fields
    schedules = await store_schedules(connection, tenant_id, count, of=definition(target=target, **fields))
    return await store_due(connection, tenant_id, schedules, datetime.now(UTC))


def of(receiver: Receiver, path: str) -> list[object]:
    return [request for request in receiver.requests if request.path == path]


def shown(receiver: Receiver) -> float | None:
    """Return the host's value of `scheduler_circuit_state`."""
    series = f'scheduler_circuit_state{{host="{receiver.url.removeprefix("http://")}"}} '
    lines = [line for line in render()[0].decode().splitlines() if line.startswith(series)]
    return float(lines[0].removeprefix(series)) if lines else None


async def attempt_counts(connection: asyncpg.Connection, ids: list[UUID]) -> dict[UUID, int]:
    rows = await connection.fetch("SELECT id, attempt_count FROM scheduler.due_queue WHERE id = ANY($1)", ids)
    return {row["id"]: row["attempt_count"] for row in rows}


async def have_ended(connection: asyncpg.Connection, count: int) -> bool:
    ended: int = await connection.fetchval("SELECT count(*) FROM scheduler.ledger")
    return ended >= count
