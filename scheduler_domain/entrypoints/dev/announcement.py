"""What is said once everything runs: to a person, enough to go on by copying lines; to a program, one line of JSON."""

import json
import shlex
from collections.abc import Iterator, Mapping

from scheduler_domain.entrypoints.dev.process_tree import Running

CLIENT_FILE, SERVERS_FILE = "client.env", "servers.env"
_TOKEN_PLACE = "$SCHEDULER_TOKEN"  # noqa: S105  # the name of a variable
_SAMPLE = {
    "name": "Hello",
    "trigger": {"type": "CRON", "cron": "* * * * *"},
    "target": {"kind": "EVENT", "eventTopic": "hello"},
}


def as_json(running: Running) -> str:
    """Return the one line that `--json` promises."""
    settings = running.settings
    return json.dumps(
        {
            "url": running.url,
            "tenant": running.tenant,
            "token": running.token,
            "postgresUrl": settings.postgres_url,
            "natsUrl": settings.nats_url,
            "redisUrl": settings.redis_url,
        }
    )


def as_text(running: Running) -> str:
    return "\n".join(_lines(running))


def client_variables(running: Running) -> str:
    """Return shell lines that point `scheduler schedules` and its like at this API."""
    values = {
        "SCHEDULER_URL": running.url,
        "SCHEDULER_TENANT": running.tenant,
        "SCHEDULER_TOKEN": running.token or "",
    }
    return _exports(values)


def server_variables(running: Running) -> str:
    """Return shell lines with which `scheduler doctor`, `token` or another dispatcher find the same servers.

    Not the ports: two processes cannot share one.
    """
    return _exports({name: value for name, value in running.variables.items() if not name.endswith("PORT")})


def _exports(values: Mapping[str, str]) -> str:
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())


def _lines(running: Running) -> Iterator[str]:
    total = sum(length.total_seconds() for length in running.phases.values())
    parts = ", ".join(f"{name} {length.total_seconds():.1f} s" for name, length in running.phases.items())
    yield f"ready after {total:.1f} s ({parts})"
    yield ""
    yield f"  API     {running.url}"
    yield f"  docs    {running.url}/docs"
    yield f"  tenant  {running.tenant}"
    if running.token is None:
        yield f"  token   from your identity provider, {running.settings.identity.jwks_url}"
    else:
        yield f"  token   {running.token}"
        expires_at = running.token_expires_at.astimezone()
        yield f"          (valid until {expires_at:%Y-%m-%d %H:%M}; a restart prints a new one)"
    yield ""
    yield "Create a schedule that fires every minute:"
    yield ""
    yield f"  {_curl(running)}"
    yield ""
    if running.data_dir is None:
        yield "Nothing is kept. Ctrl-C stops everything."
    else:
        yield "Or, in another terminal:"
        yield ""
        yield f"  . {shlex.quote(str(running.data_dir.absolute() / CLIENT_FILE))} && scheduler schedules list"
        yield ""
        yield f"Data and logs are kept in {running.data_dir}. Ctrl-C stops everything."


def _curl(running: Running) -> str:
    parts = ["curl", "-sS", f"{running.url}/schedules"]
    headers = {
        "Authorization": f"Bearer {running.token or _TOKEN_PLACE}",
        "X-Tenant-Id": running.tenant,
        "Content-Type": "application/json",
    }
    for name, value in headers.items():
        quote = shlex.quote if _TOKEN_PLACE not in value else '"{}"'.format
        parts += ["-H", quote(f"{name}: {value}")]
    return " ".join([*parts, "-d", shlex.quote(json.dumps(_SAMPLE, separators=(",", ":")))])
