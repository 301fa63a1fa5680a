"""
What recording a save must cost: two commands of PyMongo, and nothing else.

A plain class saves. What MongoEngine sends as an update is sent as a find-and-modify that gives
what it overwrote, and the records are inserted that the automatic save of the same turn has made,
under keys of their own. The functions beside it are those of `benchmarks.arms`.
"""

from __future__ import annotations

from typing import Any

import mongoengine
from benchmarks import arms
from benchmarks.arms import Subject, save, subjects, written
from benchmarks.numbering import unnumbered
from bson import ObjectId
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection
from pymongo.results import UpdateResult

from mongoengine_history.state.values import WIRE

__all__ = ["begin", "save", "written"]

DONE = {"n": 1, "nModified": 1, "updatedExisting": True, "ok": 1.0}


class Pair(Collection[Any]):
    """A collection whose updates are the two commands."""

    records: list[dict[str, Any]]
    twin: Any

    @classmethod
    def of(cls, collection: Any) -> Pair:
        pair = cls(
            collection.database, collection.name, codec_options=CodecOptions(RawBSONDocument)
        )
        pair.twin = unnumbered().with_options(codec_options=WIRE)
        return pair

    def with_options(self, *args: Any, **options: Any) -> Pair:
        return self  # MongoEngine asks for the write concern that it has

    def update_one(self, query: Any, update: Any, *args: Any, **options: Any) -> UpdateResult:
        names = {path.partition(".")[0]: 1 for paths in update.values() for path in paths}
        self.find_one_and_update(query, update, projection=names)
        if len(self.records) == 1:
            self.twin.insert_one(self.records[0])
        else:
            self.twin.insert_many(self.records)
        return UpdateResult(DONE, acknowledged=True)


class Floor(Subject):
    """A plain document that is saved by the two commands."""

    def __init__(self, shape: str) -> None:
        super().__init__("plain", shape)
        self.recorded = subjects["automatic"].document.pk
        self.pair = Pair.of(self.document._get_collection())
        self.document._get_collection = lambda: self.pair

    def save(self, changed: int) -> list[float]:
        self.pair.records = self._records() if changed else []
        return super().save(changed)

    def _records(self) -> list[dict[str, Any]]:
        """Return the newest revision of the automatic save as one that was not inserted yet."""
        history = mongoengine.get_db()["history"].with_options(codec_options=WIRE)
        query = {"document_id": self.recorded, "position": {"$gte": 0}}
        newest = history.find_one(query, sort=[("revision", -1)])
        found = history.find({**query, "revision": newest["revision"]}, {"_id": 0})
        owner = {"document_id": ObjectId()}
        return [{"_id": ObjectId(), **record, **owner} for record in found]


def begin(mode: str, shape: str) -> None:
    """Store a document of a shape, in the place of the one before."""
    if mode == "floor":
        subjects[mode] = Floor(shape)
    else:
        arms.begin(mode, shape)
