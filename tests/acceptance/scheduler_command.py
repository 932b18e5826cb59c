"""Runs `scheduler …` as a user does: a process that ends, with what it printed where."""

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

_ENDS_WITHIN_SEC = 60.0


@dataclass(frozen=True, slots=True)
class Ended:
    exit_code: int
    stdout: str
    stderr: str

    @property
    def error(self) -> str:
        """The one line of an error; fails if there is none, or a traceback instead."""
        lines = [line for line in self.stderr.splitlines() if line.startswith("Error: ")]
        assert len(lines) == 1, self.stderr
        assert "Traceback" not in self.stderr
        return lines[0].removeprefix("Error: ")


async def scheduler(*arguments: str, environment: Mapping[str, str] | None = None, stdin: str = "") -> Ended:
    """Run the command to its end; it inherits no variable of the tests' own environment but those given."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scheduler_domain", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.defpath, **(environment or {})},
    )
    async with asyncio.timeout(_ENDS_WITHIN_SEC):
        stdout, stderr = await process.communicate(stdin.encode())
    assert process.returncode is not None
    return Ended(process.returncode, stdout.decode(), stderr.decode())
