"""A document, its primary key and its state: taken from memory, and put back into it."""

from __future__ import annotations

from collections.abc import ValuesView
from typing import TYPE_CHECKING, Any, Final, TypeVar
from warnings import warn

import bson
from mongoengine import Document, EmbeddedDocument

from mongoengine_history.documents.fieldpaths import hiding_of
from mongoengine_history.documents.renamed import under_new_names
from mongoengine_history.documents.stand_in import codec_in
from mongoengine_history.errors import HistoryWarning, OptionsError, StateMismatchError
from mongoengine_history.state.context import plain
from mongoengine_history.state.hiding import without_masks
from mongoengine_history.state.values import WIRE, State, native

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bson.codec_options import CodecOptions

D = TypeVar("D", bound=Document)

NO_NUMBER: Final = object()
"""Stands where a field that generates its values has none yet."""


def has_key(document: Document) -> bool:
    """Say whether *document* has a primary key; one that is a reference is not followed."""
    return document._data.get(document._meta["id_field"]) is not None


def key_in(document: Document) -> Any:
    """Return the primary key that *document* has in memory; None if it has none."""
    return document.to_mongo(fields=[document._meta["id_field"]]).get("_id")


def stored_key(document: Document | type[Document], pk: object = None) -> Any:
    """
    Return the primary key of a document, or of a class the *pk* in any form that a query takes.

    Raises:
        OptionsError: the two do not name a document.
    """
    if isinstance(document, Document):
        if pk is not None:
            raise OptionsError("pk", pk, "give a document, or its class and the key, not both")
        if not has_key(document):
            raise OptionsError("document", document, "it has no primary key; save it first")
        return key_in(document)
    check_model(document)
    return _key_for(document, pk)


def check_document(document: object) -> None:
    """Raise an OptionsError if *document* is no document of a collection, such as a class."""
    if isinstance(document, type) and issubclass(document, Document):
        problem = "it is a class; give one of its documents"
        raise OptionsError("document", document, problem)
    if not isinstance(document, Document):
        raise _without_history(document)


def _without_history(given: object) -> OptionsError:
    problem = "only a top-level Document has a history"
    if isinstance(given, EmbeddedDocument):
        problem += "; give the document that holds it"
    return OptionsError("document", given, problem)


def check_progress(progress: object, told: str) -> None:
    """Raise an OptionsError if *progress* cannot be called with what is *told*."""
    if progress is not None and not callable(progress):
        raise OptionsError("progress", progress, f"it is called with {told}")


def check_model(model: type[Document]) -> None:
    """Raise an OptionsError if *model* is no class of documents with a collection."""
    if isinstance(model, Document):
        raise OptionsError(
            "model", model, f"it is a document; give its class {type(model).__name__}"
        )
    if not (isinstance(model, type) and issubclass(model, Document)):
        raise _without_history(model)
    if model._meta.get("abstract"):
        raise OptionsError("document", model, "an abstract class has no documents")


def check_id(model: Document | type[Document]) -> None:
    """Raise an OptionsError if ``_id`` is a field of a class, but not its primary key."""
    if model._fields[model._meta["id_field"]].db_field != "_id":
        problem = "its field _id is not its primary key; give that field primary_key=True"
        raise OptionsError("document", model, f"{problem}, by which documents are told apart")


def _key_for(model: type[Document], pk: object) -> Any:
    if pk is None:
        raise OptionsError("pk", pk, f"give the primary key of a {model.__name__}")
    field = model._fields[model._meta["id_field"]]
    try:
        asked = field.prepare_query_value(None, pk)  # a text is the number of a sequence, too
        key = field.to_mongo(pk) if asked is pk else asked
    except Exception as error:  # MongoEngine's, or one of the application's own fields
        raise OptionsError("pk", pk, f"it is no {type(field).__name__} ({error})") from error
    plain("pk", key, codec_of(model))
    return key


def codec_of(document: Document | type[Document]) -> CodecOptions[Any]:
    """Return the codec options of the collection that a document or a class really lies in."""
    return codec_in(document._get_collection())


def snapshot(document: Document) -> bytes:
    """
    Take the state that *document* has in memory, as BSON bytes without ``_id``. Reads only.

    A document that was neither loaded nor saved has an empty state. No number of a sequence is used
    up: a generated field that has no value yet is left out.

    Raises:
        OptionsError: memory holds a value that BSON cannot hold.
    """
    if document._created or not has_key(document) or not hasattr(document, "_changed_fields"):
        return bson.encode({})
    return memory(document)


def memory(document: Document) -> bytes:
    """Take the state of *document* as `snapshot` does, be it stored or new."""
    missing = [(it, name) for it in _parts(document) for name in it if _is_ungenerated(it, name)]
    for part, name in missing:  # for which MongoEngine would use up numbers
        part._data[name] = NO_NUMBER
    try:
        state = document.to_mongo()
    finally:
        for part, name in missing:
            part._data[name] = None
    state = _with_numbers(state) if missing else state
    state.pop("_id", None)
    try:
        return bson.encode(state, codec_options=codec_of(document))
    except Exception as error:  # PyMongo raises a dozen classes, OverflowError among them
        why, cause = _told(document, error)
        raise OptionsError("document", document, f"it holds no BSON ({why})") from cause


