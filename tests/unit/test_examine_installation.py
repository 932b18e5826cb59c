"""The doctor's judgement: which facts are in order, which will hurt, which are broken."""

from datetime import timedelta

import msgspec
import pytest

from scheduler_domain.application.examine_installation import (
    Finding,
    Judgement,
    examine_installation,
    judge_nats,
    judge_postgres,
)
from scheduler_domain.application.ports.inspection import NatsFacts, PostgresFacts, StreamFacts
from scheduler_domain.domain.errors import Unavailable

POSTGRES = PostgresFacts(
    version=180_006, clock_ahead=timedelta(0), is_durable=True, current_revision="0002", head_revision="0002"
)
STREAM = StreamFacts("EVENTS", ("events.>",), is_on_file=True, is_atomic=True, duplicate_window=timedelta(minutes=10))
NATS = NatsFacts(
    version=(2, 15, 1),
    longest_message=1_048_576,
    streams=tuple(
        msgspec.structs.replace(STREAM, name=name, subjects=(f"{name.lower()}.>",))
        for name in ("EVENTS", "QUEUES", "LIFECYCLE")
    ),
)


def judged(findings: list[Finding], subject: str) -> tuple[Judgement, str | None]:
    finding = next(finding for finding in findings if finding.subject == subject)
    return finding.judgement, finding.mend


def test_what_is_in_order_needs_no_mending() -> None:
    for finding in (*judge_postgres(POSTGRES), *judge_nats(NATS)):
        assert (finding.judgement, finding.mend) == (Judgement.OK, None)


def test_the_version_of_postgresql_is_told_as_people_write_it() -> None:
    assert next(judge_postgres(POSTGRES)).found == "version 18.6"


@pytest.mark.parametrize(
    ("change", "subject", "judgement"),
    [
        ({"version": 150_004}, "PostgreSQL", Judgement.BROKEN),
        ({"version": 160_000}, "PostgreSQL", Judgement.OK),
        ({"is_durable": False}, "PostgreSQL durability", Judgement.WARNING),
        ({"current_revision": None}, "migrations", Judgement.BROKEN),
        ({"current_revision": "0001"}, "migrations", Judgement.BROKEN),
        ({"clock_ahead": timedelta(milliseconds=-900)}, "clocks", Judgement.OK),
        ({"clock_ahead": timedelta(seconds=-2)}, "clocks", Judgement.WARNING),
        ({"clock_ahead": timedelta(hours=1)}, "clocks", Judgement.BROKEN),
    ],
)
def test_postgresql_is_judged(change: dict[str, object], subject: str, judgement: Judgement) -> None:
    found, mend = judged(list(judge_postgres(msgspec.structs.replace(POSTGRES, **change))), subject)
    assert found is judgement
    assert (mend is None) == (judgement is Judgement.OK)


@pytest.mark.parametrize(
    ("change", "subject", "judgement"),
    [
        ({"version": (2, 11, 9)}, "NATS", Judgement.BROKEN),
        ({"version": (2, 12, 0)}, "NATS", Judgement.OK),
        ({"longest_message": 65_536}, "NATS messages", Judgement.BROKEN),
        ({"streams": None}, "JetStream", Judgement.BROKEN),
        ({"streams": ()}, "stream EVENTS", Judgement.WARNING),
    ],
)
def test_nats_is_judged(change: dict[str, object], subject: str, judgement: Judgement) -> None:
    assert judged(list(judge_nats(msgspec.structs.replace(NATS, **change))), subject)[0] is judgement


@pytest.mark.parametrize(
    ("change", "judgement"),
    [
        ({"subjects": ("events.*",)}, Judgement.BROKEN),
        ({"is_on_file": False}, Judgement.BROKEN),
        ({"is_atomic": False}, Judgement.WARNING),
        ({"duplicate_window": timedelta(minutes=2)}, Judgement.WARNING),
    ],
)
def test_a_stream_that_could_forget_or_double_is_noticed(change: dict[str, object], judgement: Judgement) -> None:
    facts = msgspec.structs.replace(NATS, streams=(msgspec.structs.replace(STREAM, **change),))
    assert judged(list(judge_nats(facts)), "stream EVENTS")[0] is judgement


async def test_a_server_that_is_away_hides_no_other_finding() -> None:
    async def postgres() -> PostgresFacts:
        return POSTGRES

    async def nats() -> NatsFacts:
        raise Unavailable("connection refused")

    findings = await examine_installation(postgres, nats, None)
    assert judged(findings, "PostgreSQL")[0] is Judgement.OK
    assert judged(findings, "NATS") == (Judgement.BROKEN, "start the server, or correct NATS_URL")
    assert judged(findings, "Redis")[0] is Judgement.OK
