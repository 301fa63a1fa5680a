"""Appends revisions, reads them, finds the newest; nothing else touches the collections."""

from __future__ import annotations

import random
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count, groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from pymongo import ReadPreference
from pymongo.errors import BulkWriteError, ExecutionTimeout, OperationFailure, PyMongoError

from mongoengine_history.errors import (
    HistoryNotRecordedError,
    IncompleteRevisionError,
    IndexesMissingError,
    RevisionConflictError,
)
from mongoengine_history.lists import list_hash, path_text, remember, settle
from mongoengine_history.parts import fits, join, split
from mongoengine_history.patching import Patch, patch_of, record_of
from mongoengine_history.records import BY_REVISION, INDEXES, NUMBERED, History
from mongoengine_history.revision import Context, Revision, wall_clock
from mongoengine_history.sessions import active_session, in_transaction
from mongoengine_history.values import WIRE, Path, State, encode, find, wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mongoengine import Document
    from pymongo import MongoClient
    from pymongo.collection import Collection

OPTIONS: Final[Any] = {"codec_options": WIRE, "read_preference": ReadPreference.PRIMARY}

ATTEMPTS: Final = 30
PATIENCE: Final = 5_000
"""Milliseconds to wait for an index inside a transaction."""

READS: Final = 5
"""How often to look for the rest of a revision that may be on its way."""

DUPLICATE_KEY: Final = 11000
CONFLICTING_INDEX: Final = (85, 86)
BAD_HINT: Final = 2

