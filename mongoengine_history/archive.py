"""Reads what was recorded of one document, at a cost that does not grow with its history."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from pymongo import ASCENDING, DESCENDING
from pymongo.errors import OperationFailure

from mongoengine_history.errors import (
    IncompleteRevisionError,
    RevisionNotFoundError,
    StateNotKeptError,
)
from mongoengine_history.layout import revision_of, state_of
from mongoengine_history.lists import check, list_hash, path_text
from mongoengine_history.patching import paths_of
from mongoengine_history.place import Place, indexed
from mongoengine_history.records import BY_REVISION, BY_STAMP, NUMBERED, OWNER
from mongoengine_history.revision import ANEW, StoredRevision, replay, wall_clock
from mongoengine_history.touching import conditions
from mongoengine_history.values import State, find

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from mongoengine_history.values import Path

READS: Final = 5
"""How often to look for the rest of a revision that may be on its way."""

BAD_HINT: Final = 2

RECORD: Final = {"$gte": 0}
"""The positions of records and of their parts …"""

VERSION: Final = {"$lt": 0}
"""… and those of versions."""

BATCH: Final = 20_000
"""Documents to read at once where all of them are wanted …"""

STREAM: Final = 1_000
"""… and where they are taken one by one."""

ONE_NUMBER: Final[Any] = {"projection": {"_id": 0, "revision": 1}, "limit": 1}

NEEDED: Final = {
    "_id": 0,
    **dict.fromkeys(["revision", "position", "size", "action", "keys", "data"], 1),
    **dict.fromkeys(["parts", "part_of", "bytes"], 1),
}
"""The fields that patches are made of."""

FOLDABLE: Final = dict.fromkeys(
    [*OWNER, "_id", "created_at", "path", "identity", "reason", "metadata"], 0
)
"""The fields that a state is not made of."""


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
    #: What it was; empty where that is not known.
    operation: str = ""
    #: Whether another writer was seen, so that a look comes before the next number is tried.
    is_contended: bool = False
    #: When that was learned, on a clock of this process.
    learned: float = field(default_factory=time.monotonic, compare=False)

    def list_hash(self, path: Path) -> bytes | None:
        """Return the hash of a list as the history has it, None if that is not known."""
        known = self.lists.get(path_text(path))
        if known is None and self.state is not None:
            return list_hash(find(self.state, path))
        return known


class Archive(Place):
    """The history of one document, for reading. Every query is served by an index."""

    def stored(self) -> State | None:
        """Read the document as it is stored now; None if it is not."""
        found = self.documents.find_one({"_id": {"$eq": self.document_id}}, session=self.session)
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

    def revision(self, number: int) -> StoredRevision:
        """
        Read one revision.

        Raises:
            RevisionNotFoundError: there is none of that number.
            IncompleteRevisionError: records of it are missing.
        """
        found = list(self.revisions(number, number)) if number > 0 else []
        if not found:
            raise RevisionNotFoundError(self.document_id, number, self.head().number)
        return found[0]

    def revisions(
        self, first: int = 1, last: int | None = None, *, newest_first: bool = False
    ) -> Iterator[StoredRevision]:
        """
        Read revisions one by one, in the batches of PyMongo.

        Args:
            first: The lowest number wanted, at least 1.
            last: The highest one, which counts, too; None for all that there are.
            newest_first: The order.

        Raises:
            IncompleteRevisionError: a revision on the way, or a record of one, is missing.
        """
        upper = {} if last is None else {"$lte": last}
        order = DESCENDING if newest_first else ASCENDING
        query = {"revision": {"$gte": first, **upper}, "position": RECORD}
        found = self._records(query, order, batch_size=STREAM)
        bounds = (None, first) if newest_first else (first, None)
        return (self._revision_of(records) for records in self.wholes(found, order, *bounds))

    def _revision_of(self, records: Sequence[Mapping[str, Any]]) -> StoredRevision:
        return revision_of(records, self.reading)

    def _records(
        self, query: Mapping[str, Any], order: int = ASCENDING, **options: Any
    ) -> Iterator[Mapping[str, Any]]:
        return self._sorted(BY_REVISION, query, order, **options)

    def _sorted(
        self, index: tuple[str, ...], query: Mapping[str, Any], order: int, **options: Any
    ) -> Iterator[Mapping[str, Any]]:
        """Read documents by an index, in its order; where that is missing, as the server can."""
        keys = [(name, order) for name in index[2:]]
        find = partial(self.history.find, {**self.mine, **query}, sort=keys, **options)
        try:
            hint = [(name, ASCENDING) for name in index]
            yield from _all_of(find(hint=hint, session=self.session), options.get("batch_size"))
        except OperationFailure as error:
            if error.code != BAD_HINT or self.in_transaction:
                raise
            yield from find(session=self.session)

    def wholes(
        self,
        found: Iterable[Mapping[str, Any]],
        step: int,
        first: int | None = None,
        last: int | None = None,
    ) -> Iterator[list[Mapping[str, Any]]]:
        """
        Group documents by revision, each group in the order of positions.

        Args:
            found: Sorted by revision.
            step: 1 where numbers rise, -1 where they fall.
            first: The number that must come first, if any is there; None for any.
            last: The number that must come last.

        Raises:
            IncompleteRevisionError: a number, or a record of a revision, is missing.
        """
        expected = first
        for number, group in groupby(found, itemgetter("revision")):
            if expected not in {None, number}:
                raise IncompleteRevisionError(self.document_id, int(expected or 0), 0, 1)
            records = list(group)
            if len(records) > 1:
                records.sort(key=itemgetter("position"))
            yield records if len(records) == records[0]["size"] else self._waited_for(records)
            expected = number + step
        if last is not None and expected not in {None, last + step}:
            raise IncompleteRevisionError(self.document_id, int(expected or 0), 0, 1)

    def _waited_for(self, records: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Return all records of a revision of which some may still be on their way."""
        number, size = records[0]["revision"], records[0]["size"]
        for attempt in range(READS):
            time.sleep(0.05 * attempt)
            records = list(self._records({"revision": number, "position": RECORD}))
            if len(records) == size:
                return records
        raise IncompleteRevisionError(self.document_id, number, len(records), size)

    def number_at(self, stamp: int) -> int:
        """Return the number of the last revision stamped at or before *stamp*; 0 without one."""
        query = {"stamp": {"$lte": stamp}, "revision": {"$gte": 1}}
        return _number(self._sorted(BY_STAMP, query, DESCENDING, **ONE_NUMBER)) or 0

    def state(self, number: int) -> State | None:
        """
        Rebuild the state right after a revision.

        It is replayed from the nearest version before, or else from the creation. Where neither
        is, it is unwound from the nearest version after, or else from the stored document.

        Args:
            number: The revision; 0 is the state before the first one.

        Returns:
            The state; None if there was no document.

        Raises:
            RevisionNotFoundError: there is no such revision.
            IncompleteRevisionError: records are missing on the way.
            PatchError: a revision does not fit the state before it.
            StateNotKeptError: nothing is known to start from.
        """
        try:
            return self.replayed(number)
        except StateNotKeptError:
            return self._unwound(number)

    def replayed(self, number: int) -> State | None:
        """
        Rebuild a state as `state` does, but only forwards.

        Raises:
            StateNotKeptError: there is neither a version nor a creation before it.
        """
        nearest = self._version_near({"$lte": number}, DESCENDING)
        if nearest is not None:
            query = {"revision": {"$gte": nearest, "$lte": number}}
            found = self._records(query, projection=FOLDABLE, batch_size=BATCH)
            return self.folded(list(found), nearest, number)
        return self._from_creation(number)

    def _from_creation(self, number: int) -> State | None:
        state: State = {}
        last = None
        for revision in self.revisions(1, max(number, 1)):
            if last is None and revision.operation not in ANEW:
                raise StateNotKeptError(self.document_id, number)
            last, state = revision, revision.after(state)
        if last is None:
            raise StateNotKeptError(self.document_id, number)
        if number and last.number != number:
            raise RevisionNotFoundError(self.document_id, number, last.number)
        return None if not number or last.leaves_nothing else state

    def begins_with_creation(self) -> bool:
        """Say whether the first revision made the document."""
        first = next(self.revisions(1, 1), None)
        return first is not None and first.operation in ANEW

    def _version_near(self, bounds: Mapping[str, int], order: int) -> int | None:
        """Return the number of a version. Its last document says that it is complete."""
        query = {"revision": {"$gte": 0, **bounds}, "position": -1}
        return _number(self._records(query, order, **ONE_NUMBER))

    def folded(self, found: Sequence[Mapping[str, Any]], nearest: int, number: int) -> State | None:
        """
        Return the state after a revision, as `state` does.

        Args:
            found: All documents of the revisions from *nearest* to *number*, in order.
            nearest: The number of a version, or 0 where a creation comes first.
            number: The revision.
        """
        version = [it for it in found if it["position"] < 0 and it["revision"] == nearest]
        first = max(1, min(nearest + 1, number))  # of the version's own revision only if asked for
        records = [it for it in found if it["position"] >= 0 and it["revision"] >= first]
        revisions = [self._revision_of(whole) for whole in self.wholes(records, 1, first)]
        if number and (not revisions or revisions[-1].number != number):
            raise RevisionNotFoundError(self.document_id, number, self.head().number)
        if revisions and revisions[-1].leaves_nothing:
            return None
        later = (revision for revision in revisions if revision.number > nearest)
        state = replay(later, state_of(version) if version else {})
        if revisions:
            check(state, revisions[-1].lists)
        return state

    def _unwound(self, number: int) -> State | None:
        if number and self.revision(number).leaves_nothing:
            return None
        later = self._version_near({"$gt": number}, ASCENDING)
        if later is None:
            state = self.stored()
        else:
            state = state_of(list(self._records({"revision": later, "position": VERSION})))
        for revision in self.revisions(number + 1, later, newest_first=True):
            if state is None and not revision.leaves_nothing:
                break
            state = revision.before(state or {})
        if state is None and (number or self.head().number):
            raise StateNotKeptError(self.document_id, number)
        return state

    def last_touching(self, path: str | Sequence[str | int]) -> int:
        """Return the number of the last revision that says something about a path; 0 without."""
        query = {"revision": {"$gte": 1}, "position": RECORD, "$or": conditions(path)}
        return _number(self._records(query, DESCENDING, **ONE_NUMBER)) or 0

    def touched(self, first: int) -> set[Path]:
        """Name the paths that revisions set, from number *first* on."""
        return {path for it in self.revisions(first) for path in paths_of(it.patches)}

    def legacy(self, since: datetime | None = None) -> list[Mapping[str, Any]]:
        """Read the records that mongoengine-history 1.1 wrote at or after *since*, oldest first."""
        earliest = {} if since is None else {"$gte": wall_clock(since)}
        made = {"$type": "date", **earliest}
        query = {"stamp": None, "revision": None, "created_at": made}
        found = self._sorted(BY_STAMP, query, ASCENDING)
        return sorted(found, key=itemgetter("created_at", "_id"))

    @property
    def _newest(self) -> list[dict[str, Any]]:
        return [
            {"$match": {**self.mine, **NUMBERED, "position": 0}},
            {"$sort": {"revision": -1}},
            {"$limit": 1},
            {"$project": {"_id": 0, "revision": 1, "stamp": 1, "lists": 1, "operation": 1}},
        ]

    def _read(self, pipeline: list[dict[str, Any]]) -> list[dict[str, Any]]:
        hint = [(name, ASCENDING) for name in BY_REVISION]
        options: Any = {"hint": dict(hint), "session": self.session}
        try:
            return list(self.history.aggregate(pipeline, **options))
        except OperationFailure as error:
            if error.code != BAD_HINT or self.in_transaction:
                raise
        # Somebody dropped the indexes, or the database, since this process made them.
        indexed.get(self.client, set()).discard(self.database)
        self.ensure_indexes()
        return list(self.history.aggregate(pipeline, **options))


