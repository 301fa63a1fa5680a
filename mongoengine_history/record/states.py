"""Rebuilds the states of one document, at a cost that does not grow with its history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bson import ObjectId
from pymongo import ASCENDING, DESCENDING

from mongoengine_history.documents.renamed import renamed_in
from mongoengine_history.errors import (
    RevisionNotFoundError,
    RevisionPrunedError,
    StateNotKeptError,
)
from mongoengine_history.record.complete import READS, complete, gone
from mongoengine_history.record.layout import hashes_in, state_of, step_of
from mongoengine_history.record.revisions import ALL_AT_ONCE, NEEDED, VERSION
from mongoengine_history.state.legacy import unwind
from mongoengine_history.state.merge import check
from mongoengine_history.state.moments import last_stamp, stamp_of, wall_clock
from mongoengine_history.state.redaction import covered
from mongoengine_history.state.revision import ANEW, DELETE, leaves_nothing, replay

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from mongoengine_history.record.head import Head
    from mongoengine_history.record.revisions import Revisions
    from mongoengine_history.state.revision import StoredRevision
    from mongoengine_history.state.values import State

OF_A_STATE: Final = {
    **NEEDED,
    **dict.fromkeys(["places", "lists", "state", "start", "stamp", "redacted"], 1),
}
"""The fields that a state is made of; of a revision all but who and why, to take it back by."""


def state_at(revisions: Revisions, number: int) -> State | None:
    """
    Rebuild the state right after a revision.

    It is replayed from the nearest version before, or else from the creation. Where neither is, it
    is unwound from the nearest version after, or else from the stored document.

    Number 0 is the state before the first revision. None is returned if there was no document.

    Raises:
        RevisionNotFoundError: there is no such revision.
        IncompleteRevisionError: records are missing on the way.
        MalformedRecordError: one on the way cannot be read.
        PatchError: a revision does not fit the state before it.
        StateNotKeptError: nothing is known to start from.
    """
    try:
        return replayed(revisions, number)
    except StateNotKeptError:
        return _unwound(revisions, number)


def as_recorded(revisions: Revisions, head: Head, live: State | None) -> State | None:
    """Return what is stored as the history may have it: without what was erased from that."""
    stored = live and revisions.place.hiding.hidden(live)
    if not head.redacted or stored is None:
        return stored
    known: State = covered(stored, state_at(revisions, head.number) or {})
    return known


def replayed(revisions: Revisions, number: int) -> State | None:
    """
    Rebuild a state as `state_at` does, but only forwards.

    Raises:
        StateNotKeptError: there is neither a version nor a creation before it.
    """
    for _ in range(READS):
        nearest = _version_near(revisions, {"$lte": number}, DESCENDING)
        if nearest is None:
            return _from_creation(revisions, number, 1)
        query = {"revision": {"$gte": nearest, "$lte": number or 1}}
        options: dict[str, Any] = {"projection": OF_A_STATE, "batch_size": ALL_AT_ONCE}
        found = list(revisions.records(query, **options))
        if any((it["revision"], it.get("position")) == (nearest, -1) for it in found):
            return folded(revisions, found if number else _first(revisions, found), nearest, number)
    raise StateNotKeptError(revisions.key, number)  # versions go while they are read


def _first(revisions: Revisions, found: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """
    Take the version before the first revision, of all that was found of the two.

    Raises:
        RevisionPrunedError: that revision is gone, so moments after it cannot be told.
    """
    error = None if found[-1]["revision"] == 1 else gone(revisions, 0)
    if error and error.oldest > 1:
        raise error
    return [it for it in found if it["revision"] == 0]


def state_before(revisions: Revisions, revision: StoredRevision) -> State | None:
    """Rebuild the state that a revision found, as `state_at` does; it may be the oldest left."""
    try:
        return state_at(revisions, revision.number - 1)
    except RevisionPrunedError:
        return revision.before(state_at(revisions, revision.number) or {})


def _from_creation(revisions: Revisions, number: int, first: int) -> State | None:
    state: State = {}
    last = None
    for revision in revisions.between(first, max(number, 1)):
        is_anew = revision.comes_from_nothing or (number and revision.leaves_nothing)
        if last is None and not is_anew:
            return _from_creation(revisions, number, _creation_before(revisions, number))
        last, state = revision, revision.after(state)
    if last is None:
        raise StateNotKeptError(revisions.key, number)
    if number and last.number != number:
        raise RevisionNotFoundError(revisions.key, number, revisions.head().number)
    if not number or last.leaves_nothing:
        return None
    check(state, last.lists)
    return state


def _creation_before(revisions: Revisions, number: int) -> int:
    """Return the number of the last revision until *number* that started from or left nothing."""
    bounds = {"$gte": 1, "$lte": number}
    query = {"revision": bounds, "position": 0, "operation": {"$in": sorted({*ANEW, DELETE})}}
    nearest = revisions.number_in(query, DESCENDING)
    if nearest is None:
        raise StateNotKeptError(revisions.key, number)
    return nearest


def creation_of(revisions: Revisions) -> int:
    """Return the number of the revision that made the document; 0 if the history begins later."""
    number = 1
    while first := next(revisions.between(number, number), None):
        if not (first.is_unchanging and first.leaves_nothing):  # an event before it was made
            return number if first.operation in ANEW else 0
        number += 1
    return 0


def _version_near(revisions: Revisions, bounds: Mapping[str, int], order: int) -> int | None:
    """Return the number of a version. Its last document says that it is complete."""
    return revisions.number_in({"revision": {"$gte": 0, **bounds}, "position": -1}, order)


def folded(
    revisions: Revisions, found: Sequence[Mapping[str, Any]], nearest: int, number: int
) -> State | None:
    """
    Return the state after a revision, as `state_at` does, of all documents found from *nearest* on.

    That is the number of a version, or 0 where a creation comes first.
    """
    first = max(1, min(nearest + 1, number))  # of the version's own revision only if asked for
    with revisions.reading(found):
        version = [it for it in found if it["position"] < 0 and it["revision"] == nearest]
        records = [it for it in found if it["position"] >= 0 and it["revision"] >= first]
        start = state_of(version, starting=number > 0) if version else {}
    wholes = list(complete(revisions, records, ASCENDING, first))
    newest: Mapping[str, Any] = wholes[-1][0] if wholes else {"revision": 0}
    if number and newest["revision"] != number:
        raise RevisionNotFoundError(revisions.key, number, revisions.head().number)
    if leaves_nothing(newest.get("operation"), newest.get("action")):
        return None
    later = [whole for whole in wholes if whole[0]["revision"] > nearest]
    with revisions.reading([record for whole in later or wholes[-1:] for record in whole]):
        steps, lists = list(map(step_of, later)), hashes_in(newest)
    state = replay(steps, start)
    check(state, lists)
    return state


def _unwound(revisions: Revisions, number: int) -> State | None:
    if number and revisions.revision(number).leaves_nothing:
        return None
    later = _version_near(revisions, {"$gt": number}, ASCENDING)
    if later is None:
        state = revisions.recordable()
    else:
        version = list(revisions.records({"revision": later, "position": VERSION}))
        with revisions.reading(version):
            state = state_of(version)
    last = number + 1
    for revision in revisions.between(number + 1, later, newest_first=True):
        last = revision.number
        if revision.comes_from_nothing:
            state = None
        elif state is not None or revision.leaves_nothing:
            state = revision.before(state or {})
    if last > number + 1:
        raise gone(revisions, number + 1)
    if state is None and (number or revisions.head().number):
        raise StateNotKeptError(revisions.key, number)
    return state


def state_as_of(revisions: Revisions, when: datetime) -> State | None:
    """Return the state at a moment; None if there was no document, as far as the history knows."""
    number = revisions.number_at(last_stamp(when))
    if number:
        return state_at(revisions, number)
    if not may_have_existed(revisions.key, when):
        return None
    state = state_at(revisions, 0)
    later = [it for it in revisions.legacy(when) if it["created_at"] > wall_clock(when)]
    if state is None or not later:
        return state
    return unwind(reversed(later), state, renamed_in(revisions.place.model, state))[0]


def may_have_existed(key: object, when: datetime) -> bool:
    """Say whether a key is no younger than a moment; only an ObjectId tells, its second."""
    return not isinstance(key, ObjectId) or stamp_of(key.generation_time) <= stamp_of(when)
