"""What dispatchers promise, on real processes: shared work, crashes without loss, a clean end."""

import signal
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import asyncpg
import pytest
from nats.js import JetStreamContext

from scheduler_domain.domain.schedule import CronTrigger, FixedDelayTrigger, Misfire, OneShotTrigger, Retry
from scheduler_domain.domain.target import EventTarget, HttpRequest, HttpTarget
from scheduler_domain.infra.embedded import ServerUrls
from tests.support.processes import Processes, RunningProcess
from tests.support.receiver import Receiver, reply
from tests.support.stored import definition, store_due, store_schedules
from tests.support.waiting import eventually

READY = '"event":"dispatcher.ready"'
TAKEN_OVER_WITHIN = 20
StartDispatcher = Callable[[], RunningProcess]


@pytest.fixture
def environment(database: str, servers: ServerUrls) -> dict[str, str]:
    return {
        "POSTGRES_URL": database,
        "NATS_URL": servers.nats_url,
        "DISPATCHER_PORT": "0",
        "WEBHOOK_ALLOW_NETS": "127.0.0.0/8",
        "WEBHOOK_ALLOW_HTTP": "true",
    }


@pytest.fixture
def dispatcher(processes: Processes, environment: dict[str, str]) -> StartDispatcher:
    return lambda: processes.scheduler("dispatch", environment=environment)


async def ledger(connection: asyncpg.Connection) -> Counter[str]:
    rows = await connection.fetch("SELECT status, count(*) AS n FROM scheduler.ledger GROUP BY status")
    return Counter({row["status"]: row["n"] for row in rows})


async def all_ended(connection: asyncpg.Connection) -> bool:
    return not await connection.fetchval("SELECT EXISTS (SELECT FROM scheduler.due_queue)")


def posting_to(receiver: Receiver) -> HttpTarget:
    return HttpTarget(HttpRequest(f"{receiver.url}/hook"))


async def test_planned_occurrences_fire_at_their_instant_and_are_recorded(
    connection: asyncpg.Connection, dispatcher: StartDispatcher, jetstream: JetStreamContext, tenant: str
) -> None:
    process = dispatcher()
    await process.wait_for_line(READY, within=15)
    subscription = await jetstream.subscribe(f"events.{tenant}.>", stream="EVENTS")
    due_at = datetime.now(UTC) + timedelta(seconds=2)
    ids = await store_due(connection, tenant, await store_schedules(connection, tenant, 50), due_at)
    await eventually(lambda: all_ended(connection), within=10)
    rows = await connection.fetch("SELECT status, lateness_ms, fired_at FROM scheduler.ledger")
    assert Counter(row["status"] for row in rows) == {"COMPLETED": 50}
    assert min(row["fired_at"] for row in rows) >= due_at
    messages = [await subscription.next_msg(timeout=5) for _ in range(50)]
    assert {message.headers["Nats-Msg-Id"] for message in messages if message.headers} == {str(id_) for id_ in ids}


async def test_two_dispatchers_share_a_herd_and_each_occurrence_is_sent_once(
    connection: asyncpg.Connection, dispatcher: StartDispatcher, jetstream: JetStreamContext, tenant: str
) -> None:
    for process in (dispatcher(), dispatcher()):
        await process.wait_for_line(READY, within=15)
    schedules = await store_schedules(connection, tenant, 4_000, of=definition(target=EventTarget("herd")))
    before = (await jetstream.stream_info("EVENTS")).state.messages
    async with connection.transaction():
        await store_due(connection, tenant, schedules, datetime.now(UTC))
    await eventually(lambda: all_ended(connection), within=30)
    assert await ledger(connection) == {"COMPLETED": 4_000}
    assert (await jetstream.stream_info("EVENTS")).state.messages - before == 4_000


async def test_a_killed_dispatcher_loses_nothing_and_its_occurrences_keep_their_keys(
    connection: asyncpg.Connection, dispatcher: StartDispatcher, receiver: Receiver, tenant: str
) -> None:
    receiver.always(reply(delay=0.02))
    victim, survivor = dispatcher(), dispatcher()
    for process in (victim, survivor):
        await process.wait_for_line(READY, within=15)
    schedules = await store_schedules(connection, tenant, 2_000, of=definition(target=posting_to(receiver)))
    async with connection.transaction():
        ids = await store_due(connection, tenant, schedules, datetime.now(UTC))
    await receiver.wait_for(300, within=20)
    await victim.kill()
    await eventually(lambda: all_ended(connection), within=TAKEN_OVER_WITHIN + 15)
    assert await ledger(connection) == {"COMPLETED": 2_000}
    keys = Counter(request.headers["Idempotency-Key"] for request in receiver.requests)
    assert set(keys) == {str(id_) for id_ in ids}
    assert sum(keys.values()) - len(keys) <= 40


