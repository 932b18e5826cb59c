"""A child of `scheduler dev` as its parent sees it."""

import asyncio
import json
import sys
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import ClassVar, Self

from scheduler_domain.domain.errors import SchedulerError
from scheduler_domain.entrypoints.dev import child

_SHOWN_LINES = 12


@dataclass
class ChildEndedError(SchedulerError):
    """A child ended that should have stayed; the message holds the last lines of its log."""

    code: ClassVar[str] = "child-ended"


class ChildProcess:
    """The API or the dispatcher: started without an environment, so that it can import while servers start."""

    def __init__(self, role: str, log: Path, process: asyncio.subprocess.Process) -> None:
        self.role = role
        self.log = log
        self._process = process

    @classmethod
    async def start(cls, role: str, log: Path) -> Self:
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", child.__name__, role),
                stdin=asyncio.subprocess.PIPE,
                stdout=output,
                stderr=output,
                # Ctrl-C in a terminal reaches the whole process group; who drains when is for the parent to say.
                start_new_session=True,
            )
        return cls(role, log, process)

    async def configure(self, environment: Mapping[str, str]) -> None:
        """Hand over what the child waits for; ChildEndedError if it is not there any more."""
        pipe = self._process.stdin
        try:
            if pipe is not None:
                pipe.write(json.dumps(dict(environment)).encode() + b"\n")
                await pipe.drain()
        except ConnectionError:
            await self.raise_when_ended()

    async def raise_when_ended(self) -> None:
        """Wait for the end, which nobody asked for, and raise ChildEndedError."""
        status = await self._process.wait()
        lines = "\n".join(f"    {line}" for line in self._last_lines())
        raise ChildEndedError(f"`scheduler {self.role}` ended with status {status}. The end of {self.log}:\n{lines}")

    async def stop(self, grace: timedelta) -> None:
        """Let it finish what is under way, for `grace` at most; harmless if it has ended."""
        if self._process.returncode is None:
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), grace.total_seconds())
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    def _last_lines(self) -> list[str]:
        with self.log.open(encoding="utf-8", errors="replace") as lines:
            return [line.rstrip() for line in deque(lines, _SHOWN_LINES)] or ["it said nothing"]
