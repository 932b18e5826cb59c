"""What a person is told when an embedded server does not come up: one line, and where to read on."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from scheduler_domain.domain.errors import SchedulerError


@dataclass
class EmbeddedServerError(SchedulerError):
    """An embedded server cannot be started, stopped or reached; `log` is its log file, where it has got that far."""

    code: ClassVar[str] = "embedded-server"
    log: Path | None = None

    def __str__(self) -> str:
        return self.message if self.log is None else f"{self.message} (log: {self.log})"