async def test_sigterm_drains_without_loss_and_without_a_double(
    connection: asyncpg.Connection, dispatcher: StartDispatcher, receiver: Receiver, tenant: str
) -> None:
    receiver.always(reply(delay=0.02))
    first = dispatcher()
    await first.wait_for_line(READY, within=15)
    schedules = await store_schedules(connection, tenant, 800, of=definition(target=posting_to(receiver)))
    async with connection.transaction():
        await store_due(connection, tenant, schedules, datetime.now(UTC))
    await receiver.wait_for(100, within=20)
    first.send(signal.SIGTERM)
    assert await first.wait(within=30) == 0
    sent_before = len(receiver.requests)
    assert sent_before < 800
    assert (await ledger(connection))["COMPLETED"] == sent_before
    second = dispatcher()
    await second.wait_for_line(READY, within=15)
    await eventually(lambda: all_ended(connection), within=30)
    keys = Counter(request.headers["Idempotency-Key"] for request in receiver.requests)
    assert (len(keys), sum(keys.values())) == (800, 800)


async def test_a_dispatcher_that_was_stopped_longer_than_its_lease_overwrites_nothing(
    connection: asyncpg.Connection,
    processes: Processes,
    environment: dict[str, str],
    receiver: Receiver,
    tenant: str,
) -> None:
    def start() -> RunningProcess:
        return processes.scheduler("dispatch", environment={**environment, "DISPATCHER_LEASE_SEC": "5"})

    receiver.always(reply(delay=0.5))
    sleeper = start()
    await sleeper.wait_for_line(READY, within=15)
    schedules = await store_schedules(connection, tenant, 40, of=definition(target=posting_to(receiver)))
    async with connection.transaction():
        await store_due(connection, tenant, schedules, datetime.now(UTC))
    await receiver.wait_for(10, within=20)
    sleeper.send(signal.SIGSTOP)
    awake = start()
    await awake.wait_for_line(READY, within=15)
    await eventually(lambda: all_ended(connection), within=25)
    recorded = await connection.fetch("SELECT id, ended_at FROM scheduler.ledger ORDER BY id")
    sleeper.send(signal.SIGCONT)
    await sleeper.stop()
    assert await connection.fetch("SELECT id, ended_at FROM scheduler.ledger ORDER BY id") == recorded
    keys = Counter(request.headers["Idempotency-Key"] for request in receiver.requests)
    assert len(keys) == 40
    assert max(keys.values()) <= 2


async def test_a_schedule_that_runs_from_completion_goes_on_and_on(
    connection: asyncpg.Connection, dispatcher: StartDispatcher, tenant: str
) -> None:
    await dispatcher().wait_for_line(READY, within=15)
    start = datetime.now(UTC)
    every_second = definition(FixedDelayTrigger(1))
    await store_schedules(connection, tenant, of=every_second, planned_from=start + timedelta(seconds=1))

    async def three() -> bool:
        return (await ledger(connection))["COMPLETED"] >= 3

    await eventually(three, within=15)
    rows = await connection.fetch("SELECT scheduled_for, ended_at FROM scheduler.ledger ORDER BY scheduled_for")
    for previous, following in pairwise(rows):
        gap = following["scheduled_for"] - previous["ended_at"]
        assert abs(gap - timedelta(seconds=1)) < timedelta(milliseconds=5)


async def test_after_an_hour_away_the_latest_fires_at_once_and_the_rest_is_recorded(
    connection: asyncpg.Connection, dispatcher: StartDispatcher, tenant: str
) -> None:
    await store_schedules(connection, tenant, 3, planned_from=datetime.now(UTC) - timedelta(hours=1))
    await dispatcher().wait_for_line(READY, within=15)

    async def caught_up() -> bool:
        return (await ledger(connection))["COMPLETED"] >= 3

    await eventually(caught_up, within=10)
    counts = await ledger(connection)
    assert counts["SKIPPED"] in range(3 * 58, 3 * 61)
    reasons = await connection.fetch("SELECT DISTINCT reason FROM scheduler.ledger WHERE status = 'SKIPPED'")
    assert [row["reason"] for row in reasons] == ["misfire-coalesced"]


