"""
Measure ``bulk_write`` and inserts of many documents, against what nobody can do without.

    PYTHONPATH=tests python -m benchmarks bulk [factor]

Three arms take turns: a plain class; the same one tracked; and the floor, which is the plain write
and one plain ``insert_many`` of the same records, with the same indexes, by PyMongo alone. Where
the floor is above a goal, nothing that writes these records reaches it. A *factor* makes more or
fewer requests and turns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.databases import databases
from benchmarks.queries import PLAIN, TRACKED, fill
from benchmarks.shapes import filled
from benchmarks.tables import show, show_head
from benchmarks.turns import Arm, ratio, take_turns
from pymongo import DeleteOne, InsertOne, ReplaceOne, UpdateOne

from mongoengine_history import History
from mongoengine_history.embedded import server_uri

FLOOR = "history_floor"
HEADER = [
    *("", "operation", "documents", "plain ms", "ms", "floor ms", "x plain", "floor x plain"),
    *("x floor", "trips", "goal"),
]

Write = Callable[[Any, list[Any]], Callable[[], Any]]


def stored(number: int) -> Any:
    """Make a document as it is sent, with no key yet."""
    return filled(PLAIN["small"], 100_000 + number).to_mongo()


def edited(number: int, key: Any) -> Any:
    """Make the document that `fill` has stored, with one field changed."""
    return {**filled(PLAIN["small"], number).to_mongo(), "_id": key, "s1": -1}


def requests(make: Callable[[int, Any], Any]) -> Write:
    """Prepare a ``bulk_write`` of one request for each document that is there."""

    def prepare(model: Any, keys: list[Any]) -> Callable[[], Any]:
        asked = [make(number, key) for number, key in enumerate(keys)]
        return lambda: model._get_collection().bulk_write(asked)

    return prepare


def insert_many(model: Any, keys: list[Any]) -> Callable[[], Any]:
    made = [stored(number) for number in range(len(keys))]
    return lambda: model._get_collection().insert_many(made)


def insert(model: Any, keys: list[Any]) -> Callable[[], Any]:
    made = [filled(model, 100_000 + number) for number in range(len(keys))]
    return lambda: model.objects.insert(made, load_bulk=False)


WRITES: dict[str, Write] = {
    "bulk_write: inserts": requests(lambda number, _: InsertOne(stored(number))),
    "bulk_write: updates": requests(lambda _, key: UpdateOne({"_id": key}, {"$inc": {"s1": 1}})),
    "bulk_write: replaces": requests(lambda it, key: ReplaceOne({"_id": key}, edited(it, key))),
    "bulk_write: replaces all fields": requests(
        lambda number, key: ReplaceOne({"_id": key}, {**stored(number), "_id": key})
    ),
    "bulk_write: deletes": requests(lambda _, key: DeleteOne({"_id": key})),
    "insert_many": insert_many,
    "objects.insert": insert,
}


def prepared(model: Any, write: Write, count: int) -> Callable[[], Any]:
    """Fill the collection, and prepare a write to all that is in it."""
    fill(model, count)
    return write(model, model._get_collection().distinct("_id"))


def records_of(write: Write, count: int) -> list[Any]:
    """Return the records that the tracked write leaves, and let the floor have their indexes."""
    act = prepared(TRACKED["small"], write, count)
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
    """Write plainly, then insert the records plainly."""
    records = records_of(write, count)
    floor = History._get_collection().database[FLOOR]

    def turn(_: int) -> Callable[[], Any]:
        floor.delete_many({})
        act = prepared(PLAIN["small"], write, count)
        return lambda: (act(), floor.insert_many(records))

    return Arm(turn)


def show_bulk(count: int, turns: int) -> None:
    """Measure each write in turns."""
    show_head("T18: bulk_write and inserts, documents of 20 fields", HEADER)
    for name, write in WRITES.items():
        plain, tracked = (
            Arm(lambda _, model=model, write=write: prepared(model, write, count))
            for model in (PLAIN["small"], TRACKED["small"])
        )
        floor = floor_of(write, count)
        take_turns((plain, tracked, floor), turns)
        times = [arm.milliseconds for arm in (plain, tracked, floor)]
        cells = ["T18", name, f"{count:,}", *(f"{it.median:.0f}" for it in (plain, tracked, floor))]
        pairs = ((1, 0), (2, 0), (1, 2))
        cells += [f"{ratio(times[above], times[below]):.2f}" for above, below in pairs]
        show([*cells, tracked.sent, "<= 4x plain" if name.startswith("bulk_write") else ""])


def main(factor: float = 1.0) -> None:
    count, turns = max(20, round(2_000 * factor)), max(3, round(5 * factor))
    with server_uri() as uri, databases(uri, 1):
        show_bulk(count, turns)
