"""Writes of several kinds in one call, ``bulk_write``: done and recorded one after another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymongo.errors import BulkWriteError, InvalidOperation, OperationFailure, WriteConcernError
from pymongo.results import BulkWriteResult

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pymongo.collection import Collection

COUNTS = ("nInserted", "nUpserted", "nMatched", "nModified", "nRemoved")


def write_one_by_one(
    collection: Collection[Any],
    asked: Collection[Any],
    requests: Iterable[Any],
    *,
    ordered: bool = True,
    **options: Any,
) -> BulkWriteResult:
    """
    Do what ``bulk_write`` does, by the other methods of a collection.

    What the write concern of *asked* demands is waited for once, when all is done.

    Raises:
        TypeError: a request is none. Nothing was written.
        pymongo.errors.InvalidOperation: there is none.
        pymongo.errors.BulkWriteError: some failed.
    """
    mixed = _Mixed(collection, options)
    for index, request in enumerate(_checked(requests)):
        mixed.index = index
        try:
            request._add_to_bulk(mixed)
        except OperationFailure as error:
            mixed.failed(error)
            if ordered:
                break
    mixed.wait(asked)
    if mixed.result["writeErrors"] or mixed.result["writeConcernErrors"]:
        raise BulkWriteError(mixed.result)
    return BulkWriteResult(mixed.result, acknowledged=True)


def _checked(requests: Iterable[Any]) -> list[Any]:
    """Look at all of them before the first is done, as PyMongo does."""
    given = list(requests)
    if not given:
        raise InvalidOperation("No operations to execute")
    for request in given:
        if not hasattr(request, "_add_to_bulk"):
            raise TypeError(f"{request!r} is not a valid request")
    return given


class _Mixed:
    """Stands for the bulk to which PyMongo's requests add themselves."""

    def __init__(self, collection: Collection[Any], options: dict[str, Any]) -> None:
        self._collection, self._options = collection, options
        self.index = 0
        #: The request under way as PyMongo tells it in an error.
        self._op: Any = None
        lists: dict[str, Any] = {"upserted": [], "writeErrors": [], "writeConcernErrors": []}
        self.result: dict[str, Any] = {**dict.fromkeys(COUNTS, 0), **lists}

    def wait(self, asked: Collection[Any]) -> None:
        """Wait until as many servers have all of it as was asked for: a write of nothing does."""
        nothing: dict[str, Any] = {"_id": {"$in": []}}
        try:
            asked.update_one(nothing, {"$unset": {"_": 1}}, session=self._options.get("session"))
        except WriteConcernError as error:
            self.result["writeConcernErrors"].append(error.details)

    def failed(self, error: OperationFailure) -> None:
        """Take in why a request failed."""
        told = {"index": 0, "code": error.code, "errmsg": str(error), **(error.details or {})}
        self.result["writeErrors"].append({**told, "index": self.index, "op": self._op})

    def add_insert(self, document: Any) -> None:
        self._op = document
        self._collection.insert_one(document, **self._shared(without="let"))
        self.result["nInserted"] += 1

    def add_update(
        self, query: Any, update: Any, multi: bool = False, upsert: bool = False, **options: Any
    ) -> None:
        self._op = _op(q=query, u=update, multi=multi, upsert=upsert, **options)
        write = self._collection.update_many if multi else self._collection.update_one
        self._take(write(query, update, upsert=bool(upsert), **self._given(options)))

    def add_replace(
        self, query: Any, replacement: Any, upsert: bool = False, **options: Any
    ) -> None:
        self._op = _op(q=query, u=replacement, upsert=upsert, **options)
        given = self._given(options)
        self._take(self._collection.replace_one(query, replacement, upsert=bool(upsert), **given))

    def add_delete(self, query: Any, limit: int, **options: Any) -> None:
        self._op = _op(q=query, limit=limit, **options)
        write = self._collection.delete_one if limit else self._collection.delete_many
        given = self._given(options, without="bypass_document_validation")
        self.result["nRemoved"] += write(query, **given).deleted_count

    def _given(self, options: dict[str, Any], without: str = "") -> dict[str, Any]:
        given = {name: value for name, value in options.items() if value is not None}
        return {**given, **self._shared(without)}

    def _shared(self, without: str = "") -> dict[str, Any]:
        """Return the options that hold for all requests, but one that some do not take."""
        return {name: value for name, value in self._options.items() if name != without}

    def _take(self, result: Any) -> None:
        is_made = "upserted" in result.raw_result  # whose key may be null
        self.result["nMatched"] += 0 if is_made else result.matched_count
        self.result["nModified"] += result.modified_count
        if is_made:
            self.result["nUpserted"] += 1
            made = {"index": self.index, "_id": result.upserted_id}
            self.result["upserted"].append(made)


def _op(**said: Any) -> dict[str, Any]:
    """Return a request by the names that the server has for what it says."""
    named = {{"array_filters": "arrayFilters"}.get(name, name): it for name, it in said.items()}
    return {name: value for name, value in named.items() if value is not None}
