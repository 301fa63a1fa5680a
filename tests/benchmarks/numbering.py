"""
What it costs to number revisions, where only one writer is.

"insert": `append` of a change, as a tracked save calls it once the document is written, with
the newest revision known, against ``insert_many`` of the very same records (made before the clock
starts) into another collection with the same indexes. So the ratio holds the numbering, and also
the hashes of lists and the layout of the records.

"pair": a tracked save as a whole against a plain save of the same edits and ``insert_many`` of as
many records of the same fields into that other collection. So the ratio holds the snapshot and the
diff, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import mongoengine
from benchmarks.shapes import documents, edit, filled, leaves
from bson import ObjectId
from mongoengine import signals

from mongoengine_history import DocumentTrack, track_changes
from mongoengine_history.record.append import append
from mongoengine_history.record.change import Change, numbered
from mongoengine_history.record.head import Head
from mongoengine_history.record.indexes import INDEXES
from mongoengine_history.record.layout import records_of_revision
from mongoengine_history.record.revisions import Revisions
from mongoengine_history.state.context import Context
from mongoengine_history.state.diff import diff
from mongoengine_history.state.revision import CREATE, UPDATE

PLAIN, TRACKED = (documents(prefix)["small"] for prefix in ("Unnumbered", "Numbered"))
signals.post_save.connect(track_changes, sender=TRACKED)

Act = Callable[[], Any]


def unnumbered() -> Any:
    """Return a collection for records, with the indexes of the history."""
    collection = mongoengine.get_db()["unnumbered"]
    collection.create_indexes(INDEXES)
    return collection


class Inserts:
    """The two inserts of a turn: the same records, numbered by the store, and as they are."""

    def __init__(self, changed: int) -> None:
        self._changed, self._number = changed, -1
        self._document = filled(TRACKED).save()
        self._store = Revisions.of(self._document)
        self._store.place.ensure_indexes()
        self._twin = unnumbered()
        self._state: dict[str, Any] = {}
        created = self._change(CREATE)
        self._head = append(self._store, created, Head(state={}), None)

    def _change(self, operation: str) -> Change:
        before, self._state = self._state, self._document.to_mongo().to_dict()
        self._state.pop("_id")
        patches, stamp = diff(before, self._state), time.time_ns() // 1000
        return Change(operation, Context("judge"), before, self._state, patches, stamp)

    def _prepare(self, number: int) -> None:
        """Make the change of a turn, which both arms ask for."""
        if number == self._number:
            return
        self._number = number
        edit(leaves(self._document), self._changed, number + 1)
        self._next = self._change(UPDATE)
        self._records = records_of_revision(numbered(self._next, self._head), self._store.owner)

    def append(self, number: int) -> Act:
        self._prepare(number)
        return self._append

    def _append(self) -> None:
        self._head = append(self._store, self._next, self._head, None)

    def insert(self, number: int) -> Act:
        self._prepare(number)
        return lambda: self._twin.insert_many(self._records)


class Pairs:
    """The two pairs of a turn: an update and its records, numbered or not."""

    def __init__(self, changed: int) -> None:
        self._changed = changed
        self._plain, self._tracked = filled(PLAIN).save(), filled(TRACKED).save()
        self._twin = unnumbered()
        self.track(0)()
        self.track(1)()
        query = {"document_id": self._tracked.pk, "revision": 2, "position": {"$gte": 0}}
        self._records = list(mongoengine.get_db()["history"].find(query))

    def track(self, number: int) -> Act:
        return lambda: self._save(self._tracked, number, DocumentTrack(self._tracked, "judge"))

    def insert(self, number: int) -> Act:
        again = {"document_id": ObjectId()}  # another history, in which no number is taken
        records = [{**it, **again, "_id": ObjectId(), "revision": number} for it in self._records]
        return lambda: (self._save(self._plain, number), self._twin.insert_many(records))

    def _save(self, document: Any, number: int, block: Any = None) -> None:
        with block or nullcontext():
            edit(leaves(document), self._changed, number + 1)
            document.save()
