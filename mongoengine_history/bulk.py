"""Many documents of one collection: what was stored of them, and revisions of what became of it."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import bson
from bson.raw_bson import RawBSONDocument
from pymongo import DESCENDING
from pymongo.errors import PyMongoError

from mongoengine_history.changesets import context_of
from mongoengine_history.errors import HistoryNotRecordedError
from mongoengine_history.layout import documents_of_revision
from mongoengine_history.ledger import Head, head_of
from mongoengine_history.origin import current_origin
from mongoengine_history.place import PRIMARY, Place
from mongoengine_history.records import BY_REVISION
from mongoengine_history.revision import CREATE, DELETE, UPDATE
from mongoengine_history.store import Change, Store, duplicate_in, numbered, patched, report
from mongoengine_history.values import WIRE, State, encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence, Set

    from mongoengine import Document
    from pymongo.collection import Collection

MOST: Final = 2_000
"""Documents that are written and recorded together …"""

LARGEST: Final = 8 * 1024 * 1024
"""… and the bytes of them, which bound the memory."""

HEAD: Final = ("revision", "stamp", "lists", "operation")
"""The fields of the first record of a revision that `Head` is made of."""

VERSION_0: Final = -1
"""The position of a version, which is all that some documents have."""


@dataclass(frozen=True, slots=True)
class Found:
    """One document as it was stored."""

    key: Any
    state: State
    raw: bytes

    @classmethod
    def of(cls, raw: Any) -> Found:
        """Decode what the server sent."""
        state = bson.decode(raw, WIRE)
        return cls(state.pop("_id"), state, raw)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A change of one document on its way into the history."""

    key: Any
    change: Change
    head: Head
    base: State | None
    documents: list[dict[str, Any]] = field(default_factory=list)


