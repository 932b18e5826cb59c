"""The door: who is asking, for which tenant, and whether the route is for them. Closed unless a route says its role."""

from typing import Any, Final

from litestar.types import ASGIApp

from scheduler_domain.domain.errors import Forbidden, InvalidRequest, Unauthenticated
from scheduler_domain.domain.roles import Caller, Role
from scheduler_domain.domain.target import TENANT_ID
from scheduler_domain.entrypoints.http_api.operations import operation_of
from scheduler_domain.entrypoints.http_api.request_scope import Scope, header_values, remember_caller
from scheduler_domain.entrypoints.http_api.services import services_of

_SCHEME: Final = b"bearer "
_LONGEST_HEADER: Final = 8 * 1024 + len(_SCHEME)


def door(app: ASGIApp) -> ASGIApp:
    """Return the application behind the door. A middleware and no guard, for which the framework copies the route."""

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await let_in(scope)
        await app(scope, receive, send)

    return guarded


async def let_in(scope: Scope) -> None:
    """Return if the token is valid, names the tenant asked for, and has the role that the route demands."""
    operation = operation_of(scope["route_handler"])
    if scope["method"] == "OPTIONS" or (operation is not None and operation.is_public):
        return
    if operation is None or operation.role is None:
        raise Forbidden("this is open to nobody")
    caller = await authenticated(scope)
    services = services_of(scope)
    if services.request_rate is not None:
        services.request_rate.take(caller.tenant_id, services.clock.monotonic())
    demand(caller, operation.role)
    remember_caller(scope, caller)


async def authenticated(scope: Scope) -> Caller:
    """Return the caller. Raises Unauthenticated, TooManyRequests after many refusals, Forbidden, InvalidRequest."""
    services = services_of(scope)
    try:
        caller = await services.identity.caller_of(bearer_token(scope))
    except Unauthenticated:
        count_refused(scope)
        raise
    if _tenant_asked_for(scope) != caller.tenant_id:
        raise Forbidden("the token does not speak for the tenant that X-Tenant-Id names")
    return caller


def count_refused(scope: Scope) -> None:
    """Count a token that was not accepted. Raises TooManyRequests where its source has sent too many."""
    services = services_of(scope)
    source = (scope.get("client") or ("unknown",))[0]
    services.refused_tokens.count(source, services.clock.monotonic())


def demand(caller: Caller, role: Role) -> None:
    """Raise Forbidden unless the caller has the role or one above it; above the platform's there is none."""
    if not caller.may(role):
        above = ", which no other includes" if role == Role.PLATFORM_ADMIN else " or one above it"
        raise Forbidden(f"this needs the role {role}{above}")


def bearer_token(scope: Scope) -> str:
    """Return the token that was sent. Raises Unauthenticated where there is none, or more than one."""
    sent = header_values(scope, b"authorization")
    if len(sent) != 1 or len(sent[0]) > _LONGEST_HEADER or sent[0][: len(_SCHEME)].lower() != _SCHEME:
        raise Unauthenticated("send one header Authorization: Bearer <token>")
    try:
        return sent[0][len(_SCHEME) :].decode("ascii")
    except UnicodeDecodeError:
        raise Unauthenticated("a valid bearer token is required") from None


def _tenant_asked_for(scope: Scope) -> str:
    sent = header_values(scope, b"x-tenant-id")
    if len(sent) != 1:
        raise InvalidRequest("send one header X-Tenant-Id with the tenant that your token speaks for")
    tenant_id = sent[0].decode("latin-1")
    if TENANT_ID.fullmatch(tenant_id) is None:
        raise Forbidden("the token does not speak for the tenant that X-Tenant-Id names")
    return tenant_id
