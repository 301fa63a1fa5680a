"""The collection of a tracked class: PyMongo's own, and what is written through it is recorded.

MongoEngine writes through the collection that the class gives it, whichever method was called: a
save, a query, a delete rule, a queryset class of the application. So nothing else is replaced. The
truth comes from the server: what a write will concern is read, the write is limited to that, and
what has become of it is read again. Only what a ``save()`` sends is known without reading.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from functools import cached_property, wraps
from inspect import signature
from re import Pattern
from typing import TYPE_CHECKING, Any, Final

import bson
from bson import DBRef, Regex
from bson.raw_bson import RawBSONDocument
from pymongo import ReturnDocument
from pymongo.collection import Collection
from pymongo.errors import OperationFailure
from pymongo.results import BulkWriteResult, InsertManyResult, InsertOneResult, UpdateResult

from mongoengine_history.capture.bulk_write import write_one_by_one
from mongoengine_history.capture.call import Call
from mongoengine_history.capture.changeset import is_untracked
from mongoengine_history.capture.queries import QueryWrite, insert_recorded, own
from mongoengine_history.capture.saves import Saving, Target
from mongoengine_history.capture.strict import check_pipeline
from mongoengine_history.capture.tracker import context_at, current_origin
from mongoengine_history.documents.options import is_tracked, options_of
from mongoengine_history.errors import WriteRefusedError
from mongoengine_history.record.append_many import Bulk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mongoengine import Document

    from mongoengine_history.capture.tracker import Origin

OWN: Final = {
    True: {"insert_one", "update_one", "find_one_and_replace"},
    False: {"delete_one", "delete_many"},
}
"""What MongoEngine calls where a document saves itself, and where it deletes itself."""

APART: Final = ("session", "collation", "projection")
"""Options by which one document is not written as all others are."""

CREATING: Final = ("array_filters", "collation", "let", "session")
"""The arguments of a find-and-modify that an upsert takes, too."""


class RecordingCollection(Collection[Any]):
    """A collection whose writes are recorded: for a tracked class, or for one document."""

    _model: type[Document]
    _origin: Origin | None

    @classmethod
    def of(
        cls, collection: Collection[Any], model: type[Document], origin: Origin | None = None
    ) -> RecordingCollection:
        """
        Return the same collection, recording.

        Args:
            collection: PyMongo's own.
            model: The class whose documents lie there.
            origin: The one document that is recorded, if not the whole class is.
        """
        names = ("codec_options", "read_preference", "write_concern", "read_concern")
        options = {name: getattr(collection, name) for name in names}
        recording = cls(collection.database, collection.name, **options)
        recording._model, recording._origin = model, origin
        return recording

    def with_options(self, *args: Any, **options: Any) -> RecordingCollection:
        """Return the same with other options, as PyMongo does."""
        return self.of(super().with_options(*args, **options), self._model, self._origin)

    @cached_property
    def _target(self) -> Target:
        return Target(self, self._model)

    @property
    def _plain(self) -> Collection[Any]:
        return self._target.plain

    @property
    def _source(self) -> Origin | None:
        return self._origin or current_origin()

    @property
    def _is_saving(self) -> bool:
        return self._source is not None and self._source.is_save

    def _records(self, call: Call) -> bool:
        """Say whether a call is recorded."""
        if is_untracked():
            return False
        if self._origin is None:
            return is_tracked(self._model)
        return self._origin.tracker.is_recording and call.name in OWN[self._origin.is_save]

    def _refuses(self, call: Call) -> bool:
        """Say whether a call is refused if the document that it saves is stale."""
        source = self._source
        if source is None or not source.is_save:
            return False
        return source.tracker.guard is not None and call.name in OWN[True]


def _insert_one(collection: RecordingCollection, call: Call) -> Any:
    document = own(call["document"])

    def insert() -> Any:
        return call.having(document=document).on(collection._plain)

    if collection._is_saving:
        return _saving(collection, call, document.get("_id")).insert(document, insert)
    return insert_recorded(_bulk(collection, call), [document], insert)


def _insert_many(collection: RecordingCollection, call: Call) -> Any:
    documents = [own(document) for document in call["documents"]]
    insert = call.having(documents=documents).on
    return insert_recorded(_bulk(collection, call), documents, lambda: insert(collection._plain))


def _update(collection: RecordingCollection, call: Call) -> Any:
    saving = _of_one(collection, call)
    if saving:
        return saving.update(call)
    write, upsert = _updates(collection, call)
    writing = _writing(collection, call)
    update = writing.update_first if call.name == "update_one" else writing.update_many
    return update(call["update"], write, upsert)


def _replace_one(collection: RecordingCollection, call: Call) -> Any:
    write, upsert = _updates(collection, call)
    return _writing(collection, call).update_first(None, write, upsert)


def _delete(collection: RecordingCollection, call: Call) -> Any:
    saving = _of_one(collection, call)
    if saving:
        return saving.delete(call)
    writing = _writing(collection, call)
    delete = writing.delete_many if call.name == "delete_many" else writing.delete_first
    return delete(_deletes(collection, call))


def _find_one_and_update(collection: RecordingCollection, call: Call) -> Any:
    saving = _of_one(collection, call)
    if saving:
        return saving.modify(call)
    write, upsert = _updates(collection, call, "update_one", "update")
    result = _writing(collection, call).update_first(call["update"], write, upsert)
    return _made(collection, call, result)


def _find_one_and_replace(collection: RecordingCollection, call: Call) -> Any:
    if collection._is_saving:
        return _saving(collection, call, call["filter"].get("_id")).replace(call)
    write, upsert = _updates(collection, call, "replace_one", "replacement")
    return _made(collection, call, _writing(collection, call).update_first(None, write, upsert))


def _saving(collection: RecordingCollection, call: Call, key: Any) -> Saving:
    recording = collection._records(call)
    return Saving(collection._target, key, collection._source, recording=recording)


def _of_one(collection: RecordingCollection, call: Call) -> Saving | None:
    """Return what records a write to one document that is named by its key; None if it is none."""
    key = _key_in(call["filter"])
    is_apart = any(call[name] is not None for name in APART)
    is_one = collection._is_saving or (_is_key(key) and not is_apart)
    return _saving(collection, call, key) if is_one else None


def _key_in(query: Mapping[str, Any]) -> Any:
    """Return the condition for the primary key; ``Document.modify`` names it twice, in ``$and``."""
    both = [query, *query.get("$and", ())]
    return next((each["_id"] for each in both if "_id" in each), None)


def _is_key(value: Any) -> bool:
    """Say whether a condition for a primary key is the key itself."""
    if isinstance(value, Mapping):
        return not any(name.startswith("$") for name in value)
    return not isinstance(value, (type(None), list, DBRef, Regex, Pattern))


def _bulk(collection: RecordingCollection, call: Call) -> Bulk:
    place = collection._target.place
    return Bulk(place, context_at(place, collection._source), call["session"])


def _writing(collection: RecordingCollection, call: Call) -> QueryWrite:
    return QueryWrite(_bulk(collection, call), call["filter"], call.arguments)


def _deletes(collection: RecordingCollection, call: Call) -> Callable[[Any], Any]:
    return lambda query: call.having(filter=query).on(collection._plain)


def _updates(
    collection: RecordingCollection, call: Call, creator: str = "", what: str = ""
) -> tuple[Callable[[Any], Any], Callable[[Any], Any] | None]:
    """
    Return what updates the documents that a query matches, and what makes one by an upsert.

    Args:
        collection: Where to.
        call: What was asked for.
        creator: The method that makes one, if that has to tell what was made; and …
        what: … its argument.
    """
    plain = collection._plain
    if not call["upsert"]:
        return _deletes(collection, call), None
    arguments = {name: call[name] for name in CREATING if call[name] is not None}
    creating = Call(creator, {**arguments, what: call[what], "upsert": True}) if creator else call
    return (
        lambda query: call.having(filter=query, upsert=False).on(plain),
        lambda query: creating.having(filter=query).on(plain),
    )


def _made(collection: RecordingCollection, call: Call, result: Any) -> Any:
    """Return what a find-and-modify returns, also where an upsert has made the document."""
    if not isinstance(result, UpdateResult):
        return result
    if call["return_document"] != ReturnDocument.AFTER:
        return None
    made = {"_id": {"$eq": result.upserted_id}}
    return collection._plain.find_one(made, call["projection"], session=call["session"])


def _bulk_write(collection: RecordingCollection, call: Call) -> Any:
    acknowledged = collection.with_options(write_concern=collection._plain.write_concern)
    return write_one_by_one(acknowledged, **call.arguments)


def _aggregate(collection: RecordingCollection, call: Call) -> Any:
    """Aggregate; what a stage writes into this very collection cannot be recorded."""
    if options_of(collection._model).strict:
        check_pipeline(call["pipeline"], collection.database.name, collection.name)
    return call.on(collection._plain)


def _drop(collection: RecordingCollection, call: Call) -> None:
    """Drop the collection once it is empty; a view, or one that never was, holds no documents."""
    named = {"filter": {"name": collection.name}, "session": call["session"]}
    if any(it["type"] == "collection" for it in collection.database.list_collections(**named)):
        collection.delete_many({}, session=call["session"])
    call.on(collection._plain)


def _rename(collection: RecordingCollection, call: Call) -> Any:
    """Rename the collection, by which its documents would lose their history."""
    if options_of(collection._model).strict:
        raise WriteRefusedError(collection.name, "rename")
    return call.on(collection._plain)


WRITES: Final[dict[str, Callable[[RecordingCollection, Call], Any]]] = {
    "insert_one": _insert_one,
    "insert_many": _insert_many,
    "update_one": _update,
    "update_many": _update,
    "replace_one": _replace_one,
    "delete_one": _delete,
    "delete_many": _delete,
    "find_one_and_update": _find_one_and_update,
    "find_one_and_replace": _find_one_and_replace,
    "find_one_and_delete": _delete,
    "bulk_write": _bulk_write,
    "aggregate": _aggregate,
    "aggregate_raw_batches": _aggregate,
    "drop": _drop,
    "rename": _rename,
}
"""How each method that writes is recorded."""


def _recording(name: str, write: Callable[[RecordingCollection, Call], Any]) -> Any:
    method = getattr(Collection, name)
    known = signature(method)

    @wraps(method)
    def recording(self: RecordingCollection, *args: Any, **kwargs: Any) -> Any:
        call = Call.of(name, known, *args, **kwargs)
        is_on = self._records(call) or self._refuses(call)
        if not is_on or not isinstance(call.arguments.get("filter", {}), Mapping):
            return method(self, *args, **kwargs)  # which also says what is wrong with a filter
        with _plain_errors():
            result = write(self, call)
        return result if self.write_concern.acknowledged else _unacknowledged(result)

    return recording


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Let an error tell what the server said as it always does, not as the bytes of an answer."""
    try:
        yield
    except OperationFailure as error:
        if not isinstance(error.details, RawBSONDocument):
            raise
        said = bson.decode(error.details.raw)
        raise type(error)(said.get("errmsg", ""), error.code, said) from None


def _unacknowledged(result: Any) -> Any:
    """Return what an application gets that did not want to wait for the server."""
    if isinstance(result, InsertOneResult):
        return InsertOneResult(result.inserted_id, acknowledged=False)
    if isinstance(result, InsertManyResult):
        return InsertManyResult(result.inserted_ids, acknowledged=False)
    if isinstance(result, BulkWriteResult):
        return BulkWriteResult({}, acknowledged=False)
    is_result = hasattr(result, "raw_result")
    return type(result)(None, acknowledged=False) if is_result else result


for _name, _write in WRITES.items():
    setattr(RecordingCollection, _name, _recording(_name, _write))
