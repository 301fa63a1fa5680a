"""The way back: put an earlier state onto a document, undo one revision, restore what is gone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, overload

from mongoengine import Document

from mongoengine_history.capture.covers import cover
from mongoengine_history.capture.document_track import listen
from mongoengine_history.capture.tracker import Known, Tracker
from mongoengine_history.documents.renamed import found_today, paths_today, under_new_names
from mongoengine_history.documents.snapshot import (
    check_document,
    check_model,
    has_key,
    loaded,
    stored_key,
    unrecorded,
)
from mongoengine_history.errors import (
    Conflict,
    DocumentDidNotExistError,
    DocumentExistsError,
    IncompleteRevisionError,
    OptionsError,
    RevisionNotFoundError,
    StateNotKeptError,
    UndoConflictError,
)
from mongoengine_history.record.doubt import settle
from mongoengine_history.record.place import Place
from mongoengine_history.record.revisions import Revisions
from mongoengine_history.record.states import (
    as_recorded,
    creation_of,
    replayed,
    state_at,
    state_before,
)
from mongoengine_history.state.legacy import unwind
from mongoengine_history.state.mask import is_mask
from mongoengine_history.state.merge import conflicts, differs, overlay
from mongoengine_history.state.overwritten import Overwritten, found_by
from mongoengine_history.state.patches import paths_of
from mongoengine_history.state.revision import (
    ANEW,
    DELETE,
    RESTORE,
    REVERT,
    UNDO,
    is_index,
    stamp_of,
)
from mongoengine_history.state.values import ABSENT, native

if TYPE_CHECKING:
    from mongoengine_history.record.head import Head
    from mongoengine_history.state.revision import StoredRevision
    from mongoengine_history.state.values import State

D = TypeVar("D", bound=Document)


def revert(document: D, since: datetime | None = None, *, revision: int | None = None) -> D:
    """
    Put an earlier state onto a document, in memory. Reads; saving the document writes the state.

    ``revert(document, since)`` takes back what was recorded at or after a moment, without an
    argument all that was recorded. Each value that these revisions set becomes what the first of
    them found stored; what else was stored past the history stays. If the history begins
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
        OptionsError: both *since* and *revision* are given, or one argument is of another kind.
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
def undo(document: D, number: int) -> D: ...
@overload
def undo(document: D, *, revision: int) -> D: ...
def undo(document: D, number: int | None = None, *, revision: int | None = None) -> D:
    """
    Take one revision back and keep the later ones, in memory. Reads; saving writes.

    Each path that the revision set gets the value from before it. Where the value is not what the
    revision left there, nothing is taken back; a list is one value here. It starts from what is
    stored, so unsaved edits are lost. The next ``save()`` is recorded as operation ``undo`` if
    `track_changes` is connected for the class, so that undoing that revision does it again.

    Args:
        document: A stored document, or one that was deleted, whose deletion is to be undone.
        number: Number of the revision; -1 is the newest one.
        revision: The same, by the name that `revert` gives it.

    Returns:
        The same document.

    Raises:
        OptionsError: it is no number, none or two are given, the document has no primary key, or
            the revision is an event, which changed nothing.
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
    wanted, in_the_way = undone(past.stored, found, before, past.revisions.place)
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
    stored: State | None, revision: StoredRevision, before: State | None, place: Place
) -> tuple[State | None, list[Conflict]]:
    """
    Take a revision out of what is stored, given the state before it; None is no document.

    Return the state without it, and what keeps it from being taken out, both under the names of
    today. What is ``volatile`` stays.
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
    `track_changes` is connected for the class. If somebody else has stored the document meanwhile,
    it raises NotUniqueError.

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


