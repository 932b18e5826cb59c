"""Templates over HTTP: data that a tenant stores, previews, changes and cannot pull away from under its instances."""

from typing import Any

import httpx
import pytest

from tests.integration.api_server import RunningApi

ADA = {"firstName": "Ada", "lastName": "Lovelace", "dateOfBirth": "1988-02-29", "tz": "Europe/London"}
RENEWAL: dict[str, Any] = {
    "name": "renewal",
    "title": "Contract renewal",
    "parameters": {
        "type": "object",
        "properties": {
            "customer": {"type": "string", "maxLength": 100},
            "endsOn": {"type": "string", "format": "date"},
            "sendAt": {"type": "string", "format": "local-time", "default": "08:00"},
        },
        "required": ["customer", "endsOn"],
    },
    "blueprint": {
        "name": "Renewal of ${customer}",
        "tz": "Europe/Berlin",
        "trigger": {
            "type": "RRULE",
            "rrule": "FREQ=YEARLY;BYMONTH=${endsOn.month};BYMONTHDAY=${endsOn.day}",
            "dtstart": "1970-01-01T${sendAt}",
        },
        "target": {"kind": "QUEUE", "queue": {"topic": "renewals"}},
        "payload": {"customer": "${customer}", "key": "${key}", "due": "${localDate}"},
    },
}
SLOW = {"type": "string", "pattern": "(a+)+$", "maxLength": 50}


@pytest.fixture
async def owner(standing_api: RunningApi, tenant: str) -> httpx.AsyncClient:
    """A client of the shared API that speaks for the test's own tenant with the role admin."""
    return await standing_api.caller(tenant, "admin")


def with_parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"parameters": {"type": "object", "properties": {name: schema}}}


def changed(**members: Any) -> dict[str, Any]:
    return {**RENEWAL, **members}


async def test_the_built_in_templates_are_there_and_read_only(owner: httpx.AsyncClient) -> None:
    listed = (await owner.get("/templates")).json()
    assert [item["name"] for item in listed["items"]] == ["anniversary", "birthday", "reminder"]
    assert all(item["builtIn"] for item in listed["items"])
    refused = [
        await owner.put("/templates/birthday", json={**RENEWAL, "name": "birthday"}),
        await owner.delete("/templates/birthday"),
    ]
    assert [answer.status_code for answer in refused] == [403, 403]
    assert (await owner.post("/templates", json={**RENEWAL, "name": "birthday"})).status_code == 409


async def test_a_copy_of_a_built_in_template_under_another_name_is_a_tenants_own(owner: httpx.AsyncClient) -> None:
    built_in = (await owner.get("/templates/birthday")).json()
    copy = {name: built_in[name] for name in ("title", "description", "parameters", "blueprint")}
    answer = await owner.post("/templates", json={**copy, "name": "our-birthday"})
    assert answer.status_code == 201, answer.text
    asked = {"parameters": ADA, "count": 3}
    theirs, ours = [
        (await owner.post(f"/templates/{name}/preview", json=asked)).json() for name in ("birthday", "our-birthday")
    ]
    assert ours == theirs


async def test_a_template_is_stored_replaced_and_deleted(owner: httpx.AsyncClient) -> None:
    made = await owner.post("/templates", json=RENEWAL)
    assert (made.status_code, made.headers["etag"]) == (201, '"1"')
    assert made.headers["location"] == "/templates/renewal"
    read = await owner.get("/templates/renewal")
    assert read.content == made.content
    same = await owner.put("/templates/renewal", json=RENEWAL)
    assert same.json()["version"] == 1
    replaced = await owner.put("/templates/renewal", json=changed(title="Renewal"), headers={"If-Match": '"1"'})
    assert (replaced.status_code, replaced.json()["version"]) == (200, 2)
    stale = await owner.put("/templates/renewal", json=RENEWAL, headers={"If-Match": '"1"'})
    assert stale.status_code == 412
    assert (await owner.delete("/templates/renewal")).status_code == 204
    assert (await owner.get("/templates/renewal")).status_code == 404
    assert (await owner.put("/templates/renewal", json=RENEWAL)).status_code == 201


async def test_two_templates_of_one_name_are_refused_and_a_repeated_request_is_answered_again(
    owner: httpx.AsyncClient,
) -> None:
    first = await owner.post("/templates", json=RENEWAL, headers={"Idempotency-Key": "k1"})
    again = await owner.post("/templates", json=RENEWAL, headers={"Idempotency-Key": "k1"})
    assert (again.status_code, again.content) == (201, first.content)
    assert (await owner.post("/templates", json=RENEWAL)).json()["code"] == "key-taken"


async def test_a_template_with_instances_stays_and_says_how_many_hang_on_it(owner: httpx.AsyncClient) -> None:
    await owner.post("/templates", json=RENEWAL)
    for number in range(3):
        parameters = {"customer": f"c{number}", "endsOn": "2030-06-30"}
        answer = await owner.put(f"/templates/renewal/instances/c{number}", json={"parameters": parameters})
        assert answer.status_code == 201, answer.text
    refused = await owner.delete("/templates/renewal")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert "3 instances" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("policy", "words", "first"),
    [
        ("FEB_28", "in leap years on 29 February, in common years on 28 February", "2027-02-28"),
        ("MAR_1", "in leap years on 29 February, in common years on 1 March", "2027-03-01"),
        ("LEAP_YEARS_ONLY", "in leap years only, on 29 February", "2028-02-29"),
    ],
)
async def test_a_preview_says_in_words_what_becomes_of_a_leap_day(
    owner: httpx.AsyncClient, policy: str, words: str, first: str
) -> None:
    answer = await owner.post("/templates/birthday/preview", json={"parameters": {**ADA, "leapDay": policy}})
    preview = answer.json()
    assert answer.status_code == 200, answer.text
    assert words in [note["message"] for note in preview["notes"] if note["code"] == "leap-day"]
    assert {item["local"][5:] for item in preview["occurrences"]} >= {"02-29T09:00:00"}
    assert first[4:] in {item["local"][4:10] for item in preview["occurrences"]}
    assert preview["schedule"]["payload"] == "Hey, Ada Lovelace it's your birthday"


