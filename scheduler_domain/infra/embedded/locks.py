"""A lock that the kernel gives back when its holder dies, however it dies; a file with a process id in it would not."""

import fcntl
import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Self

_POLL_SEC = 0.01


class FileLock:
    """An exclusive lock on a file: held by this object and by every process that inherits its descriptor.

    The file itself stays behind and means nothing. Its text names the last holder, for messages only.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    @classmethod
    def take(cls, path: Path, *, within: timedelta = timedelta(0)) -> Self | None:
        """Return the lock, or None if somebody else still holds it when the time is up."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + within.total_seconds()
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    os.close(descriptor)
                    return None
                time.sleep(_POLL_SEC)
            else:
                os.ftruncate(descriptor, 0)
                os.write(descriptor, str(os.getpid()).encode())
                return cls(descriptor)

    @staticmethod
    def last_holder(path: Path) -> str:
        """Return the process id that last took the lock, as text; empty while it is being written."""
        return path.read_text(encoding="ascii")

    def release(self) -> None:
        """Let go of our own share; processes that inherited the descriptor keep theirs."""
        os.close(self.descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()
