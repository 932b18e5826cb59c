"""`scheduler doctor`: is this installation in order, and if not, what to do."""

import asyncio
import os
from collections.abc import Iterator

import click

from scheduler_domain.application.examine_installation import Finding, Judgement
from scheduler_domain.domain.errors import ConfigurationError
from scheduler_domain.domain.triggers import tzdata_version
from scheduler_domain.entrypoints.cli.doctor_tzdata import show_tzdata
from scheduler_domain.entrypoints.cli.output import print_json, print_table
from scheduler_domain.settings import Settings


@click.command(epilog="Example: POSTGRES_URL=postgresql://… NATS_URL=nats://… scheduler doctor")
@click.option("--tzdata", "of_tzdata", is_flag=True, help="Show which schedules new time zone rules moved instead.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool, of_tzdata: bool) -> None:
    """Check configuration and servers, and say how to mend them.

    Looks at the environment, at each server's reachability and version, at the clocks, the migrations and the streams;
    changes nothing. Exits 1 if something is broken.
    """
    if of_tzdata:
        show_tzdata(as_json=as_json)
        return
    findings = list(_findings())
    if as_json:
        print_json([_as_json(finding) for finding in findings])
    else:
        columns = ("CHECK", "STATE", "FOUND", "TO DO")
        print_table(columns, [(item.subject, item.judgement.value, item.found, item.mend) for item in findings])
    if any(finding.judgement is Judgement.BROKEN for finding in findings):
        raise SystemExit(1)


def _findings() -> Iterator[Finding]:
    try:
        settings = Settings.from_environment(os.environ)
    except ConfigurationError as error:
        yield Finding("configuration", Judgement.BROKEN, str(error), "correct the variable; .env.example explains it")
        return
    yield _tokens(settings)
    yield Finding("time zones", Judgement.OK, f"tzdata {tzdata_version()}")
    from scheduler_domain.bootstrap.doctor import examine  # noqa: PLC0415  # drivers, which help need not wait for

    yield from asyncio.run(examine(settings))


def _tokens(settings: Settings) -> Finding:
    try:
        settings.identity.check_complete()
    except ConfigurationError as error:
        found, _, mend = str(error).partition(": ")
        return Finding("tokens", Judgement.WARNING, f"{found}; no API can run with this", mend)
    return Finding("tokens", Judgement.OK, "by JWKS_URL" if settings.identity.jwks_url else "by JWT_SECRET")


def _as_json(finding: Finding) -> dict[str, str | None]:
    return {
        "check": finding.subject,
        "state": finding.judgement.value,
        "found": finding.found,
        "toDo": finding.mend,
    }
