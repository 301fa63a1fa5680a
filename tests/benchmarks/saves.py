"""
Measure saves: of a tracked class, of a document in a block, and what recording must cost.

    PYTHONPATH=tests python -m benchmarks saves [factor]

"automatic" is a class of `track_history`, "block" a document in a `DocumentTrack`, "floor" what
`benchmarks.pair` does. The second table tells how long the client works for one save, sockets
aside: for a plain one, and how much more for the others. 1.1 runs in a process and a database of
its own. Ratios are medians of the ratios within a turn. A *factor* makes more or fewer turns.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import repeat
from statistics import median
from typing import Final, NamedTuple

from benchmarks.comparing import compare
from benchmarks.lists import LENGTH, head_insertion
from benchmarks.run import Run
from benchmarks.shapes import SIZES
from benchmarks.tables import show, show_head
from benchmarks.turns import Arm, ratio, take_turns
from pymongo import MongoClient
from support.wheel_1_1 import Elsewhere

INSERT: Final = -1  # in the place of a number of changed leaves


class Row(NamedTuple):
    """One operation."""

    target: str
    shape: str
    #: Leaves changed in one save, or `INSERT`.
    changed: int
    turns: int
    #: What is to be reached: times plain, and how many times faster than 1.1; 0 for nothing.
    goal: float
    faster: float = 0
    #: How many of the turns 1.1 takes part in; None for all.
    turns_of_1_1: int | None = None

    def __str__(self) -> str:
        operation = "insert at the head" if self.changed == INSERT else f"{self.changed} changed"
        return f"{self.shape}, {operation}"

    @property
    def goals(self) -> tuple[str, str]:
        """What is to be reached, as texts."""
        signs = (("<=", self.goal), (">=", self.faster))
        above, faster = (f"{sign} {goal:g}" if goal else "" for sign, goal in signs)
        return above, faster


ROWS: Final = [
    Row("T2", "small", 0, 200, 1.05),
    Row("T2", "medium", 0, 100, 1.05),
    Row("T2", "large", 0, 20, 1.05),
    Row("T3", "small", 1, 100, 1.8),
    Row("T4", "small", 10, 60, 1.9, 5),
    Row("T4", "small", 20, 60, 1.9, 9),
    Row("T5", "medium", 1, 60, 1.5),
    Row("T5", "medium", 10, 40, 1.5),
    Row("T5", "medium", 50, 20, 1.6, 12),
    Row("T6", "large", 1, 15, 1.15),
    Row("T6", "large", 10, 15, 1.12),
    Row("T6", "large", 50, 10, 1.08),
    Row("T9", "list", INSERT, 20, 1.35, 50, turns_of_1_1=2),
    Row("T10", "long list", INSERT, 7, 0, turns_of_1_1=0),
]

#: Saves of a class of which handlers are connected, without a block.
UNTRACKED: Final = [
    Row("T19", "small", 1, 150, 1.05),
    Row("T19", "medium", 1, 60, 1.05),
    Row("T19", "large", 1, 15, 1.05),
]

#: How many times less the client works than with 1.1 to learn what was changed.
LESS_WORK: Final = {"small": 8, "medium": 12, "large": 20}

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

    def over(self, plain: Way) -> float:
        """Tell the ratio to plain."""
        return ratio(self.milliseconds, plain.milliseconds)

    def cells(self, plain: Way) -> list[str]:
        """Tell milliseconds, ratio to plain, and round trips."""
        return [f"{self.median:.2f}", f"{self.over(plain):.2f}", f"{self.first_trips}/{self.sent}"]

    def written(self) -> list[int]:
        """Tell how many records, and bytes of them, one save writes."""
        saves = 1 + len(self.milliseconds)
        return [count // saves for count in self._process.call("written", self._mode)]

    def added(self, plain: Way) -> float:
        """Tell how many microseconds longer than for a plain save the client worked."""
        return median(own - its for own, its in zip(self.worked, plain.worked, strict=True))


class Ways:
    """All ways to do what a row says; they take turns."""

    def __init__(self, row: Row, ours: Elsewhere, old: Elsewhere, run: Run) -> None:
        self._row = row
        turns = run.scaled(row.turns, 2)
        few = row.turns_of_1_1
        turns_of_1_1 = turns if few is None else min(turns, run.scaled(few, 0))
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
        cells += [f"{count:,}" for count in automatic.written()]
        return [*cells, *self._cells_of_1_1(automatic), " ".join(self._row.goals)]

    def _cells_of_1_1(self, automatic: Way) -> list[str]:
        if not self._old:
            return list(repeat("", 6))
        plain, old = self._old.values()
        slower = ratio(old.milliseconds, automatic.milliseconds)
        return [*old.cells(plain), *(f"{count:,}" for count in old.written()), f"{slower:.1f}"]

    def worked(self) -> list[str]:
        """Return what is told of the work of the client."""
        plain, automatic, floor, block = self._ours.values()
        cells = [self._row.target, str(self._row), f"{median(plain.worked):,.0f}"]
        cells += [f"{way.added(plain):+,.0f}" for way in (automatic, block, floor)]
        old = self._old
        return [*cells, f"{old['block'].added(old['plain']):+,.0f}" if old else ""]

    def note(self, run: Run) -> None:
        """Keep what is shown of it."""
        row, (above, faster) = self._row, self._row.goals
        plain, automatic, floor, _ = self._ours.values()
        at_least, old = floor.over(plain), list(self._old.values())
        if above:
            run.note(row.target, f"{row}", automatic.over(plain), "x plain", above, floor=at_least)
        lines = {"tracked": automatic.over(plain), "floor": at_least}
        if old:
            lines["1.1"] = old[1].over(old[0])
        if old and faster:
            times = ratio(old[1].milliseconds, automatic.milliseconds)
            run.note(row.target, f"{row}", times, "x faster than 1.1", faster)
        if row.changed == INSERT:
            run.note(row.target, f"{row}", automatic.written()[0], "records", "<= 1")
        for line, times in lines.items():
            if row.changed == 1:
                run.point("size", line, SIZES[row.shape], times)
            if row.shape == "medium" and row.changed > 0:
                run.point("changes", line, row.changed, times)

    @property
    def trips(self) -> tuple[int, int, int]:
        """Round trips of a save, of the first one of a loaded document, and of each hundredth."""
        found = self._ours["automatic"]
        return min(found.trips), max(map(int, found.first_trips.split("/"))), max(found.trips)


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


def show_saves(ours: Elsewhere, old: Elsewhere, run: Run) -> None:
    show_head("Saves", HEADER)
    measured = []
    rows = run.worthwhile(ROWS)
    for row in rows:
        measured.append(Ways(row, ours, old, run))
        show(measured[-1].cells())
        measured[-1].note(run)
    show_head("Work of the client for one save, without the sockets", WORK)
    for ways in measured:
        show(ways.worked())
    trips: dict[str, list[tuple[int, int, int]]] = {}
    for row, ways in zip(rows, measured, strict=True):
        kind = "a save" if row.changed else "a save that changes nothing"
        what = f"{kind} of a document of half a MB" if row.shape == "long list" else kind
        trips.setdefault(what, []).append(ways.trips)
    for what, found in trips.items():
        note_trips(what, found, run)


def note_trips(what: str, trips: list[tuple[int, int, int]], run: Run) -> None:
    usual, first, most = map(max, zip(*trips, strict=True))
    if "nothing" in what:
        run.note("T2", what, max(most, first), "round trips", "<= 0")
        return
    run.note("T1", what, usual, "round trips", "<= 2")
    run.note("T1", f"{what}, the first by an object", first, "round trips", "<= 3")
    if most > usual:
        run.note("T1", f"{what}, each hundredth, with a full state", most, "round trips")


def show_untracked(ours: Elsewhere, run: Run) -> None:
    show_head(
        "T19: connected, outside any block", ["", "save", "plain ms", "ms", "x", "trips", "goal"]
    )
    for row in run.worthwhile(UNTRACKED):
        turns = run.scaled(row.turns, 2)
        plain, connected = (Way(ours, mode, row, turns) for mode in ("plain", "connected"))
        take_turns([plain, connected], turns)
        cells = ["T19", str(row), f"{plain.median:.2f}"]
        show([*cells, *connected.cells(plain), row.goals[0]])
        what = f"{row}: known to the history, not tracked"
        run.note("T19", what, connected.over(plain), "x plain", row.goals[0])


def show_comparing(run: Run) -> None:
    show_head("T7: learning which leaf was changed", ["", "ms", "1.1 ms", "x less", "goal"])
    for shape, goal in LESS_WORK.items():
        ours, theirs = compare(shape, run.scaled(200))
        show([shape, f"{ours:.3f}", f"{theirs:.3f}", f"{theirs / ours:.1f}", f">= {goal}"])
        what = f"{shape}: learning which leaf was changed"
        run.note("T7", what, theirs / ours, "x less than 1.1", f">= {goal}")


def show_lists(run: Run) -> None:
    title = f"T10: an item inserted at the head of {LENGTH:,} dicts of six leaves (goal: <= 8 ms)"
    show_head(title, ["", "ms", "patches", "bytes"])
    costs = head_insertion(run.scaled(9, 1))
    for name, cost in zip(("this package", "dictdiffer alone, as 1.1"), costs, strict=True):
        show([name, f"{cost.milliseconds:.2f}", f"{cost.patches:,}", f"{cost.bytes:,}"])
    what = f"difference of lists of {LENGTH:,}, one inserted at the head"
    run.note("T10", what, costs[0].milliseconds, "ms", "<= 8")
    run.note("T10", what, costs[0].patches, "patches", "<= 1")
    run.note("T10", what, costs[0].bytes, "bytes", "<= 400")


@contextmanager
def versions(run: Run) -> Iterator[tuple[Elsewhere, Elsewhere]]:
    """Start the processes of this package and of 1.1."""
    name = f"history_benchmark_{uuid.uuid4().hex[:8]}"
    with (
        MongoClient(run.uri) as client,
        Elsewhere("benchmarks.pair", run.uri, f"{name}_2") as ours,
        Elsewhere("benchmarks.arms", run.uri, f"{name}_1", wheel=run.wheel) as old,
    ):
        for process in (ours, old):  # which makes the indexes of the history
            process.call("begin", "block", "small")
            process.call("save", "block", 0)
        yield ours, old
        for suffix in "12":
            client.drop_database(f"{name}_{suffix}")


def main(run: Run) -> None:
    with versions(run) as (ours, old):
        show_saves(ours, old, run)
        show_untracked(ours, run)
    show_comparing(run)
    show_lists(run)
