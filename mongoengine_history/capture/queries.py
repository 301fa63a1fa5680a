"""Writes of many documents: by a query, which is limited to what was read; and inserts."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from bson.raw_bson import RawBSONDocument
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure, PyMongoError
from pymongo.results import DeleteResult, UpdateResult

from mongoengine_history.record.append_many import Found
from mongoengine_history.state.updates import roots_of
from mongoengine_history.state.values import identifier, same, wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from bson.codec_options import CodecOptions

    from mongoengine_history.record.append_many import Bulk

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
        bulk: Reads and records the documents.
        query: What the application asks for.
        options: The options of its write.
    """

    def __init__(
        self, bulk: Bulk, query: Mapping[str, Any] | None, options: Mapping[str, Any]
    ) -> None:
        self._bulk = bulk
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


def own(document: Any) -> Any:
    """Return a document to which PyMongo can give a primary key, the same one if it can."""
    return dict(document) if isinstance(document, RawBSONDocument) else document


def insert_recorded(
    bulk: Bulk, documents: Sequence[Mapping[str, Any]], insert: Callable[[], Any]
) -> Any:
    """
    Insert documents, and record those that arrived.

    Args:
        bulk: Records them.
        documents: What *insert* inserts; it gives a primary key to those that have none.
        insert: Inserts them.

    Returns:
        What *insert* returns.

    Raises:
        HistoryNotRecordedError: the documents are there, some of the records are not.
    """
    were_without_key = ["_id" not in document for document in documents]
    try:
        result = insert()
    except BaseException as error:
        with suppress(PyMongoError):  # what failed first is what the application has to know
            bulk.inserted(_arrived(bulk, _found(documents, bulk.codec), error))
        raise
    made = _found(documents, bulk.codec)
    pairs = zip(made, were_without_key, strict=True)
    bulk.inserted(made, {identifier(it.key) for it, was_without in pairs if was_without})
    return result


def _found(documents: Iterable[Any], codec: CodecOptions[Any]) -> list[Found]:
    """Return documents as the server stores them."""
    return [Found.of(wire(it, codec)) for it in documents if "_id" in it]


def _arrived(bulk: Bulk, documents: list[Found], error: BaseException) -> list[Found]:
    """Tell which documents of a failed insert are stored."""
    failed: set[int] = set()
    if isinstance(error, BulkWriteError):
        failed = {each["index"] for each in error.details.get("writeErrors", ())}
    elif isinstance(error, OperationFailure):  # of a single one
        return []
    sent = [found for place, found in enumerate(documents) if place not in failed]
    stored = bulk.stored(sent)
    return [found for found in sent if same(stored.get(identifier(found.key)), found.state)]