async def test_what_was_planned_ahead_for_a_time_away_goes_by_its_misfire_policy(
    connection: asyncpg.Connection, dispatcher: StartDispatcher, tenant: str
) -> None:
    each_second, now = CronTrigger("* * * * * *"), datetime.now(UTC)
    for misfire in (Misfire("FIRE_LATEST"), Misfire("FIRE_ALL"), Misfire("SKIP")):
        of = definition(each_second, misfire=misfire)
        await store_schedules(connection, f"{tenant}-{misfire.policy.lower()}", of=of, planned_from=now)
    process = dispatcher()
    await process.wait_for_line(READY, within=15)

    async def has_begun() -> bool:
        return (await ledger(connection))["COMPLETED"] >= 3

    await eventually(has_begun, within=15)
    assert await process.stop(within=10) == 0
    stopped = datetime.now(UTC)  # it fired on between its last heartbeat, where the absence begins, and here
    missed = "SELECT count(*) >= 3 * 8 FROM scheduler.due_queue WHERE due_at < now() - interval '1 s'"
    await eventually(lambda: connection.fetchval(missed), within=15)
    await dispatcher().wait_for_line(READY, within=15)
    ended = await connection.fetchval("SELECT absent_until FROM scheduler.presence")
    is_left = "SELECT NOT EXISTS (SELECT FROM scheduler.due_queue WHERE due_at < $1)"
    await eventually(lambda: connection.fetchval(is_left, ended), within=10)

    async def ends_of(policy: str) -> list[tuple[str, str | None]]:
        rows = await connection.fetch(
            "SELECT status, reason FROM scheduler.ledger WHERE tenant_id = $1 AND due_at >= $2 AND due_at < $3"
            " ORDER BY due_at",
            *(f"{tenant}-{policy.lower()}", stopped, ended - timedelta(seconds=1)),
        )
        return [tuple(row) for row in rows]

    assert set(await ends_of("FIRE_ALL")) == {("COMPLETED", None)}
    assert set(await ends_of("SKIP")) == {("SKIPPED", "misfire-skipped")}
    *earlier, last = await ends_of("FIRE_LATEST")
    assert len(earlier) >= 6
    assert set(earlier) == {("SKIPPED", "misfire-coalesced")}
    assert last == ("COMPLETED", None)


async def test_an_unreachable_receiver_is_tried_again_until_it_answers(
    connection: asyncpg.Connection, dispatcher: StartDispatcher, receiver: Receiver, tenant: str
) -> None:
    receiver.next_answers(reply(503), reply(503))
    schedule = definition(target=posting_to(receiver), retry=Retry(initial_delay_sec=0.1, max_delay_sec=1))
    schedules = await store_schedules(connection, tenant, of=schedule)
    await store_due(connection, tenant, schedules, datetime.now(UTC))
    await dispatcher().wait_for_line(READY, within=15)
    await eventually(lambda: all_ended(connection), within=15)
    assert await ledger(connection) == {"COMPLETED": 1}
    assert [request.headers["Idempotency-Key"] for request in receiver.requests] == [
        receiver.requests[0].headers["Idempotency-Key"]
    ] * 3
    attempts = await connection.fetch("SELECT number, status_code FROM scheduler.attempt ORDER BY number")
    assert [tuple(row) for row in attempts] == [(1, 503), (2, 503)]


WEIGH = (
    "INSERT INTO scheduler.tenant (id, weight, created_at, updated_at) VALUES ($1, $2, now(), now())"
    " ON CONFLICT (id) DO UPDATE SET weight = excluded.weight"
)


async def test_messages_of_a_herd_leave_by_the_weights_of_their_tenants(
    connection: asyncpg.Connection, dispatcher: StartDispatcher, jetstream: JetStreamContext, tenant: str
) -> None:
    each = 2_000
    heavy, light = f"{tenant}-heavy", f"{tenant}-light"
    await connection.execute(WEIGH, heavy, 3.0)
    process = dispatcher()
    await process.wait_for_line(READY, within=15)
    subscription = await jetstream.subscribe(f"events.*.{tenant}", stream="EVENTS", ordered_consumer=True)
    at = datetime.now(UTC) + timedelta(seconds=12)
    herd = definition(OneShotTrigger(at.isoformat()), EventTarget(tenant))
    for name in (light, heavy):
        async with connection.transaction():
            await store_schedules(connection, name, each, of=herd, planned_from=at)
    assert datetime.now(UTC) < at - timedelta(seconds=8), "stored too late to be planned before claims look"
    order = [(await subscription.next_msg(timeout=20)).subject.split(".")[1] for _ in range(2 * each)]
    assert Counter(order) == {heavy: each, light: each}
    assert Counter(order[:each])[heavy] == pytest.approx(each * 3 / 4, rel=0.05)


async def test_a_running_dispatcher_plans_by_a_weight_within_seconds_of_its_change(
    connection: asyncpg.Connection, dispatcher: StartDispatcher, tenant: str
) -> None:
    """The first one finds a weight when it starts; nobody restarts it for the next."""

    async def steps() -> set[timedelta]:
        """Have a herd planned, too far ahead to be claimed, and return how far apart its tags are."""
        at = datetime.now(UTC) + timedelta(seconds=40)
        await store_schedules(connection, tenant, 4, of=definition(OneShotTrigger(at.isoformat())), planned_from=at)
        tags = "SELECT start_tag FROM scheduler.due_queue WHERE due_at = $1 ORDER BY start_tag"

        async def is_planned() -> list[asyncpg.Record] | None:
            rows = await connection.fetch(tags, at)
            return rows if len(rows) == 4 else None

        rows = await eventually(is_planned, within=10)
        return {later["start_tag"] - earlier["start_tag"] for earlier, later in pairwise(rows)}

    await connection.execute(WEIGH, tenant, 5.0)
    await dispatcher().wait_for_line(READY, within=15)
    assert await steps() == {timedelta(microseconds=2)}
    await connection.execute(WEIGH, tenant, 2.0)

    async def is_weighed_anew() -> bool:
        return await steps() == {timedelta(microseconds=5)}

    await eventually(is_weighed_anew, within=15)
