"""
Measure reading in a history of a million records against raw cursors and against 1.1.

    PYTHONPATH=tests python -m benchmarks reading [factor]

The history holds one document with 100,000 revisions of one record each, one with 1,000, one with
10, and many others; their records lie in the order of time, mixed. A version lies beside every
hundredth revision. 1.1 has the same changes in its own layout and without an index, as it was
published, in a process and a database of its own. A *factor* scales the collections and the turns.

"raw" is PyMongo alone with the same filter and the same index: for T12 and T14 ``list(cursor)``,
for T13 with projection and large batches, for T15 one find of the version, one of the records after
it and a loop that sets keys, and for a revert one find of what is stored; for a whole class one
find of what happened until then, and that loop. Where a read of the longest history is compared
with one of a shorter one, "raw" is that. Ratios are medians of the ratios within a turn. The
garbage collector runs as it does by default.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any, NamedTuple

from benchmarks import chronicle
from benchmarks.databases import databases
from benchmarks.floors import Floor, replayed
from benchmarks.lives import KINDS, SPAN, START, Life, Population
from benchmarks.run import Run
from benchmarks.tables import show, show_head
from benchmarks.turns import Act, Arm, ArmElsewhere, ratio, take_turns
from support.wheel_1_1 import Elsewhere

from mongoengine_history import as_of, history_of, load_history, revert
from mongoengine_history.state.moments import EPOCH, MICROSECOND

NEWEST = 100
X_RAW, X_OLD = "x raw", "x faster than 1.1"
HEADER = ["", "read", "ms", "trips", "raw ms", "x raw", "1.1: ms", "x slower", "goal"]
HEADER_AS_OF = ["", "documents", "ms", "ms for 1,000", "trips for 1,000", "raw ms"]


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
    #: What is to be reached, by the unit that it is told in.
    goals: dict[str, str] = {}
    #: The function that 1.1's process is asked for, with its arguments, …
    old: tuple[Any, ...] = ()
    #: … and in how many of the turns.
    turns_of_1_1: int = 0
    #: A line of the plot, and how long the history is.
    point: tuple[str, int] | None = None


def rows(population: Population) -> list[Row]:
    """List what is measured."""
    subjects = {name: Subject(life) for name, life in population.subjects.items()}
    for subject in subjects.values():
        subject.check()
    return [*rows_of_loading(**subjects), *rows_of_states(**subjects)]


def rows_of_loading(long: Subject, middle: Subject, short: Subject) -> Iterator[Row]:
    few, some, many = (it.life.length for it in (short, middle, long))
    ten, thousand, most = short.floor, middle.floor, long.floor
    line = "all patches"
    goals, old = {X_RAW: "<= 2", X_OLD: ">= 200"}, ("load", "short")
    load, raw = short.load, lambda _: ten.records
    yield Row(
        "T12", f"all patches of {few:,} revisions", load, raw, 200, goals, old, 5, (line, few)
    )
    load, raw = middle.load, lambda _: thousand.needed
    yield Row("", f"all patches of {some:,} revisions", load, raw, 50, {}, (), 0, (line, some))
    goals, old = {X_RAW: "<= 1.5", X_OLD: ">= 10"}, ("load", "long")
    load, raw = long.load, lambda _: most.needed
    yield Row(
        "T13", f"all patches of {many:,} revisions", load, raw, 11, goals, old, 2, (line, many)
    )
    goals, old = {X_RAW: "<= 2"}, ("load", "long", NEWEST)
    name = f"the newest {NEWEST} patches of {many:,} revisions"
    yield Row("T14", name, long.load_newest, long.raw_newest, 200, goals, old, 3)


def rows_of_states(long: Subject, middle: Subject, short: Subject) -> Iterator[Row]:
    many = f"of {long.life.length:,} revisions"
    goals = {"ms": "<= 5", X_RAW: "<= 1.5"}
    for it in (short, middle, long):
        name, point = f"a state of {it.life.length:,} revisions", ("a state", it.life.length)
        own = goals if it is long else {}
        yield Row("T15", name, it.state, it.raw_state, 300, own, (), 0, point)
    flat = {f"x one of {middle.life.length:,}": "<= 1.5"}
    yield Row("T15", f"a state {many}", long.state, middle.state, 300, flat)
    goals[X_OLD] = ">= 2000"
    old, raw = ("go_back", "long"), long.raw_state_and_stored
    yield Row("T15", f"revert to one {many}", long.revert, raw, 300, goals, old, 1)
    yield Row("T15", f"revert to one {many}", long.revert, middle.revert, 300, flat)


def measured(row: Row, old: Elsewhere, run: Run) -> list[str]:
    """Take all turns of a row and return its cells."""
    ours, raw = Arm(row.ours), Arm(row.raw)
    theirs = ArmElsewhere(old, row.old, row.turns_of_1_1)
    take_turns([ours, raw, theirs], run.scaled(row.turns))
    x_raw = ratio(ours.milliseconds, raw.milliseconds)
    slower = ratio(theirs.milliseconds, ours.milliseconds) if row.old else 0
    note(row, run, {"ms": ours.median, X_RAW: x_raw, X_OLD: slower}, raw.median)
    cells = [row.target, row.read, f"{ours.median:.2f}", ours.sent, f"{raw.median:.2f}"]
    cells += [f"{x_raw:.2f}"]
    cells += [f"{theirs.median:,.0f}", f"{slower:,.0f}"] if row.old else ["", ""]
    return [*cells, "; ".join(f"{goal} {unit}" for unit, goal in row.goals.items())]


def note(row: Row, run: Run, values: dict[str, float], floor: float) -> None:
    """Keep what is shown of a row; a ratio to another read of ours has a unit of its own."""
    for unit, goal in row.goals.items():
        value = values.get(unit, values[X_RAW])
        if value:
            run.note(row.target, row.read, value, unit, goal, floor=floor if unit == "ms" else 0)
    if row.point:
        line, length = row.point
        run.point("length", line, length, values["ms"])
        run.point("length", f"{line}: floor", length, floor)


def measured_as_of(name: str, lives: list[Life], run: Run) -> list[str]:
    """Read a class as it stood after three quarters of the time; half of it needs a version."""
    stamp, kind, thousands = START + SPAN * 3 // 4, KINDS[name], len(lives) / 1000
    arm = Arm(lambda _: lambda: [*as_of(kind, moment(stamp))])
    raw = Arm(lambda _: lambda: replayed(lives[0].collection, stamp))
    take_turns([arm, raw], 5)
    trips = f"{max(arm.trips) / thousands:.0f}"
    what = f"a class at a moment: {len(lives):,} documents of {lives[0].length} records"
    if name == "ten":
        run.note("", what, arm.median, "ms", "<= 1000", floor=raw.median)
    cells = [f"{arm.median:.0f}", f"{arm.median / thousands:.0f}", trips, f"{raw.median:.0f}"]
    return ["as_of", f"{len(lives):,}", *cells]


def _state(life: Life) -> dict[str, Any]:
    """Return the state after three quarters of the time."""
    stamp = START + SPAN * 3 // 4
    return life.state(max(it for it in range(life.length + 1) if life.stamp(it) <= stamp))


def check_as_of(name: str, lives: list[Life]) -> None:
    """Make sure that the documents are those of that moment."""
    found = {
        document.pk: document for document in as_of(KINDS[name], moment(START + SPAN * 3 // 4))
    }
    assert len(found) == len(lives)
    for life in lives[:4]:
        expected = _state(life)
        assert {key: found[life.key][key] for key in expected} == expected
    raw = replayed(lives[0].collection, START + SPAN * 3 // 4)
    assert all(raw[life.key] == {"_id": life.key, **_state(life)} for life in lives[:4])


def show_reads(population: Population, old: Elsewhere, run: Run) -> None:
    show_head(f"Reading one document in a history of {population.records:,} records", HEADER)
    for row in rows(population):
        show(measured(row, old, run))
    show_head("Reading a class as it stood at a moment", HEADER_AS_OF)
    for name, lives in population.classes.items():
        check_as_of(name, lives)
        show(measured_as_of(name, lives, run))


def main(run: Run) -> None:
    population = Population(run.factor)
    with (
        databases(run.uri, 2) as names,
        Elsewhere("benchmarks.reading_1_1", run.uri, names[1], wheel=run.wheel) as old,
    ):
        chronicle.write(population)
        assert old.call("write", run.factor) == population.records
        show_reads(population, old, run)
