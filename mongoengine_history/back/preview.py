"""What saving will do after a revert, an undo or a restore: to be looked at before."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mongoengine_history.capture.changeset import context_of
from mongoengine_history.capture.tracker import Tracker
from mongoengine_history.documents.snapshot import check_document
from mongoengine_history.record.revisions import Revisions
from mongoengine_history.record.states import as_recorded
from mongoengine_history.state.diff import diff
from mongoengine_history.state.revision import UPDATE, StoredRevision
from mongoengine_history.state.values import ABSENT, State

if TYPE_CHECKING:
    from mongoengine import Document

    from mongoengine_history.state.revision import Revision


def preview(document: Document) -> Revision:
    """
    Say what saving a document would record, that `revert`, `undo` or `restore` has changed. Reads.

    It is as of now: another write changes it, and then its number is another one, too. Edits of the
    application that came since are not in it.

    Args:
        document: What one of them returned, before it is saved.

    Returns:
        A revision that is not recorded; without patches if nothing would change. What the class
        hides stays hidden.

    Raises:
        OptionsError: it is no document.
        HistoryError: the newest revision cannot be read.
    """
    check_document(document)
    revisions, exact = Revisions.of(document), Tracker.of(document).exact
    head, stored = revisions.opening()
    place = revisions.place
    context = context_of(place.options, place.codec)
    wanted = {**(stored or {}), **(exact.wanted if exact else {})}
    left: State = {key: value for key, value in wanted.items() if value is not ABSENT}
    now = as_recorded(revisions, head, stored) or {}
    patches = diff(now, as_recorded(revisions, head, left) or {})
    operation = exact.operation if exact else UPDATE
    stamp = time.time_ns() // 1000
    return StoredRevision(head.number + 1, stamp, operation, context, tuple(patches)).shown()