async def test_an_unsaved_template_is_previewed_and_leaves_nothing(owner: httpx.AsyncClient) -> None:
    asked = {"template": RENEWAL, "parameters": {"customer": "ACME", "endsOn": "2030-06-30"}, "count": 2}
    preview = (await owner.post("/templates/preview", json=asked)).json()
    assert preview["schedule"]["name"] == "Renewal of ACME"
    assert preview["schedule"]["payload"] == {"customer": "ACME", "key": "preview", "due": "${localDate}"}
    assert [item["local"][5:] for item in preview["occurrences"]] == ["06-30T08:00:00"] * 2
    assert (await owner.get("/templates/renewal")).status_code == 404


@pytest.mark.parametrize(
    ("members", "pointer", "code"),
    [
        ({"name": "no spaces"}, "/name", "invalid-name"),
        ({"name": "preview"}, "/name", "reserved-name"),
        ({"blueprint": {**RENEWAL["blueprint"], "name": "${customr}"}}, "/blueprint/name", "unknown-place"),
        ({"blueprint": {**RENEWAL["blueprint"], "key": "x"}}, "/blueprint/key", "not-in-a-blueprint"),
        ({"blueprint": {**RENEWAL["blueprint"], "name": "${endsOn.week}"}}, "/blueprint/name", "unknown-part"),
        ({"blueprint": {**RENEWAL["blueprint"], "name": "${customer.year}"}}, "/blueprint/name", "unknown-place"),
        ({"blueprint": {**RENEWAL["blueprint"], "jiterSec": 1}}, "/blueprint", "invalid-value"),
        ({"blueprint": {**RENEWAL["blueprint"], "payload": "${nobody}"}}, "/blueprint/payload", "unknown-place"),
        ({"parameters": {"type": "array"}}, "/parameters/type", "invalid-value"),
        ({"parameters": {"type": "object", "$ref": "#"}}, "/parameters/$ref", "unknown-keyword"),
        (with_parameter("attempt", {}), "/parameters/properties/attempt", "reserved-name"),
        (with_parameter("a", SLOW), "/parameters/properties/a/pattern", "pattern-too-costly"),
        (with_parameter("a", {"pattern": "a"}), "/parameters/properties/a", "pattern-without-length"),
        (with_parameter("a", {"format": "ipv4"}), "/parameters/properties/a/format", "invalid-value"),
        ({"parameters": {"type": "object", "required": "customer"}}, "/parameters/required", "invalid-type"),
    ],
)  # fmt: skip
async def test_what_could_fail_for_an_instance_is_refused_when_the_template_is_saved(
    owner: httpx.AsyncClient, members: dict[str, Any], pointer: str, code: str
) -> None:
    answer = await owner.post("/templates", json=changed(**members))
    assert answer.status_code == 422, answer.text
    assert (pointer, code) in [(error["pointer"], error["code"]) for error in answer.json()["errors"]]


async def test_an_optional_parameter_without_a_default_fills_no_place(owner: httpx.AsyncClient) -> None:
    parameters = {**RENEWAL["parameters"], "required": ["customer"]}
    answer = await owner.post("/templates", json=changed(parameters=parameters))
    assert "endsOn.day} may be left out" in answer.json()["errors"][0]["message"]


async def test_roles_and_tenants_are_kept_apart(
    standing_api: RunningApi, owner: httpx.AsyncClient, tenant: str
) -> None:
    viewer, editor = await standing_api.caller(tenant, "viewer"), await standing_api.caller(tenant, "editor")
    other = await standing_api.caller("someone-else", "admin")
    await owner.post("/templates", json=RENEWAL)
    assert (await viewer.get("/templates/renewal")).status_code == 200
    assert (await viewer.post("/templates/birthday/preview", json={"parameters": ADA})).status_code == 200
    assert (await editor.post("/templates", json=changed(name="second"))).status_code == 403
    assert (await viewer.put("/templates/birthday/instances/ada", json={"parameters": ADA})).status_code == 403
    assert (await editor.put("/templates/birthday/instances/ada", json={"parameters": ADA})).status_code == 201
    probes = [
        await other.get("/templates/renewal"),
        await other.put("/templates/renewal/instances/x", json={"parameters": {}}),
        await other.get("/templates/birthday/instances/ada"),
        await other.delete("/templates/birthday/instances/ada"),
        await other.delete("/templates/renewal"),
    ]
    assert [answer.status_code for answer in probes] == [404] * 5


@pytest.mark.parametrize("name", ["%00", "a%00b", "ren%20ewal", "x" * 64])
async def test_what_cannot_be_a_templates_name_names_nothing(owner: httpx.AsyncClient, name: str) -> None:
    body: dict[str, Any] = {"parameters": {}}
    probes = [
        await owner.get(f"/templates/{name}"),
        await owner.delete(f"/templates/{name}"),
        await owner.post(f"/templates/{name}/preview", json=body),
        await owner.get(f"/templates/{name}/instances"),
        await owner.post(f"/templates/{name}/instances:batch", json=[]),
        await owner.get(f"/templates/{name}/instances/ada"),
        await owner.put(f"/templates/{name}/instances/ada", json=body),
        await owner.delete(f"/templates/{name}/instances/ada"),
    ]
    assert [answer.status_code for answer in probes] == [404] * 8
    assert (await owner.put(f"/templates/{name}", json=changed())).status_code == 422