@dataclass(frozen=True)
class Past:
    """A document, what is stored of it, and what its history had before."""

    document: Document
    revisions: Revisions
    head: Head
    #: As the history may have it; None if there is no document.
    stored: State | None
    #: As it is, with what is hidden from the history.
    live: State | None

    @classmethod
    def of(cls, document: Document) -> Past:
        """Read the newest revision and what is stored."""
        revisions = Revisions.of(document)
        settle(revisions)
        head, live = revisions.opening()
        stored = as_recorded(revisions, head, live)
        return cls(document, revisions, head, stored, live)

    @property
    def is_empty(self) -> bool:
        """Say whether nothing was recorded."""
        return not self.head.number and not self.revisions.legacy()

    @property
    def is_gone_unrecorded(self) -> bool:
        """Say whether the history does not know that there is no document any more."""
        return self.stored is None and self.head.operation != DELETE

    def at(self, number: int) -> State:
        """Return the state right after a revision."""
        state = self._state(number)
        if state is None:
            raise DocumentDidNotExistError(self.revisions.key, number)
        return state

    def found_by(self, revision: StoredRevision) -> State:
        """Return the state right before a revision, which may be the oldest one left."""
        state = state_before(self.revisions, revision)
        if state is None:
            raise DocumentDidNotExistError(self.revisions.key, revision.number - 1)
        return state

    def _state(self, number: int) -> State | None:
        """Return the state after a revision; records of 1.1 end in the one before revision 1."""
        if not self.head.number:
            return unrecorded(self.document, self.stored)
        return state_at(self.revisions, number)

    def before(self, since: datetime | None) -> State:
        """
        Return the stored state, with all taken back that was recorded at *since* or later.

        What was stored before each of these revisions comes back, be it drift until then.
        """
        number = self._last_kept(since)
        if number and number == self.head.number and self.stored is not None:
            return self.stored
        kept = self._state(number)
        legacy = [] if number else self.revisions.legacy(since)  # they end where revision 1 begins
        if kept is None and legacy:  # in a document that was deleted unrecorded
            raise StateNotKeptError(self.revisions.key, 0)
        if kept is None:
            raise DocumentDidNotExistError(self.revisions.key, number)
        try:
            overwritten, head = self._overwritten(number, kept)
        except IncompleteRevisionError:  # nobody can say what it found
            if self._is_drifted(self._state(self.head.number) or {}):
                raise
            return unwind(reversed(legacy), kept)[0]
        known, (wanted, older) = self._today(kept), unwind(reversed(legacy), kept)
        paths = paths_today(self.document, paths_of(older))
        target = overlay(overwritten.put_into(known), known, self._today(wanted), paths)
        if self.stored is None or not self._is_drifted(head):
            return target
        stored, newest = self._today(self.stored), self._today(head)
        return overlay(stored, newest, target, overwritten.paths | paths)

    def _today(self, state: State) -> State:
        return under_new_names(self.document, state)

    def _is_drifted(self, head: State) -> bool:
        return self.stored is None or differs(self._today(self.stored), self._today(head))

    def _last_kept(self, since: datetime | None) -> int:
        """Return the number of the newest revision that is not taken back."""
        if since is not None:
            return self.revisions.number_at(stamp_of(since) - 1)
        return creation_of(self.revisions)

    def _overwritten(self, number: int, kept: State) -> tuple[Overwritten, State]:
        """Return what the revisions after a number overwrote, and the newest state."""
        overwritten, state = Overwritten(), kept
        for revision in self.revisions.between(number + 1) if self.head.number > number else ():
            is_first = revision.number == 1  # late writes were taken out of the state before it
            after = (self._state(1) or {}) if is_first else revision.after(state)
            found = found_today(self.document, found_by(revision.patches, state))
            overwritten.add(found, self._today(state), self._today(after))
            state = {} if revision.leaves_nothing else after
        return overwritten, state

    def put_back(self, wanted: State, operation: str) -> None:
        """Put a state onto the document, to be recorded as *operation* when it is saved."""
        if self.is_gone_unrecorded:  # the history has a state, which must not shine through
            operation = RESTORE
        place = self.revisions.place
        place.ensure_indexes()
        listen(type(self.document))
        wanted = place.hiding.revealed(self._today(wanted), self.live)
        wanted = place.volatile.kept(wanted, self.live)
        known = Known(self.revisions, self.head)
        Tracker.of(self.document).put_back(known, self.live, wanted, operation)
        cover(self.document)
