"""What keeps a write from being done, or from being recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from mongoengine_history.errors.base import HistoryError, OfDocumentError, short, where

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


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
        what = f"Document {short(first)} was" if count == 1 else f"{count} documents were"
        super().__init__(
            f"{what} written, but not its history ({short(why)}). "
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
            HistoryNotRecordedError: of what still cannot be written. Its ``__cause__`` says why:
                the server does not take it, the history cannot be read, or records of a later
                write have to be written first.
            OptionsError: the class is not known to this process.
        """
        type(self)._write_late(self)


class StaleDocumentError(OfDocumentError):
    """What a save would overwrite was changed since it was seen. Reload, edit and save again."""

    def __init__(
        self, document_id: object, path: Sequence[str | int], seen: object, found: object
    ) -> None:
        super().__init__(
            document_id,
            f"At {where(path)} of document {short(document_id)} was seen {short(seen)}, but "
            f"found is {short(found)}: somebody has changed it since. Nothing was written. "
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


class RevisionConflictError(OfDocumentError):
    """Other writers took every revision number tried; the cause of a HistoryNotRecordedError."""

    def __init__(self, document_id: object, attempts: int) -> None:
        super().__init__(
            document_id,
            f"No free revision number for document {short(document_id)} in {attempts} attempts: "
            "too many writers at once. Record it by record() of the error that came of this.",
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


class WriteConflictError(HistoryError):
    """Others wrote to the documents of a transaction, again and again. Nothing was written."""

    def __init__(self, attempts: int) -> None:
        what = f"Others wrote to the same documents in each of {attempts} attempts. Nothing was"
        super().__init__(f"{what} written. Try again when they write less, or stop them meanwhile.")
        #: How often it was tried.
        self.attempts = attempts
