"""What an operator does to the past and the near future: backfill, replay, cancel."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from scheduler_domain.application.ports.due_queue import Claimed, Ended, Postponed
from scheduler_domain.domain.payload import instant_text
from scheduler_domain.infra.postgres.dispatch_pool import open_dispatch_pool
from scheduler_domain.infra.postgres.dispatchers import PostgresDispatchers
from scheduler_domain.infra.postgres.due_queue import PostgresDueQueue
from scheduler_domain.infra.postgres.page_cursors import cursor_text
from tests.integration.api_server import RunningApi, definition
from tests.support.waiting import eventually

Connection = asyncpg.Connection
# Half an hour from now: an instant that is about to come would be planned beside what a test asks for.
MINUTE = (datetime.now(UTC).minute + 30) % 60
HOURLY = {"type": "CRON", "cron": f"{MINUTE} * * * *"}
NOON = datetime(2026, 3, 2, 12, MINUTE, tzinfo=UTC)
HOUR = timedelta(hours=1)
KEY = {"Idempotency-Key": "order-17"}
AHEAD = timedelta(seconds=30)
FAR_AWAY = cursor_text("deadLetters", "9999-12-31T23:59:59-14:00", "01934c5e-7f00-8a31-9b1e-5d0c2f6a7b8c")


async def created(client: httpx.AsyncClient, **more: Any) -> str:
    answer = await client.post("/schedules", json=definition(**{"trigger": HOURLY, **more}))
    assert answer.status_code == 201, answer.text
    return str(answer.headers["location"])


def past(hours: float, from_: datetime = NOON) -> dict[str, str]:
    return {"from": from_.isoformat(), "to": (from_ + hours * HOUR).isoformat()}


async def queued(connection: Connection) -> list[asyncpg.Record]:
    return await connection.fetch("SELECT * FROM scheduler.due_queue ORDER BY scheduled_for")


@pytest.fixture
async def queue(database: str) -> Any:
    """A dispatcher's hands, registered as number 1, without the rest of it."""
    pool = await open_dispatch_pool(database, 2)
    await PostgresDispatchers(pool, None).register("tests")  # type: ignore[arg-type]  # the clock is for heartbeats
    yield PostgresDueQueue(pool, dispatcher_id=1)
    await pool.close()


def outcome(claimed: Claimed, status: str) -> Ended:
    now = datetime.now(UTC)
    reason = None if status == "COMPLETED" else "retries-exhausted"
    return Ended(claimed, status, reason, claimed.attempt_count + 1, now, now, 3, "EVENT", error="no answer")


async def ended(queue: PostgresDueQueue, status: str, count: int = 1) -> list[Claimed]:
    """End what is due next with this status."""

    async def claimable() -> list[Claimed]:
        return list(await queue.claim(count, AHEAD, None))

    claimed = await eventually(claimable, within=5)
    assert await queue.record_ended([outcome(item, status) for item in claimed]) == len(claimed)
    return claimed


async def manual(client: httpx.AsyncClient, path: str) -> str:
    return str((await client.post(f"{path}/trigger")).json()["id"])