_indexed: WeakKeyDictionary[MongoClient[Any], set[str]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Head:
    """What is known of the newest revision of a document."""

    #: Its number; 0 before the first.
    number: int = 0
    #: Its time, microseconds since 1970 UTC.
    stamp: int = 0
    #: The hashes of lists that it carries.
    lists: Mapping[str, bytes] = field(default_factory=dict)
    #: The state that the history replays to, where it is known without reading.
    state: State | None = None

    def list_hash(self, path: Path) -> bytes | None:
        """Return the hash of a list as the history has it, None if that is not known."""
        if self.state is not None:
            return list_hash(find(self.state, path))
        return self.lists.get(path_text(path))


@dataclass(frozen=True, slots=True)
class Change:
    """What one write did, before it has a number."""

    operation: str
    context: Context
    before: State
    after: State
    patches: list[Patch]
    #: Microseconds since 1970 UTC.
    stamp: int


class Store:
    """The history of one document."""

    def __init__(self, document: Document, pk: object = None) -> None:
        collection = document._get_collection()
        if pk is None:
            pk = document.to_mongo(fields=[document._meta["id_field"]]).get("_id")
        self._collection = collection
        self._client = collection.database.client
        self._database = collection.database.name
        self.document_type: str = collection.name
        self.document_id = wire({"_id": pk}, collection.codec_options)["_id"]

    @cached_property
    def _documents(self) -> Collection[State]:
        return self._collection.with_options(**OPTIONS)  # type: ignore[no-any-return]  # untyped

    @cached_property
    def _history(self) -> Collection[State]:
        name = History._get_collection_name()
        return self._collection.database.get_collection(name, **OPTIONS)  # type: ignore[no-any-return]  # untyped

    @cached_property
    def address(self) -> tuple[object, str, str, bytes]:
        """Name the document for comparisons: server, database, collection, primary key."""
        return self._client, self._database, self.document_type, encode(self.document_id)

    @property
    def in_transaction(self) -> bool:
        """Say whether reads and writes are part of a transaction now."""
        return in_transaction(self._client)

    def ensure_indexes(self) -> None:
        """
        Create the indexes of the history, once per database and process; in no transaction.

        Raises:
            IndexesMissingError: a transaction is active that uses the history already.
        """
        done = _indexed.setdefault(self._client, set())
        if self._database in done:
            return
        # Outside a transaction an index may take its time; inside it may wait for that very one.
        limit: Any = {"maxTimeMS": PATIENCE} if self.in_transaction else {}
        try:
            with self._client.start_session() as apart:
                self._create_indexes(apart, limit)
        except ExecutionTimeout as error:
            raise IndexesMissingError(self._database) from error
        done.add(self._database)

    def _create_indexes(self, session: Any, limit: Any) -> None:
        try:
            self._history.create_indexes(INDEXES, session=session, **limit)
        except OperationFailure as error:
            if error.code not in CONFLICTING_INDEX:
                raise
            # The application has one on the same keys under its own name, which serves as well.
            unique, *others = INDEXES
            self._history.create_indexes([unique], session=session, **limit)
            for index in others:
                with suppress(OperationFailure):
                    self._history.create_indexes([index], session=session, **limit)

    def stored(self) -> State | None:
        """Read the document as it is stored now; None if it is not."""
        found = self._documents.find_one({"_id": {"$eq": self.document_id}}, session=self._session)
        return _without_id(found)

    def head(self) -> Head:
        """Read what is known of the newest revision."""
        return _head_of(self._read(self._newest))

    def opening(self) -> tuple[Head, State | None]:
        """Read the newest revision and the stored document, in one round trip where possible."""
        if self.in_transaction:  # where $unionWith is not allowed
            return self.head(), self.stored()
        wanted = [{"$match": {"_id": {"$eq": self.document_id}}}]
        union = {"$unionWith": {"coll": self.document_type, "pipeline": wanted}}
        found = self._read([*self._newest, union])
        stored = next((item for item in found if "_id" in item), None)
        return _head_of([item for item in found if "_id" not in item]), _without_id(stored)

    def append(self, change: Change, head: Head, base: State | None) -> Head:
        """
        Number a change and insert it, with one round trip if *head* is the newest revision.

        Args:
            change: What was written.
            head: What is known of the newest revision.
            base: The stored state before the very first revision, kept as version 0; None where
                there was no document, or where *head* is not the beginning.

        Returns:
            The head after it.

        Raises:
            HistoryNotRecordedError: the records could not be written, or other writers were faster
                ``ATTEMPTS`` times.
            pymongo.errors.PyMongoError: the same inside a transaction, which undoes the write, too.
        """
        for attempt in range(ATTEMPTS):
            revision = numbered(change, head)
            documents = self.documents_of(revision, None if head.number else base)
            try:
                if self._insert(documents):
                    state = None if head.state is None else revision.after(head.state)
                    return Head(revision.number, revision.stamp, revision.lists, state)
                time.sleep(random.random() * 0.001 * attempt)  # noqa: S311  # spreads writers, no secret
                head = self.head()
            except PyMongoError as error:
                if self.in_transaction:
                    raise
                self._take_out(documents)
                raise HistoryNotRecordedError(self.document_id, documents, error) from error
        conflict = RevisionConflictError(self.document_id, ATTEMPTS)
        raise HistoryNotRecordedError(self.document_id, documents, conflict) from conflict

    def _insert(self, documents: list[dict[str, Any]]) -> bool:
        """Insert the records of a revision; False if its number is taken."""
        try:
            self._history.insert_many(documents, session=self._session)
        except BulkWriteError as error:
            place = _duplicate(error)
            if self.in_transaction or place is None:
                raise
            if place == 0:
                return False
            # Parts or a version are left of records that were deleted: these take their place.
            taken = [documents[0]["revision"], documents[-1]["revision"]]
            ours = {"$nin": [document["_id"] for document in documents]}
            leftovers = {**self._mine, "revision": {"$in": taken}, "_id": ours}
            self._history.delete_many(leftovers, session=self._session)
            self._history.insert_many(documents[place:], session=self._session)
        return True

    def _take_out(self, documents: list[dict[str, Any]]) -> None:
        """Remove what was inserted of a revision before it failed, so that all can be later."""
        with suppress(PyMongoError):
            ids = [document["_id"] for document in documents if "_id" in document]
            self._history.delete_many({"_id": {"$in": ids}}, session=self._session)

    def documents_of(self, revision: Revision, base: State | None = None) -> list[dict[str, Any]]:
        """Return what is stored of a revision: its records, their parts, and version 0 at last."""
        context = revision.context
        shared: dict[str, Any] = {
            "document_type": self.document_type,
            "document_id": self.document_id,
            "created_at": wall_clock(revision.at),
            "stamp": revision.stamp,
        }
        about: dict[str, Any] = {"revision": revision.number, "operation": revision.operation}
        for name in ("identity", "reason"):
            if getattr(context, name) is not None:  # as 1.1, which stored no null
                about[name] = getattr(context, name)
        if context.metadata:
            about["metadata"] = dict(context.metadata)
        records = [{**shared, **record_of(patch), **about} for patch in revision.patches]
        records[0]["lists"] = dict(revision.lists)
        documents = _with_parts(records, "data")
        for position, document in enumerate(documents):
            document.update(position=position, size=len(documents))
        return documents if base is None else [*documents, *_version(shared, base)]

    def revisions(self, since: int | None = None, until: int | None = None) -> list[Revision]:
        """
        Read revisions, the oldest first.

        Args:
            since: Only those stamped at or after it, microseconds since 1970 UTC.
            until: Only those stamped at or before it.
        """
        stamps = {"$gte": since, "$lte": until}
        bounds = {operator: stamp for operator, stamp in stamps.items() if stamp is not None}
        query = {**self._mine, "revision": {"$gte": 1}, **({"stamp": bounds} if bounds else {})}
        for attempt in range(READS):
            found = list(self._history.find(query, session=self._session))
            found.sort(key=itemgetter("revision", "position"))
            try:
                return self._revisions(found, found[0]["revision"] if bounds and found else 1)
            except IncompleteRevisionError as error:
                # The newest may be on its way: the records of a large one take their time.
                if error.number != found[-1]["revision"] or attempt == READS - 1:
                    raise
            time.sleep(0.05 * (attempt + 1))
        raise AssertionError  # the last attempt returns or raises

    def _revisions(self, found: list[dict[str, Any]], number: int) -> list[Revision]:
        """Make revisions of records, the first of which has *number*."""
        revisions = []
        for expected, (_, records) in zip(count(number), groupby(found, itemgetter("revision"))):
            revisions.append(self._revision(list(records), expected))
        return revisions

    def base(self) -> State | None:
        """Read the state before the first revision; None if the history begins otherwise."""
        query = {**self._mine, "revision": 0}
        found = list(self._history.find(query, session=self._session).sort("position", 1))
        return _joined(found)[0]["state"] if found else None

    def legacy(self) -> list[dict[str, Any]]:
        """Read the records that mongoengine-history 1.1 wrote, the oldest first."""
        query = {**self._mine, "stamp": None, "revision": None, "created_at": {"$type": "date"}}
        found = list(self._history.find(query, session=self._session))
        return sorted(found, key=itemgetter("created_at", "_id"))

    @property
    def _mine(self) -> dict[str, Any]:
        return {"document_type": self.document_type, "document_id": {"$eq": self.document_id}}

    @property
    def _session(self) -> Any:
        return active_session(self._client)

    @property
    def _newest(self) -> list[dict[str, Any]]:
        return [
            {"$match": {**self._mine, **NUMBERED, "position": 0}},
            {"$sort": {"revision": -1}},
            {"$limit": 1},
            {"$project": {"_id": 0, "revision": 1, "stamp": 1, "lists": 1}},
        ]

    def _read(self, pipeline: list[dict[str, Any]]) -> list[dict[str, Any]]:
        options: Any = {"hint": BY_REVISION, "session": self._session}
        try:
            return list(self._history.aggregate(pipeline, **options))
        except OperationFailure as error:
            if error.code != BAD_HINT or self.in_transaction:
                raise
        # Somebody dropped the indexes, or the database, since this process made them.
        _indexed.get(self._client, set()).discard(self._database)
        self.ensure_indexes()
        return list(self._history.aggregate(pipeline, **options))

    def _revision(self, found: list[dict[str, Any]], number: int) -> Revision:
        first = found[0]
        if first["revision"] != number:
            raise IncompleteRevisionError(self.document_id, number, 0, 1)
        if len(found) != first["size"]:
            raise IncompleteRevisionError(self.document_id, number, len(found), first["size"])
        about = Context(first.get("identity"), first.get("reason"), first.get("metadata", {}))
        patches = tuple(patch_of(record) for record in _joined(found))
        lists = first.get("lists", {})
        return Revision(number, first["stamp"], first["operation"], about, patches, lists)


def numbered(change: Change, head: Head) -> Revision:
    """Make a change the revision after *head*; index patches are kept where they fit for sure."""
    patches = settle(change.patches, change.before, change.after, head.list_hash)
    lists = remember(head.lists, patches, change.after)
    stamp = max(change.stamp, head.stamp)
    number = head.number + 1
    return Revision(number, stamp, change.operation, change.context, tuple(patches), lists)


def _version(shared: dict[str, Any], state: State) -> list[dict[str, Any]]:
    """Version 0: positions below those of records, so that it takes no place in the revision."""
    documents = _with_parts([{**shared, "revision": 0, "state": state}], "state")
    for position, document in enumerate(documents):
        document.update(position=position - len(documents), size=len(documents))
    return documents


def _with_parts(records: list[dict[str, Any]], field: str) -> list[dict[str, Any]]:
    """Append the parts of records that are too large, which name the place of their record."""
    documents = list(records)
    if fits([record[field] for record in records]):
        return documents
    for place, record in enumerate(records):
        own = {name: record[name] for name in ("document_type", "document_id", "stamp", "revision")}
        documents += [{**own, "part_of": place, "bytes": raw} for raw in split(record, field)]
    return documents


def _joined(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put the parts back into their records; the parts stand behind all records."""
    records = [document for document in found if "part_of" not in document]
    parts = {
        place: list(own) for place, own in groupby(found[len(records) :], itemgetter("part_of"))
    }
    return [
        join(record, parts[place]) if "parts" in record else record
        for place, record in enumerate(records)
    ]


def _head_of(found: list[dict[str, Any]]) -> Head:
    if not found:
        return Head()
    return Head(found[0]["revision"], found[0]["stamp"], found[0].get("lists", {}))


def _without_id(document: Any) -> State | None:
    if document is None:
        return None
    return {key: value for key, value in document.items() if key != "_id"}


def _duplicate(error: BulkWriteError) -> int | None:
    """Return the place of the document whose key is taken, None if it failed otherwise."""
    first = error.details["writeErrors"][0] if error.details.get("writeErrors") else {}
    return first["index"] if first.get("code") == DUPLICATE_KEY else None
