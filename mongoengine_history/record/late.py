"""Records that could not be written in their time, written later: what an error does to `record`.

Each revision gets a number that is free by then. Its first record keeps its ``_id``, by which it is
found where it was written already.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import mongoengine
from mongoengine import Document
from pymongo.errors import PyMongoError

from mongoengine_history.documents.fieldrules import with_subclasses
from mongoengine_history.documents.options import is_tracked
from mongoengine_history.errors import HistoryNotRecordedError, OptionsError, StateNotKeptError
from mongoengine_history.record.append import Change, append_late, take_out
from mongoengine_history.record.doubt import Doubt, find_out, settle
from mongoengine_history.record.layout import Base, revision_of, state_of
from mongoengine_history.record.not_recorded import not_recorded
from mongoengine_history.record.place import Place
from mongoengine_history.record.revisions import Revisions
from mongoengine_history.record.states import replayed, state_at
from mongoengine_history.state.values import State, identifier

if TYPE_CHECKING:
    from mongoengine_history.state.revision import StoredRevision

Records = list[dict[str, Any]]


def write_late(error: HistoryNotRecordedError) -> None:
    """Write the records of an error, as its `record` says."""
    place = _place(error)
    lost: Records = []
    keys: list[Any] = []
    own: defaultdict[object, Records] = defaultdict(list)
    for each in error.records:
        own[identifier(each["document_id"])].append(each)
    why: Exception = error
    for key in error.document_ids:
        try:
            _write(Revisions(place, key), own[identifier(key)])
        except (HistoryNotRecordedError, PyMongoError) as failure:
            why, lost, keys = failure, lost + own[identifier(key)], [*keys, key]
    if keys:
        raise not_recorded(place, keys, lost, why)


def _place(error: HistoryNotRecordedError) -> Place:
    known = [it for it in with_subclasses(Document) if not it._meta.get("abstract")]
    named = [it for it in known if it._class_name == error.document_class]
    if not named:
        problem = "import the module that defines this class, then call record() again"
        raise OptionsError("document_class", error.document_class, problem)
    # Others may have that name, too: MongoEngine only knows the one that was defined last.
    named.sort(key=lambda it: (it._get_collection_name() == error.collection, is_tracked(it)))
    database = mongoengine.get_connection(error.alias)[error.database]
    return Place(named[-1], database[error.collection])


def _write(revisions: Revisions, records: Records) -> None:
    place = revisions.place
    place.ensure_indexes()
    if not records:  # nothing could be read of what was written
        settle(revisions)
    else:
        found = place.history.find_one({"_id": records[0]["_id"]}, {"revision": 1})
        if _has_lost_its_head(revisions, records, found):
            take_out(place, records)
        elif found is None:
            append_late(revisions, *_change(revisions, records))
        elif found["revision"] == records[0]["revision"]:
            _complete(revisions, records)
    with suppress(StateNotKeptError):  # then nobody can compare
        find_out(Doubt(revisions))  # what nobody has told, or has written over it


def _has_lost_its_head(revisions: Revisions, records: Records, found: object) -> bool:
    """
    Say whether what came before is gone, as by a fail-over.

    The key may lie there by which an insert finds that out; it is no record, and is removed.
    """
    history, number = revisions.place.history, records[0]["revision"] - 1
    nothing = {**revisions.mine, "revision": None, "stamp": None, "created_at": None}
    is_left = history.find_one(nothing, {"_id": 1}) is not None
    if is_left:
        history.delete_many(nothing)
    is_proven = is_left or found is None
    before = {"revision": number, "position": 0}
    return bool(is_proven and number) and not any(revisions.records(before, limit=1))


def _complete(revisions: Revisions, records: Records) -> None:
    """Insert what is missing of a revision of which a part was written under its number."""
    history, wanted = revisions.place.history, {"revision": 1, "position": 1}
    numbers = {"$in": [it["revision"] for it in records]}
    there = history.find({**revisions.mine, "revision": numbers}, wanted)
    places = {(it["revision"], it["position"]) for it in there}
    rest = [it for it in records if (it["revision"], it["position"]) not in places]
    if rest:
        history.insert_many(rest)


def _change(revisions: Revisions, records: Records) -> tuple[Change, int, Base | None]:
    """Make the change again that was recorded, with the states before and after it."""
    revision = revision_of([it for it in records if it["position"] >= 0])
    kept = [it for it in records if it["position"] < 0 and not it["revision"]]
    number, operation = revision.number, revision.operation
    before: State = state_of(kept) if kept else {}
    if number > 1:
        before = _before(revisions, revision) or {}
    change = Change(
        *(operation, revision.context, before, revision.after(before)),
        *(list(revision.patches), revision.stamp),
        record=records[0]["_id"],
    )
    return change, number, Base(before) if kept else None


def _before(revisions: Revisions, revision: StoredRevision) -> State | None:
    """Rebuild the state before a revision that is not there, but in the stored document."""
    try:
        return replayed(revisions, revision.number - 1)
    except StateNotKeptError:
        return revision.before(state_at(revisions, revision.number - 1) or {})


HistoryNotRecordedError._write_late = write_late
