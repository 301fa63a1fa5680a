"""Given documents are inserted, and those that arrived are recorded, also where others did not."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from bson.raw_bson import RawBSONDocument
from pymongo.errors import BulkWriteError, OperationFailure, PyMongoError

from mongoengine_history.origin import context_at
from mongoengine_history.record.append_many import Bulk, Found
from mongoengine_history.record.place import Place
from mongoengine_history.state.values import identifier, same, wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from mongoengine import Document
    from pymongo.collection import Collection


def own(document: Any) -> Any:
    """Return a document to which PyMongo can give a primary key, the same one if it can."""
    return dict(document) if isinstance(document, RawBSONDocument) else document


def insert_recorded(
    model: type[Document],
    collection: Collection[Any],
    documents: Sequence[Mapping[str, Any]],
    session: Any,
    insert: Callable[[], Any],
) -> Any:
    """
    Insert documents, and record those that arrived.

    Args:
        model: The tracked class.
        collection: Where they shall lie.
        documents: What *insert* inserts; it gives a primary key to those that have none.
        session: The one that was asked for, if any.
        insert: Inserts them.

    Returns:
        What *insert* returns.

    Raises:
        OptionsError: who answers for it cannot be stored. Nothing was written.
        HistoryNotRecordedError: the documents are there, some of the records are not.
    """
    place = Place(model, collection)
    bulk = Bulk(place, context_at(place), session)
    were_without_key = ["_id" not in document for document in documents]
    try:
        result = insert()
    except BaseException as error:
        with suppress(PyMongoError):  # what failed first is what the application has to know
            bulk.inserted(_arrived(bulk, _found(documents, collection), error))
        raise
    made = _found(documents, collection)
    pairs = zip(made, were_without_key, strict=True)
    bulk.inserted(made, {identifier(it.key) for it, was_without in pairs if was_without})
    return result


def _found(documents: Iterable[Any], collection: Collection[Any]) -> list[Found]:
    """Return documents as the server stores them."""
    codec = collection.codec_options
    return [Found.of(wire(it, codec)) for it in documents if "_id" in it]


def _arrived(bulk: Bulk, documents: list[Found], error: BaseException) -> list[Found]:
    """Tell which documents of a failed insert are stored."""
    failed: set[int] = set()
    if isinstance(error, BulkWriteError):
        failed = {each["index"] for each in error.details.get("writeErrors", ())}
    elif isinstance(error, OperationFailure):  # of a single one
        return []
    sent = [found for place, found in enumerate(documents) if place not in failed]
    stored = bulk.stored(sent)
    return [found for found in sent if same(stored.get(identifier(found.key)), found.state)]
