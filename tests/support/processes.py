"""The product as its users run it: `scheduler …` as a process of its own, its output in a file, nothing left behind."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support.waiting import eventually

_STOPS_WITHIN_SEC = 35.0
_TAIL_LINES = 40


class RunningProcess:
    """A process and the log of all that it has printed."""

    def __init__(self, arguments: list[str], environment: Mapping[str, str], log: Path) -> None:
        self.log = log
        self._descendants: set[psutil.Process] = set()
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={"PATH": os.defpath, "PYTHONUNBUFFERED": "1", **environment},
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: ended by that signal."""
        return self._process.poll()

    @property
    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    async def wait_for_line(self, text: str, *, within: float) -> str:
        """Return the first whole line that contains the text."""

        def line() -> str | None:
            whole = self.output.split("\n")[:-1]
            found = next((line for line in whole if text in line), None)
            assert found or self.exit_code is None, f"ended with {self.exit_code} without {text!r}:\n{self.tail()}"
            return found

        return await eventually(line, within=within)

    async def wait_for_http(self, url: str, *, within: float, status: int = 200) -> httpx.Response:
        """Return the first answer with the status."""
        async with httpx.AsyncClient(trust_env=False) as client:

            async def answer() -> httpx.Response | None:
                assert self.exit_code is None, f"ended with {self.exit_code} before {url} answered:\n{self.tail()}"
                try:
                    response = await client.get(url, timeout=within)
                except httpx.TransportError:
                    return None
                return response if response.status_code == status else None

            return await eventually(answer, within=within)

    def send(self, number: signal.Signals) -> None:
        self._remember_descendants()
        self._process.send_signal(number)

    async def wait(self, *, within: float = _STOPS_WITHIN_SEC) -> int:
        """Wait for the end of the process, then of all that it had started, and return its exit code."""
        try:
            code = await asyncio.to_thread(self._process.wait, within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still runs after {within} s:\n{self.tail()}") from None
        await self._wait_for_descendants(within)
        return code

    async def stop(self, *, within: float = _STOPS_WITHIN_SEC) -> int:
        """Ask it to end, as an operator would, and return its exit code."""
        if self.exit_code is None:
            self.send(signal.SIGTERM)
        return await self.wait(within=within)

    async def kill(self, *, within: float = _STOPS_WITHIN_SEC) -> None:
        """End it as a crash would. What it had started has to notice."""
        if self.exit_code is None:
            self.send(signal.SIGKILL)
        await self.wait(within=within)

    def tail(self) -> str:
        return "\n".join(self.output.split("\n")[-_TAIL_LINES:])

    def _remember_descendants(self) -> None:
        try:
            self._descendants.update(psutil.Process(self.pid).children(recursive=True))
        except psutil.NoSuchProcess:
            return

    async def _wait_for_descendants(self, within: float) -> None:
        _, alive = await asyncio.to_thread(psutil.wait_procs, self._descendants, within)
        left = [f"{process.pid} {process.name()}" for process in alive if process.is_running()]
        for process in alive:
            process.kill()
        assert left == [], f"left behind by process {self.pid}: {left}"


class Processes:
    """Starts processes for one test and sees to their end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[RunningProcess] = []

    def scheduler(self, *arguments: str, environment: Mapping[str, str] | None = None) -> RunningProcess:
        """Start `scheduler ARGUMENTS…`; it inherits no variable of the tests' own environment but those given."""
        return self.python("-m", "scheduler_domain", *arguments, environment=environment)

    def python(self, *arguments: str, environment: Mapping[str, str] | None = None) -> RunningProcess:
        return self.command(sys.executable, *arguments, environment=environment)

    def command(self, *command: str, environment: Mapping[str, str] | None = None) -> RunningProcess:
        log = self._folder / f"process-{len(self._started)}.log"
        process = RunningProcess(list(command), environment or {}, log)
        self._started.append(process)
        return process

    async def end_all(self) -> None:
        """Kill what still runs; pytest shows what is printed here with a failed test only."""
        for process in self._started:
            if process.exit_code is None:
                await process.kill()
            sys.stdout.write(f"--- {process.log.name}, exit code {process.exit_code}\n{process.tail()}\n")


@pytest.fixture
async def processes(tmp_path: Path) -> AsyncIterator[Processes]:
    """Starts real processes; at the end of the test none of them is left, nor anything they started."""
    started = Processes(tmp_path)
    yield started
    await started.end_all()