class TestBackfill:
    async def test_each_instant_of_the_range_becomes_an_occurrence_once(
        self, admin: httpx.AsyncClient, connection: Connection
    ) -> None:
        path = await created(admin)
        first = await admin.post(f"{path}/backfill", json=past(3))
        assert first.status_code == 202, first.text
        assert first.json() == {
            "scheduleId": path.removeprefix("/schedules/"),
            "from": instant_text(NOON),
            "to": instant_text(NOON + 3 * HOUR),
            "created": 3,
            "alreadyPresent": 0,
            "stillToPlan": 0,
        }
        rows = await queued(connection)
        assert [row["scheduled_for"] for row in rows] == [NOON, NOON + HOUR, NOON + 2 * HOUR]
        assert {row["kind"] for row in rows} == {"BACKFILL"}
        wider = (await admin.post(f"{path}/backfill", json=past(5))).json()
        assert (wider["created"], wider["alreadyPresent"]) == (2, 3)

    async def test_repetitions_at_the_same_time_make_each_once(
        self, admin: httpx.AsyncClient, connection: Connection
    ) -> None:
        path = await created(admin)
        answers = await asyncio.gather(*[admin.post(f"{path}/backfill", json=past(50)) for _ in range(6)])
        assert sum(answer.json()["created"] for answer in answers) == 50
        assert len(await queued(connection)) == 50

    async def test_the_plan_is_not_moved(self, admin: httpx.AsyncClient, connection: Connection) -> None:
        path = await created(admin)
        before = (await admin.get(path)).json()
        cursor = await connection.fetchrow("SELECT * FROM scheduler.schedule_cursor")
        await admin.post(f"{path}/backfill", json=past(3))
        assert (await admin.get(path)).json() == before
        assert await connection.fetchrow("SELECT * FROM scheduler.schedule_cursor") == cursor

    async def test_what_was_delivered_or_failed_is_left_and_what_was_skipped_is_made_up_for(
        self, admin: httpx.AsyncClient, connection: Connection
    ) -> None:
        path = await created(admin)
        await admin.post(f"{path}/backfill", json=past(4))
        statuses = ["COMPLETED", "FAILED", "SKIPPED", "CANCELLED"]
        rows = await queued(connection)
        await connection.execute("SET search_path = scheduler")
        for row, status in zip(rows, statuses, strict=True):
            await connection.execute(
                "INSERT INTO ledger (tenant_id, id, schedule_id, kind, revision, scheduled_for, due_at, status, reason,"
                " attempt_count, fired_at, ended_at) SELECT tenant_id, id, schedule_id, kind, revision, scheduled_for,"
                " due_at, $2, 'tests', 0, now(), now() FROM due_queue WHERE id = $1",
                row["id"],
                status,
            )
        await connection.execute("DELETE FROM due_queue")
        again = (await admin.post(f"{path}/backfill", json=past(4))).json()
        assert (again["created"], again["alreadyPresent"]) == (2, 2)
        assert [row["scheduled_for"] for row in await queued(connection)] == [NOON + 2 * HOUR, NOON + 3 * HOUR]
        left = await connection.fetch("SELECT status FROM ledger ORDER BY scheduled_for")
        assert [row["status"] for row in left] == ["COMPLETED", "FAILED"]

    async def test_an_occurrence_of_the_plan_counts_as_well(
        self, admin: httpx.AsyncClient, connection: Connection, queue: PostgresDueQueue
    ) -> None:
        path = await created(admin, trigger={"type": "CRON", "cron": "* * * * * *"})
        await ended(queue, "COMPLETED", 1)
        at = await connection.fetchval("SELECT scheduled_for FROM scheduler.ledger")

        async def is_past() -> bool:
            return bool(await connection.fetchval("SELECT now() > $1::timestamptz + interval '1 s'", at))

        await eventually(is_past, within=40)
        body = {"from": at.isoformat(), "to": (at + timedelta(seconds=1)).isoformat()}
        answer = (await admin.post(f"{path}/backfill", json=body)).json()
        assert (answer["created"], answer["alreadyPresent"]) == (0, 1)

    async def test_it_works_while_paused_and_a_later_pause_stops_it(
        self, admin: httpx.AsyncClient, connection: Connection, queue: PostgresDueQueue
    ) -> None:
        path = await created(admin)
        await admin.post(f"{path}/pause")
        assert (await admin.post(f"{path}/backfill", json=past(2))).json()["created"] == 2
        [claimed, _] = await queue.claim(2, AHEAD, None)
        assert (claimed.kind, claimed.schedule_state) == ("BACKFILL", "ACTIVE")
        await queue.release([claimed, _])
        await admin.post(f"{path}/resume")
        await admin.post(f"{path}/pause")
        assert await queued(connection) == []
        listed = (await admin.get(f"{path}/occurrences")).json()["items"]
        assert {(item["status"], item["reason"]) for item in listed} == {("CANCELLED", "schedule-paused")}
        assert (await admin.post(f"{path}/backfill", json=past(2))).json()["created"] == 2

    async def test_retries_are_counted_from_the_backfill(
        self, admin: httpx.AsyncClient, queue: PostgresDueQueue
    ) -> None:
        path = await created(admin)
        await admin.post(f"{path}/backfill", json=past(1))
        [claimed] = await queue.claim(1, AHEAD, None)
        assert datetime.now(UTC) - claimed.retried_from < timedelta(minutes=1)

    async def test_the_range_is_bounded_and_the_refusal_says_where_to_split(self, admin: httpx.AsyncClient) -> None:
        path = await created(admin)
        refused = await admin.post(f"{path}/backfill", json=past(1001))
        [error] = refused.json()["errors"]
        assert (refused.status_code, error["code"]) == (422, "too-many-instants")
        split = instant_text(NOON + 1_000 * HOUR)
        assert split in error["message"]
        body = {"from": NOON.isoformat(), "to": split}
        assert (await admin.post(f"{path}/backfill", json=body)).json()["created"] == 1000

    @pytest.mark.parametrize(
        ("body", "status", "pointer", "code"),
        [
            ({"from": "2026-03-02T12:00:00Z", "to": "2026-03-02T12:00:00Z"}, 422, "/to", "ends-before-start"),
            ({"from": "2026-03-02T12:00:00Z", "to": "2199-01-01T00:00:00Z"}, 422, "/to", "in-the-future"),
            ({"from": "1950-03-02T12:00:00Z", "to": "2026-01-01T00:00:00Z"}, 422, "/from", "out-of-range"),
            ({"from": "2026-03-02T12:00:00", "to": "2026-03-02T13:00:00Z"}, 422, "/from", "invalid-type"),
            ({"from": "2026-03-02T12:00:00Z"}, 422, "/to", "required"),
        ],
    )
    async def test_a_range_that_is_none_is_refused(
        self, admin: httpx.AsyncClient, body: dict[str, str], status: int, pointer: str, code: str
    ) -> None:
        answer = await admin.post(f"{await created(admin)}/backfill", json=body)
        [error] = answer.json()["errors"]
        assert (answer.status_code, error["pointer"], error["code"]) == (status, pointer, code)

    async def test_what_cannot_be_computed_is_a_conflict(self, admin: httpx.AsyncClient) -> None:
        chain = await created(admin, trigger={"type": "FIXED_DELAY", "delaySec": 60})
        assert (await admin.post(f"{chain}/backfill", json=past(1))).status_code == 409

    async def test_a_repetition_under_its_key_is_answered_as_the_first_time(self, admin: httpx.AsyncClient) -> None:
        path = await created(admin)
        first = await admin.post(f"{path}/backfill", json=past(3), headers=KEY)
        again = await admin.post(f"{path}/backfill", json=past(3), headers=KEY)
        assert first.content == again.content
        assert again.json()["created"] == 3


