"""`scheduler doctor --tzdata`: which edition of the tz database leads, and what it moved."""

import asyncio
import os
from datetime import datetime

from scheduler_domain.application.ports.inspection import TzdataFacts, TzdataMove
from scheduler_domain.domain.triggers import tzdata_version
from scheduler_domain.entrypoints.cli.output import print_fields, print_json, print_table
from scheduler_domain.settings import Settings

_MOST_MOVES = 100
_COLUMNS = ("MOVED", "TZDATA", "TENANT", "SCHEDULE", "WAS", "IS")


def show_tzdata(*, as_json: bool) -> None:
    """Print the edition of this program, the one that leads, how many schedules wait for it, and the latest moves."""
    from scheduler_domain.bootstrap.doctor import examine_tzdata  # noqa: PLC0415  # drivers, which help need not wait for

    running = tzdata_version()
    facts = asyncio.run(examine_tzdata(Settings.from_environment(os.environ), running, _MOST_MOVES))
    if as_json:
        print_json(_as_json(running, facts))
        return
    since = None if facts.since is None else f"{facts.leading}, since {_shown(facts.since)}"
    print_fields(
        [
            ("this program", running),
            ("dispatchers", since or "none has run yet"),
            ("schedules to be brought up to date", facts.behind_count),
            ("to do", _to_do(running, facts)),
        ]
    )
    if facts.moves:
        print_table(_COLUMNS, [_row(move) for move in facts.moves])


def _to_do(running: str, facts: TzdataFacts) -> str | None:
    if facts.leading is not None and facts.leading != running:
        return "bring every process to the same release: the newest tz database that is alive decides"
    if facts.behind_count:
        return "wait; a running dispatcher brings about 1,000 a second up to date"
    return None


def _row(move: TzdataMove) -> tuple[object, ...]:
    schedule = move.schedule_id if move.name is None else f"{move.name} ({move.schedule_id})"
    was, is_ = _shown(move.was_at) or "not expected", _shown(move.is_at) or "not expected any more"
    return _shown(move.moved_at), move.version, move.tenant_id, schedule, was, is_


def _as_json(running: str, facts: TzdataFacts) -> dict[str, object]:
    return {
        "running": running,
        "leading": facts.leading,
        "since": _shown(facts.since),
        "behindCount": facts.behind_count,
        "moves": [
            {
                "tenantId": move.tenant_id,
                "scheduleId": str(move.schedule_id),
                "name": move.name,
                "tzdata": move.version,
                "was": _shown(move.was_at),
                "is": _shown(move.is_at),
                "movedAt": _shown(move.moved_at),
            }
            for move in facts.moves
        ],
    }


def _shown(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="seconds").replace("+00:00", "Z")
