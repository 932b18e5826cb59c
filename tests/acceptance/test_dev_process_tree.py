"""`scheduler dev` as a process tree: ready, stopped, crashed, refused; nothing is ever left running."""

import asyncio
import json
import os
import re
import shlex
import signal
import socket
import stat
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from scheduler_domain.infra.embedded import ServerUrls
from tests.acceptance.scheduler_command import scheduler
from tests.support.processes import Processes, RunningProcess
from tests.support.waiting import eventually

READY_WITHIN = 60.0
SCHEDULE = {
    "key": "hello",
    "name": "Hello",
    "trigger": {"type": "CRON", "cron": "* * * * * *"},
    "target": {"kind": "EVENT", "eventTopic": "hello"},
}

LOOPBACK = {"kind": "HTTP", "http": {"url": "http://127.0.0.1:9000/x"}}


@dataclass(frozen=True, slots=True)
class Ready:
    """What the line of `--json` says, and a client that speaks as it says."""

    process: RunningProcess
    answer: dict[str, Any]
    client: httpx.AsyncClient

    @property
    def data(self) -> Path:
        """The folder that a `--data-dir` beside the process's log named."""
        return self.process.log.parent / "data"

    async def completed_count(self) -> int:
        response = await self.client.get("/occurrences", params={"status": "COMPLETED"})
        total: int = response.raise_for_status().json()["total"]
        return total


async def ready(process: RunningProcess) -> Ready:
    answer = json.loads(await process.wait_for_line('"postgresUrl"', within=READY_WITHIN))
    headers = {"Authorization": f"Bearer {answer['token']}", "X-Tenant-Id": answer["tenant"]}
    return Ready(process, answer, httpx.AsyncClient(base_url=answer["url"], headers=headers, trust_env=False))


def start(processes: Processes, *options: str, **environment: str) -> RunningProcess:
    return processes.scheduler("dev", "--port", "0", *options, environment=environment)


@pytest.fixture(scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ready]:
    """One `scheduler dev` for the tests that leave it as it is, with its data in `shared.data`."""
    folder = tmp_path_factory.mktemp("shared")
    processes = Processes(folder)
    running = await ready(start(processes, "--json", "--data-dir", str(folder / "data")))
    yield running
    await running.client.aclose()
    await processes.end_all()


@pytest.fixture
async def dev(processes: Processes, tmp_path: Path) -> AsyncIterator[Ready]:
    """A `scheduler dev` with its data in `tmp_path / "data"`."""
    running = await ready(start(processes, "--json", "--data-dir", str(tmp_path / "data")))
    yield running
    await running.client.aclose()


def _exported(file: Path) -> dict[str, str]:
    lines = file.read_text(encoding="utf-8").splitlines()
    return dict(shlex.split(line)[1].split("=", 1) for line in lines)


def child(process: RunningProcess, *words: str) -> psutil.Process:
    """Return the process below `process` whose command line holds all the words."""
    return next(
        found
        for found in psutil.Process(process.pid).children(recursive=True)
        if all(any(word in part for part in found.cmdline()) for word in words)
    )


