"""
Measure how to learn what an update overwrites, by the size of the document.

    PYTHONPATH=tests python -m benchmarks images [factor]

"image" is one find-and-modify that gives one value as it was, "read" a read of that value and an
update. For a retryable find-and-modify the server keeps the whole document as it was, whatever is
asked for; so above some size the read is cheaper, see `LARGEST_IMAGE`. Ratios are to the update
alone. A *factor* makes more or fewer turns.
"""

from __future__ import annotations

from random import Random
from typing import Any, Final

from benchmarks.databases import databases
from benchmarks.run import Run
from benchmarks.tables import show, show_head
from benchmarks.turns import Arm, ratio, take_turns
from bson import ObjectId
from pymongo import MongoClient

from mongoengine_history.capture.saves import LARGEST_IMAGE

SIZES: Final = (1, 10, 100, 200, 400, 600, 1_000, 2_000, 4_000, 8_000)
"""Kilobytes."""

HEADER: Final = ["kB", "update ms", "image ms", "x", "read ms", "x", "cheaper", "taken"]


class Updates:
    """The ways to update one document."""

    def __init__(self, collection: Any, kilobytes: int) -> None:
        self._collection, self._which = collection, {"_id": ObjectId()}
        chance = Random(kilobytes)  # for the server compresses what is alike
        texts = [chance.randbytes(45).hex() for _ in range(10 * kilobytes)]
        collection.insert_one({**self._which, "number": -1, "texts": texts})

    def update(self, number: int) -> Any:
        change = {"$set": {"number": number}}
        return lambda: self._collection.update_one(self._which, change)

    def image(self, number: int) -> Any:
        change, wanted = {"$set": {"number": number}}, {"number": 1}
        update = self._collection.find_one_and_update
        return lambda: update(self._which, change, projection=wanted)

    def read(self, number: int) -> Any:
        update, wanted = self.update(number), {"number": 1}
        return lambda: (self._collection.find_one(self._which, wanted), update())


def show_images(collection: Any, run: Run) -> None:
    for kilobytes in SIZES:
        one, two, three = (Updates(collection, kilobytes) for _ in range(3))
        plain, image, read = arms = [Arm(act) for act in (one.update, two.image, three.read)]
        take_turns(arms, run.scaled(30 if kilobytes > 1_000 else 100))
        cells = [f"{kilobytes:,}", f"{plain.median:.2f}"]
        for arm in (image, read):
            times = ratio(arm.milliseconds, plain.milliseconds)
            cells += [f"{arm.median:.2f}", f"{times:.2f}"]
        cheaper = "image" if image.median < read.median else "read"
        is_large = (
            1_000 * kilobytes > LARGEST_IMAGE and collection.database.client.options.retry_writes
        )
        show([*cells, cheaper, "read" if is_large else "image"])


def main(run: Run) -> None:
    with databases(run.uri, 1) as [name]:
        for is_retried in (True, False):
            with MongoClient(run.uri, retryWrites=is_retried) as client:
                show_head(f"retryable writes: {'yes' if is_retried else 'no'}", HEADER)
                show_images(client[name]["images"], run)
