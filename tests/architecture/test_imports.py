"""What the inner layers may import, as lists of what is allowed; .importlinter holds what is forbidden.

An allow-list needs no upkeep when a dependency joins the project: the newcomer is refused here until somebody decides.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = "scheduler_domain"

# Standard modules that would bring a clock, chance, logs or concurrency into code that must only compute.
IMPURE = {"asyncio", "concurrent", "logging", "multiprocessing", "random", "secrets", "subprocess", "threading", "time"}
PURE_STANDARD = sys.stdlib_module_names - IMPURE

DATE_LIBRARIES = {"croniter", "cron_descriptor", "dateutil", "holidays", "tzdata"}

# Per layer: the names from outside the package, and the parts of the package itself.
ALLOWED = {
    "domain/triggers": (PURE_STANDARD | DATE_LIBRARIES, ["domain.triggers"]),
    "domain": (PURE_STANDARD | DATE_LIBRARIES | {"msgspec"}, ["domain"]),
    "application": (sys.stdlib_module_names | {"msgspec"}, ["application", "domain"]),
}


def imported_modules(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and absolute name of each import in a file, wherever in the file it stands."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            prefix = package[: len(package) - node.level + 1] if node.level else ()
            yield node.lineno, ".".join((*prefix, *filter(None, [node.module])))


def is_allowed(module: str, outside: frozenset[str], inside: list[str]) -> bool:
    if module.split(".", maxsplit=1)[0] != PACKAGE:
        return module.split(".", maxsplit=1)[0] in outside
    return any(module == own or module.startswith(f"{own}.") for own in inside)


@pytest.mark.parametrize("layer", ALLOWED)
def test_a_layer_imports_only_what_it_is_allowed(layer: str) -> None:
    outside, inside = ALLOWED[layer]
    own = [f"{PACKAGE}.{name}" for name in inside]
    refused = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in sorted((ROOT / PACKAGE / layer).rglob("*.py"))
        for line, module in imported_modules(path)
        if not is_allowed(module, outside, own)
    ]
    assert refused == []
