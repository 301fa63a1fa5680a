"""Tracking begins with a collection that has documents already: a version of each is kept."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import bson
from bson import Int64
from pymongo.errors import BulkWriteError, OperationFailure

from mongoengine_history.documents.formerly import one_of
from mongoengine_history.documents.snapshot import check_model, check_progress
from mongoengine_history.errors import OptionsError
from mongoengine_history.record.indexes import behind
from mongoengine_history.record.inserts import DUPLICATE_KEY
from mongoengine_history.record.layout import documents_of_version
from mongoengine_history.record.overview import MOST, recorded
from mongoengine_history.record.place import Place
from mongoengine_history.state.context import Context
from mongoengine_history.state.revision import StoredRevision
from mongoengine_history.state.values import identifier

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
            active; or *progress* cannot be called.
    """
    check_model(model)
    check_progress(progress, "a number")
    place = Place(model)
    if not place.options.version_every:
        raise OptionsError("model", model, "its version_every is 0, so it keeps no versions")
    if place.in_transaction:
        raise OptionsError("model", model, "it cannot be done inside a transaction")
    place.ensure_indexes()
    done = 0
    for size, chunk in _chunks(model, place):
        _keep(place, chunk)
        done += size
        if progress:
            progress(done)
    return done


def _chunks(model: type[Document], place: Place) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield conditions that part the documents by their keys, and how many each holds."""
    has_classes = model._meta.get("allow_inheritance")
    mine: dict[str, Any] = {"_cls": {"$in": list(model._subclasses)}} if has_classes else {}
    after = mine
    while True:
        wanted: list[dict[str, Any]] = [{"$match": after}, {"$sort": {"_id": 1}}, {"$limit": CHUNK}]
        bounds = [{"$group": {"_id": None, "last": {"$last": "$_id"}, "size": {"$sum": 1}}}]
        found = list(place.documents.aggregate([*wanted, {"$project": {"_id": 1}}, *bounds]))
        if not found:
            return
        # Comparing by $expr, since keys may be of several types.
        until = {"$expr": {"$lte": ["$_id", {"$literal": found[0]["last"]}]}}
        yield found[0]["size"], {"$and": [after, until]}
        after = {**mine, **behind("_id", found[0]["last"])}


def _keep(place: Place, chunk: dict[str, Any]) -> None:
    if not place.hiding.rules and place.history.database == place.documents.database:
        try:
            place.documents.aggregate(_merging(place, chunk))
        except OperationFailure:  # somebody wrote a first revision, or a document is too large
            pass
        else:
            return
    _keep_here(place, chunk)


def _merging(place: Place, chunk: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the pipeline by which the server writes versions."""
    same = {"document_type": one_of(place.names), "$expr": {"$eq": ["$document_id", "$$key"]}}
    known = [{"$match": same}, {"$limit": 1}, {"$project": {"_id": 1}}]
    stamp = time.time_ns() // 1000
    look = {"from": place.history.name, "let": {"key": "$_id"}, "pipeline": known, "as": "known"}
    version = {
        "document_type": {"$literal": place.document_type},
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
        {"$merge": {"into": place.history.name, "whenMatched": "fail"}},
    ]


def _revision(stamp: int) -> StoredRevision:
    """Return what version 0 takes its time from."""
    return StoredRevision(0, stamp, "", Context(), ())


def _keep_here(place: Place, chunk: dict[str, Any]) -> None:
    """Do the same from here: for states of which something is hidden, and for large ones."""
    raws: Any = place.documents.find_raw_batches(chunk, batch_size=MOST)  # typed as documents
    for raw in raws:
        found = {identifier(it["_id"]): it for it in bson.decode_all(raw, place.wire)}
        revision = _revision(time.time_ns() // 1000)
        # Those that only 1.1 recorded are among them.
        for known in recorded(place, place.of(document["_id"] for document in found.values())):
            found.pop(identifier(known), None)
        versions = []
        for document in found.values():
            owner = place.owner(document.pop("_id"))
            state = place.hiding.hidden(document)
            versions.append(documents_of_version(state, revision, owner, 0))
        if versions:
            _insert(place, versions)


def _insert(place: Place, versions: list[list[dict[str, Any]]]) -> None:
    documents = [document for version in versions for document in version]
    try:
        place.history.insert_many(documents, ordered=False)
    except BulkWriteError as error:
        failures = error.details["writeErrors"]
        if any(failure["code"] != DUPLICATE_KEY for failure in failures):
            raise
        # Somebody wrote a first revision. Of a version in parts some may fit beside that one's.
        failed = {identifier(documents[it["index"]]["document_id"]) for it in failures}
        ours = [it["_id"] for it in documents if identifier(it["document_id"]) in failed]
        place.history.delete_many({"_id": {"$in": ours}})
