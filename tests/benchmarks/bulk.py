"""
Measure writes of many documents, against what nobody can do without.

    PYTHONPATH=tests python -m benchmarks bulk [factor]

Three arms take turns: a plain class; the same one tracked; and the floor, which is the plain write,
before it one plain read of what it overwrites, and after it one plain ``insert_many`` of the same
records, with the same indexes, by PyMongo alone. Where the floor is above a goal, nothing that
writes these records reaches it. 1.1 saves the same documents one by one, in a process of its own.
"first update" is the first revision of documents that existed already, so that the state before is
kept, too; "alike" sets the same value everywhere, "each its own" leaves each document another one.
A *factor* makes more or fewer documents and turns.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from statistics import median
from typing import Any, NamedTuple

from benchmarks.databases import databases
from benchmarks.run import Run
from benchmarks.shapes import documents, filled
from benchmarks.tables import show, show_head
from benchmarks.turns import Arm, ratio, take_turns
from pymongo import DeleteOne, InsertOne, ReplaceOne, UpdateOne
from support.wheel_1_1 import Elsewhere

from mongoengine_history import History, track_history

PLAIN, TRACKED = (documents(prefix)["small"] for prefix in ("Queried", "Recorded"))
track_history(TRACKED)

FLOOR = "history_floor"
HEADER = [
    *("", "operation", "documents", "plain ms", "ms", "floor ms", "x plain", "floor x plain"),
    *("x floor", "trips", "documents/s", "x 1.1 one by one", "goal"),
]

Act = Callable[[], Any]


@cache
def made(count: int, first: int = 0) -> list[Any]:
    """Make documents as they are sent, with no key yet."""
    return [filled(PLAIN, number).to_mongo() for number in range(first, first + count)]


def new(count: int) -> list[Any]:
    """Return documents that are not stored."""
    return [dict(it) for it in made(count, 100_000)]


def fill(model: Any, count: int) -> None:
    """Store documents, recorded as created if the class is tracked."""
    model._get_collection().delete_many({})
    if model is TRACKED:  # as the floor has it
        History._get_collection().delete_many({})
    if count:
        model._get_collection().insert_many([dict(it) for it in made(count)])


def fill_untracked(model: Any, count: int) -> None:
    """Store documents past the history."""
    fill(model, 0)
    past_it = model._get_db()[model._get_collection_name()]
    past_it.insert_many([dict(it) for it in made(count)])


class Write(NamedTuple):
    """One way to write to all documents, or to make as many."""

    name: str
    act: Callable[[Any, list[Any]], Act]
    #: What is to be reached, times the plain write.
    goal: float = 0
    #: Whether it overwrites what is there.
    overwrites: bool = True
    fill: Callable[[Any, int], None] = fill

    def prepared(self, model: Any, count: int) -> Act:
        """Fill the collection, and prepare a write to all that is in it."""
        self.fill(model, count)
        return self.act(model, model._get_collection().distinct("_id"))


def requests(make: Callable[[Any, Any], Any]) -> Callable[[Any, list[Any]], Act]:
    """Prepare a ``bulk_write`` of one request for each document that is there."""

    def prepare(model: Any, keys: list[Any]) -> Act:
        asked = [make(it, key) for it, key in zip(new(len(keys)), keys, strict=True)]
        return lambda: model._get_collection().bulk_write(asked)

    return prepare


def insert_many(model: Any, keys: list[Any]) -> Act:
    asked = new(len(keys))
    return lambda: model._get_collection().insert_many(asked)


def insert(model: Any, keys: list[Any]) -> Act:
    asked = [filled(model, 100_000 + number) for number in range(len(keys))]
    return lambda: model.objects.insert(asked, load_bulk=False)


def alike(model: Any, _: list[Any]) -> Act:
    return lambda: model.objects.update(set__s1=-1)


WRITES = [
    Write("update, alike", alike, 3),
    Write("update, each its own", lambda it, _: lambda: it.objects(s3__gte=0).update(inc__s3=1), 3),
    Write("first update, alike", alike, fill=fill_untracked),
    Write("delete", lambda it, _: it.objects.delete),
    Write("insert", insert, overwrites=False),
    Write("insert_many", insert_many, overwrites=False),
    Write("bulk_write of inserts", requests(lambda it, _: InsertOne(it)), 4, overwrites=False),
    Write(
        "bulk_write of updates",
        requests(lambda _, key: UpdateOne({"_id": key}, {"$inc": {"s1": 1}})),
        4,
    ),
    Write("bulk_write of replaces", requests(lambda it, key: ReplaceOne({"_id": key}, it)), 4),
    Write("bulk_write of deletes", requests(lambda _, key: DeleteOne({"_id": key})), 4),
]


def records_of(write: Write, count: int) -> list[Any]:
    """Return the records that the tracked write leaves, and let the floor have their indexes."""
    act = write.prepared(TRACKED, count)
    history = History._get_collection()
    known = history.distinct("_id")
    act()
    floor = history.database[FLOOR]
    floor.drop()
    for name, index in history.index_information().items():
        if name != "_id_":
            options = {"unique", "partialFilterExpression", "sparse"} & index.keys()
            floor.create_index(index["key"], **{option: index[option] for option in options})
    return list(history.find({"_id": {"$nin": known}}))


def floor_of(write: Write, count: int) -> Arm:
    """Read plainly, write plainly, then insert the records plainly."""
    records = records_of(write, count)
    floor = History._get_collection().database[FLOOR]
    own = PLAIN._get_collection()

    def read() -> Any:
        return list(own.find(batch_size=count)) if write.overwrites else None

    def turn(_: int) -> Act:
        floor.delete_many({})
        act = write.prepared(PLAIN, count)
        return lambda: (read(), act(), floor.insert_many(records))

    return Arm(turn)


def show_bulk(write: Write, count: int, old: float, run: Run) -> None:
    """Measure a write in turns. *old* is how many documents 1.1 saves in a second."""
    plain, tracked = (
        Arm(lambda _, model=model: write.prepared(model, count)) for model in (PLAIN, TRACKED)
    )
    arms = plain, tracked, floor_of(write, count)
    take_turns(arms, run.scaled(3))
    times = [arm.milliseconds for arm in arms]
    x_plain, least, x_floor = (ratio(times[a], times[b]) for a, b in ((1, 0), (2, 0), (1, 2)))
    per_second, floor = (1000 * count / arm.median for arm in arms[1:])
    what, goal = f"{write.name}, {count:,} documents", f"<= {write.goal:g}" if write.goal else ""
    run.note("T18", what, x_plain, "x plain", goal, floor=least)
    if write.goal == 3:
        run.note("T18", what, per_second, "documents a second", ">= 10000", floor=floor)
        run.note("T18", what, per_second / old, "x faster than 1.1, one by one", ">= 70")
    cells = ["T18", write.name, f"{count:,}", *(f"{it.median:.0f}" for it in arms)]
    cells += [f"{it:.2f}" for it in (x_plain, least, x_floor)]
    show([*cells, tracked.sent, f"{per_second:,.0f}", f"{per_second / old:.0f}", goal])


def saves_of_1_1(name: str, run: Run) -> float:
    """Return how many small documents 1.1 saves in a second, one field changed."""
    with Elsewhere("benchmarks.arms", run.uri, name, wheel=run.wheel) as old:
        old.call("begin", "block", "small")
        seconds = [old.call("save", "block", 1)[0] for _ in range(run.scaled(200, 5))]
    return float(1 / median(seconds))


def main(run: Run) -> None:
    with databases(run.uri, 2) as names:
        old = saves_of_1_1(names[1], run)
        print(f"\n1.1 saves {old:.0f} documents in a second, one by one")
        History.ensure_indexes()
        show_head("T18: writes of many documents of 20 fields", HEADER)
        for write in WRITES:
            show_bulk(write, run.scaled(10_000, 20), old, run)
