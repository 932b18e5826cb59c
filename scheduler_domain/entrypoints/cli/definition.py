"""A schedule's definition from the command line: from flags, or whole from a file.

Flags are only translated here. What a trigger, a zone or a topic may be is for the API to say, so that the answer is
the same whichever way a definition comes in.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from scheduler_domain.domain.strict_json import parse_strictly

Command = TypeVar("Command", bound=Callable[..., Any])
Flags = dict[str, Any]

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}


class Elapsed(click.ParamType[int]):
    """Whole seconds, as 90, 90s, 15m, 2h or 1d; a day is 24 hours."""

    name = "elapsed"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        match = re.fullmatch(r"([0-9]{1,9})([smhd]?)", str(value))
        if match is None:
            self.fail(f"{value!r}: seconds, or a number with s, m, h or d, are accepted", param, ctx)
        return int(match[1]) * _SECONDS[match[2]]


def definition_flags(command: Command) -> Command:
    """Give a command every flag that `definition_from` reads."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OPTIONS = [
    click.option("-f", "--file", "file", metavar="FILE", help="Read a JSON definition from FILE, or - for stdin."),
    click.option("--name", help="What people call it."),
    click.option("--key", help="Your own name for it, unique within the tenant."),
    click.option("--description", help="What it is for."),
    click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="Repeatable."),
    click.option("--cron", help="Trigger: a cron expression, five fields, or six with seconds first."),
    click.option("--rrule", help="Trigger: an RFC 5545 rule."),
    click.option("--dtstart", help="Local start of --rrule, as 2027-01-31T09:00:00."),
    click.option("--every", type=Elapsed(), help="Trigger: a fixed delay, as 90s, 15m, 2h, 1d."),
    click.option("--anchor", type=click.Choice(["COMPLETION", "SCHEDULE"]), help="What --every counts from."),
    click.option("--at", help="Trigger: once, as 2027-01-01T09:00:00Z, or local in --tz without the Z."),
    click.option("--run-if-past", is_flag=True, help="Run at once if --at lies in the past."),
    click.option("--tz", help="Time zone, as Europe/Berlin."),
    click.option("--event", metavar="TOPIC", help="Target: an event on this topic."),
    click.option("--http", metavar="URL", help="Target: a request to this address."),
    click.option("--method", type=click.Choice(["GET", "POST", "PUT", "PATCH", "DELETE"]), help="Of --http."),
    click.option("--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="Of --http; repeatable."),
    click.option("--success-status", multiple=True, metavar="2xx", help="Of --http; repeatable."),
    click.option("--queue", metavar="TOPIC", help="Target: a message on this queue."),
    click.option("--broker", type=click.Choice(["NATS", "REDIS", "RABBITMQ", "SQS"]), help="Of --queue."),
    click.option("--payload", metavar="JSON|@FILE|@-", help="What is delivered; ${places} are filled."),
    click.option("--start", "start_at", metavar="INSTANT", help="Fires nothing before."),
    click.option("--end", "end_at", metavar="INSTANT", help="Fires nothing after."),
    click.option("--max-runs", type=int, help="Ends after so many occurrences."),
    click.option("--jitter", type=Elapsed(), help="Spread over this time, never early."),
    click.option("--gap", type=click.Choice(["SHIFT", "FIRST_VALID", "SKIP"]), help="Local times a DST change skips."),
    click.option("--fold", type=click.Choice(["FIRST", "SECOND", "BOTH"]), help="Local times a DST change repeats."),
    click.option("--misfire", type=click.Choice(["FIRE_LATEST", "FIRE_ALL", "SKIP"]), help="After a downtime."),
    click.option(
        "--overlap",
        type=click.Choice(["ALLOW_ALL", "SKIP", "BUFFER_ONE", "BUFFER_ALL"]),
        help="While one has not ended.",
    ),
    click.option("--completion", type=click.Choice(["ACK", "CALLBACK"]), help="What ends an occurrence of --http."),
    click.option("--max-attempts", type=int, help="Attempts at each occurrence."),
    click.option("--timeout", type=Elapsed(), help="Time for one attempt."),
    click.option("--priority", type=int, help="-100 to 100; stored, and without effect yet."),
    click.option("--disabled", is_flag=True, help="Create it paused."),
]


