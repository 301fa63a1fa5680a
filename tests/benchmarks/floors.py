"""What reading costs at least: PyMongo alone, with the indexes and the batches that serve best."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import mongoengine
from benchmarks.lives import Life

from mongoengine_history.record.indexes import BY_REVISION, BY_STAMP
from mongoengine_history.record.revisions import NEEDED

BATCH: Final = 20_000
OF_A_PATCH: Final = {"_id": 0, "action": 1, "keys": 1, "data": 1}
OF_A_STATE: Final = {"_id": 0, "keys": 1, "data": 1}


class Floor:
    """The reads of one document."""

    def __init__(self, life: Life) -> None:
        self._owner = {"document_type": life.collection, "document_id": life.key}
        self._key = life.key
        self._documents = mongoengine.get_db()[life.collection]
        self._history = mongoengine.get_db()["history"]

    def records(self, since: int | None = None) -> list[Any]:
        """Read whole records, the newest first; those stamped at *since* or later, or all."""
        return self._newest_first({} if since is None else {"stamp": {"$gte": since}})

    def needed(self) -> list[Any]:
        """Read all records in large batches, and of each the fields that `load_history` reads."""
        return self._newest_first({}, projection=NEEDED, batch_size=BATCH)

    def patches(self) -> list[Any]:
        """Read all records in large batches, and of each only what its patch consists of."""
        return self._newest_first({}, projection=OF_A_PATCH, batch_size=BATCH)

    def _newest_first(self, wanted: Mapping[str, Any], **options: Any) -> list[Any]:
        query = {**self._owner, "position": {"$not": {"$lt": 0}}, **wanted}
        order = [(name, -1) for name in BY_STAMP[2:]]
        hint = [(name, 1) for name in BY_STAMP]
        return list(self._history.find(query, sort=order, hint=hint, **options))

    def state(self, number: int) -> dict[str, Any]:
        """Find the version before a revision, then the records up to it, and set their keys."""
        hint = [(name, 1) for name in BY_REVISION]
        near = {**self._owner, "revision": {"$gte": 0, "$lte": number}, "position": -1}
        version = self._history.find_one(near, sort=[("revision", -1)], hint=hint)
        first = version["revision"] if version else 0
        query = {**self._owner, "revision": {"$gt": first, "$lte": number}}
        found = self._history.find(query, OF_A_STATE, sort=[("revision", 1)], hint=hint)
        return folded(version["state"] if version else {}, found)

    def state_and_stored(self, number: int) -> tuple[dict[str, Any], Any]:
        """Read a state and what is stored now, which a revert has to know, too."""
        return self.state(number), self._documents.find_one({"_id": self._key})


def replayed(collection: str, stamp: int) -> dict[Any, dict[str, Any]]:
    """Read what happened to a class until a moment, in order, and set the keys."""
    query = {"document_type": collection, "stamp": {"$lte": stamp}, "position": {"$gte": 0}}
    wanted, order = {**OF_A_STATE, "document_id": 1}, [(name, 1) for name in BY_REVISION]
    found = mongoengine.get_db()["history"].find(query, wanted, batch_size=BATCH).sort(order)
    groups = groupby(found, itemgetter("document_id"))
    return {key: folded({"_id": key}, own) for key, own in groups}


def folded(state: dict[str, Any], records: Iterable[Any]) -> dict[str, Any]:
    """Set keys as the records say; enough for these documents, and no check of anything."""
    for record in records:
        if record["keys"]:
            state[record["keys"][0]] = record["data"]["new"]
        else:
            state.update((item["key"], item["value"]) for item in record["data"]["items"])
    return state
