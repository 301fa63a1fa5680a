"""What an application gets for a write of one document, made of the states before and after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymongo import ReturnDocument
from pymongo.results import DeleteResult, UpdateResult

from mongoengine_history.state.values import State, native, same

if TYPE_CHECKING:
    from mongoengine_history.capture.call import Call
    from mongoengine_history.record.revisions import Revisions


def answer(
    call: Call, revisions: Revisions, before: State | None, after: State | None, modified: int = 0
) -> Any:
    """Return what an update or a replacement was asked for; of a part of a document, read it."""
    if not call.name.startswith("find_one_and"):
        return _counts(revisions, before, after, modified)
    if call["return_document"] != ReturnDocument.AFTER:
        return document(revisions, before)
    if after is None or call["projection"] is None:
        return document(revisions, after)
    place = revisions.place
    read = place.documents.with_options(codec_options=place.codec).find_one
    return read({"_id": revisions.key}, call["projection"], session=call["session"])


def modified(call: Call, key: object, before: State, after: State) -> int:
    """Count a document that was written, as the server does: a replacement without a key always."""
    new: Any = call["replacement"]
    is_same = same(before, after) if new is None else same({"_id": key, **before}, new)
    return int(not is_same)


def answer_of_deletion(call: Call, revisions: Revisions, before: State | None) -> Any:
    """Return what a deletion was asked for."""
    if call.name == "find_one_and_delete":
        return document(revisions, before)
    return DeleteResult({"n": int(before is not None), "ok": 1.0}, acknowledged=True)


def document(revisions: Revisions, state: State | None) -> Any:
    """Return a state as the application reads documents; None for none."""
    if state is None:
        return None
    return native({"_id": revisions.key, **state}, revisions.place.codec)


def _counts(
    revisions: Revisions, before: State | None, after: State | None, modified: int
) -> UpdateResult:
    counts: dict[str, Any] = {"n": int(after is not None), "nModified": modified, "ok": 1.0}
    counts["updatedExisting"] = before is not None
    if before is None and after is not None:
        counts["upserted"] = document(revisions, {})["_id"]
    return UpdateResult(counts, acknowledged=True)
