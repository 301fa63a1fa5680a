"""Writes of several kinds in one call, ``bulk_write``: done and recorded in groups, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymongo.errors import BulkWriteError, OperationFailure, WriteConcernError
from pymongo.results import BulkWriteResult

from mongoengine_history.capture.requests import groups_of, requests_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pymongo.collection import Collection

    from mongoengine_history.capture.group import Groups
    from mongoengine_history.capture.requests import Request

BYPASS = "bypass_document_validation"

COUNTS = ("nInserted", "nUpserted", "nMatched", "nModified", "nRemoved")

LISTS = ("upserted", "writeErrors", "writeConcernErrors")


def write_in_groups(
    collection: Collection[Any],
    asked: Collection[Any],
    groups: Groups,
    requests: Iterable[Any],
    *,
    ordered: bool = True,
    **options: Any,
) -> BulkWriteResult:
    """
    Do what ``bulk_write`` does: in *groups*, or by the other methods of a collection.

    What the write concern of *asked* demands is waited for once, when all is done.

    Raises:
        TypeError: a request is none. Nothing was written.
        pymongo.errors.InvalidOperation: there is none.
        pymongo.errors.BulkWriteError: some failed.
    """
    mixed = _Mixed(collection, groups, ordered, options)
    for group in groups_of(requests_of(requests, collection.codec_options)):
        mixed.write(group)
        if mixed.is_over:
            break
    mixed.wait(asked)
    if mixed.result["writeErrors"] or mixed.result["writeConcernErrors"]:
        raise BulkWriteError(mixed.result)
    return BulkWriteResult(mixed.result, acknowledged=True)


class _Mixed:
    """The requests that are done one after another, and what became of them."""

    def __init__(
        self, collection: Collection[Any], groups: Groups, ordered: bool, options: dict[str, Any]
    ) -> None:
        self._collection, self._groups = collection, groups
        self._ordered, self._options = ordered, options
        lists: dict[str, Any] = {name: [] for name in LISTS}
        self.result: dict[str, Any] = {**dict.fromkeys(COUNTS, 0), **lists}

    @property
    def is_over(self) -> bool:
        """Say whether the rest is left undone."""
        ends_by_error = self._ordered or self._in_transaction
        return ends_by_error and bool(self.result["writeErrors"])

    @property
    def _in_transaction(self) -> bool:
        session = self._options.get("session")
        return session is not None and session.in_transaction

    def wait(self, asked: Collection[Any]) -> None:
        """Wait until as many servers have all of it as was asked for: a write of nothing does."""
        nothing: dict[str, Any] = {"_id": {"$in": []}}
        if self._in_transaction:  # the commit waits, if all went well
            return
        session = self._options.get("session")
        try:
            asked.update_one(nothing, {"$unset": {"_": 1}}, session=session)
        except WriteConcernError as error:
            self.result["writeConcernErrors"].append(error.details)

    def write(self, group: list[Request]) -> None:
        """Do requests together as far as that goes."""
        while group and not self.is_over:
            group = self._written(group)

    def _written(self, group: list[Request]) -> list[Request]:
        """Do requests together, or one after another; return those that are left."""
        done = None
        if len(group) > 1:
            done = self._groups.write(group, ordered=self._ordered, **self._options)
        if done is None:
            half = len(group) // 2
            self.write(group[:half]) if half else self._write_alone(group[0])
            return group[half or 1 :]
        self._take_all(group, done.details)
        for request in () if self.is_over else done.again:
            self._write_alone(request)
        return done.left

    def _take_all(self, group: list[Request], details: Mapping[str, Any]) -> None:
        """Take in what became of a group, by the places that its requests have in all."""
        for name in COUNTS:
            self.result[name] += details[name]
        for made in details["upserted"]:
            self.result["upserted"].append({**made, "index": group[made["index"]].place})
        for error in details["writeErrors"]:
            failed = group[error["index"]]
            told = {**error, "index": failed.place, "op": failed.op}
            self.result["writeErrors"].append(told)
        self.result["writeConcernErrors"] += details["writeConcernErrors"]

    def _write_alone(self, request: Request) -> None:
        without = {"insert_one": "let", "delete_one": BYPASS, "delete_many": BYPASS}
        left_out = without.get(request.call.name)
        options = {name: value for name, value in self._options.items() if name != left_out}
        try:
            self._take(request, request.call.having(**options).on(self._collection))
        except OperationFailure as error:
            told = {"index": 0, "code": error.code, "errmsg": str(error), **(error.details or {})}
            failed = {**told, "index": request.place, "op": request.op}
            self.result["writeErrors"].append(failed)

    def _take(self, request: Request, result: Any) -> None:
        if request.is_insert:
            self.result["nInserted"] += 1
            return
        if request.is_delete:
            self.result["nRemoved"] += result.deleted_count
            return
        is_made = "upserted" in result.raw_result  # whose key may be null
        self.result["nMatched"] += 0 if is_made else result.matched_count
        self.result["nModified"] += result.modified_count
        if is_made:
            self.result["nUpserted"] += 1
            made = {"index": request.place, "_id": result.upserted_id}
            self.result["upserted"].append(made)
