"""What a token has to say, once its signature is known to be right."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from msgspec import Struct

from scheduler_domain.domain.roles import Caller, roles_of
from scheduler_domain.domain.target import TENANT_ID
from scheduler_domain.infra.identity.token_text import BadToken

LEEWAY: Final = timedelta(seconds=30)
LONGEST_LIFE: Final = timedelta(hours=24)
_LONGEST_SUBJECT: Final = 256


class ClaimRules(Struct, frozen=True):
    """Whose tokens are accepted, for whom, and where they name tenant and roles. None: any issuer, any audience."""

    issuer: str | None
    audience: str | None
    tenant_claim: str
    roles_claim: str


def caller_of_claims(claims: dict[str, Any], rules: ClaimRules, now: datetime) -> tuple[Caller, datetime]:
    """Return who the claims speak for and until when; BadToken where one is missing, foreign or out of its time."""
    expires_at = _check_times(claims, now)
    if rules.issuer is not None and claims.get("iss") != rules.issuer:
        raise BadToken("foreign issuer")
    if rules.audience is not None and not _is_for(claims.get("aud"), rules.audience):
        raise BadToken("foreign audience")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 1 <= len(subject) <= _LONGEST_SUBJECT or not subject.isprintable():
        raise BadToken("no subject")
    tenant_id = claims.get(rules.tenant_claim)
    if not isinstance(tenant_id, str) or TENANT_ID.fullmatch(tenant_id) is None:
        raise BadToken("no tenant")
    return Caller(tenant_id, subject, roles_of(claims.get(rules.roles_claim))), expires_at


def _check_times(claims: dict[str, Any], now: datetime) -> datetime:
    expires_at, issued_at = _instant(claims, "exp"), _instant(claims, "iat")
    if now >= expires_at + LEEWAY:
        raise BadToken("expired")
    if issued_at > now + LEEWAY or ("nbf" in claims and _instant(claims, "nbf") > now + LEEWAY):
        raise BadToken("not valid yet")
    if expires_at - issued_at > LONGEST_LIFE:
        raise BadToken("valid for too long")
    return expires_at + LEEWAY


def _instant(claims: dict[str, Any], name: str) -> datetime:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e11:
        raise BadToken(f"{name} is no time")
    return datetime.fromtimestamp(value, UTC)


def _is_for(claim: object, audience: str) -> bool:
    return claim == audience or (isinstance(claim, list) and audience in claim)
