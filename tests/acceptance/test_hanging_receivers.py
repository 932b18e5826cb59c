"""A tenant whose receivers hang, on a real dispatcher: everybody else is on time, and it loses nothing."""

import signal
from collections import Counter
from datetime import UTC, datetime, timedelta

import asyncpg

from scheduler_domain.domain.target import HttpRequest, HttpTarget
from scheduler_domain.infra.embedded import ServerUrls
from tests.support.processes import Processes
from tests.support.receiver import Receiver, hang
from tests.support.stored import definition, store_due, store_schedules
from tests.support.waiting import eventually

READY = '"event":"dispatcher.ready"'
SCHEDULES, INSTANTS = 500, 30
BACKLOG = SCHEDULES * INSTANTS
ON_TIME = timedelta(seconds=2)  # of a machine that is busy; a backlog in the way would be a matter of minutes


async def test_a_backlog_at_hanging_receivers_makes_nobody_else_late_and_is_all_kept(
    connection: asyncpg.Connection, processes: Processes, servers: ServerUrls, receiver: Receiver, database: str
) -> None:
    receiver.always(hang(), path="/hangs")
    environment = {
        "POSTGRES_URL": database,
        "NATS_URL": servers.nats_url,
        "DISPATCHER_PORT": "0",
        "WEBHOOK_ALLOW_NETS": "127.0.0.0/8",
        "WEBHOOK_ALLOW_HTTP": "true",
    }
    dispatcher = processes.scheduler("dispatch", environment=environment)
    await dispatcher.wait_for_line(READY, within=15)  # what was due before would be missed, and go by its policy
    hanging = definition(target=posting_to(receiver, "/hangs"), timeout_sec=60)
    schedules = await store_schedules(connection, "hanging", SCHEDULES, of=hanging)
    due_at = datetime.now(UTC)
    async with connection.transaction():
        for number in range(INSTANTS):
            await store_due(connection, "hanging", schedules, due_at + timedelta(milliseconds=number))
    await eventually(lambda: some_were_put_off(connection), within=15)

    events = await store_schedules(connection, "neighbour", 40)
    webhooks = await store_schedules(connection, "other", 40, of=definition(target=posting_to(receiver, "/answers")))
    soon = datetime.now(UTC) + timedelta(seconds=2)
    await store_due(connection, "neighbour", events, soon)
    await store_due(connection, "other", webhooks, soon)
    await eventually(lambda: have_ended(connection, 80), within=10)
    rows = await connection.fetch("SELECT tenant_id, status, lateness_ms FROM scheduler.ledger")
    assert Counter((row["tenant_id"], row["status"]) for row in rows) == {
        ("neighbour", "COMPLETED"): 40,
        ("other", "COMPLETED"): 40,
    }
    assert max(row["lateness_ms"] for row in rows) < ON_TIME / timedelta(milliseconds=1)

    dispatcher.send(signal.SIGKILL)
    kept = await connection.fetch("SELECT due_at, attempt_count FROM scheduler.due_queue")
    assert len(kept) == BACKLOG
    assert {row["attempt_count"] for row in kept} == {0}
    assert max(row["due_at"] for row in kept) < due_at + timedelta(seconds=1)


def posting_to(receiver: Receiver, path: str) -> HttpTarget:
    return HttpTarget(HttpRequest(f"{receiver.url}{path}"))


async def some_were_put_off(connection: asyncpg.Connection) -> bool:
    count: int = await connection.fetchval(
        "SELECT count(*) FROM scheduler.due_queue WHERE start_tag > due_at + interval '1.5 seconds'"
    )
    return count > 0


async def have_ended(connection: asyncpg.Connection, count: int) -> bool:
    ended: int = await connection.fetchval("SELECT count(*) FROM scheduler.ledger")
    return ended >= count
