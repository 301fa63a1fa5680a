"""What keeps a document, or a changeset, from being led back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mongoengine_history.errors.base import HistoryError, OfDocumentError, short, where

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Conflict:
    """A path that a later write changed, too."""

    #: Keys; empty for the document itself.
    path: tuple[str | int, ...]
    #: What the revision left there; `ABSENT` for nothing.
    expected: object
    #: What is stored there now; `ABSENT` for nothing.
    found: object


class DocumentExistsError(OfDocumentError):
    """There is nothing to restore: the document is stored."""

    def __init__(self, document_id: object) -> None:
        super().__init__(
            document_id,
            f"Document {short(document_id)} is stored, so it needs no restore. Load it, and use "
            "revert or undo to go back.",
        )


class UndoConflictError(OfDocumentError):
    """A later write changed what the revision to undo had set. `revert` takes that back as well."""

    def __init__(self, document_id: object, number: int, conflicts: Sequence[Conflict]) -> None:
        first = conflicts[0]
        others = f" (and {len(conflicts) - 1} more)" if len(conflicts) > 1 else ""
        super().__init__(
            document_id,
            f"Revision {number} of document {short(document_id)} cannot be undone: at "
            f"{where(first.path)} it left {short(first.expected)}, but found is "
            f"{short(first.found)}{others}. Revert to an earlier revision, or edit the document. "
            "What goes on by itself, as the time of the last change does, volatile=… may name.",
        )
        #: The revision.
        self.number = number
        #: All conflicts, each with its path, what the revision left there and what is there now.
        self.conflicts = list(conflicts)
        #: Those of the first conflict.
        self.path, self.expected, self.found = first.path, first.expected, first.found


class ChangesetConflictError(HistoryError):
    """A changeset cannot be taken back: later writes changed what it set. Nothing was written."""

    def __init__(self, changeset: object, errors: Sequence[UndoConflictError]) -> None:
        others = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        super().__init__(f"Changeset {changeset} cannot be reverted. {errors[0]}{others}")
        #: Id of the changeset.
        self.changeset = changeset
        #: One error for each revision in the way, with its conflicts.
        self.errors = list(errors)


class ChangesetRefusedError(HistoryError):
    """
    The application itself keeps a changeset from being taken back. Nothing was written.

    Its own methods want arguments, leave a document as it was or raise an error, the ``__cause__``;
    or today's class does not take a state. Write past them, with *bypass_methods*.
    """

    def __init__(self, changeset: object, refused: Sequence[tuple[str, object, str]]) -> None:
        (name, key, why), count = refused[0], len(refused)
        others = f" (and {count - 1} more)" if count > 1 else ""
        super().__init__(
            f"Changeset {changeset} cannot be reverted: the document {short(key)} in {name!r} is "
            f"refused: {why}{others}. Nothing was written. Look at revert_changeset(…, "
            "dry_run=True), and correct the cause. What only the application's own methods, "
            "validation, signals or delete rules refuse is written past them with "
            "bypass_methods=True."
        )
        #: Id of the changeset.
        self.changeset = changeset
        #: Collection and primary key of each document, and why it was refused.
        self.refused = list(refused)


class ChangesetPartlyRevertedError(HistoryError):
    """Only a part of a changeset was taken back before a write failed, the ``__cause__``."""

    def __init__(
        self, changeset: object, written: Sequence[tuple[str, object]], reverted_by: object = None
    ) -> None:
        super().__init__(
            f"Changeset {changeset} was reverted only in {len(written)} documents before a write "
            f"failed. Correct the cause, take back what was `written` by revert_changeset"
            f"({reverted_by!r}), and then the changeset again."
        )
        #: Id of the changeset.
        self.changeset = changeset
        #: Collection and primary key of the documents that were written.
        self.written = list(written)
        #: Id of the changeset of these writes.
        self.reverted_by = reverted_by
