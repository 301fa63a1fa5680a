"""
Measure this package against the published 1.1 and against plain MongoEngine, and print tables.

    PYTHONPATH=tests python -m benchmarks [factor]
    PYTHONPATH=tests python -m benchmarks reading [factor]
    PYTHONPATH=tests python -m benchmarks writers [factor]
    PYTHONPATH=tests python -m benchmarks queries [factor]

The first measures saves; `benchmarks.reading`, `benchmarks.writers` and `benchmarks.queries` tell
what the others do.

The server is that of ``MONGODB_URI``, else an embedded one. 1.1 is fetched by pip and runs in a
process and a database of its own. Operations take turns (plain, tracked, plain, tracked by 1.1),
so that a busy moment of the machine meets all of them; ratios are medians of the ratios within a
turn. A *factor* makes more or fewer turns.
"""

from __future__ import annotations

import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks import queries, reading, writers
from benchmarks.lists import LENGTH, head_insertion
from benchmarks.tables import show
from benchmarks.turns import ratio
from pymongo import MongoClient
from support.wheel_1_1 import Elsewhere, fetch

from mongoengine_history.embedded import server_uri

INSERT = -1  # in the place of a number of changed leaves


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
    #: ``connected`` for saves without a block.
    mode: str = "tracked"


ROWS = [
    Row("T2", "small", 0, 200, "0 trips, <= 1.05x"),
    Row("T2", "medium", 0, 100, "0 trips, <= 1.05x"),
    Row("T2", "large", 0, 20, "0 trips, <= 1.05x"),
    Row("T3", "small", 1, 100, "<= 1.80x"),
    Row("T4", "small", 10, 60, "<= 1.9x, 5x faster"),
    Row("T4", "small", 20, 60, "<= 1.9x, 9x faster"),
    Row("T5", "medium", 1, 60, "<= 1.5x"),
    Row("T5", "medium", 10, 40, "<= 1.5x"),
    Row("T5", "medium", 50, 20, "<= 1.6x, 12x faster"),
    Row("T6", "large", 1, 15, "<= 1.15x"),
    Row("T6", "large", 10, 15, "<= 1.12x"),
    Row("T6", "large", 50, 10, "<= 1.08x"),
    Row("T9", "list", INSERT, 20, "<= 1.35x, 50x faster", turns_of_1_1=2),
    Row("T10", "long list", INSERT, 7, "1 record", turns_of_1_1=0),
    Row("T19", "small", 1, 150, "<= 1.05x", mode="connected"),
    Row("T19", "medium", 1, 60, "<= 1.05x", mode="connected"),
    Row("T19", "large", 1, 15, "<= 1.05x", mode="connected"),
]


class Version:
    """What is measured of one package in one row; times in milliseconds."""

    def __init__(self, process: Elsewhere, row: Row) -> None:
        self._process, self._row = process, row
        self.plain: list[float] = []
        self.saved: list[float] = []
        for mode in ("plain", row.mode):
            process.call("begin", mode, row.shape)
        #: Round trips of the first save of a loaded document, and of all later ones.
        self.first_trips, self.trips = int(self._save(row.mode)[1]), set[int]()
        process.call("written")

    def _save(self, mode: str) -> list[float]:
        return self._process.call("save", mode, self._row.shape, self._row.changed)

    def turn(self) -> None:
        """Save once plainly, and once so that the package sees it; what comes first alternates."""
        modes = ["plain", self._row.mode]
        order = modes if len(self.plain) % 2 else modes[::-1]
        saves = {mode: self._save(mode) for mode in order}
        self.plain.append(1000 * saves["plain"][0])
        self.saved.append(1000 * saves[self._row.mode][0])
        self.trips.add(int(saves[self._row.mode][1]))

    def cells(self) -> list[str]:
        """Tell milliseconds, ratio to plain, round trips, and what one save writes."""
        records, size = (count // len(self.saved) for count in self._process.call("written"))
        trips = "/".join(map(str, [self.first_trips, *sorted(self.trips)]))
        time = f"{median(self.saved):.2f}"
        return [time, f"{ratio(self.saved, self.plain):.2f}", trips, f"{records:,}", f"{size:,}"]


def measured(row: Row, ours: Elsewhere, old: Elsewhere, factor: float) -> list[str]:
    """Take all turns of a row and return its cells."""
    turns = max(2, round(row.turns * factor))
    turns_of_1_1 = turns if row.turns_of_1_1 is None else min(turns, row.turns_of_1_1)
    new_version = Version(ours, row)
    old_version = Version(old, row) if turns_of_1_1 else None
    for number in range(turns):
        new_version.turn()
        if old_version and number < turns_of_1_1:
            old_version.turn()
    operation = "insert at the head" if row.changed == INSERT else f"{row.changed} changed"
    cells = [row.target, f"{row.shape}, {operation}", f"{median(new_version.plain):.2f}"]
    cells += new_version.cells()
    if old_version is None:
        return [*cells, *repeat("", 6), row.goal]
    faster = ratio(old_version.saved, new_version.saved)
    return [*cells, *old_version.cells(), f"{faster:.1f}", row.goal]


HEADER = [
    ["", "save", "plain ms"],
    ["ms", "x plain", "trips first/then", "records", "bytes"],
    ["1.1: ms", "x plain", "trips", "records", "bytes", "x slower"],
    ["goal"],
]


def show_saves(ours: Elsewhere, old: Elsewhere, factor: float) -> None:
    header = [cell for group in HEADER for cell in group]
    show(header)
    show(["---"] * len(header))
    for row in ROWS:
        show(measured(row, ours, old, factor))


def show_lists(factor: float) -> None:
    print(
        f"\nT10: an item inserted at the head of {LENGTH:,} dicts of six leaves (goal: <= 8 ms)\n"
    )
    show(["", "ms", "patches", "bytes"])
    show(["---"] * 4)
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
            Elsewhere("benchmarks.arms", uri, f"{name}_2") as ours,
            Elsewhere("benchmarks.arms", uri, f"{name}_1", wheel=wheel) as old,
        ):
            for process in (ours, old):  # which makes the indexes of the history
                process.call("begin", "tracked", "small")
                process.call("save", "tracked", "small", 0)
            yield ours, old
        for suffix in "12":
            client.drop_database(f"{name}_{suffix}")


def main(factor: float = 1.0) -> None:
    with server_uri() as uri, versions(uri) as (ours, old):
        show_saves(ours, old, factor)
    show_lists(factor)


PARTS = {"queries": queries.main, "reading": reading.main, "writers": writers.main}


def run(arguments: list[str]) -> None:
    """Run the part that is named first, else the measurements of saves."""
    named = arguments[:1] if arguments[:1] and arguments[0] in PARTS else []
    part = PARTS[named[0]] if named else main
    part(*map(float, arguments[len(named) :]))


if __name__ == "__main__":
    run(sys.argv[1:])