class Bulk:
    """
    Reads and records documents of one collection, all for one write.

    Args:
        model: The tracked class.
        collection: Where the documents lie.
        session: The one that was asked for, if any.

    Raises:
        OptionsError: who answers for the write cannot be stored. Nothing was written.
    """

    def __init__(
        self, model: type[Document], collection: Collection[Any], session: Any = None
    ) -> None:
        self._model, self._collection = model, collection
        self._place = Place(model, 0, collection)
        self._session = session or self._place.session
        self._place.ensure_indexes()
        origin = current_origin()
        blocks = origin.tracker.blocks if origin else ()
        said = origin.said if origin else {}
        self.context = context_of(self._place.options, collection.codec_options, blocks, said)

    def one(self, query: Mapping[str, Any], **options: Any) -> list[Found]:
        """Read one document that a query matches, the one that a write of one would take."""
        return [Found.of(document.raw) for document in self._find(query, limit=1, **options)]

    def batches(self, query: Mapping[str, Any], **options: Any) -> Iterator[list[Found]]:
        """Read all documents that a query matches. In the order of keys, so none comes twice."""
        batch, size = [], 0
        options = {"sort": [("_id", 1)], "allow_disk_use": True, **options}
        for document in self._find(query, **options):
            batch.append(Found.of(document.raw))
            size += len(document.raw)
            if len(batch) == MOST or size >= LARGEST:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def _find(self, query: Mapping[str, Any], **options: Any) -> Iterator[RawBSONDocument]:
        return raw_of(self._collection).find(query, session=self._session, **options)

    def updated(self, batch: Sequence[Found], roots: set[str] | None) -> None:
        """
        Record what an update has done to a batch.

        Args:
            batch: The documents as they were before.
            roots: The top-level names that it may have set; None for any. What others wrote
                meanwhile to other names is theirs.
        """
        stored = self.stored(batch)
        changes = []
        for found in batch:
            raw = stored.get(encode(found.key))
            if raw is not None and raw != found.raw:
                after = Found.of(raw).state
                if roots is not None:
                    after = _merged(found.state, after, roots)
                changes.append((found.key, found.state, after))
        self._append(UPDATE, changes)

    def deleted(self, batch: Sequence[Found], *, all_of_it: bool) -> None:
        """Record that documents of a batch are gone; which ones is asked where not all are."""
        left = {} if all_of_it else self.stored(batch)
        gone = [found for found in batch if encode(found.key) not in left]
        self._append(DELETE, [(found.key, found.state, None) for found in gone])

    def inserted(self, documents: Sequence[Found], fresh: Set[bytes] = frozenset()) -> None:
        """
        Record that documents are there now.

        Args:
            documents: As they are stored.
            fresh: Encoded keys that were made just now, so that they have no history.
        """
        for start in range(0, len(documents), MOST):
            made = [(it.key, None, it.state) for it in documents[start : start + MOST]]
            self._append(CREATE, made, fresh)

    def stored(self, batch: Sequence[Found]) -> dict[bytes, Any]:
        """Read documents as they are stored now, by their encoded keys."""
        found = self._find({"_id": {"$in": [found.key for found in batch]}})
        return {encode(bson.decode(it.raw, WIRE)["_id"]): it.raw for it in found}

    def _append(
        self,
        operation: str,
        changes: Sequence[tuple[Any, State | None, State | None]],
        fresh: Set[bytes] = frozenset(),
    ) -> None:
        """Record changes of documents: of each its key, and what was and what is; None is none."""
        stamp = time.time_ns() // 1000
        made = []
        for key, before, after in changes:
            change = Change(operation, self.context, before or {}, after or {}, [], stamp)
            change = patched(change, self._place.hiding)
            if change.patches:
                made.append((key, change, before))
        heads = self.heads([key for key, *_ in made if not fresh or encode(key) not in fresh])
        entries = [self._entry(*each, heads) for each in made]
        self._clear_versions([it.key for it in entries if it.base and encode(it.key) in heads])
        self._insert(entries)

    def _clear_versions(self, keys: list[Any]) -> None:
        """Take away versions 0 that were kept early: what is stored now takes their place."""
        if keys:
            mine = {"document_type": self._place.document_type, "document_id": {"$in": keys}}
            self._place.history.delete_many({**mine, "revision": 0}, session=self._session)

    def heads(self, keys: list[Any]) -> dict[bytes, Head]:
        """Read the newest revision of each document that has one, or a version 0."""
        if not keys:
            return {}
        mine = {"document_type": self._place.document_type, "document_id": {"$in": keys}}
        newest = {"revision": {"$gte": 0}, "position": {"$in": [0, VERSION_0]}}
        wanted = {name: {"$first": f"${name}"} for name in HEAD}
        pipeline: list[dict[str, Any]] = [
            {"$match": {**mine, **newest}},
            {"$sort": dict.fromkeys(BY_REVISION, DESCENDING)},
            {"$group": {"_id": "$document_id", **wanted}},
        ]
        found = self._place.history.aggregate(pipeline, session=self._session, batchSize=MOST)
        return {encode(it["_id"]): head_of(it) for it in found}

    def _entry(
        self, key: Any, change: Change, before: State | None, heads: Mapping[bytes, Head]
    ) -> _Entry:
        """Lay out what is inserted for one document."""
        options = self._place.options
        head = heads.get(encode(key), Head())
        revision = numbered(change, head)
        owner = {"document_type": self._place.document_type, "document_id": key}
        state = change.after if options.is_due(revision.number) else None
        base = before if not head.number and options.version_every else None
        base = base and self._place.hiding.hidden(base)
        documents = documents_of_revision(revision, owner, state, base)
        return _Entry(key, change, head, base, documents)

    def _insert(self, entries: list[_Entry]) -> None:
        """
        Insert revisions together; one whose number is taken by now is numbered anew, alone.

        Raises:
            HistoryNotRecordedError: some could not be stored.
            pymongo.errors.PyMongoError: the same inside a transaction, which undoes the write, too.
        """
        lost: list[dict[str, Any]] = []
        cause: Exception | None = None
        while entries:
            documents = [document for entry in entries for document in entry.documents]
            try:
                self._place.history.insert_many(documents, session=self._session)
                break
            except PyMongoError as error:
                if self._place.in_transaction:
                    raise
                place = duplicate_in(error)
                if place is None:
                    lost, cause = lost + self._missing(documents), error
                    break
                taken, entries = _split(entries, place)
                try:
                    self._append_alone(taken)
                except HistoryNotRecordedError as failure:
                    lost, cause = lost + failure.records, failure
        if cause is not None and lost:
            unrecorded = HistoryNotRecordedError(lost[0]["document_id"], lost, cause)
            unrecorded.__cause__ = cause
            report(unrecorded, self._place.options)

    def _append_alone(self, entry: _Entry) -> None:
        ids = [document["_id"] for document in entry.documents if "_id" in document]
        self._place.history.delete_many({"_id": {"$in": ids}}, session=self._session)
        store = Store(self._model, entry.key, self._collection)
        store.append(entry.change, entry.head, entry.base)

    def _missing(self, documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return which documents of a failed insert are not there."""
        ids = [document["_id"] for document in documents if "_id" in document]
        with suppress(PyMongoError):
            found = self._place.history.find({"_id": {"$in": ids}}, {"_id": 1})
            there = {document["_id"] for document in found}
            return [it for it in documents if it.get("_id") not in there]
        return documents


def raw_of(collection: Collection[Any]) -> Collection[RawBSONDocument]:
    """Return the same collection, giving documents as the bytes that the server sent."""
    codec = collection.codec_options.with_options(document_class=RawBSONDocument)
    return collection.with_options(codec_options=codec, read_preference=PRIMARY)


def _merged(before: State, after: State, roots: set[str]) -> State:
    """Return *before* with what an update set: the values of *after* at *roots*."""
    kept = {key: value for key, value in before.items() if key not in roots or key in after}
    return {**kept, **{key: after[key] for key in after if key in roots}}


def _split(entries: list[_Entry], place: int) -> tuple[_Entry, list[_Entry]]:
    """Find the entry whose document stands at *place* in all of them, and those behind it."""
    for number, entry in enumerate(entries):
        if place < len(entry.documents):
            return entry, entries[number + 1 :]
        place -= len(entry.documents)
    raise IndexError(place)
