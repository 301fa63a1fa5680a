"""
What happened to the documents of the reading benchmarks, in any layout.

Each change sets one of the twenty fields to a value that it never had, the fields in turn. So the
state after any change is known without a replay. 1.1's process uses this file, too.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any, Final, TypeVar

from benchmarks.shapes import documents, scalar
from bson import ObjectId
from pymongo import WriteConcern
from pymongo.collection import Collection

T = TypeVar("T")

FIELDS: Final = 20
START: Final = 1_700_000_000_000_000
SPAN: Final = 100_000_000_000
"""Microseconds from the birth of a document to its last change; a second apart if 100,000 are."""

BATCH: Final = 10_000

KINDS: Final = {
    name: documents(prefix)["small"]
    for name, prefix in {"one": "Reading", "thousand": "Thousand", "ten": "TenThousand"}.items()
}
"""The classes: of single documents, and of a thousand and of ten thousand that are read at once."""

CLASSES: Final = [("thousand", 1_000, (20, 60, 100, 140)), ("ten", 10_000, (35,))]
"""How many documents those have, and how many changes these have by turns."""


@dataclass(frozen=True)
class Life:
    """One document and the number of its changes."""

    kind: Any
    length: int
    key: ObjectId = field(default_factory=ObjectId)

    @property
    def collection(self) -> str:
        """The name of the collection that the document lies in."""
        name: str = self.kind._get_collection_name()
        return name

    def stamp(self, number: int) -> int:
        """Return the moment of a change; microseconds since 1970, in whole milliseconds."""
        return START + number * (SPAN // self.length // 1000 * 1000)

    def change(self, number: int) -> tuple[str, Any, Any]:
        """Return the name of a field, and its values before and after."""
        name = f"s{number % FIELDS}"
        before = scalar(self.kind, name, max(number - FIELDS, 0))
        return name, before, scalar(self.kind, name, number)

    def state(self, number: int) -> dict[str, Any]:
        """Return the state after a change, without the primary key."""
        last = {f"s{place}": number - (number - place) % FIELDS for place in range(FIELDS)}
        return {name: scalar(self.kind, name, max(at, 0)) for name, at in last.items()}

    @property
    def stored(self) -> dict[str, Any]:
        """The document as it is stored after all."""
        return {"_id": self.key, **self.state(self.length)}


class Population:
    """All documents: three that are looked at, two classes of many, and the rest of a million."""

    def __init__(self, factor: float) -> None:
        one = KINDS["one"]
        lengths = {"long": 100_000, "middle": 1_000, "short": 10}
        #: Those that are looked at.
        self.subjects = {
            name: Life(one, max(10, round(length * factor))) for name, length in lengths.items()
        }
        #: All documents of the two classes, by the name of the class in `KINDS`.
        self.classes = {
            name: _many(KINDS[name], max(4, round(count * factor)), lengths)
            for name, count, lengths in CLASSES
        }
        lives = [*self.subjects.values(), *self.classes["thousand"], *self.classes["ten"]]
        missing = round(1_000_000 * factor) - sum(life.length for life in lives)
        rest = [Life(one, min(20, missing - done)) for done in range(0, missing, 20)]
        self.lives = lives + rest

    @property
    def records(self) -> int:
        """The number of all changes."""
        return sum(life.length for life in self.lives)

    def changes(self) -> Iterator[tuple[Life, int]]:
        """Yield all changes in the order of time, as an application would have made them."""
        moments = (_moments(place, life) for place, life in enumerate(self.lives))
        return ((self.lives[place], number) for _, place, number in heapq.merge(*moments))


def _many(kind: Any, count: int, lengths: Sequence[int]) -> list[Life]:
    return [Life(kind, length) for length in islice(cycle(lengths), count)]


def _moments(place: int, life: Life) -> Iterator[tuple[int, int, int]]:
    return ((life.stamp(number), place, number) for number in range(1, life.length + 1))


def fill(collection: Collection, found: Iterable[dict[str, Any]]) -> None:
    """Insert documents in large batches."""
    fast = collection.with_options(write_concern=WriteConcern(w=1))
    for batch in batches(found, BATCH):
        fast.insert_many(batch, ordered=False)


def batches(found: Iterable[T], size: int) -> Iterator[Sequence[T]]:
    rest = iter(found)
    while batch := list(islice(rest, size)):
        yield batch
