"""Parameters to try a new template with, made from its schema alone."""

from typing import Any, Final

_BY_FORMAT: Final = {
    "date": "2028-02-29",
    "local-time": "09:00",
    "date-time": "2100-01-01T00:00:00Z",
    "time-zone": "Europe/Berlin",
}


def sample_parameters(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a value for each parameter: its default, its first example or case, or one that its type suggests.

    >>> sample_parameters({"properties": {"day": {"type": "string", "format": "date"}, "n": {"enum": [3, 5]}}})
    {'day': '2028-02-29', 'n': 3}
    """
    return {name: _sample(known) for name, known in schema.get("properties", {}).items()}


def _sample(known: Any) -> Any:
    if not isinstance(known, dict):
        return "sample"
    told = [known[name] for name in ("default", "const") if name in known]
    told += [known[name][0] for name in ("examples", "enum") if known.get(name)]
    return told[0] if told else _sample_of_type(known)


def _sample_of_type(known: dict[str, Any]) -> Any:
    match known.get("type"):
        case "integer" | "number":
            return known.get("minimum", known.get("maximum", 1))
        case "boolean":
            return True
        case "array":
            return []
        case "object":
            return {}
        case _:
            return _sample_text(known)


def _sample_text(known: dict[str, Any]) -> str:
    text = _BY_FORMAT.get(known.get("format", ""), "sample")
    return text.ljust(known.get("minLength", 0), "x")[: known.get("maxLength", len(text) + 2_000)]
