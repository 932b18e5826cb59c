"""The folder of one `scheduler dev`: who uses it, the secret that signs its tokens, and the logs.

Tokens are to survive a restart, so the secret is kept; it is readable to its owner alone, as is the folder.
"""

import fcntl
import os
import secrets
from pathlib import Path
from typing import Self

from scheduler_domain.domain.errors import SchedulerError


class DataFolder:
    """A folder that one `scheduler dev` at a time may use; the kernel gives the lock back however its holder ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    def __enter__(self) -> Self:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self.path / "dev.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SchedulerError(f"cannot keep data in {self.path}: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise SchedulerError(
                f"another `scheduler dev` uses {self.path}: stop that one, or choose another folder with --data-dir, "
                "or --ephemeral for one that is not kept"
            ) from None
        return self

    def __exit__(self, *error: object) -> None:
        if self._lock is not None:
            os.close(self._lock)

    def jwt_secret(self) -> str:
        """Return the secret of this folder, made at the first start."""
        path = self.path / "jwt_secret"
        if not path.exists():
            self.write(path.name, secrets.token_urlsafe(48))
        return path.read_text(encoding="ascii")

    def write(self, name: str, text: str) -> Path:
        """Replace a file that only its owner can read; a reader sees the old text or the new one."""
        fresh = self.path / f"{name}.new"
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        return fresh.replace(self.path / name)

    def fresh_log(self, name: str) -> Path:
        """Return the path of an empty log; that of the start before is kept beside it."""
        log = self.path / f"{name}.log"
        if log.exists():
            log.replace(self.path / f"{name}.previous.log")
        return self.write(log.name, "")