class TestReplay:
    async def test_a_dead_letter_is_pending_again_under_its_id_and_ends_again(
        self, admin: httpx.AsyncClient, connection: Connection, queue: PostgresDueQueue
    ) -> None:
        path = await created(admin)
        identity = await manual(admin, path)
        [first] = await ended(queue, "FAILED")
        answer = await admin.post(f"/occurrences/{identity}/replay")
        assert answer.status_code == 202, answer.text
        assert (answer.json()["id"], answer.json()["status"]) == (identity, "PENDING")
        assert await connection.fetchval("SELECT count(*) FROM scheduler.ledger") == 0
        [again] = await ended(queue, "COMPLETED")
        assert (str(again.id), again.attempt_count, again.was_tried) == (identity, 1, True)
        assert again.lease_token > first.lease_token
        shown = (await admin.get(f"/occurrences/{identity}")).json()
        assert shown["status"] == "COMPLETED"
        assert [(item["number"], item["outcome"]) for item in shown["attempts"]] == [(1, "FAILED"), (2, "DELIVERED")]

    async def test_the_retry_policy_begins_anew(self, admin: httpx.AsyncClient, queue: PostgresDueQueue) -> None:
        identity = await manual(admin, await created(admin))
        await ended(queue, "FAILED")
        await admin.post(f"/occurrences/{identity}/replay")
        [again] = await queue.claim(1, AHEAD, None)
        assert (again.attempt_count, again.earlier_attempt_count) == (1, 1)
        assert again.retried_from.timestamp() > again.due_at

    async def test_what_a_lost_dispatcher_says_of_the_first_life_does_not_end_the_second(
        self, admin: httpx.AsyncClient, connection: Connection, queue: PostgresDueQueue
    ) -> None:
        identity = await manual(admin, await created(admin))
        [lost] = await queue.claim(1, AHEAD, None)
        await connection.execute("UPDATE scheduler.due_queue SET lease_until = '-infinity'")
        await ended(queue, "FAILED")
        await admin.post(f"/occurrences/{identity}/replay")
        await queue.claim(1, AHEAD, None)
        assert await queue.record_ended([outcome(lost, "COMPLETED")]) == 0
        assert len(await queued(connection)) == 1

    async def test_what_is_said_twice_of_the_first_life_does_not_end_the_second(
        self, admin: httpx.AsyncClient, connection: Connection, queue: PostgresDueQueue
    ) -> None:
        """A dispatcher whose answer was lost writes again, and the replay was not claimed yet."""
        identity = await manual(admin, await created(admin))
        [first] = await ended(queue, "FAILED")
        assert (await admin.post(f"/occurrences/{identity}/replay")).status_code == 202
        assert await queue.record_ended([outcome(first, "FAILED")]) == 0
        assert [str(row["id"]) for row in await queued(connection)] == [identity]

    async def test_replays_at_the_same_time_are_one(self, admin: httpx.AsyncClient, queue: PostgresDueQueue) -> None:
        identity = await manual(admin, await created(admin))
        await ended(queue, "FAILED")
        answers = await asyncio.gather(*[admin.post(f"/occurrences/{identity}/replay") for _ in range(6)])
        assert sorted(answer.status_code for answer in answers) == [202, 409, 409, 409, 409, 409]

    async def test_other_states_are_a_conflict_that_says_which(
        self, admin: httpx.AsyncClient, queue: PostgresDueQueue
    ) -> None:
        identity = await manual(admin, await created(admin))
        pending = await admin.post(f"/occurrences/{identity}/replay")
        await ended(queue, "COMPLETED")
        completed = await admin.post(f"/occurrences/{identity}/replay")
        assert [pending.status_code, completed.status_code] == [409, 409]
        assert "COMPLETED" in completed.json()["detail"]
        assert (await admin.post(f"/occurrences/{UUID(int=7)}/replay")).status_code == 404

    async def test_what_has_no_schedule_any_more_stays_a_dead_letter(
        self, admin: httpx.AsyncClient, queue: PostgresDueQueue
    ) -> None:
        path = await created(admin)
        identity = await manual(admin, path)
        await ended(queue, "FAILED")
        await admin.delete(path)
        refused = await admin.post(f"/occurrences/{identity}/replay")
        assert (refused.status_code, "deleted" in refused.json()["detail"]) == (409, True)
        assert (await admin.get(f"/occurrences/{identity}")).json()["status"] == "FAILED"

    async def test_a_disabled_schedule_keeps_its_dead_letters(
        self, admin: httpx.AsyncClient, connection: Connection, queue: PostgresDueQueue
    ) -> None:
        identity = await manual(admin, await created(admin))
        await ended(queue, "FAILED")
        await connection.execute("UPDATE scheduler.schedule SET state = 'DISABLED', state_reason = '410 Gone'")
        refused = await admin.post(f"/occurrences/{identity}/replay")
        assert (refused.status_code, "410 Gone" in refused.json()["detail"]) == (409, True)

    async def test_a_replay_goes_out_during_a_pause_that_is_older(
        self, admin: httpx.AsyncClient, connection: Connection, queue: PostgresDueQueue
    ) -> None:
        path = await created(admin)
        await admin.post(f"{path}/backfill", json=past(1))
        [row] = await queued(connection)
        await ended(queue, "FAILED")
        await admin.post(f"{path}/pause")
        assert (await admin.post(f"/occurrences/{row['id']}/replay")).status_code == 202
        [again] = await queue.claim(1, AHEAD, None)
        assert again.schedule_state == "ACTIVE"
        await queue.record_postponed(
            [Postponed(again, 2, datetime.now(UTC), 3, datetime.now(UTC), "no answer", None, None, counts=True)]
        )
        await connection.execute("UPDATE scheduler.schedule SET paused_at = now()")
        [later] = await queue.claim(1, AHEAD, None)
        assert later.schedule_state == "PAUSED"


