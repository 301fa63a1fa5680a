"""Writes by a query: documents are read, the write is limited to them, and read again."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from pymongo.errors import DuplicateKeyError, OperationFailure, PyMongoError
from pymongo.results import DeleteResult, UpdateResult

from mongoengine_history.origin import context_at
from mongoengine_history.record.append_many import Bulk
from mongoengine_history.record.place import Place
from mongoengine_history.writes import root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from mongoengine import Document
    from pymongo.collection import Collection

    from mongoengine_history.record.append_many import Found

    Write = Callable[[Any], Any]
    Roots = set[str] | None
    Record = Callable[[Sequence[Found], Any], None]

ATTEMPTS: Final = 30
"""How often to look for a document that others change or take away meanwhile."""

READING: Final = ("collation", "hint", "let", "sort")
"""The options of a write that a read of the same documents takes, too."""


class QueryWrite:
    """
    One write by a query through a tracked class.

    The writes that its methods take are called with a query, limited to what was read.

    Args:
        model: The class.
        collection: Where the documents lie.
        query: What the application asks for.
        options: The options of its write.

    Raises:
        OptionsError: who answers for the write cannot be stored. Nothing was written.
    """

    def __init__(
        self,
        model: type[Document],
        collection: Collection[Any],
        query: Mapping[str, Any] | None,
        options: Mapping[str, Any],
    ) -> None:
        place = Place(model, collection)
        self._bulk = Bulk(place, context_at(place), options.get("session"))
        self._query = query or {}
        given = {name: options.get(name) for name in READING}
        self._reading = {name: value for name, value in given.items() if value is not None}

    def update_many(self, update: Any, write: Write, upsert: Write | None) -> Any:
        """Update all documents, a batch at a time; *upsert* is given where one shall be made."""
        results = self._each_batch(write, self._updating(update), roots_of(update))
        if results:
            return _summed(results)
        return self.update_first(update, write, upsert) if upsert else self._nothing(write)

    def update_first(self, update: Any, write: Write, upsert: Write | None) -> Any:
        """Update or replace one document; *upsert* is given where one shall be made."""
        result = None
        for _ in range(ATTEMPTS):
            result = self._first(write, self._updating(update), roots_of(update))
            if result is None and upsert:
                result = self._made(upsert)
            if result is not None or not upsert:
                break
        return self._nothing(write) if result is None else result

    def delete_many(self, write: Write) -> DeleteResult:
        """Delete all documents, a batch at a time."""
        results = self._each_batch(write, self._deleted)
        count = sum(result.deleted_count for result in results)
        last = results[-1] if results else self._nothing(write)
        return DeleteResult({**last.raw_result, "n": count}, acknowledged=True)

    def delete_first(self, write: Write) -> Any:
        """Delete one document."""
        result = self._first(write, self._deleted)
        return self._nothing(write) if result is None else result

    def _each_batch(self, write: Write, record: Record, roots: Roots = None) -> list[Any]:
        return [self._written(batch, write, record) for batch in self._batches(write, roots)]

    def _batches(self, write: Write, roots: Roots) -> Iterator[list[Found]]:
        with self._asking(write):
            yield from self._bulk.batches(self._query, roots, **self._reading)

    @contextmanager
    def _asking(self, write: Write) -> Iterator[None]:
        """Read for a write; where the server refuses that, the write itself gets its answer."""
        try:
            yield
        except OperationFailure:
            if not self._bulk.in_transaction:  # which is over by that
                self._nothing(write)
            raise

    def _first(self, write: Write, record: Record, roots: Roots = None) -> Any:
        """Write to one document. None if there is none; others may change it before."""
        for _ in range(ATTEMPTS):
            with self._asking(write):
                found = self._bulk.one(self._query, roots, **self._reading)
            result = self._written(found, write, record) if found else None
            if not found or _has_matched(result):
                return result
        return None

    def _made(self, upsert: Write) -> Any:
        """Make a document by an upsert that matches nothing; None if another writer was faster."""
        try:
            result = upsert(self._only([]))
        except DuplicateKeyError:
            if self._bulk.one(self._query, **self._reading):
                return None
            raise
        self._bulk.inserted(self._bulk.one({"_id": result.upserted_id}))
        return result

    def _nothing(self, write: Write) -> Any:
        """Write to no document: the server still says what is wrong with it."""
        return write(self._only([]))

    def _only(self, batch: Sequence[Found]) -> dict[str, Any]:
        of_batch = {"_id": {"$in": [found.key for found in batch]}}
        return {"$and": [self._query, of_batch]} if self._query else of_batch

    def _written(self, batch: Sequence[Found], write: Write, record: Record) -> Any:
        """Write to a batch and record what that did, also where it failed on its way."""
        try:
            result = write(self._only(batch))
        except BaseException:
            with suppress(PyMongoError):  # what failed first is what the application has to know
                record(batch, None)
            raise
        if _has_changed(result):
            record(batch, result)
        return result

    def _updating(self, update: Any) -> Record:
        def record(batch: Sequence[Found], result: Any) -> None:
            count = result.modified_count if isinstance(result, UpdateResult) else None
            self._bulk.updated(batch, roots_of(update), count)

        return record

    def _deleted(self, batch: Sequence[Found], result: Any) -> None:
        """Take in a deletion; what is found and deleted at once is one document."""
        count = None if result is None else len(batch)
        count = result.deleted_count if isinstance(result, DeleteResult) else count
        self._bulk.deleted(batch, count)


def roots_of(update: Any) -> Roots:
    """Name the top-level keys that an update may set; None if it may set any."""
    if not isinstance(update, dict) or not all(
        operator.startswith("$") and isinstance(values, dict) for operator, values in update.items()
    ):
        return None  # a pipeline, a replacement, or something that the server refuses
    paths = [path for values in update.values() for path in values]
    return {root(path) for path in [*paths, *update.get("$rename", {}).values()]}


def _has_matched(result: Any) -> bool:
    if isinstance(result, UpdateResult):
        return bool(result.matched_count)
    return bool(result.deleted_count) if isinstance(result, DeleteResult) else result is not None


def _has_changed(result: Any) -> bool:
    if isinstance(result, UpdateResult):
        return bool(result.modified_count)
    return _has_matched(result)


def _summed(results: list[UpdateResult]) -> UpdateResult:
    """Return the result that one update of all batches would have had."""
    raws: list[Any] = [result.raw_result for result in results]
    counts = {name: sum(raw[name] for raw in raws) for name in ("n", "nModified")}
    return UpdateResult({**raws[-1], **counts}, acknowledged=True)
