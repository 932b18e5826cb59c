"""What happens to streams that exist already: our needs are met, an operator's limits stay."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from nats.aio.msg import Msg

from scheduler_domain.domain.errors import ConfigurationError, Unavailable
from scheduler_domain.infra.embedded.server import EmbeddedServer
from scheduler_domain.infra.embedded.servers import ephemeral_servers
from scheduler_domain.infra.nats.connection import NatsConnection
from scheduler_domain.infra.nats.streams import ensure_streams

TEN_MINUTES = 600_000_000_000


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    with ephemeral_servers(postgres=False, valkey=False) as servers:
        yield servers.nats


@pytest_asyncio.fixture
async def connection(server: EmbeddedServer) -> AsyncIterator[NatsConnection]:
    connection = connection_to(server.url)
    assert await connection.open(5)
    for name in ("EVENTS", "QUEUES", "LIFECYCLE", "OTHER"):
        await api(connection, f"STREAM.DELETE.{name}", {})
    yield connection
    await connection.close()


def connection_to(url: str) -> NatsConnection:
    async def ignore_reply(message: Msg) -> None: ...

    async def ignore_connect() -> None: ...

    return NatsConnection(url, name="test", on_reply=ignore_reply, on_connected=ignore_connect, on_lost=lambda: None)


async def api(connection: NatsConnection, verb: str, body: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(
        await connection.request(f"$JS.API.{verb}", json.dumps(body).encode() if body else b"", 5)
    )
    return answer


async def config(connection: NatsConnection, name: str) -> dict[str, Any]:
    found: dict[str, Any] = (await api(connection, f"STREAM.INFO.{name}", {}))["config"]
    return found


async def test_missing_streams_are_created_durable_and_deduplicating(connection: NatsConnection) -> None:
    await ensure_streams(connection)
    for name, subjects in (("EVENTS", "events.>"), ("QUEUES", "queues.>")):
        made = await config(connection, name)
        assert made["subjects"] == [subjects]
        assert made["storage"] == "file"
        assert made["allow_atomic"]
        assert made["duplicate_window"] >= TEN_MINUTES
        assert made["discard"] == "new", "a full stream must refuse, not forget"
    assert (await config(connection, "LIFECYCLE"))["discard"] == "old"


async def test_an_operators_limits_and_unknown_settings_survive(connection: NatsConnection) -> None:
    theirs = {
        "name": "EVENTS",
        "subjects": ["events.>", "more.>"],
        "storage": "file",
        "max_msgs": 123_456,
        "max_age": 3_600_000_000_000,
        "max_msgs_per_subject": 77,
        "description": "ours since 2024",
        "metadata": {"owner": "payments"},
        "duplicate_window": 1_000_000_000,
        "allow_rollup_hdrs": True,
    }
    assert "error" not in await api(connection, "STREAM.CREATE.EVENTS", theirs)
    await ensure_streams(connection)
    after = await config(connection, "EVENTS")
    assert after["allow_atomic"]
    assert after["duplicate_window"] == TEN_MINUTES
    kept = {name: after[name] for name in theirs if name not in {"duplicate_window", "metadata"}}
    assert kept == {name: value for name, value in theirs.items() if name in kept}
    assert after["metadata"]["owner"] == "payments"


async def test_a_short_life_is_lengthened_to_the_duplicate_window(connection: NatsConnection) -> None:
    theirs = {"name": "QUEUES", "subjects": ["queues.>"], "storage": "file", "max_age": 60_000_000_000}
    assert "error" not in await api(connection, "STREAM.CREATE.QUEUES", theirs)
    await ensure_streams(connection)
    assert (await config(connection, "QUEUES"))["max_age"] == TEN_MINUTES


async def test_a_stream_in_memory_is_refused_in_words(connection: NatsConnection) -> None:
    await api(connection, "STREAM.CREATE.EVENTS", {"name": "EVENTS", "subjects": ["events.>"], "storage": "memory"})
    with pytest.raises(ConfigurationError, match=r"EVENTS is kept in memory"):
        await ensure_streams(connection)


async def test_a_stream_that_has_our_subjects_under_another_name_is_named(connection: NatsConnection) -> None:
    await api(connection, "STREAM.CREATE.OTHER", {"name": "OTHER", "subjects": ["events.acme.>"], "storage": "file"})
    with pytest.raises(ConfigurationError, match=r"EVENTS: subjects overlap"):
        await ensure_streams(connection)


async def test_a_stream_of_our_name_with_other_subjects_is_refused(connection: NatsConnection) -> None:
    await api(connection, "STREAM.CREATE.EVENTS", {"name": "EVENTS", "subjects": ["other.>"], "storage": "file"})
    with pytest.raises(ConfigurationError, match=r"does not take events\.>"):
        await ensure_streams(connection)


async def test_many_dispatchers_may_start_at_once(connection: NatsConnection) -> None:
    await asyncio.gather(*(ensure_streams(connection) for _ in range(10)))
    assert (await config(connection, "QUEUES"))["allow_atomic"]


async def test_without_a_connection_it_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        await ensure_streams(connection_to("nats://127.0.0.1:1"))


def test_websocket_addresses_are_refused_in_words() -> None:
    with pytest.raises(ConfigurationError, match="nats:// or tls://"):
        connection_to("wss://nats.example.com")
