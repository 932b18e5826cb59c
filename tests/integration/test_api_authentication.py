"""The door: tokens that are not ours, tenants that are not the caller's, roles that do not suffice."""

import asyncio
import base64
import json
import time
from typing import Any

import httpx
import jwt
import pytest

from tests.integration.api_server import SECRET, RunningApi, definition, environment, running_api, token

NOW = int(time.time())


async def asked(api: RunningApi, bearer: str, tenant: str | None = "acme") -> httpx.Response:
    headers = {"Authorization": f"Bearer {bearer}"} | ({} if tenant is None else {"X-Tenant-Id": tenant})
    return await (await api.client()).get("/schedules", headers=headers)


def segment(value: object) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def signed(header: object, claims: object) -> str:
    """Sign whatever it is, correctly."""
    text = f"{segment(header)}.{segment(claims)}"
    signature = jwt.algorithms.get_default_algorithms()["HS256"].sign(text.encode(), SECRET.encode())
    return f"{text}.{segment(signature)}"


def claims(**more: Any) -> dict[str, Any]:
    return jwt.decode(token(**more), options={"verify_signature": False})


HEADER = {"alg": "HS256", "typ": "JWT"}
TOKENS = {
    "another secret": token(secret="another secret, just as long as the first"),
    "no algorithm": jwt.encode(claims(), None, algorithm="none"),
    "another algorithm": jwt.encode(claims(), SECRET, algorithm="HS384"),
    "expired": token(iat=NOW - 7200, exp=NOW - 3600),
    "not valid yet": token(nbf=NOW + 3600),
    "issued in the future": token(iat=NOW + 3600, exp=NOW + 7200),
    "valid for longer than a day": token(exp=NOW + 90_000),
    "no expiry": token(exp=None),
    "no issue instant": token(iat=None),
    "no subject": token(sub=None),
    "no tenant": token(tenant_id=None),
    "a list of tenants": token(tenant_id=["acme"]),
    "a malformed tenant": token(tenant_id="acme/x"),
    "another issuer": token(iss="other"),
    "a longer issuer": token(iss="tests2"),
    "no issuer": token(iss=None),
    "another audience": token(aud="billing"),
    "no audience": token(aud=None),
    "expiry as text": signed(HEADER, claims() | {"exp": str(NOW + 60)}),
    "expiry beyond all numbers": signed(HEADER, json.dumps(claims()).replace(str(NOW)[:4], "1e400,\"x\":1").encode()),
    "expiry not a number": signed(HEADER, claims() | {"exp": True}),
    "key by address": token(header={"jku": "https://evil.example/keys"}),
    "key inside": token(header={"jwk": {"kty": "oct", "k": "eA"}}),
    "critical extension": token(header={"crit": ["exp"], "exp": 1}),
    "compressed": token(header={"zip": "DEF"}),
    "another type": token(header={"typ": "secevent+jwt"}),
    "malformed key id": token(header={"kid": "../../etc/passwd"}),
    "duplicate claim": signed(HEADER, json.dumps(claims())[:-1].encode() + b',"tenant_id":"other"}'),
    "claims in UTF-16": signed(HEADER, json.dumps(claims()).encode("utf-16")),
    "deep claims": signed(HEADER, claims() | {"x": [[[[[[[[[1]]]]]]]]]}),
    "claims no object": signed(HEADER, [1]),
    "not canonical base64": token() + "=",
    "four parts": token() + ".e30",
    "not base64": "a.b.c!",
    "one word": "x",
    "too long": token(padding="x" * 9000),
}  # fmt: skip


@pytest.mark.parametrize("name", TOKENS)
async def test_a_token_that_is_not_ours_is_refused_without_saying_why(standing_api: RunningApi, name: str) -> None:
    answer = await asked(standing_api, TOKENS[name])
    assert answer.status_code == 401, answer.text
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["detail"] in {
        "a valid bearer token is required",
        "send one header Authorization: Bearer <token>",
    }


async def test_a_good_token_is_let_in_again_and_again(standing_api: RunningApi) -> None:
    bearer = token(aud=["other", "scheduler"], header={"typ": "at+jwt", "kid": "a.b-1"})
    assert [(await asked(standing_api, bearer)).status_code for _ in range(3)] == [200, 200, 200]


async def test_a_remembered_token_is_forgotten_when_it_expires(standing_api: RunningApi) -> None:
    """Twenty-nine seconds after its expiry a token is within the leeway; thirty after, it is not, remembered or not."""
    almost = token(iat=NOW - 60, exp=int(time.time()) - 20)
    assert (await asked(standing_api, almost)).status_code == 200
    past = token(iat=NOW - 60, exp=int(time.time()) - 31)
    assert (await asked(standing_api, past)).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Authorization", "Basic YTpi")],
        [("Authorization", f"Bearer {token()}"), ("Authorization", f"Bearer {token()}")],
        [("Authorization", f"bearer\t{token()}")],
        [("Authorization", f"Bearer  {token()}")],
    ],
)
async def test_exactly_one_bearer_header_is_wanted(standing_api: RunningApi, headers: list[tuple[str, str]]) -> None:
    answer = await (await standing_api.client()).get("/schedules", headers=[*headers, ("X-Tenant-Id", "acme")])
    assert answer.status_code == 401


