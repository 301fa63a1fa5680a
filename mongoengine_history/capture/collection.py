"""A collection that records: PyMongo's own, and the one way in for all that is written.

MongoEngine writes through the collection that the class gives it, whichever method was called: a
save, a query, a delete rule, a queryset class of the application. So no queryset is replaced. The
truth comes from the server: one document is written by a command that gives what it overwrote;
many are read, the write is limited to them, and they are read again.
"""

from __future__ import annotations

from functools import cached_property, partial, wraps
from typing import TYPE_CHECKING, Any, Final

from pymongo import WriteConcern
from pymongo.collection import Collection
from pymongo.results import BulkWriteResult, InsertManyResult, InsertOneResult

from mongoengine_history.capture.blocks import is_untracked
from mongoengine_history.capture.bulk_write import write_in_groups
from mongoengine_history.capture.call import Call, positional
from mongoengine_history.capture.group import Groups
from mongoengine_history.capture.kinds import in_place_of, like
from mongoengine_history.capture.queries import QueryWrite, insert_recorded, own
from mongoengine_history.capture.saves import OneWrite
from mongoengine_history.capture.strict import check_pipeline
from mongoengine_history.capture.tracker import context_at, current_origin
from mongoengine_history.documents.options import is_tracked, options_of
from mongoengine_history.errors import WriteRefusedError
from mongoengine_history.record.append_many import Bulk
from mongoengine_history.record.place import Place
from mongoengine_history.record.sealed import readable, sealed_collection

if TYPE_CHECKING:
    from collections.abc import Callable

    from mongoengine import Document

    from mongoengine_history.capture.tracker import Origin

OWN: Final = {
    True: {"insert_one", "update_one", "find_one_and_replace"},
    False: {"delete_one", "delete_many"},
}
"""What MongoEngine calls where a document saves itself, and where it deletes itself."""


class RecordingCollection(Collection[Any]):
    """A collection whose writes are recorded: for a tracked class, or for one document."""

    _beneath: Collection[Any]
    _model: type[Document]
    _origin: Origin | None

    @classmethod
    def of(
        cls, collection: Collection[Any], model: type[Document], origin: Origin | None = None
    ) -> RecordingCollection:
        """Return the same collection, recording documents of a class, or the one of *origin*."""
        recording = in_place_of(collection, cls)
        recording._beneath, recording._model, recording._origin = collection, model, origin
        return recording

    def take_place_of(self, collection: Collection[Any]) -> None:
        """Let a collection that others have got hold of record what this one does."""
        self._beneath = like(collection, type(collection))
        vars(collection).update(vars(self))
        collection.__class__ = type(self)

    def with_options(self, *args: Any, **options: Any) -> RecordingCollection:
        """Return the same with other options, as PyMongo does."""
        is_same = not args and options == {"write_concern": self.write_concern}
        if is_same and type(self) is RecordingCollection:  # MongoEngine asks always
            return self
        return RecordingCollection.of(
            self._beneath.with_options(*args, **options), self._model, self._origin
        )

    def of_pymongo(self) -> RecordingCollection:
        """Return the same without what a class of the application does in front of it."""
        return RecordingCollection.of(self._plain, self._model, self._origin)

    def empty(self, session: Any) -> None:
        """Delete all documents; a view, or a collection that never was, holds none."""
        named = {"filter": {"name": self.name}, "session": session}
        if any(it["type"] == "collection" for it in self.database.list_collections(**named)):
            self.of_pymongo().delete_many({}, session=session)

    @cached_property
    def _plain(self) -> Collection[Any]:
        """The same collection as PyMongo has it; it waits until the server has done it."""
        if self.write_concern.acknowledged:
            is_own = type(self._beneath) is Collection
            return self._beneath if is_own else like(self._beneath, Collection)
        return Collection.with_options(self._beneath, write_concern=WriteConcern(w=1))

    @cached_property
    def _sealed(self) -> Collection[Any]:
        """The same, of a client that decrypts nothing: by it all is written that is recorded."""
        return sealed_collection(self._plain)

    @property
    def _source(self) -> Origin | None:
        origin = self._origin or current_origin()
        is_other = (
            origin and origin.is_save and not isinstance(origin.tracker.document, self._model)
        )
        return None if is_other else origin

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
        source = self._source if self._is_saving else None
        return bool(source and source.tracker.guard) and call.name in OWN[True]


