"""Every error of the library: one base, the facts as attributes, the remedy in the message."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True, slots=True)
class Conflict:
    """A path that a later write changed, too."""

    #: Keys; empty for the document itself.
    path: tuple[str | int, ...]
    #: What the revision left there; `ABSENT` for nothing.
    expected: object
    #: What is stored there now; `ABSENT` for nothing.
    found: object


class HistoryError(Exception):
    """Base of all errors that the library raises on purpose. Catch it to catch them all."""

    def __reduce__(self) -> Any:
        """Travel from process to process with the message and all facts."""
        facts = {name: _portable(fact) for name, fact in self.__dict__.items()}
        return _arrived, (type(self), self.args, facts)


class HistoryWarning(UserWarning):
    """Something is not recorded, and nothing was refused."""


def _portable(fact: object) -> object:
    """Return a fact; what cannot travel, such as a function, as its text."""
    try:
        pickle.dumps(fact)
    except Exception:  # pickle raises several, and what a class has of its own
        return repr(fact)
    return fact


def _arrived(kind: type[HistoryError], args: tuple[Any, ...], facts: dict[str, Any]) -> Any:
    error = kind.__new__(kind, *args)
    error.__dict__.update(facts)
    return error


class OfDocumentError(HistoryError):
    """Base of those that concern one document."""

    def __init__(self, document_id: object, message: str) -> None:
        super().__init__(message)
        #: Primary key of the document.
        self.document_id = document_id


class OptionsError(HistoryError, ValueError):
    """An argument cannot be used. Nothing was read or written; correct the call."""

    def __init__(self, name: str, value: object, problem: str) -> None:
        super().__init__(f"{name}={_short(value)} cannot be used: {problem}")
        #: The argument's name.
        self.name = name
        #: What was given.
        self.value = value


class HistoryNotRecordedError(HistoryError):
    """
    The write is done, but its records could not be stored. What failed is the ``__cause__``.

    Call `record` when the history can be written again, in another process too: it can be pickled.
    """

    # What `record` does; errors know no database.
    _write_late: ClassVar[Callable[[HistoryNotRecordedError], None]]

    def __init__(
        self, document_ids: Sequence[object], records: Sequence[dict[str, Any]], why: object
    ) -> None:
        keys = document_ids if isinstance(document_ids, (list, tuple)) else [document_ids]
        first, count = keys[0], len(keys)
        what = f"Document {_short(first)} was" if count == 1 else f"{count} documents were"
        super().__init__(
            f"{what} written, but not its history ({_short(why)}). "
            "Call this error's record() when the history can be written again."
        )
        #: Primary key of the document, the first one if there are more.
        self.document_id = first
        #: The records that are missing, complete and in order, with the numbers that they should
        #: have had; none where what was written could not be read any more.
        self.records = list(records)
        #: The primary keys of all documents.
        self.document_ids = list(keys)
        #: The names of the document class, of MongoEngine's connection, and of where it lies there.
        self.document_class = self.alias = self.database = self.collection = ""

    def record(self) -> None:
        """
        Write the missing records, with numbers that are free. Reads and writes.

        A revision that was written since is not changed. What is stored then and still not in the
        history, whoever wrote it, becomes a revision ``external``. Called again it does nothing.

        Raises:
            HistoryNotRecordedError: they cannot be written yet.
            HistoryError: the history cannot be read, or its class is not known to this process.
        """
        type(self)._write_late(self)


class StaleDocumentError(OfDocumentError):
    """What a save would overwrite was changed since it was seen. Reload, edit and save again."""

    def __init__(
        self, document_id: object, path: Sequence[str | int], seen: object, found: object
    ) -> None:
        super().__init__(
            document_id,
            f"At {_where(path)} of document {_short(document_id)} was seen {_short(seen)}, but "
            f"found is {_short(found)}: somebody has changed it since. Nothing was written. "
            "Reload the document, and edit it again.",
        )
        #: Where, as a path of stored names; empty for the document itself.
        self.path = tuple(path)
        #: What the document had in memory when the block began; `ABSENT` for nothing.
        self.seen = seen
        #: What is stored; `ABSENT` for nothing.
        self.found = found


class WriteRefusedError(HistoryError):
    """A strict class is to be written in a way that cannot be recorded. Nothing was written."""

    def __init__(self, document_type: str, method: str) -> None:
        super().__init__(
            f"{method} would write to {document_type!r}, whose history is strict, without a "
            "record. Use a method that is recorded, or untracked() to say that it shall not be."
        )
        #: Name of the collection.
        self.document_type = document_type
        #: The method or command that was called.
        self.method = method


class RevisionNotFoundError(OfDocumentError, IndexError):
    """The document's history has no revision of that number."""

    def __init__(self, document_id: object, number: int, newest: int) -> None:
        gone = " any more, since it was deleted" if 0 < number <= newest else ""
        super().__init__(
            document_id,
            f"Document {_short(document_id)} has no revision {number}{gone}. The newest is {newest}"
            if newest
            else f"Document {_short(document_id)} has no history; is the class or the key another?",
        )
        #: The number asked for.
        self.number = number
        #: The newest number there is, 0 without any revision.
        self.newest = newest


class DocumentDidNotExistError(OfDocumentError, LookupError):
    """The document did not exist at that point: before its creation, or after a deletion."""

    def __init__(self, document_id: object, number: int) -> None:
        super().__init__(
            document_id,
            f"Document {_short(document_id)} did not exist after revision {number}. Choose a "
            "revision or a moment after its creation, or delete the document.",
        )
        #: The revision after which it did not exist; 0 is before its first one.
        self.number = number


