"""Every error of the library: one base, the facts as attributes, the remedy in the message."""

from mongoengine_history.errors.base import (
    HistoryError,
    HistoryWarning,
    OfDocumentError,
    OptionsError,
)
from mongoengine_history.errors.going_back import (
    ChangesetConflictError,
    ChangesetPartlyRevertedError,
    ChangesetRefusedError,
    Conflict,
    DocumentExistsError,
    UndoConflictError,
)
from mongoengine_history.errors.reading import (
    DocumentDidNotExistError,
    IncompleteRevisionError,
    MalformedRecordError,
    PatchError,
    RevisionNotFoundError,
    RevisionPrunedError,
    StateMismatchError,
    StateNotKeptError,
)
from mongoengine_history.errors.writing import (
    HistoryNotRecordedError,
    IndexesMissingError,
    RevisionConflictError,
    StaleDocumentError,
    WriteConflictError,
    WriteRefusedError,
)

__all__ = [
    "ChangesetConflictError",
    "ChangesetPartlyRevertedError",
    "ChangesetRefusedError",
    "Conflict",
    "DocumentDidNotExistError",
    "DocumentExistsError",
    "HistoryError",
    "HistoryNotRecordedError",
    "HistoryWarning",
    "IncompleteRevisionError",
    "IndexesMissingError",
    "MalformedRecordError",
    "OfDocumentError",
    "OptionsError",
    "PatchError",
    "RevisionConflictError",
    "RevisionNotFoundError",
    "RevisionPrunedError",
    "StaleDocumentError",
    "StateMismatchError",
    "StateNotKeptError",
    "UndoConflictError",
    "WriteConflictError",
    "WriteRefusedError",
]

for _name in __all__:  # where they are imported from, also in tracebacks and pickles
    globals()[_name].__module__ = __name__
