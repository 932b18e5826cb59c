"""Zones as stretches of constant offset say the same as `zoneinfo`, instant by instant."""

import importlib.resources
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scheduler_domain.domain.triggers import TriggerError, tzdata_version, wall_time, zone_names
from scheduler_domain.domain.triggers.tzif import YearlyRule, parse, parse_footer
from scheduler_domain.domain.triggers.zones import BEGINNING_OF_TIME, load_zone
from tests.unit.triggers import oracle

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def offset(name: str, second: int) -> int:
    at = EPOCH + timedelta(seconds=second)
    found = at.astimezone(oracle.zone(name)).utcoffset()
    assert found is not None
    return int(found.total_seconds())


def test_every_zone_has_the_offsets_of_zoneinfo_at_and_around_each_change() -> None:
    last = int((datetime(2200, 12, 1, tzinfo=UTC) - EPOCH).total_seconds())
    for name in zone_names():
        zone = load_zone(name)
        for start in zone.starts[1:-1]:
            if -60_000_000_000 < start < last:
                assert zone.offset_at(start) == offset(name, start), (name, start)
                assert zone.offset_at(start - 1) == offset(name, start - 1), (name, start)


def test_no_change_of_a_zone_is_missing() -> None:
    for name in zone_names():
        zone = load_zone(name)
        for second in range(-2_000_000_000, 7_000_000_000, 8_000_003):
            assert zone.offset_at(second) == offset(name, second), (name, second)


def test_stretches_are_longer_than_the_jumps_at_their_ends() -> None:
    """The walker looks one stretch back for gaps and folds; a shorter one would hide a jump behind another."""
    for name in zone_names():
        zone = load_zone(name)
        for at in range(1, len(zone.offsets) - 1):
            jump = abs(zone.offsets[at] - zone.offsets[at - 1])
            assert zone.starts[at + 1] - zone.starts[at] >= jump, (name, zone.starts[at])


@pytest.mark.parametrize("name", ["Europe/Berlin", "America/St_Johns", "Pacific/Apia", "Africa/Casablanca"])
def test_a_local_time_is_placed_as_pep_495_places_it(name: str) -> None:
    zone, tz = load_zone(name), oracle.zone(name)
    for start in zone.starts[1:-1]:
        if not 0 < start < 2_000_000_000:
            continue
        for away in range(-90_000, 90_000, 900):
            local = start + away
            naive = datetime(1970, 1, 1) + timedelta(seconds=local)  # noqa: DTZ001 - a wall time
            expected = naive.replace(tzinfo=tz).astimezone(UTC)
            assert EPOCH + timedelta(seconds=zone.utc_of(local)) == expected


def test_pseudo_zones_paths_and_unknown_names_are_refused() -> None:
    for name in (
        "",
        "localtime",
        "posixrules",
        "Factory",
        "../../etc/passwd",
        "posix/UTC",
        "Europe",
        "CEST",
        "X" * 5000,
    ):
        with pytest.raises(TriggerError) as refusal:
            load_zone(name)
        assert (refusal.value.code, refusal.value.field) == ("unknown-zone", "tz")


def test_a_misspelt_zone_is_answered_with_the_one_that_was_meant() -> None:
    with pytest.raises(TriggerError, match="did you mean Europe/Berlin"):
        load_zone("Europe/Berln")


def test_the_edition_of_the_database_is_a_year_and_a_letter() -> None:
    assert tzdata_version()[:4].isdigit()
    assert tzdata_version()[4:].isalpha()


def test_footers_in_all_three_notations_are_read() -> None:
    assert parse_footer("<+0530>-5:30") == 19_800
    assert parse_footer("EST5") == -18_000
    julian = parse_footer("AAA0BBB,J60/0,J300/0")
    counted = parse_footer("AAA0BBB,59/0,299/0")
    assert isinstance(julian, YearlyRule)
    assert isinstance(counted, YearlyRule)
    assert [at for at, _ in julian.transitions(2023)] == [at for at, _ in counted.transitions(2023)]
    # day J60 is always 1 March, day 59 is 29 February in a leap year
    assert next(julian.transitions(2024))[0] - next(counted.transitions(2024))[0] == 86_400


def test_what_is_no_tzif_file_is_refused() -> None:
    with pytest.raises(ValueError, match="not a TZif file"):
        parse(b"\0" * 100)
    with pytest.raises(ValueError, match="not a POSIX TZ rule"):
        parse_footer("nonsense")


def test_a_zone_begins_before_all_times() -> None:
    assert load_zone("UTC").starts[0] == BEGINNING_OF_TIME


def test_a_database_that_an_operator_chooses_wins(tmp_path: Path) -> None:
    tokyo = importlib.resources.files("tzdata").joinpath("zoneinfo", "Asia", "Tokyo").read_bytes()
    (tmp_path / "Europe").mkdir()
    (tmp_path / "Europe" / "Berlin").write_bytes(tokyo)
    (tmp_path / "tzdata.zi").write_text("# version 2099z\n", "ascii")
    script = (
        "from scheduler_domain.domain.triggers import tzdata_version, zones; "
        "print(tzdata_version(), zones.load_zone('Europe/Berlin').offset_at(0), zones.load_zone('UTC').offset_at(0))"
    )
    environment = {**os.environ, "PYTHONTZPATH": str(tmp_path)}
    found = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["2099z", "32400", "0"]


def test_the_wall_time_of_an_instant_is_read_from_the_same_database() -> None:
    at = datetime(2026, 10, 25, 1, 30, 0, 250_000, tzinfo=UTC)
    assert wall_time(at, "Europe/Berlin").isoformat() == "2026-10-25T02:30:00.250000"
    assert wall_time(at, "Asia/Kathmandu").isoformat() == "2026-10-25T07:15:00.250000"
