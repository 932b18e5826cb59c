"""Run seeds, many at a time, and stop at one that fails; or replay one.

Every seed is a number: `python -m tests.simulation --seed 42 --trace` shows again what it was about. Exits 1 where an
invariant did not hold.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from tests.simulation.run import Verdict, simulate

_SEEDS_AT_ONCE = 50


def main() -> int:
    arguments = _arguments()
    if arguments.seed is not None:
        verdict = simulate(arguments.seed)
        if arguments.trace or verdict.problems:
            _say(_traced(verdict))
        _say(_judged(verdict))
        return 1 if verdict.problems else 0
    return _run_many(range(arguments.start, arguments.start + arguments.seeds), arguments.jobs)


def _run_many(seeds: range, jobs: int) -> int:
    began, done, occurrence_count, virtual_seconds = time.monotonic(), 0, 0, 0.0
    for verdict in _with_progress(_verdicts(seeds, jobs), len(seeds)):
        done += 1
        occurrence_count += verdict.occurrence_count
        virtual_seconds += verdict.virtual_seconds
        if verdict.problems:
            _say(_traced(verdict))
            _say(_judged(verdict))
            _say(f"replay it: python -m tests.simulation --seed {verdict.seed} --trace")
            return 1
    elapsed = time.monotonic() - began
    _say(
        f"{done:,} seeds in {elapsed:,.1f} s: {occurrence_count:,} occurrences in {virtual_seconds / 3_600:,.1f} hours"
        " of virtual time; every invariant held"
    )
    return 0


def _verdicts(seeds: range, jobs: int) -> Iterator[Verdict]:
    """Yield verdicts in the order of their seeds."""
    batches = [seeds[start : start + _SEEDS_AT_ONCE] for start in range(0, len(seeds), _SEEDS_AT_ONCE)]
    if jobs == 1:
        for batch in batches:
            yield from map(simulate, batch)
        return
    with ProcessPoolExecutor(jobs) as pool:
        try:
            for verdicts in pool.map(_simulate_all, batches):
                yield from verdicts
        finally:
            pool.shutdown(cancel_futures=True)


def _simulate_all(seeds: Iterable[int]) -> list[Verdict]:
    return [simulate(seed) for seed in seeds]


def _with_progress(verdicts: Iterator[Verdict], count: int) -> Iterator[Verdict]:
    columns = ("seeds", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True, disable=not sys.stdout.isatty()) as progress:
        task = progress.add_task("seeds", total=count)
        for verdict in verdicts:
            progress.advance(task)
            yield verdict


def _traced(verdict: Verdict) -> str:
    return "\n".join(f"{at:9.4f} {who:14} {what}" for at, who, what in verdict.trace)


def _judged(verdict: Verdict) -> str:
    judgement = "".join(f"\n  {problem}" for problem in verdict.problems) or " every invariant held"
    return f"seed {verdict.seed} ({verdict.digest}, {verdict.virtual_seconds:.1f} virtual seconds):{judgement}"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1_000, help="how many seeds to run")
    parser.add_argument("--start", type=int, default=1, help="the first of them")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many processes share them")
    parser.add_argument("--seed", type=int, help="run this one alone")
    parser.add_argument("--trace", action="store_true", help="with --seed: print what happened, failed or not")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
