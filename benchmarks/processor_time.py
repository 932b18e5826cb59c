"""Processor time by program: the figure that a noisy machine blurs least."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

import psutil


class ProcessorTime:
    """Processor time that groups of process trees spent since this was made.

    A tree's time holds that of children which ended meanwhile, so PostgreSQL's backends may come and go. Linux counts
    it exactly and tells it in hundredths of a second.
    """

    def __init__(self, roots: Mapping[str, Sequence[int]]) -> None:
        self._roots = {name: [psutil.Process(pid) for pid in pids] for name, pids in roots.items()}
        self._before = self._seconds()

    def microseconds_per_item(self, items: int) -> dict[str, float]:
        now = self._seconds()
        return {name: round((now[name] - self._before[name]) * 1e6 / items, 2) for name in now}

    def _seconds(self) -> dict[str, float]:
        return {name: sum(map(_tree_seconds, roots)) for name, roots in self._roots.items()}


def _tree_seconds(root: psutil.Process) -> float:
    return sum(map(_own_seconds, (root, *root.children(recursive=True))))


def _own_seconds(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess):
        times = process.cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)
    return 0.0


def resident_mebibytes(pid: int) -> float:
    """Return the memory that a process and its children hold alone, in MiB: what is shared is counted once."""
    root = psutil.Process(pid)
    return round(sum(process.memory_full_info().uss for process in (root, *root.children(recursive=True))) / 2**20, 1)
