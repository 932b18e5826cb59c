"""The credentials that docs/security.md tells operators to give to dispatchers are enough, and no wider than told."""

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nats
import pytest

from scheduler_domain.domain.outcome import ACKNOWLEDGED
from scheduler_domain.infra.embedded.folder import Folder
from scheduler_domain.infra.embedded.nats import Nats
from scheduler_domain.infra.embedded.server import EmbeddedServer
from scheduler_domain.infra.nats.inspection import inspect_nats
from scheduler_domain.infra.nats.publisher import SMALLEST_BATCH, JetStreamPublisher
from tests.integration.deliveries import FIRED_AT, delivery

MANUAL = Path(__file__).parents[2] / "docs" / "security.md"
NOTHING = {"publish": {"deny": ">"}, "subscribe": {"deny": ">"}}


@dataclass(frozen=True, slots=True)
class Guarded(Nats):
    """A server with one user, who may do what the manual says; who gives no name may do nothing."""

    def command(self, port: int) -> list[str]:
        command = Nats.command(self, port)
        path = Path(command[-1])
        configuration = json.loads(path.read_text(encoding="utf-8"))
        users: list[dict[str, Any]] = [
            {"user": "dispatcher", "password": "secret", "permissions": documented()},
            {"user": "nobody", "password": "nothing", "permissions": NOTHING},
        ]
        configuration |= {"authorization": {"users": users}, "no_auth_user": "nobody"}
        self.folder.write(path.name, json.dumps(configuration))
        return command

    def url(self, port: int) -> str:
        return f"nats://dispatcher:secret@127.0.0.1:{port}"


def documented() -> dict[str, list[str]]:
    """Read the permissions where operators read them."""
    text = MANUAL.read_text(encoding="utf-8")
    sentence = re.search(r"credentials that may publish (.*?), and subscribe to (.*?);", text, re.DOTALL)
    assert sentence is not None
    publish, subscribe = (re.findall(r"`([^`]+)`", part) for part in sentence.groups())
    return {"publish": [name for each in publish for name in spelt_out(each)], "subscribe": subscribe}


def spelt_out(subject: str) -> list[str]:
    """
    >>> spelt_out("a.{B,C}.*")
    ['a.B.*', 'a.C.*']
    """
    choice = re.search(r"{(.*?)}", subject)
    return [subject.replace(choice[0], each) for each in choice[1].split(",")] if choice else [subject]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    guarded = EmbeddedServer(Guarded(Folder(tmp_path_factory.mktemp("guarded") / "nats"), sync_always=False))
    guarded.start()
    yield guarded
    guarded.stop()


async def test_they_make_the_streams_and_send_alone_and_in_batches(server: EmbeddedServer) -> None:
    publisher = JetStreamPublisher(server.url, acknowledgement_seconds=1.0)
    assert await publisher.start()
    for count in (1, SMALLEST_BATCH):
        deliveries = [publisher.prepare(delivery()) for _ in range(count)]
        assert await publisher.send(deliveries, FIRED_AT) == [ACKNOWLEDGED] * count
    await publisher.stop()


async def test_they_let_the_doctor_see_the_streams(server: EmbeddedServer) -> None:
    publisher = JetStreamPublisher(server.url)
    assert await publisher.start()
    await publisher.stop()
    facts = await inspect_nats(server.url)
    assert [(stream.name, stream.subjects) for stream in facts.streams or ()] == [
        ("EVENTS", ("events.>",)),
        ("QUEUES", ("queues.>",)),
        ("LIFECYCLE", ("lifecycle.>",)),
    ]


async def test_they_let_nobody_delete_a_stream_or_listen_to_events(server: EmbeddedServer) -> None:
    refused: asyncio.Queue[str] = asyncio.Queue()

    async def keep(error: Exception) -> None:
        refused.put_nowait(str(error))

    client = await nats.connect(server.url, error_cb=keep)
    await client.publish("$JS.API.STREAM.DELETE.EVENTS")
    assert "permissions violation for publish" in (await asyncio.wait_for(refused.get(), 5)).lower()
    await client.subscribe("events.>")
    assert "permissions violation for subscription" in (await asyncio.wait_for(refused.get(), 5)).lower()
    await client.close()
