"""The receivers of docs/examples, as a reader runs them."""

import sys

import nats

from scheduler_domain.bootstrap.embedded import embedded_servers
from tests.support.processes import Processes
from tests.support.waiting import eventually


async def test_who_watches_messages_is_told_in_a_line_that_the_server_went_and_goes_on_when_it_is_back(
    processes: Processes,
) -> None:
    with embedded_servers(None, postgres=False, nats=True, valkey=False) as servers:
        watcher = processes.command(sys.executable, "docs/examples/watch_messages.py", servers.urls.nats_url)
        await watcher.wait_for_line("watching", within=20)
        servers.nats.stop()
        await watcher.wait_for_line("Connect call failed", within=20)
        servers.nats.start()
        client = await nats.connect(servers.urls.nats_url)

        async def arrived() -> bool:
            await client.publish("events.acme.reports", b"hello")
            await client.flush()
            return "hello" in watcher.output

        await eventually(arrived, within=20)
        await client.close()
        assert "Traceback" not in watcher.output