class TestReplayInBatches:
    async def dead_letters(self, admin: httpx.AsyncClient, queue: PostgresDueQueue, count: int) -> str:
        path = await created(admin)
        await admin.post(f"{path}/backfill", json=past(count))
        left = count
        while left:
            left -= len(await ended(queue, "FAILED", left))
        return path

    async def test_all_that_is_wanted_is_pending_again(self, admin: httpx.AsyncClient, queue: PostgresDueQueue) -> None:
        path = await self.dead_letters(admin, queue, 5)
        body = {"status": "FAILED", "scheduleId": path.removeprefix("/schedules/"), **past(3, NOON + HOUR)}
        answer = await admin.post("/occurrences/replay", json=body)
        assert answer.status_code == 202, answer.text
        assert answer.json() == {"replayed": 3, "notReplayed": 0, "nextCursor": None}
        left = (await admin.get("/occurrences", params={"status": "FAILED"})).json()["items"]
        assert [item["scheduledFor"] for item in left] == [instant_text(NOON + 4 * HOUR), instant_text(NOON)]

    async def test_a_batch_is_bounded_and_the_cursor_leads_on_past_what_failed_again(
        self, admin: httpx.AsyncClient, connection: Connection
    ) -> None:
        path = await created(admin)
        await connection.execute("SET search_path = scheduler")
        await connection.execute(
            "INSERT INTO ledger (tenant_id, id, schedule_id, kind, revision, scheduled_for, due_at, status, reason,"
            " attempt_count, fired_at, ended_at) SELECT 'acme', gen_random_uuid(), $1, 'SCHEDULED', 1, at, at,"
            " 'FAILED', 'refused', 1, at, at"
            " FROM generate_series($2::timestamptz, $2 + interval '1200 min', '1 min') AS at",
            UUID(path.removeprefix("/schedules/")),
            NOON,
        )
        first = (await admin.post("/occurrences/replay", json={"status": "FAILED"})).json()
        assert first["replayed"] == 1000
        assert first["nextCursor"] is not None
        second = await admin.post("/occurrences/replay", json={"status": "FAILED", "cursor": first["nextCursor"]})
        assert second.json() == {"replayed": 201, "notReplayed": 0, "nextCursor": None}
        tags = [row["start_tag"] for row in await queued(connection)]
        for batch in (tags[:1000], tags[1000:]):
            assert batch == sorted(batch)
        assert tags[-1] - tags[0] >= timedelta(milliseconds=500), "the catch-up lane spreads them"

    async def test_what_has_no_schedule_is_passed_by(self, admin: httpx.AsyncClient, queue: PostgresDueQueue) -> None:
        path = await self.dead_letters(admin, queue, 2)
        await admin.delete(path)
        answer = (await admin.post("/occurrences/replay", json={"status": "FAILED"})).json()
        assert answer == {"replayed": 0, "notReplayed": 2, "nextCursor": None}

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({}, "/status"),
            ({"status": "COMPLETED"}, "/status"),
            ({"status": "FAILED", "schedule": "x"}, "/schedule"),
            ({"status": "FAILED", "from": "2026-03-03T00:00:00Z", "to": "2026-03-02T00:00:00Z"}, "/to"),
            ({"status": "FAILED", "from": "0001-01-01T00:00:00+14:00"}, "/from"),
            ({"status": "FAILED", "to": "9999-12-31T23:59:59-14:00"}, "/to"),
            ({"status": "FAILED", "cursor": "x"}, "/query/cursor"),
            ({"status": "FAILED", "cursor": FAR_AWAY}, "/query/cursor"),
        ],
    )
    async def test_what_is_not_understood_is_refused(
        self, admin: httpx.AsyncClient, body: dict[str, str], pointer: str
    ) -> None:
        answer = await admin.post("/occurrences/replay", json=body)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


