"""The benchmarks' own figures are right, and each of them is described."""

import importlib
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.__main__ import BENCHMARKS
from benchmarks.figures import median, percentile, result, spread
from benchmarks.machine import machine
from benchmarks.pictures import draw
from benchmarks.table import show

README = Path(importlib.import_module("benchmarks").__path__[0]) / "README.md"
RESULTS = [
    {**result("one", 3, {"fsync": "on"}, per_s=1234.5, cpu_us={"python": 8.0, "nats": 1.5}), "machine": machine()},
    {**result("two & three", 3, p99_ms=4.5, us=None), "machine": machine()},
]


@pytest.mark.parametrize("name", BENCHMARKS)
def test_each_benchmark_is_there_and_described(name: str) -> None:
    module, function = BENCHMARKS[name].split(":")
    assert callable(getattr(importlib.import_module(f"benchmarks.{module}"), function))
    assert f"`{name}`" in README.read_text(encoding="utf-8")


def test_percentiles_are_values_that_occurred() -> None:
    values = [float(number) for number in range(1, 101)]
    assert [percentile(values, share) for share in (0.01, 0.5, 0.99, 1.0)] == [1.0, 50.0, 99.0, 100.0]
    assert percentile([7.0], 0.5) == 7.0
    assert spread([3.0, 1.0, 2.0]) == {"p50_ms": 2.0, "p99_ms": 3.0, "max_ms": 3.0}
    assert median([5.0, 1.0, 3.0]) == 3.0


def test_a_result_leaves_out_what_was_not_measured_and_is_one_json_line() -> None:
    assert "us" not in RESULTS[1]
    assert list(RESULTS[0])[:2] == ["name", "n"]
    assert all("\n" not in json.dumps(each) for each in RESULTS)


def test_pictures_are_well_formed(tmp_path: Path) -> None:
    draw(RESULTS, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"per_s.svg", "p99_ms.svg", "cpu_us.svg"}
    for path in tmp_path.iterdir():
        assert ElementTree.fromstring(path.read_text(encoding="utf-8")).tag.endswith("svg")  # noqa: S314 (our own)


def test_the_table_names_every_benchmark_and_the_machine(capsys: pytest.CaptureFixture[str]) -> None:
    show(RESULTS)
    printed = capsys.readouterr().out
    assert "two & three" in printed
    assert str(machine()["python"]) in printed
