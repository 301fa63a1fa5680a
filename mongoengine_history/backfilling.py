"""Tracking begins with a collection that has documents already: a version of each is kept."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from bson import Int64
from pymongo.errors import BulkWriteError, OperationFailure

from mongoengine_history.bulk import MOST, Bulk
from mongoengine_history.errors import OptionsError
from mongoengine_history.keys import check_model
from mongoengine_history.layout import documents_of_version
from mongoengine_history.place import Place
from mongoengine_history.records import History
from mongoengine_history.revision import Context, StoredRevision
from mongoengine_history.values import identifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mongoengine import Document

CHUNK: Final = 10_000
"""Documents that the server goes through at once."""


def backfill(model: type[Document], progress: Callable[[int], object] | None = None) -> int:
    """
    Keep a version of each stored document that has no history yet, its version 0.

    Nothing needs it: the first revision of a document keeps the state before. With it a document
    has a state from now on, even if it is never written through MongoEngine, or is deleted past
    the history. The server does the work; where something is hidden from the history, this process
    does. It can be stopped and called again, and others may write meanwhile.

    Args:
        model: The class; documents of its subclasses are among them.
        progress: Is called after each 10,000 documents with how many were gone through so far.

    Returns:
        How many documents were gone through.

    Raises:
        OptionsError: *model* is no class with a collection, keeps no versions, or a transaction is
            active.
    """
    check_model(model)
    place = Place(model, 0)
    if not place.options.version_every:
        raise OptionsError("model", model, "its version_every is 0, so it keeps no versions")
    if place.in_transaction:
        raise OptionsError("model", model, "it cannot be done inside a transaction")
    place.ensure_indexes()
    done = 0
    for size, chunk in _chunks(place):
        _keep(model, place, chunk)
        done += size
        if progress:
            progress(done)
    return done


def _chunks(place: Place) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield conditions that part the documents by their keys, and how many each holds."""
    after: dict[str, Any] = {}
    while True:
        wanted: list[dict[str, Any]] = [{"$match": after}, {"$sort": {"_id": 1}}, {"$limit": CHUNK}]
        bounds = [{"$group": {"_id": None, "last": {"$last": "$_id"}, "size": {"$sum": 1}}}]
        found = list(place.documents.aggregate([*wanted, {"$project": {"_id": 1}}, *bounds]))
        if not found:
            return
        # Comparing by $expr, since keys may be of several types.
        until = {"$expr": {"$lte": ["$_id", {"$literal": found[0]["last"]}]}}
        yield found[0]["size"], {"$and": [after, until]}
        after = {"$expr": {"$gt": ["$_id", {"$literal": found[0]["last"]}]}}


def _keep(model: type[Document], place: Place, chunk: dict[str, Any]) -> None:
    if not place.hiding.rules:
        try:
            place.documents.aggregate(_merging(place, chunk))
        except OperationFailure:  # somebody wrote a first revision, or a document is too large
            pass
        else:
            return
    _keep_here(model, place, chunk)


def _merging(place: Place, chunk: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the pipeline by which the server writes versions."""
    name = {"$literal": place.document_type}
    same = {"$and": [{"$eq": ["$document_type", name]}, {"$eq": ["$document_id", "$$key"]}]}
    known = [{"$match": {"$expr": same}}, {"$limit": 1}, {"$project": {"_id": 1}}]
    stamp = time.time_ns() // 1000
    history = History._get_collection_name()
    look = {"from": history, "let": {"key": "$_id"}, "pipeline": known, "as": "known"}
    version = {
        "document_type": name,
        "document_id": "$_id",
        "created_at": _revision(stamp).clock,
        "stamp": Int64(stamp),
        "revision": 0,
        "position": -1,
        "size": 1,
        "state": "$document",
    }
    return [
        {"$match": chunk},
        {"$project": {"document": "$$ROOT"}},
        {"$lookup": look},
        {"$match": {"known": []}},
        {"$replaceWith": version},
        {"$unset": "state._id"},
        {"$merge": {"into": history, "whenMatched": "fail"}},
    ]


def _revision(stamp: int) -> StoredRevision:
    """Return what version 0 takes its time from."""
    return StoredRevision(0, stamp, "", Context(), ())


def _keep_here(model: type[Document], place: Place, chunk: dict[str, Any]) -> None:
    """Do the same from here: for states of which something is hidden, and for large ones."""
    bulk = Bulk(model, model._get_collection())
    for batch in bulk.batches(chunk):
        known = bulk.heads([found.key for found in batch])
        revision = _revision(time.time_ns() // 1000)
        versions: list[dict[str, Any]] = []
        for found in batch:
            if identifier(found.key) not in known:
                owner = {"document_type": place.document_type, "document_id": found.key}
                state = place.hiding.hidden(found.state)
                versions += documents_of_version(state, revision, owner, 0)
        _insert(place, versions)


def _insert(place: Place, versions: list[dict[str, Any]]) -> None:
    for start in range(0, len(versions), MOST):
        try:
            place.history.insert_many(versions[start : start + MOST], ordered=False)
        except BulkWriteError as error:  # somebody wrote a first revision
            others = [it for it in error.details["writeErrors"] if it["code"] != 11000]
            if others:
                raise
