"""What keeps a history from being read, or a state from being rebuilt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mongoengine_history.errors.base import HistoryError, OfDocumentError, short, short_text, where

if TYPE_CHECKING:
    from collections.abc import Sequence


class RevisionNotFoundError(OfDocumentError, IndexError):
    """The document's history has no revision of that number."""

    def __init__(self, document_id: object, number: int, newest: int) -> None:
        gone = " any more, since it was deleted" if 0 < number <= newest else ""
        super().__init__(
            document_id,
            f"Document {short(document_id)} has no revision {number}{gone}. The newest is {newest}"
            if newest
            else f"Document {short(document_id)} has no history; is the class or the key another?",
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
            f"Document {short(document_id)} did not exist after revision {number}. Choose a "
            "revision or a moment after its creation, or delete the document.",
        )
        #: The revision after which it did not exist; 0 is before its first one.
        self.number = number


class IncompleteRevisionError(OfDocumentError):
    """A revision lacks records: its writer died while storing it, or someone removed them."""

    def __init__(
        self, document_id: object, number: int, found: int, size: int, oldest: int = 0
    ) -> None:
        has = f"has {found} of {size} records" if found else "is gone from the history"
        what = (
            f"{has}; it cannot be read, and no state can be rebuilt through it. Bring back from a "
            "backup what is missing; until then read around it."
        )
        if oldest > number:
            what = f"was pruned, or deleted: the history begins with revision {oldest}."
        super().__init__(document_id, f"Revision {number} of document {short(document_id)} {what}")
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
            f"Record {short(record)} of revision {short(number)} of document "
            f"{short(document_id)} cannot be read: {short_text(problem)}. It was not written by "
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
            f"At {where(path)} the history expects {short(expected)} but found {short(found)}: "
            "something was written past the history. Choose a revision after that write."
        )
        #: Where, as a path of keys and indexes.
        self.path = tuple(path)
        #: What the patch was made for.
        self.expected = expected
        #: What is there.
        self.found = found


class StateNotKeptError(OfDocumentError):
    """A state cannot be rebuilt: no version was kept, and the document is gone."""

    def __init__(self, document_id: object, number: int) -> None:
        super().__init__(
            document_id,
            f"The state of document {short(document_id)} after revision {number} is not known: "
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
            f"The earlier state of document {short(document_id)} does not fit its class "
            f"(keys {list(keys)}): {short(why)}. What was renamed is found if the class says so: "
            "track_history(renamed={'old': 'new'}). Else adapt the class, or load the document "
            "with a DynamicDocument on the same collection.",
        )
        #: The stored names that do not fit.
        self.keys = list(keys)
