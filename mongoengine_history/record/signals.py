"""Signals that are sent after the fact: a revision was recorded, or could not be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from blinker import NamedSignal

from mongoengine_history.record.layout import revision_of
from mongoengine_history.record.not_recorded import LOG
from mongoengine_history.record.origin import on_its_own
from mongoengine_history.state.values import native

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mongoengine_history.record.place import Place


class HistorySignal(NamedSignal):
    """One of blinker's, whose receivers cannot do harm: what they raise is logged."""

    def tell(self, sender: object, **facts: Any) -> None:
        """Call all receivers that listen to a sender."""
        for receiver in () if self.is_muted else self.receivers_for(sender):
            try:
                with on_its_own():
                    receiver(sender, **facts)
            except Exception:  # whatever the application's own code raises
                LOG.exception("A receiver of %s has failed: %r", self.name, receiver)


revision_recorded: Final = HistorySignal(
    "revision_recorded",
    """
    Sent for each revision when it is recorded; in a transaction that may still be undone.

    The sender is the class through which was written, a base of the document's where that was a
    query of the base. *revision* is the `Revision`; *document_type* and *document_id* say whose.
    """,
)

recording_failed: Final = HistorySignal(
    "recording_failed",
    """
    Sent where a write is done and its records could not be stored, whatever ``on_error`` says.

    The sender is the class through which was written, *error* the `HistoryNotRecordedError`.
    """,
)


def tell_recorded(place: Place, documents: Sequence[dict[str, Any]]) -> None:
    """Tell of one revision, of which these are all documents, if anybody listens."""
    if revision_recorded.receivers and revision_recorded.has_receivers_for(place.model):
        codec = place.codec
        records = [native(it, codec) for it in documents if it["position"] >= 0]
        owner = {name: records[0][name] for name in ("document_type", "document_id")}
        shown = revision_of(records, codec).shown()
        revision_recorded.tell(place.model, revision=shown, **owner)
