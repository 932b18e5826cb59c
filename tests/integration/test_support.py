"""What every other test relies on: the fixtures give what they promise."""

import asyncio

import asyncpg
import httpx
import pytest
from nats.js import JetStreamContext
from nats.js.api import StreamConfig
from redis.asyncio import Redis

from tests.support.processes import Processes
from tests.support.receiver import Receiver, drip, hang, redirect, reply, reset
from tests.support.waiting import eventually


class TestTheDatabaseOfATest:
    async def test_has_the_newest_schema(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        assert await connection.fetchval("SELECT count(*) FROM scheduler.schedule") == 0

    @pytest.mark.parametrize("name", ["first", "second"])
    async def test_starts_without_what_another_test_wrote(
        self, connection: "asyncpg.Connection[asyncpg.Record]", name: str
    ) -> None:
        await connection.execute("CREATE TABLE written (name text)")
        assert await connection.execute("INSERT INTO written VALUES ($1)", name) == "INSERT 0 1"

    async def test_may_have_no_schema_at_all(self, empty_database: str) -> None:
        opened = await asyncpg.connect(empty_database, ssl=False)
        assert await opened.fetchval("SELECT to_regnamespace('scheduler')") is None
        await opened.close()


@pytest.mark.parametrize("repetition", [1, 2])
async def test_streams_hold_nothing_of_another_test(jetstream: JetStreamContext, repetition: int) -> None:
    await jetstream.add_stream(StreamConfig(name="SUPPORT", subjects=["support.>"]))
    acknowledged = await jetstream.publish("support.test", b"hello")
    assert (await jetstream.stream_info(acknowledged.stream)).state.messages == 1


@pytest.mark.parametrize("repetition", [1, 2])
async def test_valkey_holds_nothing_of_another_test(redis_url: str, repetition: int) -> None:
    async with Redis.from_url(redis_url) as client:
        assert await client.incr("support") == 1


class TestTheReceiver:
    async def test_records_what_it_gets(self, receiver: Receiver) -> None:
        async with httpx.AsyncClient() as client:
            await client.put(f"{receiver.url}/there", params={"q": "1"}, headers={"X-Name": "v"}, content=b"body")
        [received] = await receiver.wait_for(1, within=5)
        assert (received.method, received.path, received.query) == ("PUT", "/there", {"q": "1"})
        assert (received.headers["x-name"], received.body) == ("v", b"body")

    async def test_gives_the_next_answers_first(self, receiver: Receiver) -> None:
        receiver.next_answers(reply(503), redirect("/elsewhere"), reply(201, body=b"slow", delay=0.05))
        receiver.always(reply(418), path="/tea")
        async with httpx.AsyncClient() as client:
            answers = [await client.get(receiver.url) for _ in range(4)]
            tea = await client.get(f"{receiver.url}/tea")
        assert [answer.status_code for answer in answers] == [503, 302, 201, 200]
        assert tea.status_code == 418

    async def test_can_be_rude(self, receiver: Receiver) -> None:
        receiver.next_answers(reset(), hang(), drip(b"slow", every=0.01))
        async with httpx.AsyncClient() as client:
            with pytest.raises(httpx.ReadError):
                await client.get(receiver.url)
            with pytest.raises(httpx.ReadTimeout):
                await client.get(receiver.url, timeout=0.1)
            assert (await client.get(receiver.url)).content == b"slow"


class TestProcesses:
    async def test_a_printed_line_is_waited_for(self, processes: Processes) -> None:
        process = processes.python("-c", "print('ready at last'); input()")
        assert await process.wait_for_line("ready", within=10) == "ready at last"

    async def test_what_a_process_leaves_behind_is_found(self, processes: Processes) -> None:
        starts_another = "import subprocess; print(subprocess.Popen(['sleep', '60']).pid)\nwhile True: pass"
        process = processes.python("-c", starts_another)
        await process.wait_for_line("", within=10)
        with pytest.raises(AssertionError, match="left behind"):
            await process.kill(within=0.5)


async def test_waiting_quotes_the_condition_that_never_came() -> None:
    with pytest.raises(AssertionError, match=r"still 0 after 0\.02 s: .*never"):
        await eventually(lambda: len("never") * 0, within=0.02)


async def test_waiting_returns_what_was_observed() -> None:
    arrived: list[int] = []
    asyncio.get_running_loop().call_later(0.02, arrived.append, 7)
    assert await eventually(lambda: arrived, within=5) == [7]
