"""What the API stores says which instant a cursor means, and by which edition of the tz database."""

from datetime import UTC, datetime
from typing import Any

import asyncpg
import httpx

from scheduler_domain.domain.triggers import tzdata_version
from tests.integration.api_server import definition

NOON_IN_TOKYO = {"type": "CRON", "cron": "0 12 * * *"}
NINE_IN_TOKYO = {"type": "CRON", "cron": "0 9 * * *"}


async def cursor(connection: asyncpg.Connection) -> tuple[datetime | None, str | None, str]:
    """The instant, the local time that it stands for, and the edition."""
    row = await connection.fetchrow("SELECT next_fire_at, next_order_ms, tzdata FROM scheduler.schedule_cursor")
    local = row["next_order_ms"]
    shown = None if local is None else f"{datetime.fromtimestamp(local / 1000, UTC):%H:%M}"
    return row["next_fire_at"], shown, row["tzdata"]


async def created(admin: httpx.AsyncClient, **more: Any) -> str:
    answer = await admin.post("/schedules", json=definition(tz="Asia/Tokyo", trigger=NOON_IN_TOKYO, **more))
    assert answer.status_code == 201, answer.text
    return f"/schedules/{answer.json()['id']}"


async def test_a_new_schedule_names_its_first_instant(admin: httpx.AsyncClient, connection: asyncpg.Connection) -> None:
    await created(admin)
    at, shown, edition = await cursor(connection)
    assert at is not None
    assert (f"{at:%H:%M}", shown, edition) == ("03:00", "12:00", tzdata_version())


async def test_an_edit_of_the_trigger_a_pause_and_a_resume_name_theirs(
    admin: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    path = await created(admin)
    await admin.patch(path, json={"trigger": NINE_IN_TOKYO})
    assert (await cursor(connection))[1:] == ("09:00", tzdata_version())
    await admin.post(f"{path}/pause")
    assert await cursor(connection) == (None, None, tzdata_version())
    await admin.post(f"{path}/resume")
    assert (await cursor(connection))[1:] == ("09:00", tzdata_version())


async def test_an_edit_that_moves_nothing_leaves_the_edition_to_whoever_follows(
    admin: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    path = await created(admin)
    await connection.execute("UPDATE scheduler.schedule_cursor SET tzdata = '2020a'")
    answer = await admin.patch(path, json={"name": "another"})
    assert answer.status_code == 200
    assert (await cursor(connection))[1:] == ("12:00", "2020a")
