"""Generate rules until the time is up, and print every one on which engine and oracle differ.

Each case is a number: `python -m tests.fuzz --case 12345` shows it again. Exits 1 after any mismatch.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import count

from scheduler_domain.domain.triggers import TriggerError
from tests.unit.triggers.generator import Case, any_case, repeatable

_MOST_SHOWN = 20


def main() -> int:
    arguments = _arguments()
    outcomes: Counter[str] = Counter()
    started = time.monotonic()
    deadline = started + 60 * arguments.minutes
    mismatches = 0
    for number in _numbers(arguments):
        if time.monotonic() > deadline or (arguments.cases and sum(outcomes.values()) >= arguments.cases):
            break
        case = any_case(repeatable(number))
        outcome, difference = judge(case)
        outcomes[outcome] += 1
        if difference is not None:
            mismatches += 1
            if mismatches <= _MOST_SHOWN:
                _say(f"case {number}: {case}\n  {difference}")
    elapsed = time.monotonic() - started
    _say(f"{sum(outcomes.values()):,} rules in {elapsed:,.0f} s from seed {arguments.seed}: {dict(outcomes)}")
    _say(f"{mismatches} mismatches")
    return 1 if mismatches else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def judge(case: Case) -> tuple[str, str | None]:
    """Return how a case ended, and what differs where engine and oracle disagree."""
    try:
        found = case.found()
    except TriggerError as error:
        if error.code != "never-fires" or case.may_be_refused():
            return f"refused as {error.code}", None
        return "mismatch", f"refused ({error.message}), but due at {case.expected()[0]}"
    expected = case.expected()
    if found == expected:
        return ("agreed" if expected else "agreed on none"), None
    extra, missing = sorted(set(found) - set(expected)), sorted(set(expected) - set(found))
    return "mismatch", f"{len(found)} found, {len(expected)} expected; extra {extra[:2]}, missing {missing[:2]}"


def _numbers(arguments: argparse.Namespace) -> Iterator[int]:
    return iter((arguments.case,)) if arguments.case is not None else count(arguments.seed * 10_000_000)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5, help="how long to go on")
    parser.add_argument("--cases", type=int, default=0, help="stop after so many rules; 0 is no such limit")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other rules")
    parser.add_argument("--case", type=int, help="judge this one case alone")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
