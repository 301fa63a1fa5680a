"""The collection of a tracked class: PyMongo's own, and what is written through it is recorded.

MongoEngine writes through the collection that the class gives it, whichever method was called: a
save, a query, a delete rule, a queryset class of the application. So nothing else is replaced. The
truth comes from the server: what a write will concern is read, the write is limited to that, and
what has become of it is read again. Only what a ``save()`` sends is known without reading.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, wraps
from inspect import Signature, signature
from typing import TYPE_CHECKING, Any, Final

import bson
from bson.raw_bson import RawBSONDocument
from pymongo import ReturnDocument, WriteConcern
from pymongo.collection import Collection
from pymongo.errors import OperationFailure
from pymongo.results import BulkWriteResult, InsertManyResult, InsertOneResult, UpdateResult

from mongoengine_history.changesets import is_untracked
from mongoengine_history.documents.options import is_tracked, options_of
from mongoengine_history.errors import WriteRefusedError
from mongoengine_history.inserting import insert_recorded, own
from mongoengine_history.mixing import write_one_by_one
from mongoengine_history.origin import current_origin
from mongoengine_history.querying import QueryWrite
from mongoengine_history.saving import Saving
from mongoengine_history.strictness import check_pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mongoengine import Document

CREATING: Final = ("array_filters", "collation", "let", "session")
"""The arguments of a find-and-modify that an upsert takes, too."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a method of a collection, its arguments by name."""

    name: str
    arguments: Mapping[str, Any]

    @classmethod
    def of(cls, name: str, known: Signature, *args: Any, **kwargs: Any) -> Call:
        """Name the arguments, all but the collection itself."""
        arguments = known.bind(None, *args, **kwargs).arguments
        arguments.pop("self")
        others = arguments.pop("kwargs", {})
        return cls(name, {**arguments, **others})

    def __getitem__(self, name: str) -> Any:
        return self.arguments.get(name)

    def on(self, collection: Collection[Any], **others: Any) -> Any:
        """Call the method of a collection, some arguments replaced by *others*."""
        return getattr(collection, self.name)(**{**self.arguments, **others})


class RecordingCollection(Collection[Any]):
    """A collection whose writes are recorded for a tracked class."""

    _model: type[Document]

    @classmethod
    def of(cls, collection: Collection[Any], model: type[Document]) -> RecordingCollection:
        """Return the same collection, recording for *model*."""
        recording = cls(collection.database, collection.name, **_options_of(collection))
        recording._model = model
        return recording

    def with_options(self, *args: Any, **options: Any) -> RecordingCollection:
        """Return the same with other options, as PyMongo does."""
        return self.of(super().with_options(*args, **options), self._model)

    @cached_property
    def _plain(self) -> Collection[Any]:
        """The same collection, not recording; it waits until the server has done it."""
        options = _options_of(self)
        if not self.write_concern.acknowledged:
            options["write_concern"] = WriteConcern(w=1)
        return Collection(self.database, self.name, **options)


def _options_of(collection: Collection[Any]) -> dict[str, Any]:
    names = ("codec_options", "read_preference", "write_concern", "read_concern")
    return {name: getattr(collection, name) for name in names}


def _insert_one(collection: RecordingCollection, call: Call) -> Any:
    document = own(call["document"])

    def insert() -> Any:
        return call.on(collection._plain, document=document)

    saving = _saving(collection, document)
    if saving:
        return saving.insert(document, insert)
    return insert_recorded(
        collection._model, collection._plain, [document], call["session"], insert
    )


def _insert_many(collection: RecordingCollection, call: Call) -> Any:
    documents = [own(document) for document in call["documents"]]

    def insert() -> Any:
        return call.on(collection._plain, documents=documents)

    return insert_recorded(collection._model, collection._plain, documents, call["session"], insert)


def _update_one(collection: RecordingCollection, call: Call) -> Any:
    saving = _saving(collection, call["filter"])
    if saving:
        return saving.update(call["update"], lambda: call.on(collection._plain))
    write, upsert = _updates(collection, call)
    return _writing(collection, call).update_first(call["update"], write, upsert)


def _update_many(collection: RecordingCollection, call: Call) -> Any:
    write, upsert = _updates(collection, call)
    return _writing(collection, call).update_many(call["update"], write, upsert)


def _replace_one(collection: RecordingCollection, call: Call) -> Any:
    write, upsert = _updates(collection, call)
    return _writing(collection, call).update_first(None, write, upsert)


def _delete_one(collection: RecordingCollection, call: Call) -> Any:
    return _writing(collection, call).delete_first(_deletes(collection, call))


def _delete_many(collection: RecordingCollection, call: Call) -> Any:
    return _writing(collection, call).delete_many(_deletes(collection, call))


def _find_one_and_update(collection: RecordingCollection, call: Call) -> Any:
    write, upsert = _updates(collection, call, "update_one", "update")
    result = _writing(collection, call).update_first(call["update"], write, upsert)
    return _made(collection, call, result)


def _find_one_and_replace(collection: RecordingCollection, call: Call) -> Any:
    saving = _saving(collection, call["filter"])
    if saving:
        return saving.replace(call["replacement"], call.on)
    write, upsert = _updates(collection, call, "replace_one", "replacement")
    return _made(collection, call, _writing(collection, call).update_first(None, write, upsert))


def _saving(collection: RecordingCollection, named: Any) -> Saving | None:
    """Return the save that is under way, if this is its write; *named* names the document."""
    origin = current_origin()
    if not (origin and origin.is_save):
        return None
    return Saving(origin, collection._model, collection._plain, named.get("_id"))


def _writing(collection: RecordingCollection, call: Call) -> QueryWrite:
    return QueryWrite(collection._model, collection._plain, call["filter"], call.arguments)


def _deletes(collection: RecordingCollection, call: Call) -> Callable[[Any], Any]:
    return lambda query: call.on(collection._plain, filter=query)


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
        lambda query: call.on(plain, filter=query, upsert=False),
        lambda query: creating.on(plain, filter=query),
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
    "update_one": _update_one,
    "update_many": _update_many,
    "replace_one": _replace_one,
    "delete_one": _delete_one,
    "delete_many": _delete_many,
    "find_one_and_update": _find_one_and_update,
    "find_one_and_replace": _find_one_and_replace,
    "find_one_and_delete": _delete_one,
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
        is_on = is_tracked(self._model) and not is_untracked()
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
