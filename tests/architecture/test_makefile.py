"""The Makefile explains itself, and says in one line what a machine lacks."""

import os
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def make(*arguments: str, folder: Path = ROOT, path: str = os.defpath) -> subprocess.CompletedProcess[str]:
    program = shutil.which("make", path=os.environ.get("PATH", os.defpath))
    assert program is not None, "GNU make is needed"
    return subprocess.run(
        [program, "--no-print-directory", *arguments],
        cwd=folder,
        env={"PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def targets() -> set[str]:
    lines = re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    return {target for line in lines for target in line.split()}


def test_make_alone_explains_every_target() -> None:
    explained = set(re.findall(r"^  make (\w+)", make().stdout, re.MULTILINE))
    assert explained == targets()


def test_ci_runs_only_targets_that_a_person_can_run() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    checks = re.search(r"for check in (.+); do", script)
    assert checks is not None
    assert set(checks.group(1).split()) <= targets()
    subprocess.run(["/bin/bash", "-n", str(ROOT / ".ci" / "run")], check=True)


def test_a_machine_without_a_fitting_python_is_told_so_in_one_line(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "bin").mkdir()
    refused = make("install", folder=tmp_path, path=str(tmp_path / "bin"))
    first, *rest = refused.stderr.splitlines()
    assert first.startswith(
        "make: Python 3.11 or newer with venv and pip was not found on PATH; install it or say PYTHON="
    )
    assert all("Error 1" in line for line in rest)
    assert not (tmp_path / ".venv").exists()