def definition_from(flags: Flags) -> dict[str, Any]:
    """Return what the flags or the file say, and nothing else: it is a whole definition or a merge patch."""
    file = flags.pop("file", None)
    given = {name: value for name, value in flags.items() if value not in (None, ()) and value is not False}
    if file is not None:
        if given:
            raise click.UsageError(f"-f brings a whole definition: leave out {', '.join(map(_flag, given))}")
        return _object_from(_read(file), "-f")
    parts = {
        "name": given.get("name"),
        "key": given.get("key"),
        "description": given.get("description"),
        "labels": _pairs(given.get("labels", ()), "=", "--label", "NAME=VALUE"),
        "tz": given.get("tz"),
        "trigger": _trigger(given),
        "target": _target(given),
        "startAt": given.get("start_at"),
        "endAt": given.get("end_at"),
        "maxRuns": given.get("max_runs"),
        "jitterSec": given.get("jitter"),
        "dst": _present({"gap": given.get("gap"), "fold": given.get("fold")}),
        "misfire": _present({"policy": given.get("misfire")}),
        "overlap": given.get("overlap"),
        "completion": given.get("completion"),
        "retry": _present({"maxAttempts": given.get("max_attempts")}),
        "timeoutSec": given.get("timeout"),
        "priority": given.get("priority"),
        "enabled": False if given.get("disabled") else None,
    }
    return (_present(parts) or {}) | _payload(given)


def _trigger(given: Flags) -> dict[str, Any] | None:
    kind = _one_of(given, ("cron", "rrule", "every", "at"))
    _only_with(given, kind, {"dtstart": "rrule", "anchor": "every", "run_if_past": "at"})
    match kind:
        case "cron":
            return {"type": "CRON", "cron": given["cron"]}
        case "rrule":
            return _present({"type": "RRULE", "rrule": given["rrule"], "dtstart": given.get("dtstart")})
        case "every":
            return _present({"type": "FIXED_DELAY", "delaySec": given["every"], "anchor": given.get("anchor")})
        case "at":
            if_past = "RUN_NOW" if given.get("run_if_past") else None
            return _present({"type": "ONE_SHOT", "startAt": given["at"], "ifPast": if_past})
    return None


def _target(given: Flags) -> dict[str, Any] | None:
    kind = _one_of(given, ("event", "http", "queue"))
    _only_with(given, kind, {"method": "http", "headers": "http", "success_status": "http", "broker": "queue"})
    match kind:
        case "event":
            return {"kind": "EVENT", "eventTopic": given["event"]}
        case "http":
            request = {
                "url": given["http"],
                "method": given.get("method"),
                "headers": _pairs(given.get("headers", ()), ":", "--header", "'NAME: VALUE'"),
                "successStatus": list(given.get("success_status", ())) or None,
            }
            return {"kind": "HTTP", "http": _present(request)}
        case "queue":
            return {"kind": "QUEUE", "queue": _present({"topic": given["queue"], "broker": given.get("broker")})}
    return None


def _payload(given: Flags) -> dict[str, Any]:
    """Return the payload under its name, if one was given: `null` is a payload too, the one that takes it away."""
    text = given.get("payload")
    if text is None:
        return {}
    if text.startswith("@"):
        text = _read(text[1:])
    try:
        return {"payload": parsed_json(text)}
    except ValueError as error:
        raise click.UsageError(
            f'--payload cannot be read ({error}): quote it for the shell, as \'{{"greeting": "Hello"}}\', or give @FILE'
        ) from None


def _object_from(text: str, flag: str) -> dict[str, Any]:
    try:
        value = parsed_json(text)
    except ValueError as error:
        raise click.UsageError(f"{flag} cannot be read: {error}") from None
    if not isinstance(value, dict):
        raise click.UsageError(f"{flag} does not hold a JSON object")
    return value


def parsed_json(text: str | bytes) -> Any:
    """Return what JSON text says; ValueError where two readers could differ, as the API would refuse it."""
    try:
        return parse_strictly(text.encode() if isinstance(text, str) else text, deepest=64)  # more than the API takes
    except UnicodeEncodeError:
        raise ValueError("the text is not UTF-8") from None


def _read(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"cannot read {name}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise click.UsageError(f"cannot read {name}: it is not UTF-8 text") from None


def _one_of(given: Flags, names: tuple[str, ...]) -> str | None:
    chosen = [name for name in names if name in given]
    if len(chosen) > 1:
        raise click.UsageError(f"{' and '.join(map(_flag, chosen))} exclude each other")
    return chosen[0] if chosen else None


def _only_with(given: Flags, kind: str | None, belongs_to: dict[str, str]) -> None:
    for name, owner in belongs_to.items():
        if name in given and owner != kind:
            raise click.UsageError(f"{_flag(name)} goes with {_flag(owner)}")


def _pairs(texts: tuple[str, ...], separator: str, flag: str, accepted: str) -> dict[str, str] | None:
    pairs = {}
    for text in texts:
        name, found, value = text.partition(separator)
        if not found or not name.strip():
            raise click.UsageError(f"{flag} {text!r}: {accepted} is accepted")
        pairs[name.strip()] = value.strip()
    return pairs or None


def _present(parts: dict[str, Any]) -> dict[str, Any] | None:
    return {name: value for name, value in parts.items() if value is not None} or None


def _flag(name: str) -> str:
    renamed = {"labels": "label", "headers": "header", "start_at": "start", "end_at": "end"}
    return "--" + renamed.get(name, name).replace("_", "-")
