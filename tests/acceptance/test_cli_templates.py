"""`scheduler templates` against a running API: a file of people becomes their birthdays, and says so line by line."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.acceptance.scheduler_command import Ended, scheduler
from tests.integration.api_server import RunningApi, environment, running_api, token

PEOPLE = """\ufeffkey,first_name,Last Name,dateOfBirth,TZ,send-at,notes
p1,Ada,Lovelace,1988-12-10,Europe/London,,x
p2,Alan,Turing,1912-06-23,Europe/London,08:30,
,,,,,,
p3,Grace,Hopper,1906-12-09,Nowhere,,
p4,"Radia
Perlman",P,1951-12-18,America/New_York,,
p5,Edsger,Dijkstra,1930-05-32,Europe/Amsterdam,,
"""


@pytest.fixture
async def api(database: str) -> AsyncIterator[RunningApi]:
    async with running_api(environment(database)) as running:
        yield running


async def run(api: RunningApi, *arguments: str) -> Ended:
    variables = {"SCHEDULER_URL": api.url, "SCHEDULER_TOKEN": token("acme"), "SCHEDULER_TENANT": "acme"}
    return await scheduler("templates", *arguments, environment=variables)


def write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def write_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)


@pytest.fixture
def people(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text(PEOPLE, encoding="utf-8")
    return path


async def test_templates_are_listed_and_shown(api: RunningApi) -> None:
    listed = await run(api, "list")
    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["NAME", "anniversary", "birthday", "reminder"]
    shown = await run(api, "show", "birthday")
    assert "FEB_28 | MAR_1 | LEAP_YEARS_ONLY" in shown.stdout
    assert "dateOfBirth  date" in shown.stdout
    assert json.loads((await run(api, "show", "birthday", "--json")).stdout)["builtIn"] is True


async def test_a_preview_says_in_words_what_becomes_of_a_leap_day(api: RunningApi) -> None:
    person = {"firstName": "Ada", "lastName": "L", "dateOfBirth": "1988-02-29", "tz": "UTC", "leapDay": "MAR_1"}
    ended = await run(api, "preview", "birthday", *(f"-p{name}={value}" for name, value in person.items()))
    assert ended.exit_code == 0, ended.stderr
    assert "in common years on 1 March" in ended.stdout
    assert "2027-03-01 09:00:00" in ended.stdout


async def test_a_file_is_applied_line_by_line_and_again_without_a_change(api: RunningApi, people: Path) -> None:
    first = await run(api, "apply", "birthday", str(people), "--ignore", "notes")
    assert first.exit_code == 1
    assert first.stdout.strip() == "2 created, 0 changed, 0 unchanged, 3 failed"
    assert [line.split(":")[0] for line in first.stderr.splitlines()] == ["line 5 (p3)", "line 7 (p4)", "line 8 (p5)"]
    mended = PEOPLE.replace("Nowhere", "UTC").replace("-05-32", "-05-11").replace('"Radia\nPerlman"', "Radia")
    write(people, mended.replace("08:30", "10:00"))
    would = await run(api, "apply", "birthday", str(people), "--ignore", "notes", "--dry-run")
    assert would.stdout.strip() == "would be: 3 created, 1 changed, 1 unchanged, 0 failed"
    second = await run(api, "apply", "birthday", str(people), "--ignore", "notes")
    assert (second.exit_code, second.stdout.strip()) == (0, "3 created, 1 changed, 1 unchanged, 0 failed")
    third = await run(api, "apply", "birthday", str(people), "--ignore", "notes", "--json")
    assert json.loads(third.stdout)["summary"] == {"created": 0, "changed": 0, "unchanged": 5, "failed": 0}


async def test_a_column_that_goes_nowhere_is_refused_and_nothing_is_sent(api: RunningApi, people: Path) -> None:
    write(people, "key,first_name,lastname,birthday,tz\np1,A,L,1988-12-10,UTC\n")
    ended = await run(api, "apply", "birthday", str(people))
    assert ended.exit_code == 1
    assert "no parameter is named birthday" in ended.stderr
    assert "no column is named dateOfBirth" in ended.stderr
    write(people, "name\nx\n")
    assert "--key COLUMN" in (await run(api, "apply", "birthday", str(people))).stderr


async def test_another_column_may_be_the_key(api: RunningApi, people: Path) -> None:
    write(people, "Number,firstName,lastName,dateOfBirth,tz\n7,A,L,1988-12-10,UTC\n")
    ended = await run(api, "apply", "birthday", str(people), "--key", "number")
    assert ended.stdout.strip() == "1 created, 0 changed, 0 unchanged, 0 failed", ended.stderr


async def test_ndjson_is_sent_as_it_is_and_parameters_may_stand_beside_the_key(api: RunningApi, tmp_path: Path) -> None:
    person = {"firstName": "A", "lastName": "L", "dateOfBirth": "1988-12-10", "tz": "UTC"}
    path = tmp_path / "people.ndjson"
    lines = [{"key": "a", "parameters": person}, {"key": "b", **person}]
    write(path, "\n\n".join(json.dumps(line) for line in lines) + "\n{broken\n")
    ended = await run(api, "apply", "birthday", str(path))
    assert ended.stdout.strip() == "2 created, 0 changed, 0 unchanged, 1 failed"
    assert ended.stderr.startswith("line 4 (no key): ")


async def test_a_file_that_is_no_text_is_refused_in_words(api: RunningApi, tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    write_bytes(path, b"key,\xff\xfe\n")
    ended = await run(api, "apply", "birthday", str(path))
    assert (ended.exit_code, "CSV in UTF-8" in ended.stderr) == (1, True)
    other = tmp_path / "people.xlsx"
    write_bytes(other, b"")
    assert ".csv, .ndjson or .jsonl" in (await run(api, "apply", "birthday", str(other))).stderr
