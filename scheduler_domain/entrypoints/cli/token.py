"""`scheduler token`: a bearer token for a person or a script, signed with the secret that the API verifies with."""

import os
import re
from datetime import UTC, datetime, timedelta

import click

from scheduler_domain.domain.errors import ConfigurationError
from scheduler_domain.domain.target import TENANT_ID
from scheduler_domain.entrypoints.cli.output import print_json
from scheduler_domain.settings import IdentitySettings, Settings

ROLES = ("viewer", "operator", "editor", "admin", "platform-admin")
LONGEST_LIFE = timedelta(hours=24)  # the API accepts no token that lives longer
_TENANT_GRAMMAR = "a tenant id is 1 to 63 of a-z 0-9 _ -, the first one a letter or digit"
_UNITS = {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1)}


class Life(click.ParamType[timedelta]):
    """A time such as 90s, 15m or 24h, as long as the API lets a token live."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        match = re.fullmatch(r"([1-9][0-9]{0,6})([smh])", str(value))
        life = timedelta(0) if match is None else int(match[1]) * _UNITS[match[2]]
        if not timedelta(0) < life <= LONGEST_LIFE:
            self.fail(f"{value!r}: a number with s, m or h is accepted, 24h at most", param, ctx)
        return life


@click.command(epilog="Example: export SCHEDULER_TOKEN=$(scheduler token --tenant acme --roles editor --ttl 8h)")
@click.option("--tenant", required=True, help="The tenant it speaks for.")
@click.option("--roles", default="editor", show_default=True, help=f"Comma-separated: {', '.join(ROLES)}.")
@click.option("--sub", default="cli", show_default=True, help="Who holds it; stands in the audit trail.")
@click.option("--ttl", type=Life(), default="1h", show_default=True, help="How long it is valid: 90s, 15m, 24h.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def token(tenant: str, roles: str, sub: str, ttl: timedelta, as_json: bool) -> None:
    """Mint a bearer token from JWT_SECRET.

    Reads JWT_SECRET, JWT_ISSUER, JWT_AUDIENCE and the names of the claims from the environment, as the API does.
    """
    if TENANT_ID.fullmatch(tenant) is None:
        raise click.BadParameter(f"{tenant!r}: {_TENANT_GRAMMAR}", param_hint="--tenant")
    named = [role for role in roles.replace(",", " ").split() if role]
    unknown = [role for role in named if role not in ROLES]
    if unknown or not named:
        raise click.BadParameter(f"{roles!r}: one or more of {', '.join(ROLES)} are accepted", param_hint="--roles")
    expires_at = datetime.now(UTC) + ttl
    identity = Settings.from_environment(os.environ).identity
    text = mint(identity, tenant=tenant, roles=named, subject=sub, life=ttl)
    if as_json:
        print_json({"token": text, "tenant": tenant, "roles": named, "expiresAt": f"{expires_at:%Y-%m-%dT%H:%M:%SZ}"})
    else:
        click.echo(text)


def mint(identity: IdentitySettings, *, tenant: str, roles: list[str], subject: str, life: timedelta) -> str:
    """Return an HS256 token that an API with the same settings accepts from now on for `life`.

    ConfigurationError where tokens come from an identity provider, since its private key is not here.
    """
    if identity.jwks_url is not None:
        raise ConfigurationError(
            f"JWKS_URL={identity.jwks_url} is set, so tokens come from that identity provider; none can be minted here"
        )
    identity.check_complete()
    if identity.jwt_secret is None:
        raise ConfigurationError("JWT_SECRET is not set: a token is signed with the secret that the API verifies with")
    import jwt  # noqa: PLC0415  # brings cryptography, a tenth of a second that a mistyped option need not wait for

    issued_at = int(datetime.now(UTC).timestamp())
    claims: dict[str, object] = {
        identity.tenant_claim: tenant,
        identity.roles_claim: roles,
        "sub": subject,
        "iat": issued_at,
        "exp": issued_at + int(life.total_seconds()),
    }
    if identity.issuer is not None:
        claims["iss"] = identity.issuer
    if identity.audience is not None:
        claims["aud"] = identity.audience
    return jwt.encode(claims, identity.jwt_secret, algorithm="HS256")
