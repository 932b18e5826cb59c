"""Answers as the framework sends them."""

from litestar.response.base import ASGIResponse

from scheduler_domain.application.ports.answers import Answer


def sent(answer: Answer) -> ASGIResponse:
    """Return the response for an answer, new or remembered."""
    return json_response(answer.body.encode(), answer.status, answer.headers)


def json_response(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> ASGIResponse:
    return ASGIResponse(body=body, status_code=status, headers=headers or {}, media_type="application/json")


def nothing() -> ASGIResponse:
    return ASGIResponse(status_code=204)
