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
from benchmarks.tables import show, show_head
from benchmarks.turns import Act, Arm, ratio, take_turns
from support.browsing import browse

from mongoengine_history.embedded import server_uri

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


def measured(name: str, lives: list[Life], turns: int) -> list[str]:
    """Take all turns of a page and return its cells."""
    long, short = (Arm(opening(life, PAGES[name])) for life in lives)
    take_turns([long, short], turns)
    times = [f"{it.median:.1f}" for it in (long, short)]
    goal = "<= 1.5x" if name == "first page" else ""
    return [name, *times, f"{ratio(long.milliseconds, short.milliseconds):.2f}", goal]


def main(factor: float = 1.0) -> None:
    two = Two(factor)
    with server_uri() as uri, databases(uri, 1):
        chronicle.write(two)
        show_head(f"Pages of a history of {two.lives[0].length:,} revisions", HEADER)
        for name in PAGES:
            show(measured(name, two.lives, max(5, round(100 * factor))))
