"""What stands in front of the methods of a tracked class: all that they write is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import TYPE_CHECKING, Any, Final

from mongoengine_history.capture.blocks import is_untracked
from mongoengine_history.capture.collection import RecordingCollection
from mongoengine_history.capture.dropping import RecordingDatabase, dropping, is_dropping
from mongoengine_history.capture.strict import StrictDatabase
from mongoengine_history.capture.tracker import Tracker, originating
from mongoengine_history.documents.options import is_tracked, options_of
from mongoengine_history.documents.stand_in import is_stand_in, is_warned_of
from mongoengine_history.errors import HistoryNotRecordedError
from mongoengine_history.record.origin import on_its_own

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mongoengine import Document


def _get_collection(beneath: Any, model: type[Document], *args: Any, **kwargs: Any) -> Any:
    collection = beneath(*args, **kwargs)
    if not can_record(model, collection) or isinstance(collection, RecordingCollection):
        return collection
    recording = RecordingCollection.of(collection, model)
    if model.__dict__.get("_collection") is collection:  # else it is another one each time
        model._collection = recording
    return recording


def can_record(model: type[Document], collection: object) -> bool:
    """Say whether writes are recorded: not in a stand-in, nor in a time series: it has no keys."""
    if not is_tracked(model) or model._meta.get("timeseries"):
        return False
    return not (is_stand_in(collection) if is_untracked() else is_warned_of(collection))


def _save_create(beneath: Any, document: Document, doc: Any, *args: Any, **kwargs: Any) -> Any:
    tracker = Tracker.of(document)
    try:
        with originating(tracker, tracker.said, is_save=True):
            return beneath(doc, *args, **kwargs)
    except HistoryNotRecordedError:  # but stored: saved again it must not become a second one
        id_field = document._meta["id_field"]
        document[id_field] = document._fields[id_field].to_python(doc["_id"])
        document._created = False
        raise


def _save_update(beneath: Any, document: Document, *args: Any, **kwargs: Any) -> Any:
    tracker = Tracker.of(document)
    with originating(tracker, tracker.said, is_save=True):
        return beneath(*args, **kwargs)


def _get_update_doc(beneath: Any, _: Document) -> Any:
    """Say what has changed; the fields are asked, which may write something themselves."""
    with on_its_own():
        return beneath()


def _update(beneath: Any, document: Document, *args: Any, **kwargs: Any) -> Any:
    """Update or modify the document past its own fields: its blocks say who does."""
    with originating(Tracker.of(document), {}, is_save=False):
        return beneath(*args, **kwargs)


def _delete(beneath: Any, document: Document, *args: Any, **kwargs: Any) -> Any:
    with originating(Tracker.of(document), _said(beneath, args, kwargs), is_save=False):
        return beneath(*args, **kwargs)


def _said(method: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the ``signal_kwargs`` of a deletion; what else a class takes there is its own."""
    first = next(iter(signature(method).parameters.values()), None)
    is_said = first is not None and (
        first.name == "signal_kwargs" or first.kind == first.VAR_POSITIONAL
    )
    said = kwargs.get("signal_kwargs", args[0] if args and is_said else None)
    return said if isinstance(said, Mapping) else {}


def _get_db(beneath: Any, model: type[Document], *args: Any, **kwargs: Any) -> Any:
    database = beneath(*args, **kwargs)
    if not is_tracked(model) or is_untracked() or is_stand_in(database):
        if is_dropping.get() and is_stand_in(database):
            can_record(model, database[model._get_collection_name()])  # which warns
        return database
    if options_of(model).strict and not is_dropping.get():
        return StrictDatabase.of(database, model._get_collection_name())
    return database if model._meta.get("timeseries") else RecordingDatabase.of(database, model)


def _drop_collection(beneath: Any, _: type[Document], *args: Any, **kwargs: Any) -> Any:
    with dropping():
        return beneath(*args, **kwargs)


FRONTS: Final[dict[str, Callable[..., Any]]] = {
    "_get_collection": _get_collection,
    "_save_create": _save_create,
    "_save_update": _save_update,
    "_get_update_doc": _get_update_doc,
    "update": _update,
    "modify": _update,
    "delete": _delete,
    "drop_collection": _drop_collection,
    "_get_db": _get_db,
}
"""What is put in front of which method."""
