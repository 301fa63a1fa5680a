"""Rebuilds the states of one document, at a cost that does not grow with its history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pymongo import ASCENDING, DESCENDING

from mongoengine_history.errors import RevisionNotFoundError, StateNotKeptError
from mongoengine_history.layout import state_of, step_of
from mongoengine_history.ledger import BATCH, ONE_NUMBER, VERSION, Ledger, number_in
from mongoengine_history.lists import check
from mongoengine_history.records import BY_STAMP, OWNER
from mongoengine_history.revision import ANEW, DELETE, replay

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mongoengine_history.values import State

NEEDED: Final = {
    "_id": 0,
    **dict.fromkeys(["revision", "position", "size", "action", "keys", "data"], 1),
    **dict.fromkeys(["parts", "part_of", "bytes"], 1),
}
"""The fields that patches are made of."""

FOLDABLE: Final = dict.fromkeys(
    [*OWNER, "_id", "created_at", "path", "identity", "reason", "metadata"], 0
)
"""The fields that a state is not made of."""


class Archive(Ledger):
    """The history of one document, for reading."""

    def state(self, number: int) -> State | None:
        """
        Rebuild the state right after a revision.

        It is replayed from the nearest version before, or else from the creation. Where neither
        is, it is unwound from the nearest version after, or else from the stored document.

        Args:
            number: The revision; 0 is the state before the first one.

        Returns:
            The state; None if there was no document.

        Raises:
            RevisionNotFoundError: there is no such revision.
            IncompleteRevisionError: records are missing on the way.
            PatchError: a revision does not fit the state before it.
            StateNotKeptError: nothing is known to start from.
        """
        try:
            return self.replayed(number)
        except StateNotKeptError:
            return self._unwound(number)

    def replayed(self, number: int) -> State | None:
        """
        Rebuild a state as `state` does, but only forwards.

        Raises:
            StateNotKeptError: there is neither a version nor a creation before it.
        """
        nearest = self._version_near({"$lte": number}, DESCENDING)
        if nearest is not None:
            query = {"revision": {"$gte": nearest, "$lte": number}}
            found = self._records(query, projection=FOLDABLE, batch_size=BATCH)
            return self.folded(list(found), nearest, number)
        return self._from_creation(number, 1)

    def _from_creation(self, number: int, first: int) -> State | None:
        state: State = {}
        last = None
        for revision in self.revisions(first, max(number, 1)):
            if last is None and revision.operation not in ANEW:
                return self._from_creation(number, self._creation_before(number))
            last, state = revision, revision.after(state)
        if last is None:
            raise StateNotKeptError(self.document_id, number)
        if number and last.number != number:
            raise RevisionNotFoundError(self.document_id, number, self.head().number)
        if not number or last.leaves_nothing:
            return None
        check(state, last.lists)
        return state

    def _creation_before(self, number: int) -> int:
        """Return the number of the last revision until *number* that started from nothing."""
        bounds = {"$gte": 1, "$lte": number}
        query = {"revision": bounds, "position": 0, "operation": {"$in": sorted(ANEW)}}
        nearest = number_in(self._records(query, DESCENDING, **ONE_NUMBER))
        if nearest is None:
            raise StateNotKeptError(self.document_id, number)
        return nearest

    def begins_with_creation(self) -> bool:
        """Say whether the first revision made the document."""
        first = next(self.revisions(1, 1), None)
        return first is not None and first.operation in ANEW

    def _version_near(self, bounds: Mapping[str, int], order: int) -> int | None:
        """Return the number of a version. Its last document says that it is complete."""
        query = {"revision": {"$gte": 0, **bounds}, "position": -1}
        return number_in(self._records(query, order, **ONE_NUMBER))

    def folded(self, found: Sequence[Mapping[str, Any]], nearest: int, number: int) -> State | None:
        """
        Return the state after a revision, as `state` does.

        Args:
            found: All documents of the revisions from *nearest* to *number*, in order.
            nearest: The number of a version, or 0 where a creation comes first.
            number: The revision.
        """
        version = [it for it in found if it["position"] < 0 and it["revision"] == nearest]
        first = max(1, min(nearest + 1, number))  # of the version's own revision only if asked for
        records = [it for it in found if it["position"] >= 0 and it["revision"] >= first]
        wholes = list(self.wholes(records, ASCENDING, first))
        newest: Mapping[str, Any] = wholes[-1][0] if wholes else {"revision": 0}
        if number and newest["revision"] != number:
            raise RevisionNotFoundError(self.document_id, number, self.head().number)
        if newest.get("operation") == DELETE:
            return None
        later = (whole for whole in wholes if whole[0]["revision"] > nearest)
        steps = (step_of(whole, self.reading) for whole in later)
        state = replay(steps, state_of(version) if version else {})
        check(state, newest.get("lists", {}))
        return state

    def _unwound(self, number: int) -> State | None:
        if number and self.revision(number).leaves_nothing:
            return None
        later = self._version_near({"$gt": number}, ASCENDING)
        if later is None:
            state = self.recordable()
        else:
            state = state_of(list(self._records({"revision": later, "position": VERSION})))
        for revision in self.revisions(number + 1, later, newest_first=True):
            if revision.operation in ANEW:
                state = None
            elif state is not None or revision.leaves_nothing:
                state = revision.before(state or {})
        if state is None and (number or self.head().number):
            raise StateNotKeptError(self.document_id, number)
        return state


class NativeArchive(Archive):
    """The same history, its values with the types that the application reads."""

    @property
    def reading(self) -> Any:
        """The codec options of the collection that the document lies in."""
        return self.codec

    def changes(self, stamps: Mapping[str, int]) -> Iterator[Mapping[str, Any]]:
        """
        Read what patches are made of, by falling revision, in as few batches as possible.

        Args:
            stamps: Bounds of the stamp as MongoDB takes them. Without any all is read, and records
                of 1.1, which have no number, come last.
        """
        query = {"position": {"$not": VERSION}, **({"stamp": stamps} if stamps else {})}
        options = {"projection": NEEDED, "batch_size": BATCH}
        return self._sorted(BY_STAMP, query, DESCENDING, **options)
