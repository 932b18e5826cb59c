"""Schedules over HTTP: what is accepted is stored whole, what is refused says where and why."""

import asyncio
from typing import Any

import asyncpg
import httpx
import pytest

from tests.integration.api_server import CRON, EVENT, definition


def webhook(url: str) -> dict[str, Any]:
    return {"kind": "HTTP", "http": {"url": url}}


def queue(broker: str) -> dict[str, Any]:
    return {"kind": "QUEUE", "queue": {"topic": "q", "broker": broker}}


async def created(client: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    answer = await client.post("/schedules", json=definition(**more))
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_created_schedule_is_answered_whole_with_its_defaults(editor: httpx.AsyncClient, tenant: str) -> None:
    answer = await editor.post("/schedules", json=definition(tz="Europe/Berlin", key="daily"))
    schedule = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/schedules/{schedule['id']}"
    assert answer.headers["etag"] == '"1"'
    assert list(schedule) == [
        "id", "tenantId", "key", "name", "description", "labels", "tz", "trigger", "target", "payload", "enabled",
        "startAt", "endAt", "maxRuns", "jitterSec", "exclude", "dst", "misfire", "overlap", "completion", "retry",
        "timeoutSec", "priority", "state", "stateReason", "revision", "nextFireAt", "lastFireAt", "version",
        "createdAt", "updatedAt", "createdBy",
    ]  # fmt: skip
    assert schedule["tenantId"] == tenant
    assert schedule["createdBy"] == "ada"
    assert schedule["retry"] == {
        "maxAttempts": 12, "initialDelaySec": 5, "factor": 2, "maxDelaySec": 3600, "maxAgeSec": 86400
    }  # fmt: skip
    assert schedule["nextFireAt"].endswith("Z")


async def test_what_is_read_is_what_was_answered_at_its_creation(editor: httpx.AsyncClient) -> None:
    answer = await editor.post("/schedules", json=definition(key="daily", startAt="2030-01-01T00:00:00+02:00"))
    by_id = await editor.get(answer.headers["location"])
    by_key = await editor.get("/schedules/by-key/daily")
    assert answer.content == by_id.content == by_key.content
    assert by_id.headers["etag"] == '"1"'
    assert by_id.json()["startAt"] == "2029-12-31T22:00:00Z"


async def test_a_schedule_due_within_the_minute_is_in_the_queue_at_once(
    admin: httpx.AsyncClient, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    schedule = await created(admin, trigger={"type": "CRON", "cron": "* * * * * *"})
    rows = await connection.fetch("SELECT scheduled_for, revision FROM scheduler.due_queue ORDER BY scheduled_for")
    assert 59 <= len(rows) <= 61
    assert {row["revision"] for row in rows} == {1}
    assert schedule["nextFireAt"] == rows[0]["scheduled_for"].isoformat().replace("+00:00", "Z")


async def test_a_past_one_shot_that_is_to_run_now_is_due_now(
    admin: httpx.AsyncClient, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    trigger = {"type": "ONE_SHOT", "startAt": "2020-01-01T00:00:00Z", "ifPast": "RUN_NOW"}
    await created(admin, trigger=trigger)
    row = await connection.fetchrow("SELECT now() - due_at AS late, scheduled_for, is_last FROM scheduler.due_queue")
    assert row is not None
    assert abs(row["late"].total_seconds()) < 5
    assert row["scheduled_for"].year == 2020
    assert row["is_last"]


async def test_a_schedule_created_disabled_is_paused_and_plans_nothing(
    admin: httpx.AsyncClient, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    schedule = await created(admin, enabled=False, trigger={"type": "CRON", "cron": "* * * * * *"})
    assert (schedule["state"], schedule["enabled"], schedule["nextFireAt"]) == ("PAUSED", False, None)
    assert await connection.fetchval("SELECT count(*) FROM scheduler.due_queue") == 0


@pytest.mark.parametrize(
    ("more", "pointer", "code"),
    [
        ({"kez": "x"}, "/kez", "unknown-field"),
        ({"id": "x"}, "/id", "read-only-field"),
        ({"name": 5}, "/name", "invalid-type"),
        ({"name": ""}, "/name", "out-of-range"),
        ({"name": "  "}, "/name", "invalid-text"),
        ({"name": "a\u202eb"}, "/name", "invalid-text"),
        ({"name": "a\u0000b"}, "/name", "invalid-text"),
        ({"name": "x" * 201}, "/name", "out-of-range"),
        ({"description": "a\u0007b"}, "/description", "invalid-text"),
        ({"key": "a b"}, "/key", "invalid-key"),
        ({"key": "_a"}, "/key", "invalid-key"),
        ({"labels": {"a b": "x"}}, "/labels/a b", "invalid-label"),
        ({"labels": {"a": 5}}, "/labels", "invalid-type"),
        ({"tz": "Europe/Berln"}, "/tz", None),
        ({"tz": "localtime"}, "/tz", None),
        ({"tz": "../../etc/passwd"}, "/tz", None),
        ({"trigger": {"type": "CRON", "cron": "61 * * * *"}}, "/trigger/cron", None),
        ({"trigger": {"type": "CRON", "cron": "0 0 30 2 *"}}, "/trigger/cron", "never-fires"),
        ({"trigger": {"type": "CRON", "cron": "@reboot"}}, "/trigger/cron", None),
        ({"trigger": {"type": "CRON", "crn": "x"}}, "/trigger/crn", "unknown-field"),
        ({"trigger": {"type": "CRON"}}, "/trigger/cron", "required"),
        ({"trigger": {"type": "CORN", "cron": "x"}}, "/trigger/type", "invalid-value"),
        ({"trigger": {"cron": "x"}}, "/trigger/type", "required"),
        ({"trigger": {"type": "RRULE", "rrule": "FREQ=DAILY;INTERVAL=0"}}, "/trigger/rrule", None),
        ({"trigger": {"type": "FIXED_DELAY", "delaySec": 0}}, "/trigger/delaySec", "out-of-range"),
        ({"trigger": {"type": "ONE_SHOT", "startAt": "2020-01-01T00:00:00Z"}}, "/trigger/startAt", "one-shot-past"),
        ({"endAt": "2020-01-01T00:00:00Z"}, "/trigger", "never-fires"),
        ({"startAt": "2031-01-01T00:00:00Z", "endAt": "2030-01-01T00:00:00Z"}, "/endAt", "ends-before-start"),
        ({"startAt": "2030-01-01T00:00:00"}, "/startAt", None),
        ({"target": {"kind": "EVENT", "eventTopic": "a.>"}}, "/target/eventTopic", "invalid-topic"),
        ({"target": {"kind": "EVENT", "eventTopic": "$JS.API"}}, "/target/eventTopic", "invalid-topic"),
        ({"target": {"kind": "QUEUE", "queue": {"topic": "a..b"}}}, "/target/queue/topic", "invalid-topic"),
        ({"target": queue("SQS")}, "/target/queue/broker", "broker-not-configured"),
        ({"target": queue("KAFKA")}, "/target/queue/broker", "invalid-value"),
        ({"target": webhook("https://10.0.0.1/")}, "/target/http/url", "address-not-allowed"),
        ({"target": webhook("ftp://example.com/")}, "/target/http/url", None),
        ({"target": webhook("https://example.com/?a=b#c")}, "/target/http/url", "invalid-url"),
        ({"target": webhook("https://example.com/${key}")}, "/target/http/url", "place-outside-query"),
        ({"target": webhook("https://example.com/?a=${kex}")}, "/target/http/url", "unknown-place"),
        ({"payload": {"a": ["x", "${nope}"]}}, "/payload/a/1", "unknown-place"),
        ({"payload": "a\u0000b"}, "/payload", "invalid-text"),
        ({"completion": "CALLBACK"}, "/completion", "callback-without-http"),
        ({"completion": "CALLBACK", "target": queue("NATS")}, "/completion", "callback-without-http"),
        ({"completion": "callback"}, "/completion", "invalid-value"),
        ({"overlap": "skip"}, "/overlap", "invalid-value"),
        ({"jitterSec": -1}, "/jitterSec", "out-of-range"),
        ({"retry": {"maxAttempts": 0}}, "/retry/maxAttempts", "out-of-range"),
        ({"exclude": {"dates": ["2026-13-01"]}}, "/exclude/dates", None),
        (
            {"trigger": {"type": "FIXED_DELAY", "delaySec": 60}, "exclude": {"weekdays": ["SA"]}},
            "/exclude",
            "not-with-completion-anchor",
        ),
    ],
)  # fmt: skip
async def test_a_mistake_is_refused_at_its_place(
    editor: httpx.AsyncClient, more: dict[str, Any], pointer: str, code: str | None
) -> None:
    answer = await editor.post("/schedules", json=definition(**more))
    problem = answer.json()
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert pointer in [item["pointer"] for item in problem["errors"]], problem
    if code is not None:
        assert code in [item["code"] for item in problem["errors"]]
    assert all(item["message"] for item in problem["errors"])


async def test_all_mistakes_of_a_definition_are_told_at_once(editor: httpx.AsyncClient) -> None:
    target = {"kind": "HTTP", "http": {"url": "https://10.0.0.1/", "headers": {"Host": "x", "X-A": "\u00e4"}}}
    answer = await editor.post("/schedules", json=definition(key="a b", target=target, payload="${nope}"))
    assert [item["pointer"] for item in answer.json()["errors"]] == [
        "/key",
        "/target/http/url",
        "/target/http/headers/Host",
        "/target/http/headers/X-A",
        "/payload",
    ]


async def test_a_misspelt_field_is_answered_with_what_was_meant(editor: httpx.AsyncClient) -> None:
    answer = await editor.post("/schedules", json=definition(jiterSec=5))
    assert "did you mean jitterSec?" in answer.json()["detail"]


async def test_places_in_payload_query_and_headers_are_accepted(editor: httpx.AsyncClient) -> None:
    http = {"url": "https://example.com/?id=${occurrenceId}", "headers": {"X-Local": "${localDate} $$5"}}
    payload = {"hello": "${tenantId} ${firedAt}", "price": "$$5"}
    schedule = await created(editor, target={"kind": "HTTP", "http": http}, payload=payload)
    assert schedule["payload"] == payload


async def test_a_payload_that_grows_beyond_the_limit_when_filled_is_refused(editor: httpx.AsyncClient) -> None:
    payload = "${scheduleName}" * 15_000
    answer = await editor.post("/schedules", json=definition(name="x" * 200, payload=payload))
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["code"] == "payload-too-large"


async def test_numbers_in_a_payload_are_kept_as_they_are(editor: httpx.AsyncClient) -> None:
    payload = {"big": 123456789012345678901234567890, "small": 1e-7, "text": "\U0001f382", "null": None}
    assert (await created(editor, payload=payload))["payload"] == payload


async def test_a_second_schedule_cannot_take_a_key(editor: httpx.AsyncClient) -> None:
    await created(editor, key="daily")
    answer = await editor.post("/schedules", json=definition(key="daily"))
    assert (answer.status_code, answer.json()["code"]) == (409, "key-taken")
    other = await created(editor, key="other")
    answer = await editor.patch(f"/schedules/{other['id']}", json={"key": "daily"})
    assert (answer.status_code, answer.json()["code"]) == (409, "key-taken")


async def test_upsert_by_key_creates_once_and_then_changes_only_what_differs(editor: httpx.AsyncClient) -> None:
    first = await editor.put("/schedules/by-key/daily", json=definition())
    again = await editor.put("/schedules/by-key/daily", json=definition())
    changed = await editor.put("/schedules/by-key/daily", json=definition(name="Other"))
    assert [first.status_code, again.status_code, changed.status_code] == [201, 200, 200]
    assert [answer.json()["version"] for answer in (first, again, changed)] == [1, 1, 2]
    assert first.headers["location"] == f"/schedules/{first.json()['id']}"


async def test_upserts_at_the_same_time_make_one_schedule(editor: httpx.AsyncClient) -> None:
    puts = [editor.put("/schedules/by-key/daily", json=definition(name=f"n{number}")) for number in range(8)]
    answers = await asyncio.gather(*puts)
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_upsert_refuses_another_key_in_the_body(editor: httpx.AsyncClient) -> None:
    answer = await editor.put("/schedules/by-key/daily", json=definition(key="weekly"))
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/key")


async def test_a_merge_patch_changes_what_it_names_and_null_restores_the_default(editor: httpx.AsyncClient) -> None:
    schedule = await created(editor, description="x", labels={"a": "1", "b": "2"}, jitterSec=5)
    answer = await editor.patch(
        f"/schedules/{schedule['id']}",
        json={"labels": {"a": None, "c": "3"}, "jitterSec": None, "trigger": {"cron": "0 10 * * *"}},
        headers={"Content-Type": "application/merge-patch+json"},
    )
    patched = answer.json()
    assert answer.status_code == 200
    assert patched["labels"] == {"b": "2", "c": "3"}
    assert patched["jitterSec"] == 0
    assert patched["trigger"] == {"type": "CRON", "cron": "0 10 * * *"}
    assert (patched["version"], patched["revision"]) == (2, 2)
    assert patched["description"] == "x"


async def test_a_patch_to_another_kind_of_trigger_needs_no_nulls(editor: httpx.AsyncClient) -> None:
    schedule = await created(editor)
    trigger = {"type": "FIXED_DELAY", "delaySec": 600, "anchor": "SCHEDULE"}
    answer = await editor.patch(f"/schedules/{schedule['id']}", json={"trigger": trigger})
    assert answer.json()["trigger"] == trigger


async def test_labels_and_description_make_a_version_but_no_revision(editor: httpx.AsyncClient) -> None:
    schedule = await created(editor)
    answer = await editor.patch(f"/schedules/{schedule['id']}", json={"labels": {"a": "b"}, "description": "new"})
    assert (answer.json()["version"], answer.json()["revision"]) == (2, 1)


async def test_a_replacement_gives_defaults_to_what_it_leaves_out_but_keeps_a_pause(editor: httpx.AsyncClient) -> None:
    schedule = await created(editor, jitterSec=5, description="x")
    await editor.post(f"/schedules/{schedule['id']}/pause")
    replaced = (await editor.put(f"/schedules/{schedule['id']}", json=definition(name="New"))).json()
    assert (replaced["jitterSec"], replaced["description"], replaced["name"]) == (0, "", "New")
    assert (replaced["state"], replaced["enabled"]) == ("PAUSED", False)
    replaced = (await editor.put(f"/schedules/{schedule['id']}", json=definition(enabled=True))).json()
    assert (replaced["state"], replaced["enabled"]) == ("ACTIVE", True)


async def test_if_match_lets_only_one_of_two_editors_win(editor: httpx.AsyncClient) -> None:
    schedule = await created(editor)
    path = f"/schedules/{schedule['id']}"
    edits = [editor.patch(path, json={"name": f"n{number}"}, headers={"If-Match": '"1"'}) for number in range(6)]
    statuses = sorted(answer.status_code for answer in await asyncio.gather(*edits))
    assert statuses == [200] + [412] * 5
    stale = await editor.delete(path, headers={"If-Match": '"1"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "version-mismatch")
    assert (await editor.delete(path, headers={"If-Match": 'W/"2"'})).status_code == 412
    assert (await editor.delete(path, headers={"If-Match": "2"})).status_code == 400
    assert (await editor.delete(path, headers={"If-Match": '"1", "2"'})).status_code == 204


async def test_if_match_on_an_upsert_of_nothing_fails(editor: httpx.AsyncClient) -> None:
    answer = await editor.put("/schedules/by-key/daily", json=definition(), headers={"If-Match": "*"})
    assert answer.status_code == 412


async def test_a_deleted_schedule_is_gone_and_so_is_its_key(editor: httpx.AsyncClient) -> None:
    schedule = await created(editor, key="daily")
    gone = await editor.delete(f"/schedules/{schedule['id']}")
    assert (gone.status_code, gone.content) == (204, b"")
    assert (await editor.get(f"/schedules/{schedule['id']}")).status_code == 404
    assert (await editor.delete(f"/schedules/{schedule['id']}")).status_code == 404
    assert (await editor.get("/schedules/by-key/daily")).status_code == 404
    await created(editor, key="daily")


async def test_the_preview_says_what_the_policies_do(editor: httpx.AsyncClient) -> None:
    request = {
        "trigger": {"type": "CRON", "cron": "30 2 * * *"},
        "tz": "Europe/Berlin",
        "after": "2027-03-27T12:00:00Z",
        "count": 2,
    }
    answer = await editor.post("/schedules/preview", json=request)
    assert answer.status_code == 200
    assert answer.json()["occurrences"][0] == {
        "at": "2027-03-28T01:30:00Z",
        "local": "2027-03-28T03:30:00",
        "offset": "+02:00",
        "dst": "SHIFTED",
        "excluded": None,
    }
    assert "02:30" in answer.json()["words"]


@pytest.mark.parametrize("member", ["startAt", "endAt", "after"])
@pytest.mark.parametrize("far_away", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00"])
async def test_a_preview_of_what_lies_too_far_away_is_refused(
    editor: httpx.AsyncClient, member: str, far_away: str
) -> None:
    request = {"trigger": {"type": "FIXED_DELAY", "delaySec": 5}, "tz": "America/New_York", member: far_away}
    answer = await editor.post("/schedules/preview", json=request)
    assert answer.status_code == 422, answer.text
    assert [(error["pointer"], error["code"]) for error in answer.json()["errors"]] == [(f"/{member}", "out-of-range")]


async def test_next_instants_stop_where_the_runs_do(editor: httpx.AsyncClient) -> None:
    schedule = await created(editor, maxRuns=3)
    answer = await editor.get(f"/schedules/{schedule['id']}/next", params={"count": 10})
    assert len(answer.json()["occurrences"]) == 3
    assert answer.json()["occurrences"][0]["at"] == schedule["nextFireAt"]


async def test_a_delay_after_completion_is_previewed_from_the_next_instant(editor: httpx.AsyncClient) -> None:
    schedule = await created(editor, trigger={"type": "FIXED_DELAY", "delaySec": 3600})
    answer = await editor.get(f"/schedules/{schedule['id']}/next", params={"count": 2})
    assert answer.json()["occurrences"][0]["at"] == schedule["nextFireAt"]


async def test_a_tenant_in_the_body_or_the_query_has_to_be_the_callers(editor: httpx.AsyncClient, tenant: str) -> None:
    own = await editor.post("/schedules", json=definition(tenantId=tenant))
    other = await editor.post("/schedules", json=definition(tenantId="other"))
    assert (own.status_code, other.status_code) == (201, 403)
    assert (await editor.get("/schedules", params={"tenantId": tenant})).status_code == 200
    assert (await editor.get("/schedules", params={"tenantId": "other"})).status_code == 403


async def test_every_trigger_goes_with_every_target(editor: httpx.AsyncClient) -> None:
    triggers = [
        CRON,
        {"type": "RRULE", "rrule": "FREQ=WEEKLY;BYDAY=MO;BYHOUR=9"},
        {"type": "FIXED_DELAY", "delaySec": 3600},
        {"type": "ONE_SHOT", "startAt": "2030-01-01T09:00:00"},
    ]
    targets = [EVENT, webhook("https://example.com/hook"), {"kind": "QUEUE", "queue": {"topic": "my-queue"}}]
    for trigger in triggers:
        for target in targets:
            await created(editor, trigger=trigger, target=target)
    assert (await editor.get("/schedules")).json()["total"] == 12