def _insert_one(collection: RecordingCollection, call: Call) -> Any:
    document = own(call["document"])
    insert = partial(call.having(document=document).on, collection._sealed)
    if collection._is_saving:
        return _one(collection, call).insert(document, insert)
    return insert_recorded(_bulk(collection, call), [document], insert)


def _insert_many(collection: RecordingCollection, call: Call) -> Any:
    documents = [own(document) for document in call["documents"]]
    insert = partial(call.having(documents=documents).on, collection._sealed)
    return insert_recorded(_bulk(collection, call), documents, insert)


def _write_one(collection: RecordingCollection, call: Call) -> Any:
    return _answered(collection, call, _one(collection, call).write(call))


def _delete_one(collection: RecordingCollection, call: Call) -> Any:
    return _answered(collection, call, _one(collection, call).delete(call))


def _answered(collection: RecordingCollection, call: Call, answer: Any) -> Any:
    """Return what a write gives: a document as the application reads it."""
    if not call.name.startswith("find_one_and"):
        return answer
    return readable(answer, collection, collection.codec_options)


def _update_many(collection: RecordingCollection, call: Call) -> Any:
    if call.key is not None:
        return _write_one(collection, call)
    writing = QueryWrite(_bulk(collection, call), call, collection._sealed)
    result = writing.update()
    if result is None:
        result = _write_one(collection, call) if call["upsert"] else writing.nothing()
    return result


def _delete_many(collection: RecordingCollection, call: Call) -> Any:
    if call.key is not None:
        return _delete_one(collection, call)
    return QueryWrite(_bulk(collection, call), call, collection._sealed).delete()


def _place(collection: RecordingCollection, call: Call) -> Place:
    return Place(collection._model, collection._plain, call["session"])


def _one(collection: RecordingCollection, call: Call) -> OneWrite:
    place = _place(collection, call)
    recording = collection._records(call)
    return OneWrite(place, collection._sealed, collection._source, recording=recording)


def _bulk(collection: RecordingCollection, call: Call) -> Bulk:
    place = _place(collection, call)
    return Bulk(place, context_at(place, collection._source))


def _bulk_write(collection: RecordingCollection, call: Call) -> Any:
    each = collection.of_pymongo().with_options(write_concern=WriteConcern(w=1))
    groups = Groups(partial(_bulk, collection, call), collection._sealed)
    # Of one that is only bound PyMongo does not know that a transaction takes no write concern.
    inside = call.having(session=_place(collection, call).session)
    return write_in_groups(each, collection._plain, groups, **inside.arguments)


def _aggregate(collection: RecordingCollection, call: Call) -> Any:
    """Aggregate; what a stage writes into this very collection cannot be recorded."""
    if options_of(collection._model).strict:
        check_pipeline(call["pipeline"], collection.database.name, collection.name)
    return call.on(collection._plain)


def _drop(collection: RecordingCollection, call: Call) -> None:
    """Drop the collection once it is empty."""
    collection.empty(call["session"])
    call.on(collection._plain)


def _rename(collection: RecordingCollection, call: Call) -> Any:
    """Rename the collection, by which its documents would lose their history."""
    if options_of(collection._model).strict:
        raise WriteRefusedError(collection.name, "rename")
    return call.on(collection._plain)


WRITES: Final[dict[str, Callable[[RecordingCollection, Call], Any]]] = {
    "insert_one": _insert_one,
    "insert_many": _insert_many,
    "update_one": _write_one,
    "update_many": _update_many,
    "replace_one": _write_one,
    "delete_one": _delete_one,
    "delete_many": _delete_many,
    "find_one_and_update": _write_one,
    "find_one_and_replace": _write_one,
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
    names = positional(method)

    @wraps(method)
    def recording(self: RecordingCollection, *args: Any, **kwargs: Any) -> Any:
        call = Call.of(name, names, args, kwargs)
        is_on = call is not None and (self._records(call) or self._refuses(call))
        if call is None or not is_on or not call.is_sound:
            return method(self, *args, **kwargs)
        result = write(self, call)
        return result if self.write_concern.acknowledged else _unacknowledged(result)

    return recording


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