class TestCancel:
    async def test_what_nobody_holds_is_cancelled_at_once(
        self, admin: httpx.AsyncClient, connection: Connection
    ) -> None:
        identity = await manual(admin, await created(admin))
        answer = await admin.post(f"/occurrences/{identity}/cancel")
        assert (answer.status_code, answer.json()["status"]) == (200, "CANCELLED")
        assert answer.json()["reason"] == "cancelled-by-hand"
        assert await queued(connection) == []
        shown = (await admin.get(f"/occurrences/{identity}")).json()
        assert {**shown, "completedAt": None} == {**answer.json(), "completedAt": None}

    async def test_what_is_under_way_or_has_ended_is_a_conflict(
        self, admin: httpx.AsyncClient, queue: PostgresDueQueue
    ) -> None:
        identity = await manual(admin, await created(admin))
        [claimed] = await queue.claim(1, AHEAD, None)
        under_way = await admin.post(f"/occurrences/{identity}/cancel")
        await queue.record_ended([outcome(claimed, "COMPLETED")])
        over = await admin.post(f"/occurrences/{identity}/cancel")
        assert [under_way.status_code, over.status_code] == [409, 409]
        assert "PROCESSING" in under_way.json()["detail"]
        assert "COMPLETED" in over.json()["detail"]

    async def test_what_is_held_ahead_is_asked_back_first(
        self, admin: httpx.AsyncClient, connection: Connection, queue: PostgresDueQueue
    ) -> None:
        soon = (datetime.now(UTC) + timedelta(seconds=20)).isoformat()
        path = await created(admin, trigger={"type": "ONE_SHOT", "startAt": soon})
        [claimed] = await queue.claim(1, AHEAD, None)
        cancelling = asyncio.create_task(admin.post(f"/occurrences/{claimed.id}/cancel"))

        async def revoked() -> asyncpg.Record | None:
            return await connection.fetchrow("SELECT sequence, occurrence_id FROM scheduler.revocation")

        revocation = await eventually(revoked, within=5)
        assert revocation["occurrence_id"] == claimed.id
        assert not cancelling.done()
        await queue.release([claimed])
        await connection.execute("UPDATE scheduler.dispatcher SET obeyed = ARRAY[$1::bigint]", revocation["sequence"])
        assert (await cancelling).json()["status"] == "CANCELLED"
        assert (await admin.get(path)).json()["state"] == "COMPLETED", "it was the last one"

    async def test_a_schedule_that_runs_from_completion_goes_on(
        self, admin: httpx.AsyncClient, connection: Connection
    ) -> None:
        path = await created(admin, trigger={"type": "FIXED_DELAY", "delaySec": 30})
        [row] = await queued(connection)
        await admin.post(f"/occurrences/{row['id']}/cancel")
        next_fire_at = datetime.fromisoformat((await admin.get(path)).json()["nextFireAt"])
        assert timedelta(seconds=25) < next_fire_at - datetime.now(UTC) <= timedelta(seconds=30)

    async def test_another_attempt_that_waits_can_be_cancelled(
        self, admin: httpx.AsyncClient, queue: PostgresDueQueue
    ) -> None:
        identity = await manual(admin, await created(admin))
        [claimed] = await queue.claim(1, AHEAD, None)
        retry_at = datetime.now(UTC) + HOUR
        await queue.record_postponed(
            [Postponed(claimed, 1, datetime.now(UTC), 3, retry_at, "no answer", None, None, counts=True)]
        )
        answer = (await admin.post(f"/occurrences/{identity}/cancel")).json()
        assert (answer["status"], len(answer["attempts"])) == ("CANCELLED", 1)


async def test_operators_may_and_viewers_may_not(api: RunningApi, admin: httpx.AsyncClient) -> None:
    path = await created(admin)
    viewer, operator = await api.caller("acme", "viewer"), await api.caller("acme", "operator")
    identity = await manual(admin, path)
    requests = [
        (f"{path}/backfill", past(1)),
        ("/occurrences/replay", {"status": "FAILED"}),
        (f"/occurrences/{identity}/replay", {}),
        (f"/occurrences/{identity}/cancel", {}),
    ]
    for address, body in requests:
        assert (await viewer.post(address, json=body)).status_code == 403, address
        assert (await operator.post(address, json=body)).status_code in {200, 202, 409}, address


async def test_another_tenants_things_are_not_there(api: RunningApi, admin: httpx.AsyncClient) -> None:
    path = await created(admin)
    identity = await manual(admin, path)
    other = await api.caller("other")
    assert (await other.post(f"{path}/backfill", json=past(1))).status_code == 404
    assert (await other.post(f"/occurrences/{identity}/replay")).status_code == 404
    assert (await other.post(f"/occurrences/{identity}/cancel")).status_code == 404
    batch = await other.post("/occurrences/replay", json={"status": "FAILED"})
    assert batch.json()["replayed"] == 0
