"""What a request is known by while it is handled: its id, its headers as sent, its caller."""

import itertools
import re
import secrets
from typing import Any, Final

from scheduler_domain.domain.roles import Caller

REQUEST_ID_HEADER: Final = b"x-request-id"
_SANE_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_REQUEST_ID: Final = "scheduler_request_id"
_CALLER: Final = "scheduler_caller"

_PROCESS: Final = secrets.token_hex(10)
_numbers = itertools.count(1)

Scope = Any
"""The ASGI scope: a dictionary that lives as long as the request."""


def request_id(scope: Scope) -> str:
    """Return the request's id: the client's own where it is sane, else one of ours. The same each time."""
    known = scope.get(_REQUEST_ID)
    if known is None:
        sent = header_values(scope, REQUEST_ID_HEADER)
        is_sane = len(sent) == 1 and _SANE_ID.fullmatch(sent[0])
        known = scope[_REQUEST_ID] = sent[0].decode("ascii") if is_sane else f"{_PROCESS}{next(_numbers):012x}"
    return str(known)


def header_values(scope: Scope, name: bytes) -> list[bytes]:
    """Return each value of a header as it was sent; `name` in lower case."""
    return [value for sent_name, value in scope["headers"] if sent_name == name]


def traceparent(scope: Scope) -> str | None:
    """Return the trace that the client is in (W3C Trace Context); whoever traces judges whether it is well-formed."""
    sent = header_values(scope, b"traceparent")
    return sent[0].decode("latin-1") if len(sent) == 1 else None


def remember_caller(scope: Scope, caller: Caller) -> None:
    scope[_CALLER] = caller


def caller_of(scope: Scope) -> Caller:
    """Return who the guard let in. A route without a role has no caller, and asking for one is a defect."""
    caller = scope[_CALLER]
    assert isinstance(caller, Caller)
    return caller
