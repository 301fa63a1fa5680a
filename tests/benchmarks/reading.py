"""
Measure reading in a history of a million records against raw cursors and against 1.1.

    PYTHONPATH=tests python -m benchmarks reading [factor]

The history holds one document with 100,000 revisions of one record each, one with 1,000, one with
10, and many others; their records lie in the order of time, mixed. A version lies beside every
hundredth revision. 1.1 has the same changes in its own layout and without an index, as it was
published, in a process and a database of its own. A *factor* scales the collections and the turns.

"raw" is PyMongo alone with the same filter and the same index: for T12 and T14 ``list(cursor)``,
for T13 with projection and large batches, for T15 one find of the version, one of the records after
it and a loop that sets keys. A read says so where "raw" is something else. Ratios are medians of
the ratios within a turn. The garbage collector runs as it does by default.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from benchmarks import chronicle
from benchmarks.databases import databases
from benchmarks.floors import Floor
from benchmarks.lives import KINDS, SPAN, START, Life, Population
from benchmarks.tables import show, show_head
from benchmarks.turns import Act, Arm, ArmElsewhere, ratio, take_turns
from support.wheel_1_1 import Elsewhere, fetch

from mongoengine_history import as_of, history_of, load_history, revert
from mongoengine_history.embedded import server_uri
from mongoengine_history.state.revision import EPOCH, MICROSECOND

NEWEST = 100
HEADER = ["", "read", "ms", "trips", "raw ms", "x raw", "1.1: ms", "x slower", "goal"]
HEADER_AS_OF = ["", "documents", "ms", "ms for 1,000", "trips for 1,000"]


def moment(stamp: int) -> datetime:
    return EPOCH + stamp * MICROSECOND


@dataclass
class Subject:
    """One document whose history is read in all ways."""

    life: Life

    def __post_init__(self) -> None:
        self.document = self._loaded()
        self.floor = Floor(self.life)

    def _loaded(self) -> Any:
        return self.life.kind.objects.get(pk=self.life.key)

    @property
    def since(self) -> int:
        """The stamp of the first of the newest revisions."""
        return self.life.stamp(self.life.length + 1 - NEWEST)

    def chosen(self, turn: int) -> int:
        """Choose a revision, the same one for all that take part in a turn."""
        return Random(turn).randint(1, self.life.length)

    def load(self, _: int) -> Any:
        return lambda: load_history(self.document)

    def load_newest(self, _: int) -> Any:
        since = moment(self.since)
        return lambda: load_history(self.document, since=since)

    def raw_newest(self, _: int) -> Any:
        return lambda: self.floor.records(self.since)

    def state(self, turn: int) -> Any:
        number = self.chosen(turn)
        return lambda: history_of(self.document).state(number)

    def revert(self, turn: int) -> Any:
        """Revert a fresh copy, of which nothing is known; loading it is not measured."""
        number, copy = self.chosen(turn), self._loaded()
        return lambda: revert(copy, revision=number)

    def raw_state(self, turn: int) -> Any:
        number = self.chosen(turn)
        return lambda: self.floor.state(number)

    def raw_state_and_stored(self, turn: int) -> Any:
        number = self.chosen(turn)
        return lambda: self.floor.state_and_stored(number)

    def check(self) -> None:
        """Make sure that all ways read the same, and the truth."""
        length = self.life.length
        assert len(load_history(self.document)) == length == len(self.floor.needed())
        assert len(self.load_newest(0)()) == min(NEWEST, length)
        for turn in range(5):
            expected = self.life.state(self.chosen(turn))
            assert self.state(turn)() == expected == self.raw_state(turn)()
            reverted = self.revert(turn)()
            assert {key: reverted[key] for key in expected} == expected


class Row(NamedTuple):
    """One way to read."""

    target: str
    read: str
    ours: Act
    raw: Act
    turns: int
    goal: str
    #: The function that 1.1's process is asked for, with its arguments, …
    old: tuple[Any, ...] = ()
    #: … and in how many of the turns.
    turns_of_1_1: int = 0


def rows(population: Population) -> list[Row]:
    """List what is measured."""
    subjects = {name: Subject(life) for name, life in population.subjects.items()}
    for subject in subjects.values():
        subject.check()
    return [*rows_of_loading(**subjects), *rows_of_states(**subjects)]


def rows_of_loading(long: Subject, middle: Subject, short: Subject) -> Iterator[Row]:
    few, many = f"{short.life.length:,} revisions", f"{long.life.length:,} revisions"
    ten, all_of_them = short.floor, long.floor
    old = ("load", "short"), ("load", "long"), ("load", "long", NEWEST)
    goals = "<= 2x, 200x faster", "<= 1.5x, 10x faster", "<= 2x"
    yield Row("T12", few, short.load, lambda _: ten.records, 200, goals[0], old[0], 5)
    yield Row("T13", many, long.load, lambda _: all_of_them.needed, 11, goals[1], old[1], 2)
    name = f"{many}; raw: three fields"
    yield Row("T13", name, long.load, lambda _: all_of_them.patches, 11, "")
    name = f"newest {NEWEST} of {many}"
    yield Row("T14", name, long.load_newest, long.raw_newest, 200, goals[2], old[2], 3)


def rows_of_states(long: Subject, middle: Subject, short: Subject) -> Iterator[Row]:
    many, some, few = (f"of {it.life.length:,}" for it in (long, middle, short))
    goal, flat = "<= 5 ms, 1.5x, 3 trips", "<= 1.5x"
    yield Row("T15", f"state {many}", long.state, long.raw_state, 300, goal)
    yield Row("T15", f"state {some}", middle.state, middle.raw_state, 300, goal)
    yield Row("T15", f"state {few}", short.state, short.raw_state, 300, goal)
    yield Row("T15", f"state {many}; raw: ours {some}", long.state, middle.state, 300, flat)
    old = ("go_back", "long")
    yield Row("T15", f"revert {many}", long.revert, long.raw_state, 300, goal, old, 1)
    name = f"revert {many}; raw: and what is stored"
    yield Row("T15", name, long.revert, long.raw_state_and_stored, 300, "")
    yield Row("T15", f"revert {many}; raw: ours {some}", long.revert, middle.revert, 300, flat)


def measured(row: Row, old: Elsewhere, factor: float) -> list[str]:
    """Take all turns of a row and return its cells."""
    turns = max(3, round(row.turns * factor))
    ours, raw = Arm(row.ours), Arm(row.raw)
    theirs = ArmElsewhere(old, row.old, row.turns_of_1_1)
    take_turns([ours, raw, theirs], turns)
    cells = [row.target, row.read, f"{ours.median:.2f}", ours.sent, f"{raw.median:.2f}"]
    cells += [f"{ratio(ours.milliseconds, raw.milliseconds):.2f}"]
    if not row.old:
        return [*cells, "", "", row.goal]
    slower = ratio(theirs.milliseconds, ours.milliseconds)
    return [*cells, f"{theirs.median:,.0f}", f"{slower:,.0f}", row.goal]


def measured_as_of(name: str, lives: list[Life], turns: int) -> list[str]:
    """Read a class as it stood after three quarters of the time; half of it needs a version."""
    when, kind, thousands = moment(START + SPAN * 3 // 4), KINDS[name], len(lives) / 1000
    arm = Arm(lambda _: lambda: [*as_of(kind, when)])
    take_turns([arm], turns)
    trips = f"{max(arm.trips) / thousands:.0f}"
    return ["as_of", f"{len(lives):,}", f"{arm.median:.0f}", f"{arm.median / thousands:.0f}", trips]


def check_as_of(name: str, lives: list[Life]) -> None:
    """Make sure that the documents are those of that moment."""
    found = {
        document.pk: document for document in as_of(KINDS[name], moment(START + SPAN * 3 // 4))
    }
    assert len(found) == len(lives)
    for life in lives[:4]:
        expected = life.state(life.length * 3 // 4)
        assert {key: found[life.key][key] for key in expected} == expected


def show_reads(population: Population, old: Elsewhere, factor: float) -> None:
    show_head(f"Reading one document in a history of {population.records:,} records", HEADER)
    for row in rows(population):
        show(measured(row, old, factor))
    show_head("Reading a class as it stood at a moment", HEADER_AS_OF)
    for name, lives in population.classes.items():
        check_as_of(name, lives)
        show(measured_as_of(name, lives, 5))


@contextmanager
def old_version(uri: str, database: str) -> Iterator[Elsewhere]:
    """Start the process of 1.1."""
    with tempfile.TemporaryDirectory() as folder:
        wheel = fetch(Path(folder))
        with Elsewhere("benchmarks.reading_1_1", uri, database, wheel=wheel) as old:
            yield old


def main(factor: float = 1.0) -> None:
    population = Population(factor)
    with server_uri() as uri, databases(uri, 2) as names, old_version(uri, names[1]) as old:
        chronicle.write(population)
        assert old.call("write", factor) == population.records
        show_reads(population, old, factor)