async def test_the_tenant_is_named_once_and_is_the_tokens(standing_api: RunningApi) -> None:
    assert (await asked(standing_api, token(), tenant=None)).status_code == 400
    assert (await asked(standing_api, token(), tenant="other")).status_code == 403
    assert (await asked(standing_api, token(), tenant="ACME")).status_code == 403
    assert (await asked(standing_api, token(), tenant="acme, acme")).status_code == 403
    repeated = [("Authorization", f"Bearer {token()}"), ("X-Tenant-Id", "acme"), ("X-Tenant-Id", "acme")]
    assert (await (await standing_api.client()).get("/schedules", headers=repeated)).status_code == 400


# Each operation with the lowest role that may do it.
OPERATIONS = [
    ("viewer", "GET", "/schedules", None),
    ("viewer", "GET", "/schedules/{id}", None),
    ("viewer", "GET", "/schedules/{id}/next", None),
    ("viewer", "GET", "/schedules/{id}/occurrences", None),
    ("viewer", "GET", "/occurrences", None),
    ("viewer", "POST", "/schedules/preview", {"trigger": {"type": "CRON", "cron": "@daily"}}),
    ("operator", "POST", "/schedules/{id}/pause", {}),
    ("operator", "POST", "/schedules/{id}/resume", {}),
    ("operator", "POST", "/schedules/{id}/trigger", {}),
    ("operator", "PATCH", "/schedules/{id}", {"enabled": True}),
    ("operator", "GET", "/health/detailed", None),
    ("editor", "PATCH", "/schedules/{id}", {"name": "x"}),
    ("editor", "PATCH", "/schedules/{id}", {"enabled": True, "name": "x"}),
    ("editor", "PUT", "/schedules/{id}", definition()),
    ("editor", "PUT", "/schedules/by-key/k", definition()),
    ("editor", "POST", "/schedules", definition()),
    ("editor", "DELETE", "/schedules/{id}", None),
]
LADDER = ["viewer", "operator", "editor", "admin"]


@pytest.mark.parametrize(("lowest", "method", "path", "body"), OPERATIONS)
async def test_each_operation_is_for_its_role_and_those_above(
    standing_api: RunningApi, tenant: str, lowest: str, method: str, path: str, body: object
) -> None:
    admin = await standing_api.caller(tenant)
    for role in [*LADDER, "platform-admin", "root", "Admin"]:
        made = (await admin.post("/schedules", json=definition())).json()["id"]
        answer = await (await standing_api.caller(tenant, role)).request(method, path.format(id=made), json=body)
        is_allowed = role in LADDER and LADDER.index(role) >= LADDER.index(lowest)
        assert answer.is_success if is_allowed else answer.status_code == 403, (role, answer.text)


@pytest.mark.parametrize("roles", ["admin", None, {"admin": True}, [["admin"]], 5])
async def test_a_malformed_role_claim_is_no_role(standing_api: RunningApi, roles: object) -> None:
    assert (await asked(standing_api, token(roles=roles))).status_code == 403


async def test_public_routes_want_no_token(standing_api: RunningApi) -> None:
    client = await standing_api.client()
    for path in ("/live", "/ready", "/health", "/health/live", "/health/ready", "/metrics", "/openapi.json", "/docs"):
        assert (await client.get(path)).status_code == 200, path
    assert (await client.get("/")).headers["location"] == "/docs"


async def test_guessing_is_slowed_down_and_nobody_else_is(api: RunningApi) -> None:
    client = await api.client({"X-Tenant-Id": "acme", "Authorization": "Bearer x.y.z"})
    statuses = [(await client.get("/schedules")).status_code for _ in range(60)]
    assert statuses == [401] * 60
    # Together: one after the other, a slow machine's requests come no faster than they may.
    answers = await asyncio.gather(*[client.get("/schedules") for _ in range(200)])
    assert {answer.status_code for answer in answers} <= {401, 429}
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert int(refused.headers["retry-after"]) >= 1
    assert (await asked(api, token())).status_code == 200


async def test_a_tenant_is_held_to_its_rate(database: str) -> None:
    async with running_api(environment(database, API_RATE_LIMIT="2")) as api:
        acme, other = await api.caller("acme"), await api.caller("other")
        answers = [await acme.get("/schedules") for _ in range(8)]
        assert [answer.status_code for answer in answers[:4]] == [200] * 4
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert refused.json()["code"] == "too-many-requests"
        assert int(refused.headers["retry-after"]) >= 1
        assert (await other.get("/schedules")).status_code == 200
