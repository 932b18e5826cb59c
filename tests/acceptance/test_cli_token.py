"""`scheduler token`: the API's own secret makes a token, within the limits that the API sets."""

import json
from datetime import UTC, datetime

import jwt
import pytest

from tests.acceptance.scheduler_command import scheduler

SECRET = "0123456789abcdef0123456789abcdef"
IDENTITY = {"JWT_SECRET": SECRET, "JWT_ISSUER": "https://issuer.example", "JWT_AUDIENCE": "scheduler"}


async def test_it_prints_a_token_that_the_api_s_settings_verify() -> None:
    arguments = ["--tenant", "acme", "--roles", "viewer,operator", "--ttl", "8h"]
    ended = await scheduler("token", *arguments, environment=IDENTITY)
    assert ended.exit_code == 0
    claims = jwt.decode(ended.stdout.strip(), SECRET, ["HS256"], audience="scheduler", issuer="https://issuer.example")
    assert claims["tenant_id"] == "acme"
    assert claims["roles"] == ["viewer", "operator"]
    assert claims["sub"] == "cli"
    assert claims["exp"] - claims["iat"] == 8 * 3600


async def test_claims_have_the_names_that_the_environment_gives_them() -> None:
    environment = {**IDENTITY, "JWT_TENANT_CLAIM": "org", "JWT_ROLES_CLAIM": "permissions"}
    ended = await scheduler("token", "--tenant", "acme", environment=environment)
    claims = jwt.decode(ended.stdout.strip(), options={"verify_signature": False})
    assert (claims["org"], claims["permissions"]) == ("acme", ["editor"])


async def test_json_tells_when_it_expires() -> None:
    ended = await scheduler("token", "--tenant", "acme", "--ttl", "90s", "--json", environment=IDENTITY)
    answer = json.loads(ended.stdout)
    lives = datetime.fromisoformat(answer["expiresAt"]) - datetime.now(UTC)
    assert 30 < lives.total_seconds() <= 90


async def test_where_an_identity_provider_makes_the_tokens_none_is_minted() -> None:
    ended = await scheduler("token", "--tenant", "acme", environment={"JWKS_URL": "https://issuer.example/keys"})
    assert ended.exit_code == 1
    assert ended.error.startswith("JWKS_URL=https://issuer.example/keys is set")


async def test_without_a_secret_it_says_what_to_set() -> None:
    ended = await scheduler("token", "--tenant", "acme")
    assert ended.exit_code == 1
    assert "JWT_SECRET" in ended.error


@pytest.mark.parametrize(
    ("arguments", "accepted"),
    [
        (["--tenant", "Acme"], "a tenant id is 1 to 63"),
        (["--tenant", "acme", "--roles", "owner"], "viewer, operator, editor, admin, platform-admin"),
        (["--tenant", "acme", "--roles", ","], "viewer, operator, editor, admin, platform-admin"),
        (["--tenant", "acme", "--ttl", "25h"], "24h at most"),
        (["--tenant", "acme", "--ttl", "soon"], "a number with s, m or h"),
        ([], "Missing option '--tenant'"),
    ],
)
async def test_bad_usage_is_told_with_what_is_accepted(arguments: list[str], accepted: str) -> None:
    ended = await scheduler("token", *arguments, environment=IDENTITY)
    assert ended.exit_code == 2
    assert accepted in ended.error
