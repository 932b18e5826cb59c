"""A cluster of three NATS servers loses any one of them: publishing goes on, nothing is lost or stored twice."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime

import asyncpg
import nats
import pytest
import pytest_asyncio
from nats.aio.client import Client
from nats.errors import Error
from nats.js import JetStreamContext

from scheduler_domain.application.ports.delivery import Delivery
from scheduler_domain.domain.outcome import Delivered, Outcome
from scheduler_domain.infra.nats.publisher import JetStreamPublisher
from tests.integration.deliveries import FIRED_AT, delivery
from tests.integration.test_nats_publisher import delivered_in_the_end, stored
from tests.support.nats_cluster import Cluster, nats_cluster
from tests.support.processes import Processes
from tests.support.stored import store_due, store_schedules
from tests.support.waiting import eventually

pytestmark = pytest.mark.faults

STREAMS = ("EVENTS", "QUEUES", "LIFECYCLE")
ELECTS_WITHIN = 30


@pytest.fixture(scope="module")
def standing_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with nats_cluster(tmp_path_factory.mktemp("cluster") / "members") as cluster:
        yield cluster


@pytest_asyncio.fixture
async def client(standing_cluster: Cluster) -> AsyncIterator[Client]:
    client = await nats.connect(standing_cluster.url.split(","), max_reconnect_attempts=-1, reconnect_time_wait=0.1)
    yield client
    await client.close()


@pytest_asyncio.fixture
async def jetstream(client: Client) -> JetStreamContext:
    return client.jetstream(timeout=1)


@pytest_asyncio.fixture
async def cluster(standing_cluster: Cluster, jetstream: JetStreamContext) -> AsyncIterator[Cluster]:
    """All members running, a leader chosen, and no stream; after the test all members run again."""

    async def without_streams() -> bool:
        try:
            for stream in await jetstream.streams_info():
                await jetstream.delete_stream(str(stream.config.name))
        except (Error, TimeoutError):
            return False
        return True

    await eventually(without_streams, within=ELECTS_WITHIN)
    yield standing_cluster
    for member in standing_cluster.members.values():
        await asyncio.to_thread(member.start)


@pytest_asyncio.fixture
async def publisher(cluster: Cluster, jetstream: JetStreamContext) -> AsyncIterator[JetStreamPublisher]:
    publisher = JetStreamPublisher(cluster.url, replicas=3, acknowledgement_seconds=1.0)
    assert await publisher.start()
    await eventually(lambda: has_leader(cluster, jetstream, "EVENTS"), within=ELECTS_WITHIN)
    yield publisher
    await publisher.stop()


async def has_leader(cluster: Cluster, jetstream: JetStreamContext, stream: str) -> str:
    try:
        return await cluster.leader_of(jetstream, stream)
    except (Error, TimeoutError):
        return ""


async def send(publisher: JetStreamPublisher, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
    return await publisher.send([publisher.prepare(each) for each in deliveries], FIRED_AT)


async def test_each_stream_is_kept_on_as_many_servers_as_were_asked_for_or_more(
    cluster: Cluster, jetstream: JetStreamContext
) -> None:
    for asked, kept in ((1, 1), (3, 3), (1, 3)):
        publisher = JetStreamPublisher(cluster.url, replicas=asked)
        assert await publisher.start()

        async def replicas(wanted: int = kept) -> bool:
            try:
                configs = [stream.config for stream in await jetstream.streams_info()]
            except (Error, TimeoutError):
                return False
            return {config.name: config.num_replicas for config in configs} == dict.fromkeys(STREAMS, wanted)

        await eventually(replicas, within=ELECTS_WITHIN)
        await publisher.stop()


@pytest.mark.parametrize("lost", ["the leader", "another"])
async def test_a_member_lost_in_mid_publish_loses_and_doubles_nothing(
    lost: str, cluster: Cluster, publisher: JetStreamPublisher, jetstream: JetStreamContext, tenant: str
) -> None:
    leader = await cluster.leader_of(jetstream, "EVENTS")
    victim = leader if lost == "the leader" else next(name for name in cluster.members if name != leader)
    batches = [[delivery(tenant) for _ in range(500)] for _ in range(20)]
    sends = [asyncio.create_task(send(publisher, batch)) for batch in batches]
    await asyncio.wait(sends, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.to_thread(cluster.members[victim].kill)
    outcomes = Counter(outcome for outcomes in await asyncio.gather(*sends) for outcome in outcomes)
    assert outcomes[Delivered()] >= 500
    assert await delivered_in_the_end(publisher, [each for batch in batches for each in batch]) == 10_000
    await eventually(lambda: has_leader(cluster, jetstream, "EVENTS"), within=ELECTS_WITHIN)
    assert await stored(jetstream, "EVENTS", tenant) == 10_000


async def test_a_dispatcher_goes_on_without_one_of_the_servers_it_was_told_of(
    cluster: Cluster,
    jetstream: JetStreamContext,
    connection: asyncpg.Connection,
    database: str,
    processes: Processes,
    tenant: str,
) -> None:
    variables = {"POSTGRES_URL": database, "NATS_URL": cluster.url, "NATS_REPLICAS": "3", "DISPATCHER_PORT": "0"}
    dispatcher = processes.scheduler("dispatch", environment=variables)
    await dispatcher.wait_for_line('"event":"dispatcher.ready"', within=20)
    leader = await eventually(lambda: has_leader(cluster, jetstream, "EVENTS"), within=ELECTS_WITHIN)
    assert (await jetstream.stream_info("EVENTS")).config.num_replicas == 3
    schedules = await store_schedules(connection, tenant, 200)
    await asyncio.to_thread(cluster.members[leader].kill)
    await store_due(connection, tenant, schedules, datetime.now(UTC))

    async def all_completed() -> bool:
        return await connection.fetchval("SELECT count(*) FROM scheduler.ledger WHERE status = 'COMPLETED'") == 200

    await eventually(all_completed, within=30)
    await eventually(lambda: has_leader(cluster, jetstream, "EVENTS"), within=ELECTS_WITHIN)
    assert await stored(jetstream, "EVENTS", tenant) == 200
    assert await dispatcher.stop(within=30) == 0
