"""The way back: put an earlier state onto a live document."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from mongoengine import Document

from mongoengine_history.draft import Draft
from mongoengine_history.errors import DocumentDidNotExistError, OptionsError, RevisionNotFoundError
from mongoengine_history.revision import stamp_of
from mongoengine_history.store import Store
from mongoengine_history.timeline import Past
from mongoengine_history.tracker import Tracker
from mongoengine_history.tracking import listen
from mongoengine_history.values import ABSENT, Path, State, find, same

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

D = TypeVar("D", bound=Document)


def revert(document: D, since: datetime | None = None, *, revision: int | None = None) -> D:
    """
    Put an earlier state onto a document, in memory. Reads; saving the document writes the state.

    ``revert(document, since)`` takes back what was recorded at or after a moment, without an
    argument all that was recorded. What was stored past the history stays. If the history begins
    with the document's creation, its first state is the created one.
    ``revert(document, revision=3)`` gives the state right after revision 3, exactly.

    Both start from what is stored: unsaved edits are lost. The next ``save()`` stores the state as
    it was, to the byte within each field, and is recorded as operation ``revert`` if
    `track_changes` is connected for the class. A document without history comes back unchanged.

    Args:
        document: A stored document, or one that was deleted and whose object is still there.
        since: A naive time is local time of the process; changes at exactly *since* are taken back.
        revision: Number of a revision; 0 is the state before the first.

    Returns:
        The same document.

    Raises:
        OptionsError: both *since* and *revision* are given.
        RevisionNotFoundError: there is no such revision.
        DocumentDidNotExistError: there was no document at that point.
        PatchError: a revision does not fit the one before it: somebody edited the records.
        IncompleteRevisionError: records of a revision are missing.
        StateMismatchError: today's class cannot load the state.
    """
    _check(since, revision)
    if document.pk is None:
        return document
    store = Store(document)
    past = Past.of(document, store)
    if revision is not None:
        wanted = _state_at(past, revision, store)
    else:
        wanted = _state_before(past, since, store)
    if not (past.revisions or past.legacy):
        return document
    store.ensure_indexes()
    listen(type(document))
    Tracker.of(document).restore(store, past.head(), past.stored, wanted)
    return document


def _check(since: object, revision: object) -> None:
    if since is not None and revision is not None:
        raise OptionsError("revision", revision, "give either since or revision, not both")
    if revision is not None and (not isinstance(revision, int) or isinstance(revision, bool)):
        raise OptionsError("revision", revision, "it is a number: 0, 1, 2, …")


def _state_at(past: Past, number: int, store: Store) -> State:
    if not 0 <= number <= len(past.revisions):
        raise RevisionNotFoundError(store.document_id, number, len(past.revisions))
    if _is_missing(past, number):
        raise DocumentDidNotExistError(store.document_id, number)
    return past.state(number)


def _state_before(past: Past, since: datetime | None, store: Store) -> State:
    number = _last_kept(past, since)
    target, touched = past.state(number), past.touched_since(number)
    if number == 0:
        older, touched_by_legacy = past.legacy_since(since)
        target, touched = older, touched | touched_by_legacy
    if touched and _is_missing(past, number):
        raise DocumentDidNotExistError(store.document_id, number)
    if past.stored is None:
        return target
    return overlay(past.stored, past.state(len(past.revisions)), target, touched)


def _last_kept(past: Past, since: datetime | None) -> int:
    """Return the number of the newest revision that is not taken back."""
    if since is None:
        return 1 if past.begins_with_creation else 0
    earliest = stamp_of(since)
    return sum(revision.stamp < earliest for revision in past.revisions)


def _is_missing(past: Past, number: int) -> bool:
    if number == 0:
        return past.begins_with_creation
    return past.revisions[number - 1].operation == "delete"


def overlay(stored: State, head: State, target: State, touched: Iterable[Path]) -> State:
    """
    Return *stored* with the values of *target* at the *touched* paths.

    A key that is stored as the history has it at its *head* becomes what it is in *target*, whole.
    """
    draft = Draft(stored)
    paths = sorted(touched, key=len)
    for key in {str(path[0]): None for path in paths}:
        if same(find(stored, (key,)), find(head, (key,))):
            _put(draft, (key,), find(target, (key,)))
            continue
        for path in paths:
            if path[0] == key:
                _put_back(draft, path, target)
    return draft.state


def _put_back(draft: Draft, path: Path, target: State) -> None:
    """Put a value of *target* back, or the whole it lies in where another kind is stored now."""
    for length in range(1, len(path)):
        found = find(draft.state, path[:length])
        if found is not ABSENT and not isinstance(found, dict):
            path = path[:length]
            break
    _put(draft, path, find(target, path))


def _put(draft: Draft, path: Path, value: object) -> None:
    if value is not ABSENT:
        draft.dict_at(path[:-1])[str(path[-1])] = value
    elif find(draft.state, path) is not ABSENT:
        draft.dict_at(path[:-1]).pop(str(path[-1]))
