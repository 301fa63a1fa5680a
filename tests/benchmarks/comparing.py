"""What it costs a client to learn what one save changed, the database aside."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any, NamedTuple

import bson
import dictdiffer
from benchmarks.shapes import documents, edit, filled, leaves

from mongoengine_history.state.diff import diff
from mongoengine_history.state.updates import only, roots_of, updated
from mongoengine_history.state.values import WIRE

SHAPES = documents("Compared")


class Work(NamedTuple):
    """Milliseconds of the two ways."""

    ours: float
    theirs: float


def compare(shape: str, rounds: int) -> Work:
    """
    Change one leaf, and measure both ways in turns.

    This package reads what the server overwrote, makes of it what the update makes, and compares
    the two. 1.1 turns the whole document into a dict before and after, and compares these.
    """
    document = filled(SHAPES[shape])
    before = document.to_mongo().to_dict()
    document._clear_changed_fields()
    edit(leaves(document), 1, 10_000)
    update = {"$set": document._delta()[0]}
    image = bson.encode(only(before, roots_of(update)))

    def ours() -> list[Any]:
        overwritten = bson.decode(image, codec_options=WIRE)
        return diff(overwritten, updated(overwritten, update))

    def theirs() -> list[Any]:
        document.to_mongo().to_dict()
        after = document.to_mongo().to_dict()
        return list(dictdiffer.diff(before, after, ignore=["_id"], dot_notation=False))

    assert len(ours()) == len(theirs()) == 1
    pairs = [(_milliseconds(ours), _milliseconds(theirs)) for _ in range(rounds)]
    return Work(*(median(column) for column in zip(*pairs, strict=True)))


def _milliseconds(operation: Callable[[], Any]) -> float:
    start = time.perf_counter()
    operation()
    return 1000 * (time.perf_counter() - start)
