"""Answers as the server takes them."""

from collections.abc import Mapping
from typing import Any

from scheduler_domain.application.ports.answers import Answer
from scheduler_domain.entrypoints.http_api.preconditions import etag


class HttpAnswer:
    """A complete answer. It is an ASGI application itself, so the framework passes it on without building its own."""

    __slots__ = ("_body", "_headers", "_status")

    def __init__(
        self, body: bytes = b"", status: int = 200, headers: Mapping[str, str] | None = None, media_type: str = ""
    ) -> None:
        self._body = body
        self._status = status
        named = [] if headers is None else headers.items()
        self._headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in named]
        if media_type:
            self._headers.append((b"content-type", media_type.encode("latin-1")))
        if status != 204:
            self._headers.append((b"content-length", b"%d" % len(body)))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG002 (ASGI)
        await send({"type": "http.response.start", "status": self._status, "headers": self._headers})
        await send({"type": "http.response.body", "body": self._body})


def versioned(body: bytes, version: int, path: str, status: int = 200) -> Answer:
    """Return one thing as it stands, with its ETag and, where it was just made (201), the path it is found at."""
    headers = {"ETag": etag(version)}
    if status == 201:
        headers["Location"] = path
    return Answer(status, headers, body.decode())


def sent(answer: Answer) -> HttpAnswer:
    """Return the response for an answer, new or remembered."""
    return json_answer(answer.body.encode(), answer.status, answer.headers)


def json_answer(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpAnswer:
    return HttpAnswer(body, status, headers, "application/json")


def nothing() -> HttpAnswer:
    return HttpAnswer(status=204)
