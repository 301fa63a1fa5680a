"""
Measure the pages of the history browser: of a long history, and of a short one.

    PYTHONPATH=tests python -m benchmarks browsing [factor]

One document has 100,000 revisions, one has 100. The same page of both takes turns, from the request
to the last byte of the answer. The ratio is the median of the ratios within a turn. A *factor*
scales the long history and the turns.
"""

from __future__ import annotations

from typing import Any, Final

from benchmarks import chronicle
from benchmarks.databases import databases
from benchmarks.lives import KINDS, Life, Population
from benchmarks.run import Run
from benchmarks.tables import show, show_head
from benchmarks.turns import Act, Arm, ratio, take_turns
from support.browsing import browse

HEADER: Final = ["page", "ms", "of 100: ms", "x", "goal"]

PAGES: Final = {
    "first page": "",
    "second page": "?before={older}",
    "newest revision": "/{newest}",
    "compared with the one before": "/compare",
    "state, with who set what": "/{newest}/state",
}


class Two(Population):
    """A document with a long history, and one with a short one."""

    def __init__(self, factor: float) -> None:
        lengths = max(100, round(100_000 * factor)), 100
        self.lives = [Life(KINDS["one"], length) for length in lengths]


def opening(life: Life, page: str) -> Act:
    """Return what opens a page of a document, and makes sure that it is one."""
    client = browse(life.kind)
    rest = page.format(newest=life.length, older=life.length - 24)

    def act(_: int) -> Any:
        return lambda: client.get(f"/{life.kind._class_name}/{life.key}{rest}").raise_for_status()

    return act


def measured(name: str, lives: list[Life], run: Run) -> list[str]:
    """Take all turns of a page and return its cells."""
    long, short = (Arm(opening(life, PAGES[name])) for life in lives)
    take_turns([long, short], run.scaled(100))
    times = [f"{it.median:.1f}" for it in (long, short)]
    x = ratio(long.milliseconds, short.milliseconds)
    if name == "first page":
        what = f"first page of the browser, of {lives[0].length:,} revisions"
        run.note("", what, long.median, "ms")
        run.note("", what, x, f"x one of {lives[1].length:,}", "<= 1.5")
    return [name, *times, f"{x:.2f}", "<= 1.5x" if name == "first page" else ""]


def main(run: Run) -> None:
    two = Two(run.factor)
    with databases(run.uri, 1):
        chronicle.write(two)
        show_head(f"Pages of a history of {two.lives[0].length:,} revisions", HEADER)
        for name in PAGES:
            show(measured(name, two.lives, run))
