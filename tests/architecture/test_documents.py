"""What the documents name exists: files, links, settings, states, errors, commands."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import scheduler_domain
from scheduler_domain.domain import errors
from scheduler_domain.domain.occurrence import Status
from scheduler_domain.domain.schedule import ScheduleState

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "benchmarks" / "README.md"])
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))

# Files of other tools that our documents speak about.
FOREIGN = {"uv.lock", "pylock.toml"}

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_FILE_NAME = re.compile(r"[\w./-]*\w\.(?:py|sql|md|toml|json|yaml|conf|lock)")
_IDENTIFIER = re.compile(r"[a-z]+(?:_[a-z]+)+")
_VARIABLE = re.compile(r"[A-Z]+(?:_[A-Z]+)+")
_KEBAB = re.compile(r"(?:misfire|schedule|retries)-[a-z]+")


def named(document: Path) -> str:
    return str(document.relative_to(ROOT))


@cache
def files() -> tuple[str, ...]:
    """Every file that belongs to the project, as a path from its root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    return tuple(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines())


@cache
def source() -> str:
    """All that is no prose: what a name in a document must be found in."""
    endings = (".py", ".sql", ".toml", ".yaml", "Makefile", ".example")
    paths = (ROOT / name for name in files() if name.endswith(endings))
    return "\n".join(path.read_text(encoding="utf-8") for path in paths if path.is_file())


def code_spans(document: Path) -> list[str]:
    return _CODE_SPAN.findall(_FENCE.sub("", document.read_text(encoding="utf-8")))


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_every_link_to_a_file_leads_to_one(document: Path) -> None:
    targets = (link.partition("#")[0] for link in _LINK.findall(_FENCE.sub("", document.read_text(encoding="utf-8"))))
    local = [target for target in targets if target and not re.match(r"[a-z]+:", target)]
    assert [target for target in local if not (document.parent / target).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_every_file_that_is_named_exists(document: Path) -> None:
    mentioned = {span for span in code_spans(document) if _FILE_NAME.fullmatch(span)} - FOREIGN
    endings = {"/" + name for name in files()}
    assert [name for name in mentioned if not any(ending.endswith("/" + name) for ending in endings)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
@pytest.mark.parametrize("kind", [_IDENTIFIER, _VARIABLE, _KEBAB], ids=["identifier", "variable", "reason"])
def test_every_name_in_code_style_is_found_in_the_code(document: Path, kind: re.Pattern[str]) -> None:
    assert [span for span in code_spans(document) if kind.fullmatch(span) and span not in source()] == []


def test_the_map_names_what_there_is() -> None:
    package = Path(scheduler_domain.__file__).parent
    path = re.compile(r"\b(?:application|domain|infra|entrypoints|bootstrap)(?:/\w+)*(?:\.py)?")
    mentioned = path.findall(str(scheduler_domain.__doc__))
    assert len(mentioned) > 8
    assert [name for name in mentioned if not (package / name).exists()] == []


def test_the_version_is_said_once_in_effect() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert scheduler_domain.__version__ == project["version"]


def test_all_states_are_explained() -> None:
    explained = (ROOT / "docs" / "states.md").read_text(encoding="utf-8")
    assert [state for state in (*ScheduleState, *Status) if f"`{state}`" not in explained] == []


def error_codes() -> Iterator[tuple[str, str]]:
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, errors.SchedulerError) and kind is not errors.SchedulerError:
            yield name, kind.code


def test_each_error_is_in_the_table_and_in_the_tree() -> None:
    table = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    assert [name for name, code in error_codes() if f"`{code}`" not in table] == []
    assert [
        name for name, code in error_codes() if not re.search(rf"\b{name}\b.*\b{code}\b", str(errors.__doc__))
    ] == []


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [int(path.name[:4]) for path in DECISIONS] == list(range(1, len(DECISIONS) + 1))


@pytest.mark.parametrize("decision", DECISIONS, ids=named)
def test_a_decision_says_context_choice_price_and_when_to_look_again(decision: Path) -> None:
    headings = re.findall(r"^## (.*)$", decision.read_text(encoding="utf-8"), re.MULTILINE)
    assert headings == ["Context", "Choice", "Price", "When to look again"]


def test_no_module_has_a_name_that_says_nothing() -> None:
    empty = {"utils", "util", "helpers", "common", "manager", "base", "misc", "core"}
    assert [name for name in files() if Path(name).suffix == ".py" and Path(name).stem in empty] == []


def test_every_module_of_the_package_says_what_it_is_for() -> None:
    modules = [ROOT / name for name in files() if name.startswith("scheduler_domain/") and name.endswith(".py")]
    written = [path for path in modules if path.is_file() and path.read_text(encoding="utf-8").strip()]
    silent = [named(path) for path in written if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))]
    assert silent == []
