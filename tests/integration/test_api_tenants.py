"""Tenants over HTTP: for the platform's operators alone, and nothing of any tenant's besides."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import asyncpg
import httpx
import pytest

from tests.integration.api_server import EVENT, RunningApi, definition, environment, running_api
from tests.support.waiting import eventually


@pytest.fixture
async def operator(standing_api: RunningApi) -> httpx.AsyncClient:
    """A client of the shared API that speaks for the platform."""
    return await standing_api.caller("platform", "platform-admin")


async def stored(operator: httpx.AsyncClient, tenant: str, **more: Any) -> httpx.Response:
    answer = await operator.post("/tenants", json={"id": tenant, **more})
    assert answer.status_code == 201, answer.text
    return answer


async def test_a_tenant_is_stored_and_weighed(operator: httpx.AsyncClient, tenant: str) -> None:
    made = await stored(operator, tenant)
    assert (made.headers["etag"], made.headers["location"]) == ('"1"', f"/tenants/{tenant}")
    body = made.json()
    assert body.keys() == {"id", "weight", "version", "createdAt", "updatedAt"}
    assert (body["id"], body["weight"], body["version"]) == (tenant, 1, 1)
    assert body["createdAt"] == body["updatedAt"]
    assert body["createdAt"].endswith("Z")
    assert (await operator.get(f"/tenants/{tenant}")).content == made.content

    weighed = await operator.patch(f"/tenants/{tenant}", json={"weight": 2.5}, headers={"If-Match": '"1"'})
    assert (weighed.status_code, weighed.headers["etag"], weighed.json()["weight"]) == (200, '"2"', 2.5)
    assert weighed.json()["updatedAt"] >= body["updatedAt"]
    assert (await operator.get(f"/tenants/{tenant}")).content == weighed.content


async def test_a_tenant_is_stored_with_its_weight(operator: httpx.AsyncClient, tenant: str) -> None:
    assert '"weight":3,' in (await stored(operator, tenant, weight=3)).text


async def test_a_change_of_what_was_read_before_is_refused(operator: httpx.AsyncClient, tenant: str) -> None:
    await stored(operator, tenant)
    path = f"/tenants/{tenant}"
    assert (await operator.patch(path, json={"weight": 2}, headers={"If-Match": '"1"'})).status_code == 200
    stale = await operator.patch(path, json={"weight": 9}, headers={"If-Match": '"1"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "version-mismatch")
    assert (await operator.patch(path, json={"weight": 9}, headers={"If-Match": "2"})).status_code == 400
    assert (await operator.get(path)).json()["weight"] == 2


async def test_of_two_changes_at_once_of_the_same_version_one_is_made(operator: httpx.AsyncClient, tenant: str) -> None:
    await stored(operator, tenant)
    changes = [
        operator.patch(f"/tenants/{tenant}", json={"weight": weight}, headers={"If-Match": '"1"'}) for weight in (2, 3)
    ]
    assert sorted(answer.status_code for answer in await asyncio.gather(*changes)) == [200, 412]


async def test_a_patch_that_says_nothing_new_makes_no_version_and_null_is_the_default_again(
    operator: httpx.AsyncClient, tenant: str
) -> None:
    await stored(operator, tenant, weight=3)
    path = f"/tenants/{tenant}"
    assert [(await operator.patch(path, json=body)).json()["version"] for body in ({}, {"weight": 3.0})] == [1, 1]
    merge_patch = {"Content-Type": "application/merge-patch+json"}
    answer = await operator.patch(path, content='{"weight":null}', headers=merge_patch)
    assert (answer.json()["weight"], answer.json()["version"]) == (1, 2)


async def test_a_tenant_that_was_never_stored_is_not_found_whatever_it_has(
    standing_api: RunningApi, operator: httpx.AsyncClient, tenant: str
) -> None:
    assert (await (await standing_api.caller(tenant)).post("/schedules", json=definition())).status_code == 201
    for name in (tenant, "No%20Id", "%00", "x" * 64):
        read, changed = await operator.get(f"/tenants/{name}"), await operator.patch(f"/tenants/{name}", json={})
        assert (read.status_code, changed.status_code) == (404, 404), read.text
    conditional = await operator.patch(f"/tenants/{tenant}", json={"weight": 2}, headers={"If-Match": '"1"'})
    assert conditional.status_code == 404


async def test_a_tenant_is_stored_once_and_a_repeated_request_is_answered_again(
    operator: httpx.AsyncClient, tenant: str
) -> None:
    key = {"Idempotency-Key": tenant}
    first = await operator.post("/tenants", json={"id": tenant, "weight": 2}, headers=key)
    again = await operator.post("/tenants", json={"id": tenant, "weight": 2}, headers=key)
    assert (again.status_code, again.content, again.headers["etag"]) == (201, first.content, '"1"')
    assert (await operator.post("/tenants", json={"id": tenant}, headers=key)).json()["code"] == "idempotency-mismatch"
    taken = await operator.post("/tenants", json={"id": tenant})
    assert (taken.status_code, taken.json()["code"]) == (409, "key-taken")


@pytest.mark.parametrize(
    ("members", "pointer", "code"),
    [
        ({"weight": 0.09}, "/weight", "out-of-range"),
        ({"weight": 0}, "/weight", "out-of-range"),
        ({"weight": -1}, "/weight", "out-of-range"),
        ({"weight": 100.5}, "/weight", "out-of-range"),
        ({"weight": 10**400}, "/weight", "invalid-value"),
        ({"weight": "3"}, "/weight", "invalid-type"),
        ({"weight": True}, "/weight", "invalid-type"),
        ({"quotas": {}}, "/quotas", "unknown-field"),
        ({"suspend": True}, "/suspend", "unknown-field"),
        ({"suspend": None}, "/suspend", "unknown-field"),
        ({"Weight": 3}, "/Weight", "unknown-field"),
        ({"version": 1}, "/version", "read-only-field"),
    ],
)
async def test_what_is_not_acceptable_is_refused_with_its_place_by_both(
    operator: httpx.AsyncClient, tenant: str, members: dict[str, Any], pointer: str, code: str
) -> None:
    await stored(operator, tenant)
    refused = [
        await operator.post("/tenants", json={"id": f"{tenant}2", **members}),
        await operator.patch(f"/tenants/{tenant}", json=members),
    ]
    for answer in refused:
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json"), answer.text
        [error] = answer.json()["errors"]
        assert (error["pointer"], error["code"]) == (pointer, code)
    assert (await operator.get(f"/tenants/{tenant}2")).status_code == 404
    assert (await operator.get(f"/tenants/{tenant}")).json()["version"] == 1


@pytest.mark.parametrize("weight", [0.1, 100])
async def test_the_bounds_are_accepted(operator: httpx.AsyncClient, tenant: str, weight: float) -> None:
    assert (await stored(operator, tenant, weight=weight)).json()["weight"] == weight
    assert (await operator.get(f"/tenants/{tenant}")).json()["weight"] == weight


@pytest.mark.parametrize("tenant_id", ["", "Acme", "acme/x", "-acme", "a" * 64, "acme\n", "acmé"])
async def test_an_id_that_no_token_could_name_is_refused(operator: httpx.AsyncClient, tenant_id: str) -> None:
    answer = await operator.post("/tenants", json={"id": tenant_id})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "invalid-id")


@pytest.mark.parametrize("body", ["[]", "null", "1", '{"weight":NaN}', '{"weight":1e999}', '{"weight":1,"weight":2}'])
async def test_a_body_that_is_no_such_object_is_refused(operator: httpx.AsyncClient, tenant: str, body: str) -> None:
    await stored(operator, tenant)
    headers = {"Content-Type": "application/json"}
    for method, path in (("POST", "/tenants"), ("PATCH", f"/tenants/{tenant}")):
        answer = await operator.request(method, path, content=body, headers=headers)
        assert answer.status_code in {400, 422}, answer.text


ROUTES = [
    ("GET", "/tenants", None),
    ("POST", "/tenants", {"id": "made-by-nobody"}),
    ("GET", "/tenants/{id}", None),
    ("PATCH", "/tenants/{id}", {"weight": 100}),
]


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
async def test_no_role_of_a_tenant_reaches_tenants_not_even_its_own(
    standing_api: RunningApi, operator: httpx.AsyncClient, tenant: str, method: str, path: str, body: object
) -> None:
    await stored(operator, tenant)
    for roles in (["viewer"], ["operator"], ["editor"], ["admin"], ["viewer", "operator", "editor", "admin"], ["x"]):
        client = await standing_api.caller(tenant, *roles)
        answer = await client.request(method, path.format(id=tenant), json=body)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), roles
        assert "platform-admin" in answer.json()["detail"]
        absent = await client.request(method, path.format(id="nobody"), json=body)
        assert absent.status_code == 403
    assert (await operator.get(f"/tenants/{tenant}")).json()["weight"] == 1
    assert (await operator.get("/tenants/made-by-nobody")).status_code == 404


async def test_an_operator_of_the_platform_sees_nothing_of_a_tenant_not_even_of_its_own(
    standing_api: RunningApi, tenant: str
) -> None:
    acme = await standing_api.caller(tenant)
    made = (await acme.post("/schedules", json=definition())).json()["id"]
    operator = await standing_api.caller(tenant, "platform-admin")
    paths = ("/schedules", f"/schedules/{made}", f"/schedules/{made}/occurrences", "/occurrences", "/templates")
    assert [(await operator.get(path)).status_code for path in paths] == [403] * len(paths)
    elsewhere = await operator.get("/schedules", headers={"X-Tenant-Id": "other"})
    assert elsewhere.status_code == 403


async def test_pages_and_cursors_walk_every_tenant_once_by_id(api: RunningApi) -> None:
    operator = await api.caller("platform", "platform-admin")
    names = ["a-1", "a_1", "b", "0", "zz", "a", "m"]
    for name in names:
        await stored(operator, name)
    wanted = sorted(names)
    page = (await operator.get("/tenants", params={"page": 3, "pageSize": 3})).json()
    assert [item["id"] for item in page["items"]] == wanted[6:]
    assert (page["page"], page["pageSize"], page["total"], page["nextCursor"]) == (3, 3, 7, None)
    walked: list[str] = []
    query: dict[str, Any] = {"pageSize": 2}
    while True:
        page = (await operator.get("/tenants", params=query)).json()
        walked += [item["id"] for item in page["items"]]
        if page["nextCursor"] is None:
            break
        query = {"pageSize": 2, "cursor": page["nextCursor"]}
    assert walked == wanted
    for refused in ({"cursor": "x"}, {"pageSize": 0}, {"q": "a"}, {"page": 2, "cursor": query["cursor"]}):
        assert (await operator.get("/tenants", params=refused)).status_code == 422, refused


async def test_what_the_api_plans_itself_goes_by_the_weights(database: str, connection: asyncpg.Connection) -> None:
    """A schedule that is due within the minute gets its tag where it is accepted."""
    await connection.execute(
        "INSERT INTO scheduler.tenant (id, weight, created_at, updated_at) VALUES ('heavy', 5, now(), now())"
    )
    async with running_api(environment(database)) as api:

        async def steps(tenant: str) -> list[timedelta]:
            client = await api.caller(tenant)
            soon = (datetime.now(UTC) + timedelta(seconds=40)).isoformat()
            for _ in range(3):
                once = {"name": "soon", "trigger": {"type": "ONE_SHOT", "startAt": soon}, "target": EVENT}
                assert (await client.post("/schedules", json=once)).status_code == 201
            rows = await connection.fetch(
                "SELECT start_tag FROM scheduler.due_queue WHERE tenant_id = $1 AND due_at = $2 ORDER BY start_tag",
                tenant,
                datetime.fromisoformat(soon),
            )
            return [later["start_tag"] - earlier["start_tag"] for earlier, later in pairwise(rows)]

        async def is_weighed() -> bool:
            return await steps("heavy") == [timedelta(microseconds=2)] * 2

        await eventually(is_weighed, within=10)
        assert await steps("other") == [timedelta(microseconds=10)] * 2
