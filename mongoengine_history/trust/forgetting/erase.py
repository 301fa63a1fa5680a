"""All values are taken out of the history of a document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mongoengine_history.capture.changeset import context_of
from mongoengine_history.documents.snapshot import stored_key
from mongoengine_history.record.place import Place
from mongoengine_history.record.revisions import Revisions
from mongoengine_history.state.redaction import Forgotten
from mongoengine_history.state.rules import ANY, MASK
from mongoengine_history.trust.forgetting.forget import forget

if TYPE_CHECKING:
    from mongoengine import Document

    from mongoengine_history.trust.forgetting.receipt import Receipt


def erase(
    document: Document | type[Document], pk: object = None, *, context: bool = False
) -> Receipt:
    """
    Erase all values from the history of a document, for good, as `redact` does at a path.

    What remains says that there was a document, and when it was written, by whom and as which
    operation: its primary key, numbers, moments, names of fields and keys, and the class. The
    document itself is the application's: delete it first, or change it.

    Args:
        document: The document, also one that is gone, or its class if *pk* is given.
        pk: The primary key.
        context: Whether identity, reason and metadata of its revisions go, too; but receipts stay.

    Returns:
        The receipt.

    Raises:
        OptionsError: the arguments name no document, or a transaction is active.
        HistoryError: the document is held, or its history cannot be read.
    """
    key = stored_key(document, pk)
    place = Place(document)
    place.ensure_indexes()
    forgotten = Forgotten({ANY: MASK}, said=context)
    what = "all values and contexts" if context else "all values"
    asked = context_of(place.options, place.codec)
    return forget(Revisions(place, key), forgotten, what, asked)
