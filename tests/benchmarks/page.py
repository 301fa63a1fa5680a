"""The page of the documentation that shows what was measured: its numbers, its table, its plots."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.run import Point, Result, Run

NUMBERS: Final = "speed.json"
PAGE: Final = "speed.md"
PLOTS: Final = "speed"
#: What stands between these lines of the page is made here.
PLACE: Final = re.compile(r"(?<=<!-- measured -->\n)(.*)(?=<!-- end -->)", re.DOTALL)


class Numbers(NamedTuple):
    """All that the page shows."""

    environment: dict[str, Any]
    results: list[Result]
    points: list[Point]

    @property
    def text(self) -> str:
        """What stands in the page."""
        facts = ", ".join(f"{name} {value}" for name, value in self.environment.items())
        disk = _of_the_disk([it for it in self.points if it.plot == "storage"])
        return f"\nMeasured with {facts}.\n\n{table(self.results)}\n\n{disk}\n\n"


def table(results: Iterable[Result]) -> str:
    """Return all numbers as a table, in the order of their targets; other numbers come last."""
    head = ["", "What", "Measured", "Target", "Floor", "Met"]
    return _lined_up(head, [_cells(it) for it in sorted(results, key=_order)])


def _of_the_disk(points: Sequence[Point]) -> str:
    """Return what real documents take as a table."""
    if not points:
        return "In this run no real documents were there."
    lines, names = ([*dict.fromkeys(it[place] for it in points)] for place in (1, 2))
    found = {(it.line, it.x): figure(it.y) for it in points}
    rows = [[str(name), *(found[line, name] for line in lines)] for name in names]
    return _lined_up(["kB on the disk", *map(str, lines)], rows)


def _lined_up(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _order(result: Result) -> int:
    return int(result.target[1:] or 99)


def _cells(it: Result) -> list[str]:
    floor = "" if it.floor is None else figure(it.floor)
    return [it.target, it.what, f"{figure(it.value)} {it.unit}", it.goal, floor, it.met]


def figure(value: float) -> str:
    """Write a number with three digits, or with all of them before the point."""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def show(run: Run) -> None:
    """Print all numbers."""
    print(f"\n{table(run.results)}", flush=True)


def keep(run: Run, folder: Path) -> None:
    """Write all numbers into a file, one a line."""
    results = [{**it._asdict(), "met": it.met} for it in run.results]
    parts = {"results": results, "points": [it._asdict() for it in run.points]}
    lines = [f' "{name}": [\n  {_lines(items)}\n ]' for name, items in parts.items()]
    text = ",\n".join([f' "environment": {json.dumps(run.environment)}', *lines])
    (folder / NUMBERS).write_text(f"{{\n{text}\n}}\n", encoding="utf-8")


def _lines(items: Sequence[Any]) -> str:
    return ",\n  ".join(json.dumps(item, ensure_ascii=False) for item in items)


def numbers(folder: Path) -> Numbers:
    """Read them again."""
    kept = json.loads((folder / NUMBERS).read_text(encoding="utf-8"))
    results = [Result(*(it[name] for name in Result._fields)) for it in kept["results"]]
    return Numbers(kept["environment"], results, [Point(**it) for it in kept["points"]])


def publish(folder: Path) -> None:
    """Make the plots, and the table of the page."""
    from benchmarks import plots  # which need an extra, as numbers do not

    shown = numbers(folder)
    plots.draw(shown.points, folder / PLOTS)
    page = folder / PAGE
    if page.exists():
        text = PLACE.sub(lambda _: shown.text, page.read_text(encoding="utf-8"))
        page.write_text(text, encoding="utf-8")
