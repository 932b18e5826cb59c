"""On what a figure was obtained: a number without its machine says nothing."""

import functools
import os
import platform
from pathlib import Path

import psutil


@functools.cache
def machine() -> dict[str, object]:
    """Describe this machine; `load` is the one-minute load average before the first benchmark began."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2),
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
