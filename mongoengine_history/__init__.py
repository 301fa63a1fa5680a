"""The history of MongoEngine documents: who changed what, when and why, and the way back."""

from mongoengine_history.errors import (
    DocumentDidNotExistError,
    HistoryError,
    HistoryNotRecordedError,
    IncompleteRevisionError,
    IndexesMissingError,
    OptionsError,
    PatchError,
    RevisionConflictError,
    RevisionNotFoundError,
    StateMismatchError,
)
from mongoengine_history.records import History
from mongoengine_history.restoring import revert
from mongoengine_history.timeline import load_history
from mongoengine_history.tracking import DocumentTrack, track_changes

__all__ = [
    "DocumentDidNotExistError",
    "DocumentTrack",
    "History",
    "HistoryError",
    "HistoryNotRecordedError",
    "IncompleteRevisionError",
    "IndexesMissingError",
    "OptionsError",
    "PatchError",
    "RevisionConflictError",
    "RevisionNotFoundError",
    "StateMismatchError",
    "load_history",
    "revert",
    "track_changes",
]
__version__ = "2.0.0.dev0"
