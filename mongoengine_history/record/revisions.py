"""Reads what was recorded of one document, each query by an index."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime
from functools import cached_property, partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from bson import ObjectId
from pymongo import ASCENDING, DESCENDING

from mongoengine_history.documents.snapshot import check_document, key_in, stored_key
from mongoengine_history.errors import (
    HistoryError,
    MalformedRecordError,
    RevisionNotFoundError,
)
from mongoengine_history.record.classes import NOWHERE, is_of
from mongoengine_history.record.complete import RECORD, complete, gone
from mongoengine_history.record.head import Head, Turn, turn_at
from mongoengine_history.record.indexes import BY_REVISION, BY_STAMP, OWNER
from mongoengine_history.record.layout import revision_of
from mongoengine_history.record.place import Place, projection
from mongoengine_history.state.moments import wall_clock
from mongoengine_history.state.problem import (
    LARGEST_NUMBER,
    UNREADABLE,
    is_number,
    problem_in,
)
from mongoengine_history.state.values import WIRE, State, identifier, wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from bson.codec_options import CodecOptions
    from mongoengine import Document

    from mongoengine_history.state.revision import StoredRevision


Made = TypeVar("Made")

VERSION: Final = {"$lt": 0}
"""The positions of versions."""

ALL_AT_ONCE: Final = 20_000
"""Documents to read at once where all of them are wanted …"""

ONE_BY_ONE: Final = 1_000
"""… and where they are taken one by one."""

EVERYWHERE: Final[Mapping[str, Any]] = MappingProxyType({})

NUMBERABLE: Final = {"revision": {"$gte": 0, "$lt": LARGEST_NUMBER}}
"""The condition that the next revision may be numbered after a record; an index serves it."""

OF_NEWEST: Final = dict.fromkeys(
    ["revision", "stamp", "lists", "redacted", "operation", "action", "checksum"], 1
)

ONE_NUMBER: Final[Any] = {"projection": {"_id": 0, "revision": 1}, "limit": 1}

NEEDED: Final = {
    "_id": 0,
    **dict.fromkeys(["revision", "position", "size", "operation", "action", "keys", "data"], 1),
    **dict.fromkeys(["parts", "part_of", "bytes"], 1),
}
"""The fields that patches are made of."""


class Revisions:
    """
    What was recorded of one document, by its primary key as ``to_mongo()`` has it.

    Values are read by *codec*, by default as they are stored. With `NOWHERE` in *among* it is as
    if there was nothing.
    """

    def __init__(
        self, place: Place, key: Any, codec: Any = WIRE, among: Mapping[str, Any] = EVERYWHERE
    ) -> None:
        self.place, self.among = place, among
        is_as_stored = key is None or type(key) is ObjectId  # a short cut, no other result
        self.key = key if is_as_stored else wire({"_id": key}, place.codec)["_id"]
        self._codec = codec

    def seen_by(self, model: type[Document]) -> Revisions:
        """Return the same, or nothing at all of a document that is of another class."""
        if is_of(model, self.key, self.place.documents, self.place.history):
            return self
        return Revisions(self.place, self.key, self._codec, NOWHERE)

    @classmethod
    def of(cls, document: Document) -> Revisions:
        """Return what was recorded of *document*, where it lies now."""
        return cls(Place(document), key_in(document))

    @classmethod
    def named(cls, document: Document) -> Revisions:
        """Return the same of one that has a primary key; an OptionsError of anything else."""
        check_document(document)
        return cls(Place(document), stored_key(document))

    @cached_property
    def address(self) -> tuple[int, str, str, object]:
        """Name the document for comparisons: client, database, collection, primary key."""
        place = self.place  # which keeps the client; one that was closed since may be equal
        return id(place.client), place.database, place.document_type, identifier(self.key)

    @cached_property
    def turn(self) -> Turn:
        """The turn at this document; to be kept between its saves."""
        return turn_at(self.address)

    @property
    def owner(self) -> dict[str, Any]:
        """The fields that say whose a record is."""
        return self.place.owner(self.key)

    @property
    def mine(self) -> dict[str, Any]:
        """The condition that a record belongs to this document."""
        return {**self.place.owned({"$eq": self.key}), **self.among}

    @property
    def _me(self) -> dict[str, Any]:
        """The condition that a document is this one."""
        return {"_id": {"$eq": self.key}, **self.among}

    def stored(self, names: set[str] | None = None) -> State | None:
        """Read the document as it is stored now, or top-level *names* of it; None if it is not."""
        names_only, session = projection(names), self.place.session
        return _without_id(self.place.documents.find_one(self._me, names_only, session=session))

    def recordable(self) -> State | None:
        """Read the document as the history may have it; None if it is not stored."""
        stored = self.stored()
        return stored and self.place.hiding.hidden(stored)

    def head(self) -> Head:
        """Read what is known of the newest revision."""
        return Head.of(*self.place.aggregate(self._newest))

    def opening(self) -> tuple[Head, State | None]:
        """Read the newest revision and the stored document, in one round trip where possible."""
        if self.place.in_transaction:  # where $unionWith is not allowed
            return self.head(), self.stored()
        head, stored = self._read_with([])
        return head, _without_id(stored)

    def looked(self) -> tuple[Head, int]:
        """Read the newest revision and how many bytes the document has; 0 if that is not known."""
        if self.place.in_transaction:
            return self.head(), 0
        head, found = self._read_with([{"$project": {"size": {"$bsonSize": "$$ROOT"}}}])
        return head, found["size"] if found else 0

    def _read_with(self, stages: list[dict[str, Any]]) -> tuple[Head, Any]:
        """Read the newest revision, and what *stages* make of the stored document."""
        wanted = [{"$match": self._me}, *stages]
        union = {"$unionWith": {"coll": self.place.document_type, "pipeline": wanted}}
        found = self.place.aggregate([*self._newest, union])
        newest = [item for item in found if "_id" not in item]
        return Head.of(*newest), next((item for item in found if "_id" in item), None)

    def revision(self, number: int) -> StoredRevision:
        """
        Read one revision.

        Raises:
            RevisionNotFoundError: there is none of that number.
            IncompleteRevisionError: records of it are missing.
            MalformedRecordError: one of them cannot be read.
        """
        found = list(self.between(number, number)) if number > 0 else []
        if found:
            return found[0]
        error = gone(self, number)
        if number > 0 and error.oldest:
            raise error
        raise RevisionNotFoundError(self.key, number, self.head().number)

    def between(
        self, first: int = 1, last: int | None = None, *, newest_first: bool = False
    ) -> Iterator[StoredRevision]:
        """
        Read revisions one by one, in batches; the *last* one counts, None for all.

        All that there are begin with the oldest one that was not pruned.

        Raises:
            IncompleteRevisionError: a revision on the way, or a record of one, is missing.
            MalformedRecordError: a record on the way cannot be read.
        """
        upper = {} if last is None else {"$lte": last}
        order = DESCENDING if newest_first else ASCENDING
        query = {"revision": {"$gte": first, **upper}, "position": RECORD}
        found = self.records(query, order, batch_size=ONE_BY_ONE)
        lowest = first if first > 1 else None
        bounds = (None, lowest) if newest_first else (lowest, None)
        return map(partial(self.made, revision_of), complete(self, found, order, *bounds))

    def made(
        self,
        make: Callable[[list[Mapping[str, Any]], CodecOptions[Any]], Made],
        records: list[Mapping[str, Any]],
    ) -> Made:
        """Make something of a revision, of all its documents, as they were read; else `reading`."""
        try:
            return make(records, self._codec)
        except UNREADABLE as error:
            raise self.malformed(*problem_in(records, error)) from error

    @contextmanager
    def reading(self, documents: Sequence[Mapping[str, Any]]) -> Iterator[None]:
        """
        Let nothing else be wrong inside the block than one of the *documents* that are read.

        Raises:
            MalformedRecordError: something is.
        """
        try:
            yield
        except HistoryError:
            raise
        except UNREADABLE as error:
            raise self.malformed(*problem_in(documents, error)) from error

    def malformed(self, document: Mapping[str, Any], problem: str) -> MalformedRecordError:
        """Name a document that cannot be read."""
        number = document.get("revision")
        if "_id" not in document:  # what is read often is read without
            same = {name: {"$eq": document.get(name)} for name in ("revision", "position")}
            query, session = {**self.mine, **same}, self.place.session
            document = self.place.history.find_one(query, {"_id": 1}, session=session) or {}
        return MalformedRecordError(self.key, number, document.get("_id"), problem)

    def records(
        self,
        query: Mapping[str, Any],
        order: int = ASCENDING,
        index: tuple[str, ...] = BY_REVISION,
        **options: Any,
    ) -> Iterator[Mapping[str, Any]]:
        """Read documents of this history by an index, in its order."""
        if len(self.place.names) > 1:  # the server merges what is in order under each name
            options["sort"] = [(name, order) for name in index if name not in OWNER]
        return self.place.find(index, {**self.mine, **query}, order, self._codec, **options)

    def changes(self, stamps: Mapping[str, int]) -> Iterator[Mapping[str, Any]]:
        """
        Read what patches are made of, by falling revision, in as few batches as possible.

        Without bounds of the stamp records of 1.1, which have no number, come last.
        """
        query = {"position": {"$not": VERSION}, **({"stamp": stamps} if stamps else {})}
        options = {"projection": NEEDED, "batch_size": ALL_AT_ONCE}
        return self.records(query, DESCENDING, BY_STAMP, **options)

    def number_at(self, stamp: int) -> int:
        """Return the number of the last revision stamped at or before *stamp*; 0 without one."""
        query = {"stamp": {"$lte": stamp}, "revision": {"$gte": 1}}
        return self.number_in(query, DESCENDING, BY_STAMP) or 0

    def last_touching(self, either: list[dict[str, Any]], last: int | None = None) -> int:
        """Return the number of the last revision, up to one, that meets one of `conditions`."""
        bounds = {"$gte": 1} if last is None else {"$gte": 1, "$lte": last}
        query = {"revision": bounds, "position": RECORD, "$or": either}
        return self.number_in(query, DESCENDING) or 0

    def number_in(
        self, query: Mapping[str, Any], order: int, index: tuple[str, ...] = BY_REVISION
    ) -> int | None:
        """
        Read the number of the first document that a query finds; None if there is none.

        Raises:
            MalformedRecordError: it is no number of a revision.
        """
        found = self.records(query, order, index, **ONE_NUMBER)
        number: int | None = next((document["revision"] for document in found), None)
        if number is None or is_number(number):
            return number
        found = self.records(query, order, index, limit=1)
        raise self.malformed(next(found, {}), f"its revision is {number!r}")

    def legacy(self, since: datetime | None = None) -> list[Mapping[str, Any]]:
        """Read the records that mongoengine-history 1.1 wrote at or after *since*, oldest first."""
        earliest = {} if since is None else {"$gte": wall_clock(since)}
        made = {"$type": "date", **earliest}
        query = {"stamp": None, "revision": None, "created_at": made}
        found = list(self.records(query, index=BY_STAMP))
        for record in found:
            if not isinstance(record["created_at"], datetime):  # the year has five digits
                raise self.malformed(record, f"its created_at is {record['created_at']!r}")
        return sorted(found, key=lambda it: (it["created_at"], str(it["_id"])))

    @property
    def _newest(self) -> list[dict[str, Any]]:
        return [
            {"$match": {**self.mine, **NUMBERABLE, "position": 0}},
            {"$sort": {"revision": -1}},
            {"$limit": 1},
            {"$project": {"_id": 0, "record": "$_id", **OF_NEWEST}},
        ]


def _without_id(document: Any) -> State | None:
    if document is None:
        return None
    return {key: value for key, value in document.items() if key != "_id"}
