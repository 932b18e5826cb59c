"""trigger_hostile: the CPU time of the slowest call on the worst rules we know, caches cold; the promise is 50 ms."""

from collections.abc import Iterator

from benchmarks.figures import Result, result
from tests.unit.triggers.hostile import EXCLUSIONS, HOSTILE, POLICIES, slowest_call

_SHOWN = 10


def run(full: bool) -> Iterator[Result]:
    repeats = 5 if full else 2
    slowest = {
        name: max(
            min(slowest_call(trigger, dst, exclude) for _ in range(repeats))
            for dst in POLICIES
            for exclude in (EXCLUSIONS if full else EXCLUSIONS[:1])
        )
        for name, trigger in HOSTILE.items()
    }
    worst = sorted(slowest.items(), key=lambda item: -item[1])
    yield result("trigger_hostile", len(slowest), {"rule": "all of them"}, max_ms=round(worst[0][1] * 1e3, 2))
    for name, seconds in worst[: len(worst) if full else _SHOWN]:
        yield result("trigger_hostile", 1, {"rule": name}, max_ms=round(seconds * 1e3, 2))
