"""What should be in the ledger, computed from the history by arithmetic and not by the trigger engine."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from scheduler_domain.domain.schedule import CronTrigger, FixedDelayTrigger, OneShotTrigger, RruleTrigger
from tests.simulation.installation import LEASE, Installation
from tests.simulation.workload import History, Window

_RRULE_START = datetime(2026, 11, 22, 8, tzinfo=UTC)


def problems_of(history: History, installation: Installation, now: datetime) -> Iterator[str]:
    """Yield what is missing in the ledger and what should not be there, of what was due a while before `now`."""
    rows = [row for row in installation.tables.ledger.values() if row.schedule_id == history.key.schedule_id]
    found = {row.scheduled_for for row in rows if row.kind == "SCHEDULED"}
    disabled_at = installation.witness.disabled_at.get(history.key, now)
    required: set[datetime] = set()
    for window in history.windows:
        required |= {at for at in instants_of(window, now) if at < disabled_at}
    for at in sorted(required - found):
        yield f"{at:%M:%S.%f} of {history.key.schedule_id} is not in the ledger"
    if history.key not in installation.witness.disabled_at:
        for at in sorted(found - required):
            if not _may_be(at, history, now):
                yield f"{at:%M:%S.%f} of {history.key.schedule_id} is in the ledger and was not expected"
    for id_ in history.manual - set(installation.tables.ledger):
        yield f"the manual occurrence {id_} is not in the ledger"


def instants_of(window: Window, now: datetime) -> Iterator[datetime]:
    """Yield what the window's rule names in it, up to `now`; none for a chain, whose instants depend on what came."""
    rule = window.rule
    assert rule.end_at is not None
    last = min(rule.end_at, now)
    trigger = rule.trigger
    match trigger:
        case OneShotTrigger():
            at, every = datetime.fromisoformat(trigger.start_at), None
        case CronTrigger():
            every = timedelta(seconds=int(trigger.cron.split()[0].removeprefix("*/")))
            at = window.from_.replace(second=0, microsecond=0)
        case RruleTrigger():
            every = timedelta(seconds=int(trigger.rrule.rpartition("=")[2]))
            at = _RRULE_START
        case FixedDelayTrigger():
            every = timedelta(seconds=trigger.delay_sec)
            at = window.created_at + every
    if isinstance(trigger, FixedDelayTrigger) and trigger.anchor == "COMPLETION":
        return
    while at <= last and (window.until is None or at < window.until):
        if at >= window.from_:
            yield at
        if every is None:
            return
        at = at + every if at >= window.from_ else at + every * max((window.from_ - at) // every, 1)


def _may_be(at: datetime, history: History, now: datetime) -> bool:
    """Return whether the instant lies where a chain runs, or between a change and the end of what it caught up with."""
    chains = [window for window in history.windows if _is_chain(window)]
    in_a_chain = any(window.from_ <= at < (window.until or now) + LEASE for window in chains)
    return in_a_chain or any(made_at <= at <= told_at + LEASE for made_at, told_at in history.changed_at)


def _is_chain(window: Window) -> bool:
    trigger = window.rule.trigger
    return isinstance(trigger, FixedDelayTrigger) and trigger.anchor == "COMPLETION"