def _parts(value: Any) -> Iterator[Any]:
    """Yield a document and those embedded in it; no reference is followed."""
    if hasattr(value, "_data") and hasattr(value, "_fields"):
        yield value
        value = value._data
    values = value.values() if isinstance(value, dict) else value
    for each in values if isinstance(values, (list, tuple, ValuesView)) else ():
        if not isinstance(each, Document):
            yield from _parts(each)


def _is_ungenerated(part: Any, name: str) -> bool:
    field = part._fields.get(name)
    return bool(getattr(field, "_auto_gen", False)) and part._data.get(name) is None


def _with_numbers(value: Any) -> Any:
    """Return what is left where numbers were not made."""
    if isinstance(value, dict):
        return {key: _with_numbers(it) for key, it in value.items() if it is not NO_NUMBER}
    return list(map(_with_numbers, value)) if isinstance(value, (list, tuple)) else value


def decoded(taken: bytes) -> State:
    """Decode what `snapshot` took."""
    return bson.decode(taken, codec_options=WIRE)


def unrecorded(document: Document, stored: State | None) -> State:
    """Return the state of a document without a revision: what is stored, else its memory."""
    return decoded(snapshot(document)) if stored is None else stored


def put(document: Document, state: State) -> None:
    """
    Make *document* in memory what loading *state* would give. Writes nothing to the database.

    Unsaved edits are gone afterwards, and no field counts as changed.

    Raises:
        StateMismatchError: the class cannot load the state; the document stays as it was.
    """
    twin = loaded(type(document), key_in(document), state)
    if type(twin) is not type(document):
        why = f"it is a {type(twin).__name__}, not a {type(document).__name__}"
        raise StateMismatchError(key_in(document), ["_cls"], why)
    for name in [name for name in document._dynamic_fields if name not in twin._dynamic_fields]:
        _forget(document, name)
    for name in twin._fields_ordered:
        value = document._reload(name, twin._data.get(name))
        if name in document._meta.get("shard_key", ()):
            document._data[name] = value  # MongoEngine lets nobody set it
        elif name != document._meta["id_field"]:
            setattr(document, name, value)
    document._changed_fields = []
    document._created = False


def loaded(model: type[D], pk: object, state: State, *, created: bool = False) -> D:
    """
    Make a document of a class or a subclass as loading a state would. Reads nothing.

    It may count as *created*, so that saving it stores all of it.

    Raises:
        StateMismatchError: the class cannot load the state.
    """
    state = findable(model, state)
    son = native(without_masks(state), codec_of(model))
    try:
        document = model._from_son({"_id": pk, **son}, created=created)
    except Exception as error:  # MongoEngine's, or one of the application's own fields
        why, cause = _told(model, error)
        raise StateMismatchError(pk, _misfits(model, state), why) from cause
    if not isinstance(document, model):
        why = f"it is a {type(document).__name__}, not a {model.__name__}"
        raise StateMismatchError(pk, ["_cls"], why)
    return document


def loaded_in_part(model: type[D], pk: object, state: State) -> D:
    """
    Make a document to look at, as `loaded` does, without what the class knows no more.

    Warns of the names that are left out.

    Raises:
        StateMismatchError: the class cannot load the rest either.
    """
    state = findable(model, state)
    try:
        return loaded(model, pk, state, created=True)
    except StateMismatchError as error:
        gone = [key for key in error.keys if key not in _known_to(model)]
        if not gone:
            raise
        rest = {key: value for key, value in state.items() if key not in gone}
        document = loaded(model, pk, rest, created=True)
    warn(
        f"{model.__name__} has no fields for {gone}, which earlier states have: documents are "
        "made without them. Read the states as data to see all.",
        HistoryWarning,
        stacklevel=2,
    )
    return document


def findable(model: Document | type[Document], state: State) -> State:
    """Return a state by which its class finds it: an older one than its subclasses names none."""
    state = under_new_names(model, state)
    if "_cls" in state or not model._meta.get("allow_inheritance"):
        return state
    return {"_cls": model._class_name, **state}


def _told(model: Document | type[Document], error: Exception) -> tuple[object, Exception | None]:
    """Return what may be told of an error and its cause: where values are secret, only its kind."""
    return (type(error).__name__, None) if hiding_of(model).rules else (error, error)


def _misfits(model: type[Document], state: State) -> list[str]:
    """Name the stored keys that keep the class from loading *state*."""
    known = _known_to(model)
    unknown = [key for key in state if key not in known and not model._dynamic]
    return unknown or [key for key in state if not _fits(model, key, state[key])]


def _known_to(model: type[Document]) -> set[str]:
    return {"_cls", *model._db_field_map.values(), *model._fields}


def _fits(model: type[Document], key: str, value: object) -> bool:
    try:
        model._from_son(native({key: value}, codec_of(model)))
    except Exception:  # whatever it is, it is this key
        return False
    return True


def _forget(document: Document, name: str) -> None:
    """Take a dynamic field off a document, as if it never had been set."""
    document._dynamic_fields.pop(name)
    document._data.pop(name, None)
    document.__dict__.pop(name, None)
    document._fields_ordered = tuple(key for key in document._fields_ordered if key != name)