class RevisionConflictError(OfDocumentError):
    """Other writers took every revision number tried; the cause of a HistoryNotRecordedError."""

    def __init__(self, document_id: object, attempts: int) -> None:
        super().__init__(
            document_id,
            f"No free revision number for document {_short(document_id)} in {attempts} attempts: "
            "too many writers at once.",
        )
        #: How often a number was tried.
        self.attempts = attempts


class IndexesMissingError(HistoryError):
    """The history has no indexes, and a transaction or missing rights keep them from being made."""

    def __init__(self, database: str) -> None:
        super().__init__(
            f"The history in database {database!r} has no indexes yet, and they cannot be made "
            "inside a transaction that uses it, nor by a user without the right to. Call "
            "History.ensure_indexes() once, outside, as one who may."
        )
        #: The database.
        self.database = database


class IncompleteRevisionError(OfDocumentError):
    """A revision lacks records: its writer died while storing it, or someone removed them."""

    def __init__(
        self, document_id: object, number: int, found: int, size: int, oldest: int = 0
    ) -> None:
        has = f"has {found} of {size} records" if found else "is gone from the history"
        what = f"{has}; it cannot be read, and no state can be rebuilt through it."
        if oldest > number:
            what = f"was pruned, or deleted: the history begins with revision {oldest}."
        super().__init__(document_id, f"Revision {number} of document {_short(document_id)} {what}")
        #: The revision.
        self.number = number
        #: How many records of it are there, and how many belong to it.
        self.found, self.size = found, size
        #: The oldest revision that is left, where all before it are gone; else 0.
        self.oldest = oldest


class RevisionPrunedError(IncompleteRevisionError):
    """A revision was pruned: the history begins with a later one, `oldest`."""


class MalformedRecordError(OfDocumentError):
    """A record is not as the library writes it: another program, or a hand, has written it so."""

    def __init__(self, document_id: object, number: object, record: object, problem: str) -> None:
        super().__init__(
            document_id,
            f"Record {_short(record)} of revision {_short(number)} of document "
            f"{_short(document_id)} cannot be read: {_short_text(problem)}. It was not written by "
            "this library. Bring the record back from a backup, or correct it by hand; until then "
            "read around its revision.",
        )
        #: The number of its revision, as it is stored; None where there is none.
        self.number = number
        #: ``_id`` of the record in the history collection; None if it is gone again.
        self.record = record
        #: What is wrong, in words.
        self.problem = problem


class PatchError(HistoryError):
    """A patch does not fit the state: the list it was made for looked different."""

    def __init__(self, path: Sequence[str | int], expected: object, found: object) -> None:
        super().__init__(
            f"At {_where(path)} the history expects {_short(expected)} but found {_short(found)}: "
            "something was written past the history. Choose a revision after that write."
        )
        #: Where, as a path of keys and indexes.
        self.path = tuple(path)
        #: What the patch was made for.
        self.expected = expected
        #: What is there.
        self.found = found


class DocumentExistsError(OfDocumentError):
    """There is nothing to restore: the document is stored."""

    def __init__(self, document_id: object) -> None:
        super().__init__(
            document_id,
            f"Document {_short(document_id)} is stored, so it needs no restore. Load it, and use "
            "revert or undo to go back.",
        )


class UndoConflictError(OfDocumentError):
    """A later write changed what the revision to undo had set. `revert` takes that back as well."""

    def __init__(self, document_id: object, number: int, conflicts: Sequence[Conflict]) -> None:
        first = conflicts[0]
        others = f" (and {len(conflicts) - 1} more)" if len(conflicts) > 1 else ""
        super().__init__(
            document_id,
            f"Revision {number} of document {_short(document_id)} cannot be undone: at "
            f"{_where(first.path)} it left {_short(first.expected)}, but found is "
            f"{_short(first.found)}{others}. Revert to an earlier revision, or edit the document. "
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
            f"Changeset {changeset} cannot be reverted: the document {_short(key)} in {name!r} is "
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


class WriteConflictError(HistoryError):
    """Others wrote to the documents of a transaction, again and again. Nothing was written."""

    def __init__(self, attempts: int) -> None:
        what = f"Others wrote to the same documents in each of {attempts} attempts. Nothing was"
        super().__init__(f"{what} written. Try again when they write less, or stop them meanwhile.")
        #: How often it was tried.
        self.attempts = attempts


class StateNotKeptError(OfDocumentError):
    """A state cannot be rebuilt: no version was kept, and the document is gone."""

    def __init__(self, document_id: object, number: int) -> None:
        super().__init__(
            document_id,
            f"The state of document {_short(document_id)} after revision {number} is not known: "
            "its history began later than the document, keeps no version, and the document is "
            "gone. Keep versions (version_every), so that this cannot happen again.",
        )
        #: The revision.
        self.number = number


class StateMismatchError(OfDocumentError):
    """Today's class cannot load the earlier state. The document in memory is as it was."""

    def __init__(self, document_id: object, keys: Sequence[str], why: object) -> None:
        super().__init__(
            document_id,
            f"The earlier state of document {_short(document_id)} does not fit its class "
            f"(keys {list(keys)}): {_short(why)}. What was renamed is found if the class says so: "
            "track_history(renamed={'old': 'new'}). Else adapt the class, or load the document "
            "with a DynamicDocument on the same collection.",
        )
        #: The stored names that do not fit.
        self.keys = list(keys)


def _where(path: Sequence[str | int]) -> str:
    return repr(".".join(map(str, path))) if path else "the document itself"


def _short(value: object) -> str:
    return _short_text(repr(value))


def _short_text(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."
