"""What a page says where something cannot be shown, or done: never a value of a document."""

from __future__ import annotations

import logging
from typing import Final

from bson.errors import InvalidBSON

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
from mongoengine_history.faces.phrases import N_

LOGGED: Final = logging.getLogger("mongoengine_history.web")

MESSAGES: Final = {
    "unknown": N_("There is nothing at this address, or it is not for you."),
    "forbidden": N_("You may look at this, but not change it."),
    "elsewhere": N_("This history is shown on the machine that it runs on, and nowhere else."),
    "forged": N_(
        "This form was not sent by this page, or it was open for too long. Nothing was changed. "
        "Go back, load the page again, and send it again."
    ),
    "stale": N_(
        "The document has changed since this was shown. Nothing was written. Look at it again, "
        "and decide again."
    ),
    "another": N_(
        "This is not what was shown: the document has changed since, or other paths were chosen. "
        "Nothing was written. Look at it again, and decide again."
    ),
    "none": N_("No path was chosen. Nothing was written."),
    "reason": N_("Say why. Nothing was written yet."),
    "again": N_("Type the path again, and say why. Nothing was erased."),
    "large": N_("This is too much for one form. Nothing was changed."),
    "refused": N_(
        "The application does not let the document be saved like this. Nothing was written."
    ),
    "nothing": N_("There is nothing to change."),
    "model": N_("There is no such class, or it is not for you."),
    "missing": N_("This revision is missing."),
}

FAILURES_TOLD: Final[tuple[tuple[type[Exception], int, str], ...]] = (
    (RevisionPrunedError, 410, N_("This revision was pruned: it is kept no longer.")),
    (RevisionNotFoundError, 404, N_("There is no such revision, or it is kept no longer.")),
    (DocumentDidNotExistError, 404, N_("The document did not exist at that point.")),
    (IncompleteRevisionError, 409, N_("Records of this revision are missing. It cannot be shown.")),
    (MalformedRecordError, 409, N_("A record of this history was not written by the library, and "
     "cannot be read.")),
    (StateNotKeptError, 404, N_("The state at that point was not kept.")),
    (StateMismatchError, 409, N_("Today's class of the document cannot load that state.")),
    (DocumentExistsError, 409, N_("The document is there. It needs no restore.")),
    (UndoConflictError, 409, N_("Later writes changed the same values.")),
    (StaleDocumentError, 409, MESSAGES["stale"]),
    (PatchError, 409, N_("The records do not fit each other: somebody edited them.")),
    (WriteRefusedError, 409, N_("The class does not let this be written.")),
    (HistoryNotRecordedError, 500, N_("The document was written, but its history was not.")),
    (ChangesetConflictError, 409, N_("Later writes changed what the changeset has set. Nothing was "
     "written.")),
    (ChangesetRefusedError, 409, N_("The application's own methods refuse it. Nothing was "
     "written.")),
    (ChangesetPartlyRevertedError, 500, N_("Only a part of the changeset was taken back.")),
    (InvalidBSON, 409, N_("A value cannot be read here, such as a date after the year 9999. The "
     "application has to connect with datetime_conversion='DATETIME_AUTO'.")),
    (OptionsError, 400, N_("This cannot be asked for.")),
)  # fmt: skip
"""Of each error the status and the message; the first one that fits."""

ASKED_WRONGLY: Final = {
    "path": N_("There is no path {value} here: it is names joined by dots, such as address.city."),
    "between": N_(
        "{value} is no day or moment, such as 2026-01-31 or 2026-01-31T09:30; two of them are "
        "2026-01-01..2026-02-01."
    ),
    "operation": N_(
        "{value} is no operation. They are create, update, delete, revert, undo, restore, "
        "external, event and redact."
    ),
    "question": N_(
        "{value} cannot be asked for: write by:ada, model:Invoice, path:address.city, "
        "operation:update or between:2026-01-01..2026-02-01, each of them once, with spaces "
        "between."
    ),
}
"""What is said of an argument that somebody typed, by its name."""

NOT_ASKED: Final = N_("{value} cannot be asked for.")
"""What is said of any other."""


class Failure(Exception):  # noqa: N818  # it is told, not raised out of the pages
    """Something is not shown, or not done."""

    def __init__(self, status: int, name: str) -> None:
        super().__init__(name)
        self.status, self.message = status, MESSAGES[name]


def told(error: HistoryError | InvalidBSON | Failure) -> tuple[int, str]:
    """Return the status of an answer, and its message in English; the error is logged."""
    if isinstance(error, Failure):
        return error.status, error.message
    for kind, status, message in FAILURES_TOLD:
        if isinstance(error, kind):
            if status >= 409:
                LOGGED.warning("%s", type(error).__name__, exc_info=error)
            return status, message
    LOGGED.error("%s", type(error).__name__, exc_info=error)
    return 500, N_("The history cannot be read here.")
