"""Writes of many documents: by a query, which is limited to what was read; and inserts."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import bson
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument
from pymongo.errors import BulkWriteError, OperationFailure, WriteConcernError
from pymongo.results import DeleteResult, UpdateResult

from mongoengine_history.capture.call import READING
from mongoengine_history.capture.one_behind import OneBehind
from mongoengine_history.record.entries import Found
from mongoengine_history.record.overview import MOST
from mongoengine_history.record.signals import revision_recorded
from mongoengine_history.state.revision import CREATE, DELETE, UPDATE
from mongoengine_history.state.updates import roots_of
from mongoengine_history.state.values import WIRE, identifier, same, wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from bson.codec_options import CodecOptions
    from pymongo.collection import Collection

    from mongoengine_history.capture.call import Call
    from mongoengine_history.record.append_many import Bulk

    Roots = set[str] | None
    Record = Callable[[Sequence[Found], Any], None]


class QueryWrite:
    """One write by a query to many documents of PyMongo's own collection, a batch at a time."""

    def __init__(self, bulk: Bulk, call: Call, collection: Collection[Any]) -> None:
        self._bulk, self._call, self._collection = bulk, call, collection
        self._behind = OneBehind()

    def update(self) -> UpdateResult | None:
        """Update the documents; None if there are none."""
        update = self._call["update"]
        results = self._each_batch(self._updated, UPDATE, roots_of(update))
        return _summed(results) if results else None

    def delete(self) -> DeleteResult:
        """Delete the documents."""
        results = self._each_batch(self._deleted, DELETE)
        count = sum(result.deleted_count for result in results)
        last = results[-1] if results else self.nothing()
        return DeleteResult({**last.raw_result, "n": count}, acknowledged=True)

    def nothing(self) -> Any:
        """Write to no document: the server still says what is wrong with it."""
        return self._write([])

    def _write(self, batch: Sequence[Found]) -> Any:
        limited = self._call.limited_to({"$in": [found.key for found in batch]})
        return limited.on(self._collection)

    def _each_batch(self, record: Record, operation: str, roots: Roots = None) -> list[Any]:
        results = []
        try:
            with self._behind:
                for batch in self._batches(roots):
                    results.append(self._written(batch, record, operation))
                    if self._bulk.lost:
                        self._behind.wait()
                        self._bulk.react()
        except BaseException as error:
            self._bulk.react(because_of=error)
            raise
        self._bulk.react()
        return results

    def _batches(self, roots: Roots) -> Iterator[list[Found]]:
        """Read for the write; where the server refuses that, the write itself gets its answer."""
        try:
            yield from self._bulk.batches(self._call["filter"], roots, **self._call.given(READING))
        except OperationFailure:
            if self._bulk.place.in_transaction:  # which is over by that
                with self._call.errors():
                    raise
            self.nothing()
            raise

    def _written(self, batch: Sequence[Found], record: Record, operation: str) -> Any:
        """Write to a batch and record what that did, also where it failed on its way."""
        try:
            result = self._write(batch)
        except BaseException as error:
            settle = partial(self._bulk.settle, {operation: batch}, error)
            self._behind.do_here(lambda: settle(lambda: record(batch, None)))
            raise

        def recorded() -> None:
            with self._bulk.recording({operation: batch}):
                record(batch, result)

        if len(batch) == MOST and not self._is_bound:  # more may follow
            self._behind.do(recorded)
        else:
            self._behind.do_here(recorded)
        return result

    @property
    def _is_bound(self) -> bool:
        """Say whether something belongs to the thread of the caller."""
        return bool(self._bulk.place.session or revision_recorded.receivers)

    def _updated(self, batch: Sequence[Found], result: Any) -> None:
        count = None if result is None else result.modified_count
        if count != 0:
            self._bulk.updated(batch, roots_of(self._call["update"]), count)

    def _deleted(self, batch: Sequence[Found], result: Any) -> None:
        count = None if result is None else result.deleted_count
        if count != 0:
            self._bulk.deleted(batch, count)


def _summed(results: list[UpdateResult]) -> UpdateResult:
    """Return the result that one update of all batches would have had."""
    raws: list[Any] = [result.raw_result for result in results]
    counts = {name: sum(raw[name] for raw in raws) for name in ("n", "nModified")}
    return UpdateResult({**raws[-1], **counts}, acknowledged=True)


def own(document: Any) -> Any:
    """Return a document to which PyMongo can give a primary key, the same one if it can."""
    if isinstance(document, RawBSONDocument) and "_id" not in document:
        return bson.decode(document.raw, WIRE)
    return document


def insert_recorded(
    bulk: Bulk, documents: Sequence[Mapping[str, Any]], insert: Callable[[], Any]
) -> Any:
    """
    Insert documents, and record those that arrived. Return what *insert* returns.

    Raises:
        HistoryNotRecordedError: the documents are there, some of the records are not.
    """
    were_without_key = ["_id" not in document for document in documents]
    try:
        result = insert()
        made = _found(documents, bulk.place.codec)
    except BaseException as error:
        made, failure = _found(documents, bulk.place.codec), error
        bulk.settle({CREATE: made}, error, lambda: bulk.inserted(_arrived(bulk, made, failure)))
        raise
    pairs = zip(made, were_without_key, strict=True)
    with bulk.recording({CREATE: made}):
        bulk.inserted(made, {identifier(it.key) for it, was_without in pairs if was_without})
    bulk.react()
    return result


def _found(documents: Iterable[Any], codec: CodecOptions[Any]) -> list[Found]:
    """Return documents as the server stores them, all that were sent before one that cannot be."""
    found: list[Found] = []
    with suppress(BSONError, OverflowError):
        found.extend(Found.of(wire(it, codec)) for it in documents if "_id" in it)
    return found


def _arrived(bulk: Bulk, documents: list[Found], error: BaseException) -> list[Found]:
    """Tell which documents of a failed insert are stored."""
    failed: set[int] = set()
    if isinstance(error, BulkWriteError):
        failed = {each["index"] for each in error.details.get("writeErrors", ())}
    elif isinstance(error, OperationFailure) and not isinstance(error, WriteConcernError):
        return []
    sent = [found for place, found in enumerate(documents) if place not in failed]
    stored = bulk.stored(sent)
    return [found for found in sent if same(stored.get(identifier(found.key)), found.state)]
