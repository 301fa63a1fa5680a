"""Reading a history: the changes of a document, and the states that they lead to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mongoengine_history.legacy import unwind
from mongoengine_history.patching import Patch, touched
from mongoengine_history.revision import CREATE, Revision, stamp_of, wall_clock
from mongoengine_history.snapshot import codec_of, decoded, snapshot
from mongoengine_history.store import Head, Store
from mongoengine_history.values import Path, State, native

if TYPE_CHECKING:
    from datetime import datetime

    from mongoengine import Document


def load_history(
    document: Document, since: datetime | None = None, until: datetime | None = None
) -> list[tuple[str, list[str | int], Any]]:
    """
    Read the changes of a document as dictdiffer patches, the newest first. Reads only.

    ``dictdiffer.revert(load_history(document), state)`` leads from the newest state to the first,
    ``dictdiffer.patch(reversed(load_history(document)), state)`` from the first to the newest.
    Records of mongoengine-history 1.1 are part of it. Each call returns values of its own.

    Args:
        document: A document with a primary key; it is neither read from memory nor changed.
        since: Only changes at or after this moment. A naive time is local time of the process.
        until: Only changes at or before this moment; one in whole milliseconds includes its
            millisecond.

    Returns:
        ``(action, path, data)`` with *path* a list of keys and indexes, and *data* ``(old, new)``
        for ``"change"``, ``[(key, value), …]`` for ``"add"`` and ``"remove"``.

    Raises:
        IncompleteRevisionError: records of a revision are missing.
    """
    if document.pk is None:
        return []
    store = Store(document)
    revisions = store.revisions(_since(since), _until(until))
    newest_first = [patch for revision in revisions for patch in revision.patches][::-1]
    newest_first += _legacy_patches(document, store, since, until)
    found = [patch.as_dictdiffer() for patch in newest_first]
    values = native({"data": [data for _, _, data in found]}, codec_of(document))["data"]
    shaped = (_shaped(action, data) for (action, _, _), data in zip(found, values, strict=True))
    return [(action, path, data) for (action, path, _), data in zip(found, shaped, strict=True)]


def _shaped(action: str, data: Any) -> Any:
    """Make tuples again of what BSON keeps as lists."""
    return tuple(data) if action == "change" else [tuple(item) for item in data]


def _since(when: datetime | None) -> int | None:
    return None if when is None else stamp_of(when)


def _until(when: datetime | None) -> int | None:
    if when is None:
        return None
    return stamp_of(when) + (999 if when.microsecond % 1000 == 0 else 0)


def _base(document: Document, store: Store, stored: State | None, *, numbered: bool) -> State:
    """Return the state before revision 1, which is the one after all records of 1.1."""
    base = store.base() if numbered else None
    if base is not None:
        return base
    if numbered:
        return {}
    return decoded(snapshot(document)) if stored is None else stored


def _legacy_patches(
    document: Document, store: Store, since: datetime | None, until: datetime | None
) -> list[Patch]:
    records = store.legacy()
    if not records:
        return []
    state = _base(document, store, store.stored(), numbered=store.head().number > 0)
    wanted: list[Patch] = []
    for record in reversed(records):
        state, patches = unwind([record], state)
        after = since is None or record["created_at"] >= wall_clock(since)
        if after and (until is None or record["created_at"] <= wall_clock(until)):
            wanted += patches
    return wanted


@dataclass(frozen=True, slots=True)
class Past:
    """The whole history of one document, read at once."""

    #: The state before revision 1; empty if that created the document.
    base: State
    #: All revisions, the oldest first.
    revisions: list[Revision]
    #: Records of 1.1, the oldest first; they end in `base`.
    legacy: list[dict[str, Any]]
    #: The stored document; None if it is not stored.
    stored: State | None

    @classmethod
    def of(cls, document: Document, store: Store) -> Past:
        """Read it; of a document that is gone and has no revision the object in memory counts."""
        stored, revisions = store.stored(), store.revisions()
        base = _base(document, store, stored, numbered=bool(revisions))
        return cls(base, revisions, store.legacy(), stored)

    @property
    def begins_with_creation(self) -> bool:
        """Say whether the first thing known of the document is that it was made."""
        return bool(self.revisions) and self.revisions[0].operation == CREATE and not self.legacy

    def state(self, number: int) -> State:
        """Return the state after revision *number*; 0 is the one before the first."""
        state = self.base
        for revision in self.revisions[:number]:
            state = revision.after(state)
        return state

    def head(self) -> Head:
        """Return what the next revision has to know of the newest one."""
        if not self.revisions:
            return Head()
        newest = self.revisions[-1]
        state = self.state(newest.number)
        return Head(newest.number, newest.stamp, newest.lists, state)

    def touched_since(self, number: int) -> set[Path]:
        """Name the paths that revisions after *number* set."""
        patches = (patch for revision in self.revisions[number:] for patch in revision.patches)
        return {path for patch in patches for path in touched(patch)}

    def legacy_since(self, when: datetime | None) -> tuple[State, set[Path]]:
        """Take records of 1.1 made at or after *when* back: the state, and what they touched."""
        wanted = [
            record
            for record in reversed(self.legacy)
            if when is None or record["created_at"] >= wall_clock(when)
        ]
        state, patches = unwind(wanted, self.base)
        return state, {path for patch in patches for path in touched(patch)}
