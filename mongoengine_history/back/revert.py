"""The way back: put an earlier state onto a document, undo one revision, restore what is gone."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, overload

from mongoengine import Document

from mongoengine_history.back.chosen import chosen, narrowed, only
from mongoengine_history.back.past import Past, lasting
from mongoengine_history.documents.renamed import paths_today, under_new_names
from mongoengine_history.documents.snapshot import (
    check_document,
    check_model,
    has_key,
    loaded,
    stored_key,
)
from mongoengine_history.errors import (
    Conflict,
    DocumentDidNotExistError,
    DocumentExistsError,
    OptionsError,
    RevisionNotFoundError,
    StateNotKeptError,
    UndoConflictError,
)
from mongoengine_history.record.doubt import settle
from mongoengine_history.record.place import Place
from mongoengine_history.record.revisions import Revisions
from mongoengine_history.record.states import (
    replayed,
    state_at,
)
from mongoengine_history.state.mask import is_mask
from mongoengine_history.state.merge import conflicts, overlay
from mongoengine_history.state.patches import paths_of
from mongoengine_history.state.revision import ANEW, RESTORE, REVERT, UNDO, is_index
from mongoengine_history.state.values import ABSENT, native

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mongoengine_history.record.head import Head
    from mongoengine_history.state.revision import StoredRevision
    from mongoengine_history.state.values import Path, State

D = TypeVar("D", bound=Document)


def revert(
    document: D,
    since: datetime | None = None,
    *,
    revision: int | None = None,
    paths: Sequence[str | Sequence[str | int]] | None = None,
) -> D:
    """
    Put an earlier state onto a document, in memory. Reads; saving the document writes the state.

    ``revert(document, since)`` takes back what was recorded at or after a moment, without an
    argument all that was recorded. Each value that these revisions set becomes what the first of
    them found stored; what else was stored past the history stays. If the history begins
    with the document's creation, its first state is the created one.
    ``revert(document, revision=3)`` gives the state right after revision 3, exactly.

    Both start from what is stored: unsaved edits are lost. The next ``save()`` stores the state as
    it was, to the byte within each field, and is recorded as operation ``revert`` if the class is
    tracked, or `track_changes` connected for it. A document without history comes back unchanged.

    Args:
        document: A stored document, or one that was deleted and whose object is still there.
        since: A naive time is local time of the process; changes at exactly *since* are taken back.
        revision: Number of a revision; 0 is the state before the first.
        paths: Only these are put back: names of attributes or stored ones, joined by dots, or lists
            of stored keys. A list counts as one value, and so does what has another kind today
            and lies above a path. None puts back all.

    Returns:
        The same document.

    Raises:
        OptionsError: both *since* and *revision* are given, an argument is of another kind, a path
            leads to nothing or into a list, or the document is gone as a whole.
        RevisionNotFoundError: there is no such revision.
        DocumentDidNotExistError: there was no document at that point.
        PatchError: a revision does not fit the one before it: somebody edited the records.
        IncompleteRevisionError: records of a revision are missing.
        MalformedRecordError: one of them cannot be read.
        StateMismatchError: today's class cannot load the state.
    """
    check_document(document)
    _check(since, revision)
    if not has_key(document):
        return document
    past = Past.of(document)
    if past.is_empty:
        if revision:
            raise RevisionNotFoundError(past.revisions.key, revision, 0)
        kept = None if revision is None else _kept(past.revisions)
        if kept is not None:
            past.put_back(kept, REVERT)
        return document
    wanted = past.before(since) if revision is None else past.at(revision)
    if paths is not None:
        stored, wanted = past.today(paths, wanted)
        wanted = only(chosen(type(document), paths, stored, wanted), stored, wanted)
    past.put_back(wanted, REVERT)
    return document


def _check(since: object, revision: object) -> None:
    if since is not None and revision is not None:
        raise OptionsError("revision", revision, "give either since or revision, not both")
    if revision is not None and not is_index(revision):
        raise OptionsError("revision", revision, "it is a number: 0, 1, 2, …")
    if since is not None and not isinstance(since, datetime):
        problem = "it must be a datetime; a revision has its name: revision=…"
        raise OptionsError("since", since, problem)


@overload
def undo(
    document: D, number: int, *, paths: Sequence[str | Sequence[str | int]] | None = None
) -> D: ...
@overload
def undo(
    document: D, *, revision: int, paths: Sequence[str | Sequence[str | int]] | None = None
) -> D: ...
def undo(
    document: D,
    number: int | None = None,
    *,
    revision: int | None = None,
    paths: Sequence[str | Sequence[str | int]] | None = None,
) -> D:
    """
    Take one revision back and keep the later ones, in memory. Reads; saving writes.

    Each path that the revision set gets the value from before it. Where the value is not what the
    revision left there, nothing is taken back; a list is one value here. It starts from what is
    stored, so unsaved edits are lost. The next ``save()`` is recorded as operation ``undo`` if
    the class is tracked, or `track_changes` connected for it, so that undoing that revision does it
    again.

    Args:
        document: A stored document, or one that was deleted, whose deletion is to be undone.
        number: Number of the revision; -1 is the newest one.
        revision: The same, by the name that `revert` gives it.
        paths: As for `revert`: what else the revision set stays, and is in nobody's way.

    Returns:
        The same document.

    Raises:
        OptionsError: it is no number, none or two are given, the document has no primary key, the
            revision is an event, which changed nothing; or a path is none, or was not set by it.
        RevisionNotFoundError: there is no such revision.
        UndoConflictError: a later write changed the same value. The document is as it was.
        DocumentDidNotExistError: the revision created the document: delete it instead.
        HistoryError: as `revert` raises them.
    """
    check_document(document)
    index = _one_of(number, revision)
    stored_key(document)
    past = Past.of(document)
    found = past.revisions.revision(past.head.number + 1 + index if index < 0 else index)
    if found.is_unchanging:
        problem = (
            f"it is of operation {found.operation!r}, which changed nothing that could be undone"
        )
        raise OptionsError("number", found.number, problem)
    if found.operation in ANEW:
        raise DocumentDidNotExistError(past.revisions.key, found.number - 1)
    before = found.before({}) if found.leaves_nothing else past.found_by(found)
    if paths is None:
        asked = None
    else:
        stored, earlier = past.today(paths, None if found.leaves_nothing else before)
        asked = chosen(type(document), paths, stored, earlier, found.after(before))
    wanted, in_the_way = undone(past.stored, found, before, past.revisions.place, asked)
    if in_the_way:
        shown = [shown_conflict(conflict, past.revisions.place.codec) for conflict in in_the_way]
        raise UndoConflictError(past.revisions.key, found.number, shown)
    past.put_back(wanted or {}, UNDO)
    return document


def _one_of(number: int | None, revision: int | None) -> int:
    if number is not None and revision is not None:
        raise OptionsError("revision", revision, "give the number once")
    index = revision if number is None else number
    if not is_index(index):
        raise OptionsError("number", index, "it is a number: 1, 2, …, or -1 for the newest")
    return index


def undone(
    stored: State | None,
    revision: StoredRevision,
    before: State | None,
    place: Place,
    asked: set[Path] | None = None,
) -> tuple[State | None, list[Conflict]]:
    """
    Take a revision out of what is stored, given the state before it; None is no document.

    Return the state without it, and what keeps it from being taken out, both under the names of
    today. What is ``volatile`` stays, and what lies elsewhere than *asked*.
    """
    volatile, model = place.volatile, place.model
    after = under_new_names(model, revision.after(before or {}))
    before = before and under_new_names(model, before)
    stored = stored and under_new_names(model, stored)
    if revision.leaves_nothing:
        found = [] if stored is None else [Conflict((), ABSENT, stored)]
        return before, found
    if stored is None:
        return None, [Conflict((), after, ABSENT)]
    paths = paths_today(model, paths_of(revision.patches))
    now, after = volatile.hidden(stored), volatile.hidden(after)
    if before is None or revision.operation in ANEW:  # to be deleted, with nothing that came later
        paths |= {(key,) for key in now}
        return None, conflicts(now, after, paths)
    if asked is not None and not (paths := narrowed(paths, asked)):
        raise OptionsError("paths", asked, f"revision {revision.number} set nothing there")
    paths = lasting(paths, before, after, volatile)
    found = conflicts(now, after, paths)
    # What is masked stays as it is, so whoever changed it is in nobody's way.
    found = [it for it in found if not (is_mask(it.expected) and is_mask(it.found))]
    return volatile.kept(overlay(now, after, before, paths), stored), found


def shown_conflict(conflict: Conflict, codec: Any) -> Conflict:
    """Give a conflict the values that the application would read."""
    values = {"expected": conflict.expected, "found": conflict.found}
    known = native({name: it for name, it in values.items() if it is not ABSENT}, codec)
    return replace(conflict, **known)


def restore(model: type[D], pk: object) -> D:
    """
    Bring a deleted document back under its primary key, in memory. Reads; saving writes.

    It has its last state: the one that was deleted or, if the deletion was not recorded, the one
    after the newest revision, or else the one that `backfill` kept. The next ``save()`` inserts
    exactly that, the order of fields included, and is recorded as operation ``restore`` if
    the class is tracked, or `track_changes` connected for it. If somebody else has stored the
    document meanwhile, it raises NotUniqueError.

    Args:
        model: The class of the document, or a base class.
        pk: Its primary key.

    Returns:
        A new object, not saved.

    Raises:
        OptionsError: the two do not name a document.
        DocumentExistsError: the document is stored.
        RevisionNotFoundError: the document has no history.
        StateMismatchError: today's class cannot load the state.
        HistoryError: as `revert` raises them.
    """
    check_model(model)
    key = stored_key(model, pk)
    revisions = Revisions(Place(model), key)
    settle(revisions)
    head, stored = revisions.opening()
    if stored is not None:
        raise DocumentExistsError(key)
    wanted = _last(revisions, head)
    document = loaded(model, key, wanted or {})
    Past(document, revisions, head, None, None).put_back(wanted or {}, RESTORE)
    return document


def _last(revisions: Revisions, head: Head) -> State | None:
    kept = None if head.number else _kept(revisions)
    if kept is not None:
        return kept
    newest = _without_events(revisions, revisions.revision(max(head.number, 1)))
    return newest.before({}) if newest.leaves_nothing else state_at(revisions, newest.number)


def _without_events(revisions: Revisions, newest: StoredRevision) -> StoredRevision:
    """Return the deletion where events came after it, else the newest revision."""
    if not (newest.is_unchanging and newest.leaves_nothing):
        return newest
    earlier = revisions.between(1, newest.number - 1, newest_first=True)
    found = next((it for it in earlier if not it.is_unchanging), None)
    if found is None:
        raise DocumentDidNotExistError(revisions.key, newest.number)
    return found


def _kept(revisions: Revisions) -> State | None:
    """Return the state that `backfill` kept of a document without a revision; None if none."""
    try:
        return replayed(revisions, 0)
    except StateNotKeptError:
        return None
