"""Results as pictures: one SVG of bars for each figure that several benchmarks share."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from benchmarks.figures import Result

_TITLES = {
    "per_s": "per second (longer is better)",
    "p99_ms": "99th percentile in ms (shorter is better)",
}
_PROGRAM_COLOURS = {"python": "#3b6ea5", "postgres": "#8a5aa8", "nats": "#3f8f5f"}
_WIDTH, _LABEL_WIDTH, _VALUE_WIDTH, _ROW, _TOP = 760, 170, 90, 26, 44
_BAR_WIDTH = _WIDTH - _LABEL_WIDTH - _VALUE_WIDTH


def draw(results: Sequence[Result], folder: Path) -> None:
    """Write the pictures for which there are results into the folder, which is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for figure, title in _TITLES.items():
        rows = [(each["name"], {"python": float(each[figure])}) for each in results if figure in each]
        if rows:
            (folder / f"{figure}.svg").write_text(bars(title, rows), encoding="utf-8")
    rows = [(each["name"], each["cpu_us"]) for each in results if each.get("cpu_us")]
    if rows:
        title = "processor time per item in µs: Python, PostgreSQL, NATS"
        (folder / "cpu_us.svg").write_text(bars(title, rows), encoding="utf-8")


def bars(title: str, rows: Sequence[tuple[str, dict[str, float]]]) -> str:
    """Return an SVG with one bar a row, made of its parts from left to right; all rows share one scale."""
    longest = max(sum(parts.values()) for _, parts in rows) or 1.0
    height = _TOP + _ROW * len(rows) + 12
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" font-family="sans-serif">',
        f'<text x="8" y="22" font-weight="600">{escape(title)}</text>',
    ]
    for number, (name, parts) in enumerate(rows):
        lines += _bar(_TOP + number * _ROW, name, parts, _BAR_WIDTH / longest)
    return "\n".join([*lines, "</svg>\n"])


def _bar(top: int, name: str, parts: dict[str, float], scale: float) -> list[str]:
    lines = [f'<text x="8" y="{top + 14}">{escape(name)}</text>']
    left = float(_LABEL_WIDTH)
    for part, value in parts.items():
        colour = _PROGRAM_COLOURS.get(part, "#777")
        lines.append(f'<rect x="{left:.1f}" y="{top}" width="{value * scale:.1f}" height="18" fill="{colour}"/>')
        left += value * scale
    total = sum(parts.values())
    lines.append(f'<text x="{left + 6:.1f}" y="{top + 14}">{total:,.{0 if total >= 100 else 2}f}</text>')
    return lines
