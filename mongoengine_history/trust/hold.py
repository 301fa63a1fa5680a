"""Histories that must stay whole, whatever retention says: legal holds."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from mongoengine_history.errors import OptionsError
from mongoengine_history.record.revisions import Revisions
from mongoengine_history.state.values import identifier
from mongoengine_history.trust.record_event import record_event

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mongoengine import Document
    from pymongo.collection import Collection

    from mongoengine_history.record.place import Place

HOLDS: Final = ".holds"
"""What the name of the collection of holds ends with; it begins with that of the history."""


def hold(document: Document, reason: str) -> None:
    """
    Keep the history of a document whole until `release`. Writes the hold, and an event ``hold``.

    Nothing of it is pruned, redacted or erased meanwhile. Holding it again replaces the reason.

    Args:
        document: The document; it need not be stored any more.
        reason: Why, in words.

    Raises:
        OptionsError: an argument cannot be used.
        HistoryNotRecordedError: the event could not be written; the hold is there.
    """
    if not isinstance(reason, str) or not reason:
        raise OptionsError("reason", reason, "it must be a text that says why")
    revisions = Revisions.named(document)
    said = {"reason": reason, "since": datetime.now(timezone.utc)}
    _holds(revisions.place).replace_one({"_id": revisions.owner}, said, upsert=True)
    record_event("hold", document, reason=reason)


def release(document: Document) -> bool:
    """
    End the hold of a document, and say whether there was one. Writes an event ``release`` then.

    Args:
        document: The document; it need not be stored any more.

    Raises:
        OptionsError: it is no document with a primary key.
        HistoryNotRecordedError: the event could not be written; the hold is gone.
    """
    own = Revisions.named(document)
    names = [{**own.owner, "document_type": name} for name in own.place.names]
    found = _holds(own.place).delete_many({"_id": {"$in": names}})
    if found.deleted_count:
        record_event("release", document)
    return bool(found.deleted_count)


def held(place: Place, keys: Iterable[Any]) -> set[object]:
    """Read which of some documents are held, by the `identifier` of their keys."""
    names = [{**place.owner(key), "document_type": name} for key in keys for name in place.names]
    found = _holds(place).find({"_id": {"$in": names}}, {"_id": 1})
    return {identifier(it["_id"]["document_id"]) for it in found}


def _holds(place: Place) -> Collection[Any]:
    return place.beside(HOLDS)
