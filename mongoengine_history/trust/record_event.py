"""What happened and changed nothing stands in the same timeline: approvals, exports, logins."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from bson import ObjectId

from mongoengine_history.capture.changeset import context_of
from mongoengine_history.capture.tracker import Tracker
from mongoengine_history.errors import OptionsError
from mongoengine_history.record.append import append
from mongoengine_history.record.change import Change
from mongoengine_history.record.doubt import settle
from mongoengine_history.record.head import NO_HEAD
from mongoengine_history.record.history import database_at
from mongoengine_history.record.layout import Base
from mongoengine_history.record.place import Place, place_of_events
from mongoengine_history.record.revisions import Revisions
from mongoengine_history.state.context import plain
from mongoengine_history.state.revision import EVENT, StoredRevision, nothing_done

if TYPE_CHECKING:
    from mongoengine import Document

    from mongoengine_history.record.head import Head
    from mongoengine_history.state.context import Context
    from mongoengine_history.state.revision import Revision

SAYS_WHO: Final = ("identity", "reason")
"""What is no fact of an event, but says who answers for it, and why."""


def record_event(
    kind: str, document: Document | None = None, *, using: str | None = None, **data: Any
) -> Revision:
    """
    Record that something happened which changed no document: an approval, an export, a login.

    It becomes a revision of operation ``event``, with the next number of the document's history;
    `Timeline`, `History.objects`, `as_of` and all else go on over it. Who answers for it, and why,
    is said by the blocks around, as for a write; in a transaction it is part of that.

    Args:
        kind: What happened, such as ``"approved"``.
        document: With which document; it need not be stored any more. Without one the event has a
            history of its own, in the default database: ``document_type`` is empty there.
        using: The alias of another connection, without a document.
        **data: Anything else to keep, as BSON values: it stands in the metadata beside ``kind`` and
            what blocks said. But ``identity`` and ``reason`` are those of the revision.

    Returns:
        The revision. Its number is 0 if it could not be written and ``on_error`` took it over.

    Raises:
        OptionsError: an argument cannot be used. Nothing was written.
        HistoryNotRecordedError: it could not be written.
    """
    if not isinstance(kind, str) or not kind:
        raise OptionsError("kind", kind, "it must be a text that says what happened")
    revisions = _of_no_document(using) if document is None else _of(document, using)
    said: dict[str, Any] = {name: data.pop(name) for name in SAYS_WHO if name in data}
    place, tracker = revisions.place, None if document is None else Tracker.on(document)
    context = context_of(place.options, place.codec, tracker.blocks if tracker else (), said)
    facts = plain("data", {**context.metadata, "kind": kind, **data}, place.codec)
    head, base = (NO_HEAD, Base({})) if document is None else _looked(document, revisions)
    return _recorded(revisions, replace(context, metadata=facts), head, base)


def _of(document: Document, using: str | None) -> Revisions:
    if using is not None:
        raise OptionsError("using", using, "the event is kept with its document")
    return Revisions.named(document)


def _of_no_document(using: str | None) -> Revisions:
    place = place_of_events(database_at(using, "using"))
    place.ensure_indexes()
    return Revisions(place, ObjectId())


def _looked(document: Document, revisions: Revisions) -> tuple[Head, Base | None]:
    """Read the newest revision, and before the first one the document, to be kept as it is."""
    revisions.place.ensure_indexes()
    settle(revisions)
    head = revisions.head()
    if head.number:
        return head, None
    with revisions.place.dated() as session:
        stored = Revisions(Place(document, session=session), revisions.key).stored()
        return head, None if stored is None else Base(stored, session.operation_time)


def _recorded(revisions: Revisions, context: Context, head: Head, base: Base | None) -> Revision:
    state, now = base.state if base else {}, time.time_ns() // 1000
    patches = [nothing_done(is_gone=base is None)]  # of a document without a history
    after = append(revisions, Change(EVENT, context, state, state, patches, now), head, base)
    stamp = after.stamp if after.number else now
    return StoredRevision(after.number, stamp, EVENT, context, tuple(patches)).shown()
