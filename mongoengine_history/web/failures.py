"""What a page says where something cannot be shown, or done: never a value."""

from __future__ import annotations

import logging
from typing import Final

from mongoengine_history.errors import (
    ChangesetConflictError,
    ChangesetPartlyRevertedError,
    ChangesetRefusedError,
    DocumentDidNotExistError,
    DocumentExistsError,
    HistoryError,
    HistoryNotRecordedError,
    IncompleteRevisionError,
    MalformedRecordError,
    OptionsError,
    PatchError,
    RevisionNotFoundError,
    RevisionPrunedError,
    StaleDocumentError,
    StateMismatchError,
    StateNotKeptError,
    UndoConflictError,
    WriteRefusedError,
)

LOGGED: Final = logging.getLogger("mongoengine_history.web")

MESSAGES: Final = {
    "unknown": "There is nothing at this address, or it is not for you.",
    "forbidden": "You may look at this, but not change it.",
    "elsewhere": "This history is shown on the machine that it runs on, and nowhere else.",
    "forged": "This form was not sent by this page, or it was open for too long. Nothing was "
    "changed. Go back, load the page again, and send it again.",
    "stale": "The document has changed since this was shown. Nothing was written. Look at it "
    "again, and decide again.",
    "another": "This is not what was shown: the document has changed since, or other paths were "
    "chosen. Nothing was written. Look at it again, and decide again.",
    "none": "No path was chosen. Nothing was written.",
    "reason": "Say why. Nothing was written yet.",
    "again": "Type the path again, and say why. Nothing was erased.",
    "large": "This is too much for one form. Nothing was changed.",
    "refused": "The application does not let the document be saved like this. Nothing was written.",
    "nothing": "There is nothing to change.",
}

FAILURES_TOLD: Final[tuple[tuple[type[HistoryError], int, str], ...]] = (
    (RevisionPrunedError, 410, "This revision was pruned: it is kept no longer."),
    (RevisionNotFoundError, 404, "There is no such revision, or it is kept no longer."),
    (DocumentDidNotExistError, 404, "The document did not exist at that point."),
    (IncompleteRevisionError, 409, "Records of this revision are missing. It cannot be shown."),
    (MalformedRecordError, 409, "A record of this history was not written by the library, and "
     "cannot be read."),
    (StateNotKeptError, 404, "The state at that point was not kept."),
    (StateMismatchError, 409, "Today's class of the document cannot load that state."),
    (DocumentExistsError, 409, "The document is there. It needs no restore."),
    (UndoConflictError, 409, "Later writes changed the same values."),
    (StaleDocumentError, 409, MESSAGES["stale"]),
    (PatchError, 409, "The records do not fit each other: somebody edited them."),
    (WriteRefusedError, 409, "The class does not let this be written."),
    (HistoryNotRecordedError, 500, "The document was written, but its history was not."),
    (ChangesetConflictError, 409, "Later writes changed what the changeset has set. Nothing was "
     "written."),
    (ChangesetRefusedError, 409, "The application's own methods refuse it. Nothing was written."),
    (ChangesetPartlyRevertedError, 500, "Only a part of the changeset was taken back."),
    (OptionsError, 400, "This cannot be asked for."),
)  # fmt: skip
"""Of each error the status and the message; the first one that fits."""


class Failure(Exception):  # noqa: N818  # it is told, not raised out of the pages
    """Something is not shown, or not done."""

    def __init__(self, status: int, name: str) -> None:
        super().__init__(name)
        self.status, self.message = status, MESSAGES[name]


def told(error: HistoryError | Failure) -> tuple[int, str]:
    """Return the status of an answer, and its message; what it does not say is logged."""
    if isinstance(error, Failure):
        return error.status, error.message
    for kind, status, message in FAILURES_TOLD:
        if isinstance(error, kind):
            if status >= 409:
                LOGGED.warning("%s", type(error).__name__, exc_info=error)
            return status, message
    LOGGED.error("%s", type(error).__name__, exc_info=error)
    return 500, "The history cannot be read here."
