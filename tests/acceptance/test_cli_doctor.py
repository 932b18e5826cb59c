"""`scheduler doctor`: each thing that can be wrong is named with how to mend it."""

import json
from collections.abc import Mapping

from scheduler_domain.infra.embedded import ServerUrls
from tests.acceptance.scheduler_command import scheduler

IDENTITY = {
    "JWT_SECRET": "0123456789abcdef0123456789abcdef",
    "JWT_ISSUER": "https://issuer.example",
    "JWT_AUDIENCE": "scheduler",
}


async def checks(environment: Mapping[str, str], *, exit_code: int) -> dict[str, dict[str, str]]:
    ended = await scheduler("doctor", "--json", environment=environment)
    assert ended.exit_code == exit_code, ended.stdout + ended.stderr
    return {check["check"]: check for check in json.loads(ended.stdout)}


async def test_in_a_good_installation_nothing_is_broken(database: str, servers: ServerUrls) -> None:
    found = await checks(
        {"POSTGRES_URL": database, "NATS_URL": servers.nats_url, "REDIS_URL": servers.redis_url, **IDENTITY},
        exit_code=0,
    )
    for check in ("tokens", "time zones", "PostgreSQL", "clocks", "migrations", "NATS", "Redis"):
        assert found[check]["state"] == "ok", found[check]


async def test_a_database_without_tables_is_to_be_migrated(empty_database: str, servers: ServerUrls) -> None:
    found = await checks({"POSTGRES_URL": empty_database, "NATS_URL": servers.nats_url}, exit_code=1)
    assert found["migrations"]["state"] == "broken"
    assert found["migrations"]["toDo"] == "run `scheduler migrate`"


async def test_servers_that_are_away_are_broken_but_for_redis_which_only_spares_work() -> None:
    found = await checks(
        {
            "POSTGRES_URL": "postgresql://app@127.0.0.1:1/scheduler",
            "NATS_URL": "nats://127.0.0.1:1",
            "REDIS_URL": "redis://127.0.0.1:1",
        },
        exit_code=1,
    )
    assert {name: found[name]["state"] for name in ("PostgreSQL", "NATS", "Redis")} == {
        "PostgreSQL": "broken",
        "NATS": "broken",
        "Redis": "warning",
    }
    assert "POSTGRES_URL" in found["PostgreSQL"]["toDo"]


async def test_with_nothing_set_it_says_what_to_set() -> None:
    found = await checks({}, exit_code=1)
    assert "`scheduler dev`" in found["PostgreSQL"]["toDo"]
    assert found["tokens"]["state"] == "warning"
    assert found["Redis"]["state"] == "ok"


async def test_an_unreadable_environment_is_the_only_finding() -> None:
    found = await checks({"PORT": "http"}, exit_code=1)
    assert list(found) == ["configuration"]
    assert found["configuration"]["found"] == "PORT=http: a whole number from 0 to 65535 is accepted"


async def test_without_json_it_prints_a_table() -> None:
    ended = await scheduler("doctor")
    assert ended.exit_code == 1
    assert ended.stdout.splitlines()[0].split() == ["CHECK", "STATE", "FOUND", "TO", "DO"]
