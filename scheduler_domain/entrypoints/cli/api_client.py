"""The API as the commands see it: addressed by the environment, its refusals told in a person's words."""

import json
import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit
from uuid import UUID

import click
import httpx

from scheduler_domain.domain.errors import ConfigurationError, SchedulerError

_ANSWERS_WITHIN = 30.0  # seconds: an edit may wait until dispatchers have let go of what they hold
_LOCAL = "http://127.0.0.1:3080"
_PROBLEM = "application/problem+json"


class ApiClient:
    """Talks to the API that SCHEDULER_URL names, as the holder of SCHEDULER_TOKEN, for SCHEDULER_TENANT."""

    def __init__(self, url: str, token: str, tenant: str) -> None:
        self._url = url.rstrip("/")
        self._client = httpx.Client(
            base_url=self._url,
            headers={"Authorization": f"Bearer {token}", "X-Tenant-Id": tenant, "Accept": "application/json"},
            timeout=_ANSWERS_WITHIN,
        )

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """ConfigurationError if a variable is missing or no header or address could be made of it."""
        url = environ.get("SCHEDULER_URL", "").strip() or _LOCAL
        if not _is_address(url):
            shown = f"={url}" if url.isprintable() and "@" not in url else ""  # before an @ there may be a password
            raise ConfigurationError(f"SCHEDULER_URL{shown}: an address such as {_LOCAL} is accepted")
        return cls(url, _required(environ, "SCHEDULER_TOKEN"), _required(environ, "SCHEDULER_TENANT"))

    def request(self, method: str, path: str, *, body: object = None, **options: Any) -> Any:
        """Return the decoded answer, None for an empty one; SchedulerError if the API refuses or cannot be reached."""
        answer = self._answered(method, path, json=body, **options)
        return self._decoded(answer.content) if answer.content else None

    def send_lines(self, path: str, lines: bytes, **options: Any) -> list[Any]:
        """Post NDJSON and return the decoded lines of the answer; SchedulerError as `request` raises it."""
        headers = {"Content-Type": "application/x-ndjson"}
        answer = self._answered("POST", path, content=lines, headers=headers, **options)
        return [self._decoded(line) for line in answer.content.splitlines()]

    def _answered(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            answer = self._client.request(method, path, **options)
        except httpx.TransportError as error:
            raise SchedulerError(self._unreachable(error)) from error
        except UnicodeEncodeError:
            raise SchedulerError("what was given on the command line is not UTF-8 text") from None
        if not answer.is_success:
            raise SchedulerError(_explained(answer))
        if "X-Request-Id" not in answer.headers:  # on each answer of the API
            raise self._foreign()
        return answer

    def _decoded(self, text: bytes) -> Any:
        try:
            return json.loads(text)
        except ValueError:
            raise self._foreign() from None

    def schedule_path(self, reference: str) -> str:
        """Return the path of a schedule that is named by its id or its key."""
        return f"/schedules/{self.schedule_id(reference)}"

    def schedule_id(self, reference: str) -> str:
        """Return a schedule's id; what does not parse as one is taken for its key and looked up."""
        try:
            return str(UUID(reference))
        except ValueError:
            return str(self.request("GET", f"/schedules/by-key/{path_segment(reference)}")["id"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def _foreign(self) -> SchedulerError:
        return SchedulerError(f"{self._url} does not answer as the API does: is SCHEDULER_URL right?")

    def _unreachable(self, error: httpx.TransportError) -> str:
        if isinstance(error, httpx.TimeoutException):
            return f"{self._url} did not answer within {_ANSWERS_WITHIN:.0f} s"
        return (
            f"{self._url} cannot be reached ({error}): is `scheduler dev` or `scheduler serve` running there, "
            "and is SCHEDULER_URL right?"
        )


def path_segment(name: str) -> str:
    """Return a name as one segment of a path, whatever it holds; SchedulerError for one that a path would lose."""
    if not name.strip("."):
        raise SchedulerError(f"{name!r} names nothing: an id or a name is accepted")
    try:
        return quote(name, safe="")
    except UnicodeEncodeError:
        raise SchedulerError("a name on the command line is not UTF-8 text") from None


def _is_address(text: str) -> bool:
    """Return whether paths can be put behind the text: scheme, host, perhaps a port and a path, and nothing else."""
    try:
        url = httpx.URL(text)
        return (
            url.scheme in {"http", "https"}
            and bool(urlsplit(text).hostname and url.host)  # each accepts a host that the other does not
            and (url.port is None or 1 <= url.port <= 65_535)
            and not (url.userinfo or url.query or url.fragment)
        )
    except (ValueError, httpx.InvalidURL):
        return False


def _required(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "").strip()
    if not value:
        raise ConfigurationError(
            f"{name} is not set: while `scheduler dev` runs, `. .scheduler/client.env` sets SCHEDULER_URL, "
            "SCHEDULER_TENANT and SCHEDULER_TOKEN; elsewhere `scheduler token` mints a token"
        )
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ConfigurationError(f"{name} holds characters that a header cannot carry: set it again, on one line")
    return value


def _explained(answer: httpx.Response) -> str:
    """Return a problem document (RFC 9457) as lines: what was refused, then each place with what is accepted there."""
    try:
        problem = answer.json() if answer.headers.get("Content-Type", "").startswith(_PROBLEM) else None
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        return f"{answer.status_code} {answer.reason_phrase}: {click.unstyle(answer.text)[:200].strip()}"
    detail = problem.get("detail") or problem.get("title") or answer.reason_phrase
    errors = [
        f"{error.get('pointer') or '/'}: {error.get('message')} ({error.get('code')})"
        for error in problem.get("errors") or []
    ]
    if len(errors) == 1 and detail in errors[0]:
        lines = [f"{answer.status_code} {errors[0]}"]
    else:
        lines = [f"{answer.status_code} {detail}", *(f"  {error}" for error in errors)]
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        lines.append("  SCHEDULER_TOKEN was not accepted: it may have expired or been made for another API")
    if answer.is_server_error and problem.get("requestId"):
        lines.append(f"  request {problem['requestId']}")
    return "\n".join(lines)
