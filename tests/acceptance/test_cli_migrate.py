"""`scheduler migrate`: up, down, and where the database is."""

import json

from tests.acceptance.scheduler_command import scheduler


async def status(url: str) -> dict[str, object]:
    ended = await scheduler("migrate", "status", "--json", environment={"POSTGRES_URL": url})
    answer: dict[str, object] = json.loads(ended.stdout)
    assert ended.exit_code == (0 if answer["upToDate"] else 1)
    return answer


async def test_an_empty_database_goes_up_stays_up_and_comes_down_again(empty_database: str) -> None:
    environment = {"POSTGRES_URL": empty_database}
    before = await status(empty_database)
    assert before["current"] is None
    for _ in range(2):
        ended = await scheduler("migrate", environment=environment)
        assert (ended.exit_code, ended.stdout) == (0, f"the schema is at revision {before['head']}\n")
    assert (await status(empty_database))["upToDate"] is True
    ended = await scheduler("migrate", "down", "base", environment=environment)
    assert (ended.exit_code, ended.stdout) == (0, "the schema is at revision base\n")
    assert (await status(empty_database))["current"] is None


async def test_being_behind_is_told_with_what_to_do(empty_database: str) -> None:
    ended = await scheduler("migrate", "status", environment={"POSTGRES_URL": empty_database})
    assert ended.exit_code == 1
    assert "run `scheduler migrate`" in ended.stdout


async def test_an_unknown_revision_is_refused_in_one_line(database: str) -> None:
    ended = await scheduler("migrate", "down", "9999", environment={"POSTGRES_URL": database})
    assert ended.exit_code == 1
    assert "9999" in ended.error


async def test_a_database_that_is_away_is_told_in_one_line_without_its_password() -> None:
    url = "postgresql://app:hunter2@127.0.0.1:1/scheduler"
    ended = await scheduler("migrate", environment={"POSTGRES_URL": url})
    assert ended.exit_code == 1
    assert ended.error.startswith("PostgreSQL at postgresql://app:***@127.0.0.1:1/scheduler cannot be used")


async def test_a_database_that_does_not_exist_is_told_in_one_line(postgres_url: str) -> None:
    ended = await scheduler("migrate", environment={"POSTGRES_URL": f"{postgres_url}_missing"})
    assert ended.exit_code == 1
    assert "does not exist" in ended.error
