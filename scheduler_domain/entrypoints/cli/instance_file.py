"""A file of people, contracts or reminders as lines for the API: CSV by its header, NDJSON as it is.

A column goes to the parameter of the same name, whatever its case and separators: `first_name` is `firstName`. A column
that goes nowhere is refused, since a misspelt one would quietly leave a default in place. Text becomes what the
template's schema says a parameter is; what does not fit stays text, for the API to say so with the line.
"""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, TextIO

from scheduler_domain.domain.errors import ConfigurationError
from scheduler_domain.entrypoints.cli.definition import parsed_json

_TRUTHS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True, slots=True)
class FileLine:
    """One line for the API, and the number it has in the file."""

    number: int
    text: bytes


@dataclass(frozen=True, slots=True)
class Columns:
    """How the header was read: the key's column, and the parameter that each other column goes to."""

    key: str
    parameters: dict[str, str]


def read_lines(
    path: Path, schema: dict[str, Any], key: str | None, ignored: Iterable[str], seen: Callable[[int], None]
) -> Iterator[FileLine]:
    """Yield the file's lines; `seen` is told how many bytes of it have been read.

    ConfigurationError where the header does not fit the template, and for a file of another kind.
    """
    match path.suffix.lower():
        case ".csv":
            try:
                with path.open(encoding="utf-8-sig", newline="") as text:
                    yield from _of_csv(text, schema, key, ignored, seen)
            except (UnicodeDecodeError, csv.Error) as error:
                raise ConfigurationError(f"{path}: CSV in UTF-8 is accepted: {error}") from None
        case ".ndjson" | ".jsonl":
            with path.open("rb") as lines:
                yield from _of_ndjson(lines, key or "key", seen)
        case _:
            raise ConfigurationError(f"{path}: a file that ends in .csv, .ndjson or .jsonl is accepted")


def columns_of(header: list[str], schema: dict[str, Any], key: str | None, ignored: Iterable[str]) -> Columns:
    """Return which column goes where; ConfigurationError with every column and parameter that is left over."""
    by_folded = {_folded(name): name for name in schema.get("properties", {})}
    key_column = next((name for name in header if _folded(name) == _folded(key or "key")), None)
    if key_column is None:
        wanted = key or "key"
        raise ConfigurationError(
            f"no column is named {wanted}: name the one that tells your lines apart with --key COLUMN"
        )
    left_out = {_folded(name) for name in ignored}
    others = [name for name in header if name != key_column and _folded(name) not in left_out]
    taken = {name: by_folded[_folded(name)] for name in others if _folded(name) in by_folded}
    if _folded(key_column) in by_folded:
        taken[key_column] = by_folded[_folded(key_column)]
    unknown = [name for name in others if name not in taken]
    missing = [name for name in schema.get("required", ()) if name not in taken.values()]
    problems = [
        f"no parameter is named {', '.join(unknown)}: leave columns out with --ignore COLUMN" if unknown else "",
        f"no column is named {', '.join(missing)}" if missing else "",
        "two columns go to the same parameter" if len(set(taken.values())) < len(taken) else "",
    ]
    if any(problems):
        there_are = ", ".join(schema.get("properties", {}))
        raise ConfigurationError(f"{'; '.join(filter(None, problems))} (parameters: {there_are})")
    return Columns(key_column, taken)


def _of_csv(
    text: TextIO, schema: dict[str, Any], key: str | None, ignored: Iterable[str], seen: Callable[[int], None]
) -> Iterator[FileLine]:
    rows = csv.reader(text)
    header = next(rows, [])
    columns = columns_of(header, schema, key, ignored)
    kinds = {name: known.get("type") for name, known in schema.get("properties", {}).items()}
    for row in rows:
        if not any(row):
            continue
        cells = dict(zip(header, row, strict=False))
        given = {
            parameter: _value(cells[column], kinds[parameter])
            for column, parameter in columns.parameters.items()
            if cells.get(column, "") != ""
        }
        seen(sum(map(len, row)) + len(row))
        yield FileLine(rows.line_num, _encoded({"key": cells.get(columns.key, ""), "parameters": given}))


def _of_ndjson(lines: BinaryIO, key: str, seen: Callable[[int], None]) -> Iterator[FileLine]:
    for number, line in enumerate(lines, 1):
        seen(len(line))
        if not line.isspace():
            yield FileLine(number, _with_parameters(line, key))


def _with_parameters(line: bytes, key: str) -> bytes:
    """Return the line in the API's form: parameters may also stand beside the key. What is no JSON stays as it is."""
    if key == "key" and b'"parameters"' in line:
        return line.rstrip(b"\r\n")
    try:
        item = parsed_json(line)
    except ValueError:
        return line.rstrip(b"\r\n")
    if not isinstance(item, dict) or "parameters" in item:
        return line.rstrip(b"\r\n")
    name = str(item.get(key, ""))
    return _encoded({"key": name, "parameters": {other: value for other, value in item.items() if other != "key"}})


def _value(text: str, kind: object) -> Any:
    match kind:
        case "boolean":
            return _TRUTHS.get(text.strip().lower(), text)
        case "integer" | "number" | "array" | "object":
            try:
                return parsed_json(text)
            except ValueError:
                return text
        case _:
            return text


def _folded(name: str) -> str:
    """
    >>> _folded("First Name"), _folded("first_name"), _folded("firstName")
    ('firstname', 'firstname', 'firstname')
    """
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _encoded(item: object) -> bytes:
    return json.dumps(item, ensure_ascii=False).encode()