class TestReady:
    async def test_json_is_one_line_whose_token_creates_a_schedule_that_fires(self, shared: Ready) -> None:
        assert list(shared.answer) == ["url", "tenant", "token", "postgresUrl", "natsUrl", "redisUrl"]
        created = await shared.client.post("/schedules", json={**SCHEDULE, "key": "fires"})
        assert created.status_code == 201, created.text

        async def delivered() -> bool:
            return await shared.completed_count() > 0

        await eventually(delivered, within=10)
        assert shared.process.output.count("\n") == 1

    async def test_a_person_is_told_where_everything_is_and_a_line_to_paste(
        self, processes: Processes, tmp_path: Path
    ) -> None:
        process = start(processes, "--data-dir", str(tmp_path / "data"))
        await process.wait_for_line("Ctrl-C stops everything", within=READY_WITHIN)
        api = re.search(r"API +(http://\S+)", process.output)
        assert api is not None
        for text in (f"{api[1]}/docs", "tenant  demo", "token   ey", f". {tmp_path}/data/client.env"):
            assert text in process.output
        await process.wait_for_http(f"{api[1]}/docs", within=5)
        line = next(line for line in process.output.splitlines() if line.strip().startswith("curl "))
        program, silent, url, *rest = shlex.split(line)
        assert (program, silent) == ("curl", "-sS")
        options = list(zip(rest[::2], rest[1::2], strict=True))
        headers = dict(value.split(": ", 1) for flag, value in options if flag == "-H")
        (body,) = [value for flag, value in options if flag == "-d"]
        async with httpx.AsyncClient(trust_env=False) as client:
            response = await client.post(url, headers=headers, content=body)
        assert response.status_code == 201, response.text

    async def test_another_terminal_needs_one_line_to_speak_to_it(self, shared: Ready) -> None:
        environment = _exported(shared.data / "client.env")
        created = await scheduler(
            *("schedules", "create", "--name", "Hello", "--key", "terminal", "--cron", "@daily", "--event", "hello"),
            environment=environment,
        )
        assert created.exit_code == 0, created.stderr
        listed = await scheduler("schedules", "list", "--json", environment=environment)
        assert "terminal" in [item["key"] for item in json.loads(listed.stdout)["items"]]

    async def test_another_terminal_finds_the_servers_by_one_line(self, shared: Ready) -> None:
        environment = _exported(shared.data / "servers.env")
        examined = await scheduler("doctor", "--json", environment=environment)
        states = {item["check"]: item["state"] for item in json.loads(examined.stdout)}
        assert examined.exit_code == 0, examined.stdout
        assert {"ok"} >= {state for check, state in states.items() if check in ("PostgreSQL", "NATS", "tokens")}, states
        token = await scheduler("token", "--tenant", "acme", "--roles", "viewer", environment=environment)
        headers = {"Authorization": f"Bearer {token.stdout.strip()}", "X-Tenant-Id": "acme"}
        listed = await shared.client.get("/schedules", headers=headers)
        assert (listed.status_code, listed.json()["items"]) == (200, [])

    async def test_only_the_owner_can_read_secrets_and_logs(self, shared: Ready) -> None:
        assert stat.S_IMODE(shared.data.stat().st_mode) == 0o700
        for name in ("jwt_secret", "client.env", "servers.env", "serve.log", "dispatch.log"):
            assert stat.S_IMODE((shared.data / name).stat().st_mode) == 0o600

    async def test_a_token_and_a_schedule_survive_a_restart(
        self, processes: Processes, dev: Ready, tmp_path: Path
    ) -> None:
        assert (await dev.client.post("/schedules", json=SCHEDULE)).status_code == 201
        assert await dev.process.stop() == 0
        again = await ready(start(processes, "--json", "--data-dir", str(tmp_path / "data")))
        response = await again.client.get("/schedules/by-key/hello", headers=dev.client.headers)
        assert response.status_code == 200, response.text
        await again.client.aclose()

    async def test_servers_and_secrets_that_the_environment_names_are_used(
        self, processes: Processes, database: str, servers: ServerUrls, redis_url: str, tmp_path: Path
    ) -> None:
        process = start(
            *(processes, "--json", "--data-dir", str(tmp_path / "data")),
            POSTGRES_URL=database,
            NATS_URL=servers.nats_url,
            REDIS_URL=redis_url,
            JWT_SECRET="0123456789abcdef0123456789abcdef",
        )
        running = await ready(process)
        assert running.answer["postgresUrl"] == database
        names = {found.name() for found in psutil.Process(process.pid).children(recursive=True)}
        assert not [name for name in names if "postgres" in name or "nats" in name or "valkey" in name]
        minted = await scheduler(
            *("token", "--tenant", "demo"),
            environment={
                "JWT_SECRET": "0123456789abcdef0123456789abcdef",
                "JWT_ISSUER": "scheduler-dev",
                "JWT_AUDIENCE": "scheduler-dev",
            },
        )
        headers = {"Authorization": f"Bearer {minted.stdout.strip()}"}
        assert (await running.client.get("/schedules", headers=headers)).status_code == 200
        await running.client.aclose()
        assert await process.stop() == 0

    async def test_webhooks_may_reach_this_machine(self, shared: Ready) -> None:
        accepted = await shared.client.post("/schedules", json={**SCHEDULE, "key": "loopback", "target": LOOPBACK})
        assert accepted.status_code == 201, accepted.text

    async def test_an_empty_webhook_policy_of_the_environment_wins(self, processes: Processes) -> None:
        strict = await ready(start(processes, "--json", "--ephemeral", WEBHOOK_ALLOW_NETS="", WEBHOOK_ALLOW_HTTP=""))
        refused = await strict.client.post("/schedules", json={**SCHEDULE, "target": LOOPBACK})
        assert refused.status_code == 422
        await strict.client.aclose()


