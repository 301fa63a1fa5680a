"""Reads what was recorded of one document, each query by an index."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from pymongo import ASCENDING, DESCENDING
from pymongo.errors import OperationFailure

from mongoengine_history.errors import IncompleteRevisionError, RevisionNotFoundError
from mongoengine_history.layout import revision_of
from mongoengine_history.lists import list_hash, path_text
from mongoengine_history.patching import paths_of
from mongoengine_history.place import Place, indexed
from mongoengine_history.records import BY_REVISION, BY_STAMP, NUMBERED
from mongoengine_history.revision import StoredRevision, wall_clock
from mongoengine_history.touching import conditions
from mongoengine_history.values import State, find

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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


class Ledger(Place):
    """The revisions of one document, as they were recorded."""

    def stored(self, names: Iterable[str] = ()) -> State | None:
        """Read the document as it is stored now, or top-level *names* of it; None if it is not."""
        # A projection cannot name what begins with a dollar sign.
        wanted = None if any(name.startswith("$") for name in names) else dict.fromkeys(names, 1)
        query = {"_id": {"$eq": self.document_id}}
        return _without_id(self.documents.find_one(query, wanted or None, session=self.session))

    def recordable(self) -> State | None:
        """Read the document as the history may have it; None if it is not stored."""
        stored = self.stored()
        return stored and self.hiding.hidden(stored)

    def head(self) -> Head:
        """Read what is known of the newest revision."""
        return self._newest_in(self.read(self._newest))

    def opening(self) -> tuple[Head, State | None]:
        """Read the newest revision and the stored document, in one round trip where possible."""
        if self.in_transaction:  # where $unionWith is not allowed
            return self.head(), self.stored()
        wanted = [{"$match": {"_id": {"$eq": self.document_id}}}]
        union = {"$unionWith": {"coll": self.document_type, "pipeline": wanted}}
        found = self.read([*self._newest, union])
        stored = next((item for item in found if "_id" in item), None)
        newest = [item for item in found if "_id" not in item]
        return self._newest_in(newest), _without_id(stored)

    def _newest_in(self, found: list[dict[str, Any]]) -> Head:
        return head_of(found[0]) if found else Head()

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
        """Read documents of this history by an index, in its order."""
        keys = [(name, order) for name in index[2:]]
        find = partial(self.history.find, {**self.mine, **query}, sort=keys, **options)
        return self.by_index(index, find, options.get("batch_size"))

    def by_index(
        self, index: tuple[str, ...], find: Callable[..., Any], size: int | None
    ) -> Iterator[Mapping[str, Any]]:
        """Call PyMongo's *find* with a hint; where that index is missing, the server may choose."""
        hint = [(name, ASCENDING) for name in index]
        try:
            yield from _all_of(find(hint=hint, session=self.session), size)
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
        return number_in(self._sorted(BY_STAMP, query, DESCENDING, **ONE_NUMBER)) or 0

    def last_touching(self, path: str | Sequence[str | int]) -> int:
        """Return the number of the last revision that says something about a path; 0 without."""
        query = {"revision": {"$gte": 1}, "position": RECORD, "$or": conditions(path)}
        return number_in(self._records(query, DESCENDING, **ONE_NUMBER)) or 0

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

    def read(self, pipeline: list[dict[str, Any]], **options: Any) -> list[dict[str, Any]]:
        """Aggregate by the index of revisions, which is made again where somebody dropped it."""
        hint = dict.fromkeys(BY_REVISION, ASCENDING)
        options = {"hint": hint, "session": self.session, **options}
        try:
            return list(self.history.aggregate(pipeline, **options))
        except OperationFailure as error:
            if error.code != BAD_HINT or self.in_transaction:
                raise
        indexed.get(self.client, set()).discard(self.database)
        self.ensure_indexes()
        return list(self.history.aggregate(pipeline, **options))


def _all_of(cursor: Any, size: int | None) -> Iterator[Mapping[str, Any]]:
    """Take documents out of a cursor, *size* at once where PyMongo can: 4.9 or later."""
    if size is None or not hasattr(cursor, "to_list"):
        yield from cursor
        return
    while documents := cursor.to_list(size):
        yield from documents


def number_in(found: Iterator[Mapping[str, Any]]) -> int | None:
    """Return the number of the one document that was looked for; None if it is not there."""
    return next((document["revision"] for document in found), None)


def head_of(newest: Mapping[str, Any]) -> Head:
    """Make a head of the first record of the newest revision, or of a version 0."""
    lists, operation = newest.get("lists") or {}, newest.get("operation") or ""
    return Head(newest["revision"], newest["stamp"], lists, operation=operation)


def _without_id(document: Any) -> State | None:
    if document is None:
        return None
    return {key: value for key, value in document.items() if key != "_id"}
