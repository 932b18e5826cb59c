"""How much memory and disk the servers may count on."""

import shutil
from pathlib import Path

import psutil

# A container's limit, in the two versions of Linux control groups; "max" or absent where there is none.
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def memory() -> int:
    """Return the bytes of memory: the machine's, or the container's where that is less."""
    total: int = psutil.virtual_memory().total
    return min([total, *(limit for path in _LIMITS if (limit := _limit(path)) is not None)])


def disk_free(folder: Path) -> int:
    """Return the bytes that are free where the folder lies."""
    return shutil.disk_usage(folder).free


def _limit(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