class NativeArchive(Archive):
    """The same history, its values with the types that the application reads."""

    @property
    def reading(self) -> Any:
        """The codec options of the collection that the document lies in."""
        return self.codec

    def changes(self, stamps: Mapping[str, int]) -> Iterator[Mapping[str, Any]]:
        """
        Read what patches are made of, by falling revision, in as few batches as possible.

        Args:
            stamps: Bounds of the stamp as MongoDB takes them. Without any all is read, and records
                of 1.1, which have no number, come last.
        """
        query = {"position": {"$not": VERSION}, **({"stamp": stamps} if stamps else {})}
        options = {"projection": NEEDED, "batch_size": BATCH}
        return self._sorted(BY_STAMP, query, DESCENDING, **options)


def _all_of(cursor: Any, size: int | None) -> Iterator[Mapping[str, Any]]:
    """Take documents out of a cursor, *size* at once where PyMongo can: 4.9 or later."""
    if size is None or not hasattr(cursor, "to_list"):
        yield from cursor
        return
    while documents := cursor.to_list(size):
        yield from documents


def _number(found: Iterator[Mapping[str, Any]]) -> int | None:
    """Return the number of the one document that was looked for; None if it is not there."""
    return next((document["revision"] for document in found), None)


def _head_of(found: list[dict[str, Any]]) -> Head:
    if not found:
        return Head()
    newest = found[0]
    lists, operation = newest.get("lists", {}), newest["operation"]
    return Head(newest["revision"], newest["stamp"], lists, operation=operation)


def _without_id(document: Any) -> State | None:
    if document is None:
        return None
    return {key: value for key, value in document.items() if key != "_id"}
