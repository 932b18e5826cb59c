"""The document that describes the API: complete, consistent, and the one in the repository."""

import re
from pathlib import Path
from typing import Any

import msgspec

from scheduler_domain.domain import errors
from scheduler_domain.entrypoints.http_api import openapi
from scheduler_domain.entrypoints.http_api.app import ROUTES
from scheduler_domain.entrypoints.http_api.documents.older_openapi import in_openapi_30
from scheduler_domain.entrypoints.http_api.operations import operation_of
from scheduler_domain.entrypoints.http_api.problems import STATUS_BY_CODE, TITLES

ROOT = Path(__file__).parents[2]
DOCUMENT = openapi.document_of(ROUTES)


def walked(value: Any) -> list[dict[str, Any]]:
    """Return every object of the document."""
    if isinstance(value, list):
        return [found for item in value for found in walked(item)]
    if not isinstance(value, dict):
        return []
    return [value, *(found for member in value.values() for found in walked(member))]


def operations() -> list[dict[str, Any]]:
    return [operation for path in DOCUMENT["paths"].values() for operation in path.values()]


def test_the_copy_in_the_repository_is_what_the_api_serves() -> None:
    assert openapi.main(["--check", str(ROOT / "openapi/openapi.json")]) == 0


def test_a_copy_that_differs_is_noticed(tmp_path: Path, capsys: Any) -> None:
    copy = tmp_path / "openapi.json"
    assert openapi.main(["--check", str(copy)]) == 1
    assert openapi.main(["--write", str(copy)]) == 0
    assert openapi.main(["--check", str(copy)]) == 0
    copy.write_text("{}")
    assert openapi.main(["--check", str(copy)]) == 1
    assert "--write" in capsys.readouterr().err


def test_every_route_says_what_it_is() -> None:
    for handler in ROUTES:
        operation = operation_of(handler)
        assert operation is not None, handler
        assert operation.is_public or operation.role is not None, handler


def test_every_reference_leads_somewhere_and_every_component_is_used() -> None:
    references = {found["$ref"] for found in walked(DOCUMENT) if isinstance(found.get("$ref"), str)}
    named = {
        f"#/components/{kind}/{name}" for kind in ("schemas", "responses") for name in DOCUMENT["components"][kind]
    }
    assert references - named == set()
    assert named - references == set()


def test_operation_ids_are_unique_and_path_parameters_are_described() -> None:
    ids = [operation["operationId"] for operation in operations()]
    assert len(ids) == len(set(ids))
    for path, methods in DOCUMENT["paths"].items():
        for operation in methods.values():
            described = {item["name"] for item in operation.get("parameters", []) if item["in"] == "path"}
            assert described == set(re.findall(r"{(\w+)}", path)), path


def test_every_operation_tells_its_problems() -> None:
    for operation in operations():
        codes = set(operation["responses"])
        assert {"405", "500"} <= codes
        assert operation.get("security") != [{"token": []}] or {"401", "403", "429", "503"} <= codes
        assert "security" not in operation or {"401", "429", "503"} <= codes


def test_examples_are_what_the_api_accepts() -> None:
    for handler in ROUTES:
        operation = operation_of(handler)
        assert operation is not None
        for example in operation.examples.values():
            if isinstance(operation.body, type):
                msgspec.convert(example, operation.body)


def test_the_older_document_has_nothing_newer() -> None:
    older = in_openapi_30(DOCUMENT)
    assert older["openapi"] == "3.0.3"
    for found in walked(older):
        assert {"type": "null"} not in found.get("anyOf", [])
        assert not isinstance(found.get("type"), list)
        assert not ("$ref" in found and len(found) > 1), found


def test_every_refusal_of_the_domain_has_a_status_and_a_title() -> None:
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.SchedulerError)
    ]
    codes = {kind.code for kind in kinds} - {"error", "configuration"}
    assert codes <= STATUS_BY_CODE.keys()
    assert STATUS_BY_CODE.keys() == TITLES.keys()