class TestStopping:
    async def test_ctrl_c_stops_everything_and_is_no_failure(self, dev: Ready) -> None:
        await dev.client.post("/schedules", json=SCHEDULE)
        dev.process.send(signal.SIGINT)
        assert await dev.process.wait() == 0
        assert dev.process.output.count("\n") == 1

    async def test_it_stops_in_order_though_nobody_reads_what_it_says(self, tmp_path: Path) -> None:
        reading, writing = os.pipe()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "scheduler_domain", "dev", "--port", "0", "--data-dir", str(tmp_path / "data")),
            stdout=writing,
            env={"PATH": os.defpath},
        )
        os.close(writing)
        os.close(reading)
        await eventually((tmp_path / "data" / "client.env").exists, within=READY_WITHIN)
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 35) == 0

    @pytest.mark.parametrize("moment", ["starting", "postgres", "jwt_secret"])
    async def test_a_signal_while_it_starts_stops_everything_too(
        self, processes: Processes, tmp_path: Path, moment: str
    ) -> None:
        process = start(processes, "--data-dir", str(tmp_path / "data"))
        if moment == "starting":
            await process.wait_for_line("starting", within=READY_WITHIN)
        else:
            await eventually((tmp_path / "data" / moment).exists, within=READY_WITHIN)
        process.send(signal.SIGINT)
        assert await process.wait() == 0
        assert "Error" not in process.output
        assert process.output.endswith("stopped\n")

    async def test_a_kill_leaves_no_process_and_the_data_usable(
        self, processes: Processes, dev: Ready, tmp_path: Path
    ) -> None:
        await dev.client.post("/schedules", json=SCHEDULE)
        await dev.process.kill()
        again = await ready(start(processes, "--json", "--data-dir", str(tmp_path / "data")))
        assert (await again.client.get("/schedules/by-key/hello")).status_code == 200
        await again.client.aclose()

    async def test_ephemeral_leaves_no_file(self, processes: Processes, tmp_path: Path) -> None:
        temporary = tmp_path / "tmp"
        temporary.mkdir()
        process = start(processes, "--json", "--ephemeral", TMPDIR=str(temporary))
        running = await ready(process)
        await running.client.aclose()
        assert list(temporary.iterdir())
        assert await process.stop() == 0
        assert list(temporary.iterdir()) == []

    @pytest.mark.parametrize("role", ["serve", "dispatch"])
    async def test_the_end_of_a_child_ends_everything_and_shows_its_last_words(self, dev: Ready, role: str) -> None:
        child(dev.process, "scheduler_domain.entrypoints.dev.child", role).kill()
        assert await dev.process.wait() == 1
        assert f"Error: `scheduler {role}` ended with status -9. The end of" in dev.process.output
        assert f"{role}.log:" in dev.process.output

    async def test_the_end_of_a_server_ends_everything_and_names_its_log(self, dev: Ready) -> None:
        child(dev.process, "nats-server", "-c").kill()
        assert await dev.process.wait() == 1
        assert "Error: NATS ended, its log is" in dev.process.output

    async def test_a_person_is_told_what_ended_before_the_rest_is_stopped(
        self, processes: Processes, tmp_path: Path
    ) -> None:
        process = start(processes, "--data-dir", str(tmp_path / "data"))
        await process.wait_for_line("Ctrl-C stops everything", within=READY_WITHIN)
        child(process, "nats-server", "-c").kill()
        assert await process.wait() == 1
        told, error = process.output.splitlines()[-2:]
        assert told.startswith("NATS ended, its log is ")
        assert "; stopping; deliveries under way are finished first" in told
        assert error.startswith("Error: NATS ended, its log is ")


class TestRefusals:
    async def test_a_taken_port_is_told_with_how_to_choose_another(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            ended = await scheduler("dev", "--port", str(port), "--data-dir", str(tmp_path / "data"))
        assert ended.exit_code == 1
        assert ended.error.startswith(f"port {port} on 127.0.0.1 cannot be used (address already in use)")
        assert "--port 0" in ended.error

    async def test_a_data_folder_in_use_is_told_and_its_user_not_disturbed(self, shared: Ready) -> None:
        ended = await scheduler("dev", "--port", "0", "--data-dir", str(shared.data))
        assert ended.exit_code == 1
        assert ended.error.startswith(f"another `scheduler dev` uses {shared.data}")
        assert (await shared.client.get("/ready")).status_code == 200

    async def test_a_folder_that_cannot_be_made_is_told(self, tmp_path: Path) -> None:
        file = tmp_path / "file"
        file.touch()
        ended = await scheduler("dev", "--port", "0", "--data-dir", str(file / "data"))
        assert ended.exit_code == 1
        assert ended.error.startswith(f"cannot keep data in {file / 'data'}")

    async def test_a_database_that_is_away_is_told_and_nothing_stays(self, tmp_path: Path) -> None:
        ended = await scheduler(
            *("dev", "--port", "0", "--data-dir", str(tmp_path / "data")),
            environment={"POSTGRES_URL": "postgresql://app:hunter2@127.0.0.1:1/x"},
        )
        assert ended.exit_code == 1
        assert ended.error.startswith("PostgreSQL at postgresql://app:***@127.0.0.1:1/x cannot be used")

    async def test_keeping_nothing_somewhere_is_bad_usage(self) -> None:
        ended = await scheduler("dev", "--ephemeral", "--data-dir", "data")
        assert ended.exit_code == 2
        assert "give one of them" in ended.error

    async def test_two_ways_to_sign_are_refused_before_anything_starts(self, tmp_path: Path) -> None:
        ended = await scheduler(
            *("dev", "--port", "0", "--data-dir", str(tmp_path / "data")),
            environment={"JWKS_URL": "https://issuer.example/keys", "JWT_SECRET": "0123456789abcdef0123456789abcdef"},
        )
        assert ended.exit_code == 1
        assert "are both set" in ended.error
        assert not (tmp_path / "data").exists()
