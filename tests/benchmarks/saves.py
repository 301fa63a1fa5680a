"""
Measure saves: of a tracked class, of a document in a block, and what recording must cost.

    PYTHONPATH=tests python -m benchmarks [saves] [factor]

"automatic" is a class of `track_history`, "block" a document in a `DocumentTrack`, "floor" what
`benchmarks.pair` does. The second table tells how long the client works for one save, sockets
aside: for a plain one, and how much more for the others. 1.1 runs in a process and a database of
its own. Ratios are medians of the ratios within a turn. A *factor* makes more or fewer turns.
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from benchmarks.lists import LENGTH, head_insertion
from benchmarks.tables import show, show_head
from benchmarks.turns import Arm, ratio, take_turns
from pymongo import MongoClient
from support.wheel_1_1 import Elsewhere, fetch

from mongoengine_history.embedded import server_uri

INSERT: Final = -1  # in the place of a number of changed leaves


class Row(NamedTuple):
    """One operation."""

    target: str
    shape: str
    #: Leaves changed in one save, or `INSERT`.
    changed: int
    turns: int
    #: What is to be reached.
    goal: str
    #: How many of the turns 1.1 takes part in; None for all.
    turns_of_1_1: int | None = None

    def __str__(self) -> str:
        operation = "insert at the head" if self.changed == INSERT else f"{self.changed} changed"
        return f"{self.shape}, {operation}"


ROWS: Final = [
    Row("T2", "small", 0, 200, "0 trips, <= 1.05x, block <= 1.15x"),
    Row("T2", "medium", 0, 100, "0 trips, <= 1.05x"),
    Row("T2", "large", 0, 20, "0 trips, <= 1.05x"),
    Row("T3", "small", 1, 100, "<= 1.9x"),
    Row("T4", "small", 10, 60, "<= 2.0x, 5x faster"),
    Row("T4", "small", 20, 60, "<= 2.0x, 9x faster"),
    Row("T5", "medium", 1, 60, "<= 1.5x"),
    Row("T5", "medium", 10, 40, "<= 1.5x"),
    Row("T5", "medium", 50, 20, "<= 1.5x, 12x faster"),
    Row("T6", "large", 1, 15, "<= 1.15x"),
    Row("T6", "large", 10, 15, "<= 1.15x"),
    Row("T6", "large", 50, 10, "<= 1.15x"),
    Row("T9", "list", INSERT, 20, "<= 1.4x, 50x faster", turns_of_1_1=2),
    Row("T10", "long list", INSERT, 7, "1 record", turns_of_1_1=0),
]

#: Saves of a class of which handlers are connected, without a block.
UNTRACKED: Final = [
    Row("T19", "small", 1, 150, "<= 1.05x"),
    Row("T19", "medium", 1, 60, "<= 1.05x"),
    Row("T19", "large", 1, 15, "<= 1.05x"),
]

MODES: Final = ("plain", "automatic", "floor", "block")


class Way(Arm):
    """One way to save a document, in the process of one version."""

    def __init__(self, process: Elsewhere, mode: str, row: Row, turns: int) -> None:
        super().__init__(lambda _: lambda: None, turns)
        self._process, self._mode, self._row = process, mode, row
        process.call("begin", mode, row.shape)
        #: Microseconds that the client worked.
        self.worked: list[float] = []
        self.seconds(0)
        #: Round trips of the first save of a loaded document.
        self.first_trips = self.sent
        self.trips.clear()
        self.worked.clear()

    def seconds(self, number: int) -> float:
        """Save in that process."""
        saved = self._process.call("save", self._mode, self._row.changed)
        self.trips.add(int(saved[1]))
        self.worked.append(1e6 * saved[2])
        return float(saved[0])

    def cells(self, plain: Way) -> list[str]:
        """Tell milliseconds, ratio to plain, and round trips."""
        times = f"{ratio(self.milliseconds, plain.milliseconds):.2f}"
        return [f"{self.median:.2f}", times, f"{self.first_trips}/{self.sent}"]

    def written(self) -> list[str]:
        """Tell how many records, and bytes of them, one save writes."""
        saves = 1 + len(self.milliseconds)
        counts = self._process.call("written", self._mode)
        return [f"{count // saves:,}" for count in counts]

    def added(self, plain: Way) -> str:
        """Tell how many microseconds longer than for a plain save the client worked."""
        more = median(own - its for own, its in zip(self.worked, plain.worked, strict=True))
        return f"{more:+,.0f}"


class Ways:
    """All ways to do what a row says; they take turns."""

    def __init__(self, row: Row, ours: Elsewhere, old: Elsewhere, factor: float) -> None:
        self._row = row
        turns = max(2, round(row.turns * factor))
        turns_of_1_1 = turns if row.turns_of_1_1 is None else min(turns, row.turns_of_1_1)
        self._ours = {mode: Way(ours, mode, row, turns) for mode in MODES}
        modes = ("plain", "block") if turns_of_1_1 else ()
        self._old = {mode: Way(old, mode, row, turns_of_1_1) for mode in modes}
        take_turns([*self._ours.values(), *self._old.values()], turns)

    def cells(self) -> list[str]:
        """Return what is told of times, round trips and records."""
        plain, automatic, floor, block = self._ours.values()
        cells = [self._row.target, str(self._row), f"{plain.median:.2f}"]
        for way in (automatic, block, floor):
            cells += way.cells(plain)
        return [*cells, *automatic.written(), *self._cells_of_1_1(automatic), self._row.goal]

    def _cells_of_1_1(self, automatic: Way) -> list[str]:
        if not self._old:
            return list(repeat("", 6))
        plain, old = self._old.values()
        slower = ratio(old.milliseconds, automatic.milliseconds)
        return [*old.cells(plain), *old.written(), f"{slower:.1f}"]

    def worked(self) -> list[str]:
        """Return what is told of the work of the client."""
        plain, automatic, floor, block = self._ours.values()
        cells = [self._row.target, str(self._row), f"{median(plain.worked):,.0f}"]
        cells += [way.added(plain) for way in (automatic, block, floor)]
        old = self._old
        return [*cells, old["block"].added(old["plain"]) if old else ""]


HEADER: Final = [
    *("", "save", "plain ms"),
    *("automatic ms", "x plain", "trips first/then"),
    *("block ms", "x plain", "trips"),
    *("floor ms", "x plain", "trips"),
    *("records", "bytes"),
    *("1.1 ms", "x plain", "trips", "records", "bytes", "x automatic"),
    "goal",
]
WORK: Final = ["", "save", "plain µs", "automatic", "block", "floor", "1.1"]


def show_saves(ours: Elsewhere, old: Elsewhere, factor: float) -> None:
    show_head("Saves", HEADER)
    measured = []
    for row in ROWS:
        measured.append(Ways(row, ours, old, factor))
        show(measured[-1].cells())
    show_head("Work of the client for one save, without the sockets", WORK)
    for ways in measured:
        show(ways.worked())


def show_untracked(ours: Elsewhere, factor: float) -> None:
    show_head(
        "T19: connected, outside any block", ["", "save", "plain ms", "ms", "x", "trips", "goal"]
    )
    for row in UNTRACKED:
        turns = max(2, round(row.turns * factor))
        plain, connected = (Way(ours, mode, row, turns) for mode in ("plain", "connected"))
        take_turns([plain, connected], turns)
        cells = ["T19", str(row), f"{plain.median:.2f}"]
        show([*cells, *connected.cells(plain), row.goal])


def show_lists(factor: float) -> None:
    title = f"T10: an item inserted at the head of {LENGTH:,} dicts of six leaves (goal: <= 8 ms)"
    show_head(title, ["", "ms", "patches", "bytes"])
    costs = head_insertion(max(3, round(9 * factor)))
    for name, cost in zip(("this package", "dictdiffer alone, as 1.1"), costs, strict=True):
        show([name, f"{cost.milliseconds:.2f}", f"{cost.patches:,}", f"{cost.bytes:,}"])


@contextmanager
def versions(uri: str) -> Iterator[tuple[Elsewhere, Elsewhere]]:
    """Start the processes of this package and of 1.1."""
    name = f"history_benchmark_{uuid.uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory() as folder, MongoClient(uri) as client:
        wheel = fetch(Path(folder))
        with (
            Elsewhere("benchmarks.pair", uri, f"{name}_2") as ours,
            Elsewhere("benchmarks.arms", uri, f"{name}_1", wheel=wheel) as old,
        ):
            for process in (ours, old):  # which makes the indexes of the history
                process.call("begin", "block", "small")
                process.call("save", "block", 0)
            yield ours, old
        for suffix in "12":
            client.drop_database(f"{name}_{suffix}")


def main(factor: float = 1.0) -> None:
    with server_uri() as uri, versions(uri) as (ours, old):
        show_saves(ours, old, factor)
        show_untracked(ours, factor)
    show_lists(factor)
