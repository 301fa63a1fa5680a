"""Documents as their histories have them beside what is stored, many at once."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mongoengine_history.errors import HistoryError, RevisionConflictError
from mongoengine_history.record.append import append_next
from mongoengine_history.record.drift import change_between
from mongoengine_history.record.head import NO_HEAD, Head
from mongoengine_history.record.layout import Base
from mongoengine_history.record.overview import heads, states_of
from mongoengine_history.record.revisions import Revisions
from mongoengine_history.record.states import replayed
from mongoengine_history.state.diff import diff
from mongoengine_history.state.mask import has_masks
from mongoengine_history.state.merge import is_same_state, put
from mongoengine_history.state.overwritten import Overwritten, found_by
from mongoengine_history.state.patches import Draft, paths_of
from mongoengine_history.state.redaction import covered
from mongoengine_history.state.revision import ANEW, EXTERNAL
from mongoengine_history.state.values import State, find, identifier, same

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mongoengine_history.record.place import Place
    from mongoengine_history.state.context import Context
    from mongoengine_history.state.revision import StoredRevision
    from mongoengine_history.state.values import Path

WINDOW: Final = 50
"""Revisions to look back at for writes that were numbered in another order than they were done."""


class Comparison(NamedTuple):
    """One document as its history has it, and as it was stored right after that was read."""

    key: Any
    head: Head
    #: The state after the newest revision; None if nothing is left, or nothing was recorded.
    known: State | None
    #: What is stored, as the history may have it; None if nothing is.
    stored: State | None
    #: Why nobody can tell what the history has.
    error: HistoryError | None = None

    @property
    def has_history(self) -> bool:
        """Say whether there is a revision, or a version 0 alone."""
        return _has_any(self.head)

    @property
    def is_drift(self) -> bool:
        """Say whether the two differ, in more than the order of their fields."""
        return self.error is None and not is_same_state(self.known, self.stored)

    def settled(self, then: Comparison) -> State | None:
        """
        Return the state with what is drift for sure, where it was drift *then*.

        If no record has come meanwhile it is what was stored then. Else it is what is known now,
        with what differs in the same way as it did then.
        """
        if (self.head.number, self.head.record) == (then.head.number, then.head.record):
            return then.stored
        states = self.known, self.stored, then.known, then.stored
        if any(state is None for state in states):
            return self.known
        draft = Draft(self.known or {})
        for path in paths_of(diff(self.known or {}, self.stored or {})):
            known, stored, known_then, stored_then = (find(it, path) for it in states)
            if same(known, known_then) and same(stored, stored_then):
                put(draft, path, stored)
        return draft.state


def compared(place: Place, keys: Iterable[Any]) -> list[Comparison]:
    """Compare documents with their histories; what is stored is read last."""
    keys = list({identifier(key): key for key in keys}.values())
    newest = heads(place, keys)
    tops = {identifier(key): newest.get(identifier(key), NO_HEAD) for key in keys}
    recorded = [key for key in keys if _has_any(tops[identifier(key)])]
    states = states_of(place, [(key, tops[identifier(key)].number) for key in recorded])
    errors = _errors(place, recorded, tops, states)
    stored = recordable(place, keys)
    made = []
    for key in keys:
        it = identifier(key)
        known, now = states.get(it), stored.get(it)
        if known is not None and now is not None and has_masks(known):
            now = covered(now, known)
        made.append(Comparison(key, tops[it], known, now, errors.get(it)))
    return made


def _has_any(head: Head) -> bool:
    return bool(head.number or head.stamp)


def _errors(
    place: Place, keys: Iterable[Any], tops: Mapping[object, Head], states: dict[object, Any]
) -> dict[object, HistoryError]:
    """Ask anew for states that could not be rebuilt: now they can, or here is why not."""
    errors = {}
    for key in keys:
        name = identifier(key)
        if name not in states:
            try:
                states[name] = replayed(Revisions(place, key), tops[name].number)
            except HistoryError as error:
                errors[name] = error
    return errors


def recordable(place: Place, keys: Sequence[Any]) -> dict[object, State]:
    """Read documents as the history may have them, by the `identifier` of their keys."""
    found = place.documents.find({"_id": {"$in": keys}}, session=place.session)
    return {identifier(it.pop("_id")): place.hiding.hidden(it) for it in found}


def record_settled(
    place: Place, now: Comparison, states: Sequence[State | None], context: Context
) -> list[Head]:
    """
    Record states that a document had in a row and its history has not, each as a revision.

    Returns:
        The new heads; fewer than *states* where another revision came first, or one changes
        nothing.
    """
    revisions, head, before = Revisions(place, now.key), now.head, now.known
    made: list[Head] = []
    for state in states:
        is_overlap = state is states[-1] and explained(revisions, now, state)
        told = {"last_known": head.number, **({"overlap": True} if is_overlap else {})}
        said = replace(context, metadata={**context.metadata, "reconciled": told})
        shown = before and place.hiding.hidden(before)
        change = change_between(shown, state, said, EXTERNAL, time.time_ns() // 1000)
        if change is not None:
            base = Base(shown) if shown is not None and not _has_any(head) else None
            try:
                head = append_next(revisions, change, replace(head, state=shown), base)
            except HistoryError as error:
                if not isinstance(error.__cause__, RevisionConflictError):
                    raise
                break
            made.append(head)
        before = state
    return made


def explained(revisions: Revisions, now: Comparison, state: State | None) -> bool:
    """Say whether a state is what recorded writes leave in another order than their numbers'."""
    if state is None or now.known is None or not now.head.number:
        return False
    overwritten, first = Overwritten(), max(1, now.head.number - WINDOW)
    with suppress(HistoryError):
        recorded = list(revisions.between(first, now.head.number))
        if not _set_by(recorded, paths_of(diff(now.known, state))):
            return False
        is_new = recorded[0].operation in ANEW
        before = {} if is_new else replayed(revisions, first - 1) or {}
        for revision in recorded:
            after = revision.after(before)
            overwritten.add(found_by(revision.patches, before), before, after)
            before = after
        return overwritten.explains(now.known, state)
    return False


def _set_by(recorded: Iterable[StoredRevision], paths: Iterable[Path]) -> bool:
    """Say whether revisions have set something at all of some paths, after the creation."""
    changed = paths_of(patch for it in recorded if it.operation not in ANEW for patch in it.patches)
    ends = [(path, known) for path in paths for known in changed]
    met = {path for path, known in ends if path[: len(known)] == known[: len(path)]}
    return met.issuperset(paths)
