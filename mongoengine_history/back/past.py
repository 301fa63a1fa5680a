"""A document, what its history had before, and how an earlier state is put onto it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from warnings import warn

from mongoengine_history.capture.covers import cover
from mongoengine_history.capture.document_track import listen
from mongoengine_history.capture.tracker import Known, Tracker
from mongoengine_history.documents.renamed import (
    check_single,
    doubled,
    found_today,
    paths_today,
    renamed_in,
    under_new_names,
)
from mongoengine_history.documents.snapshot import unrecorded
from mongoengine_history.errors import (
    DocumentDidNotExistError,
    HistoryWarning,
    IncompleteRevisionError,
    OptionsError,
    StateNotKeptError,
)
from mongoengine_history.record.doubt import settle
from mongoengine_history.record.revisions import Revisions
from mongoengine_history.record.states import as_recorded, creation_of, state_at, state_before
from mongoengine_history.state.legacy import unwind
from mongoengine_history.state.merge import differs, overlay
from mongoengine_history.state.moments import stamp_of
from mongoengine_history.state.overwritten import Overwritten, found_by
from mongoengine_history.state.patches import paths_of
from mongoengine_history.state.revision import DELETE, RESTORE
from mongoengine_history.state.values import find, same

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from mongoengine import Document

    from mongoengine_history.record.head import Head
    from mongoengine_history.state.hiding import Hiding
    from mongoengine_history.state.revision import StoredRevision
    from mongoengine_history.state.values import Path, State


def lasting(paths: Iterable[Path], before: State, after: State, volatile: Hiding) -> set[Path]:
    """Return those of some paths at which two states differ in more than what is volatile."""
    if not volatile.rules:
        return {*paths}
    first, second = volatile.hidden(before), volatile.hidden(after)
    return {path for path in paths if not same(find(first, path), find(second, path))}


def _tell_doubled(document: Document, wanted: State) -> None:
    names = doubled(document, wanted)
    if names:
        warn(
            f"The earlier state has values under {names}, which were renamed, and under the names "
            "of today, too, which count. Read the state as data to see all.",
            HistoryWarning,
            stacklevel=4,
        )


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
        names = renamed_in(self.document, kept)
        try:
            overwritten, paths, head = self._overwritten(number, kept)
        except IncompleteRevisionError:  # nobody can say what it found
            if self._is_drifted(self._state(self.head.number) or {}):
                raise
            return unwind(reversed(legacy), kept, names)[0]
        known, (wanted, older) = self._today(kept), unwind(reversed(legacy), kept, names)
        of_legacy = paths_today(self.document, paths_of(older))
        target = overlay(overwritten.put_into(known), known, self._today(wanted), of_legacy)
        if self.stored is None or not self._is_drifted(head):
            return target
        stored, newest = self._today(self.stored), self._today(head)
        return overlay(stored, newest, target, paths | of_legacy)

    def today(self, paths: object, wanted: State | None) -> tuple[State, State]:
        """Return what is stored and another state under the names of today, to choose paths of."""
        if self.stored is None or wanted is None:
            raise OptionsError("paths", paths, "the document comes or goes as a whole")
        return self._today(self.stored), self._today(wanted)

    def _today(self, state: State) -> State:
        return under_new_names(self.document, state)

    def _is_drifted(self, head: State) -> bool:
        return self.stored is None or differs(self._today(self.stored), self._today(head))

    def _last_kept(self, since: datetime | None) -> int:
        """Return the number of the newest revision that is not taken back."""
        if since is not None:
            return self.revisions.number_at(stamp_of(since) - 1)
        return creation_of(self.revisions)

    def _overwritten(self, number: int, kept: State) -> tuple[Overwritten, set[Path], State]:
        """Return what the revisions after a number overwrote, where that lasts, and the newest."""
        overwritten, state = Overwritten(), kept
        paths: set[Path] = set()
        for revision in self.revisions.between(number + 1) if self.head.number > number else ():
            is_first = revision.number == 1  # late writes were taken out of the state before it
            after = (self._state(1) or {}) if is_first else revision.after(state)
            found = [*found_today(self.document, found_by(revision.patches, state), state)]
            old, new = self._today(state), self._today(after)
            overwritten.add(found, old, new)
            paths |= {path for path, value in found if not same(value, find(old, path))}
            paths |= lasting(dict(found), old, new, self.revisions.place.volatile)
            state = {} if revision.leaves_nothing else after
        return overwritten, paths, state

    def put_back(self, wanted: State, operation: str) -> None:
        """Put a state onto the document, to be recorded as *operation* when it is saved."""
        check_single(self.document, self.revisions.key, self.live)
        _tell_doubled(self.document, wanted)
        if self.is_gone_unrecorded:  # the history has a state, which must not shine through
            operation = RESTORE
        place = self.revisions.place
        place.ensure_indexes()
        listen(type(self.document))
        live = self.live and self._today(self.live)
        wanted = place.revealed(wanted, self.live)
        wanted = place.volatile.kept(wanted, live)
        known = Known(self.revisions, self.head)
        Tracker.of(self.document).put_back(known, self.live, wanted, operation)
        cover(self.document)
