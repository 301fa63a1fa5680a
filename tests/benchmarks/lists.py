"""What an insertion at the head of a long list of dicts costs without a database."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from random import Random
from statistics import median
from typing import Any, NamedTuple

import bson
import dictdiffer
from benchmarks.shapes import Item, filled

from mongoengine_history.state.diff import diff
from mongoengine_history.state.patches import CHANGE, Patch, record_of

LENGTH = 5000


class Cost(NamedTuple):
    """Of one of the two ways."""

    milliseconds: float
    patches: int
    #: As records; of 1.1 whole ones, of this package what is theirs beside who, when and where.
    bytes: int


def states(length: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Make a list of items of six leaves, and the same with one more at its head."""
    items = [filled(Item, number).to_mongo().to_dict() for number in range(length + 1)]
    return {"items": items[1:]}, {"items": items}


def head_insertion(rounds: int) -> tuple[Cost, Cost]:
    """Measure this package and 1.1, whose diff is dictdiffer's alone."""
    before, after = states(LENGTH)

    def plain() -> list[Any]:
        return list(dictdiffer.diff(before, after, ignore=["_id"], dot_notation=False))

    seconds = [(_seconds(lambda: diff(before, after)), _seconds(plain)) for _ in range(rounds)]
    ours, theirs = (1000 * median(column) for column in zip(*seconds, strict=True))
    patches, records = diff(before, after), list(records_of_1_1(plain()))
    sizes = [len(bson.encode(record_of(patch))) for patch in patches]
    old_sizes = [len(bson.encode(record)) for record in records]
    return Cost(ours, len(sizes), sum(sizes)), Cost(theirs, len(old_sizes), sum(old_sizes))


def worst() -> float:
    """Shuffle a list, and return the bytes of its patches as a part of those of old and new."""
    old = states(500)[0]["items"]
    new = Random(1).sample(old, len(old))
    stored = sum(len(bson.encode(record_of(it))) for it in diff({"items": old}, {"items": new}))
    whole = Patch(CHANGE, ("items",), (old, new))
    return stored / len(bson.encode(record_of(whole)))


def _seconds(operation: Callable[[], Any]) -> float:
    start = time.perf_counter()
    operation()
    return time.perf_counter() - start


def records_of_1_1(patches: list[Any]) -> Iterator[dict[str, Any]]:
    """Make the records that 1.1 would insert, one by one; of a collection called "invoice"."""
    for action, path, data in patches:
        items = [{"key": key, "value": value} for key, value in data] if action != "change" else []
        yield {
            "_id": bson.ObjectId(),
            "document_id": bson.ObjectId(),
            "document_type": "invoice",
            "action": action,
            "path": ".".join(map(str, path)),
            "data": {"items": items} if items else {"old": data[0], "new": data[1]},
            "created_at": datetime.now(),
        }
