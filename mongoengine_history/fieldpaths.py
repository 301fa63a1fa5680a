"""Dotted paths as an application writes them, by names of attributes, become paths of keys."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from mongoengine import Document
from mongoengine.base import BaseDocument, ComplexBaseField
from mongoengine.errors import NotRegistered
from mongoengine.fields import (
    DynamicField,
    EmbeddedDocumentField,
    GenericEmbeddedDocumentField,
    ListField,
)

from mongoengine_history.errors import OptionsError
from mongoengine_history.hiding import ANY, Hiding
from mongoengine_history.options import HistoryOptions, options_of

if TYPE_CHECKING:
    from collections.abc import Iterator


def hiding_of(model: Document | type[Document]) -> Hiding:
    """
    Return what the history of a class, or of a document's class, does not hold.

    Raises:
        OptionsError: a path names no field of the class.
    """
    known: Any = type(model) if isinstance(model, Document) else model
    return hiding_by(known, options_of(known))


@lru_cache(maxsize=1024)
def hiding_by(model: Any, options: HistoryOptions) -> Hiding:
    """Return what *options* hide of a class, as `hiding_of` does."""
    exclude, mask = (
        [_stored_path(model, name, path) for path in paths]
        for name, paths in (("exclude", options.exclude), ("mask", options.mask))
    )
    return Hiding.of(exclude, mask, options.fingerprint_key)


def _stored_path(model: type[Document], name: str, path: str) -> tuple[str, ...]:
    keys: list[str] = []
    place: Any = model
    for step in path.split("."):
        found = _step(place, step)
        if found is None:
            problem = f"there is no {step!r}; call track_history below the classes that have it"
            raise OptionsError(name, path, problem)
        key, place = found
        keys += key
    if keys[0] in {"_id", "_cls"}:
        raise OptionsError(name, path, "without it no document can be told from another")
    return tuple(keys)


def _step(place: Any, step: str) -> tuple[list[str], Any] | None:
    """Return the key of a step, if it is one, and what lies there; None if nothing does."""
    if place is ANY:
        return [step], ANY
    if isinstance(place, ListField) and step != ANY:  # a path may pass through
        return _step(_inside(place.field), step)
    if isinstance(place, ComplexBaseField):
        return [step], _inside(place.field)
    return _attribute(place, step) if isinstance(place, type) else None


def _inside(field: Any) -> Any:
    """Return what steps lead into: a class of documents, a list or dict, anything, or nothing."""
    if isinstance(field, EmbeddedDocumentField):
        try:
            return field.document_type
        except NotRegistered:  # named by a text, and defined later
            return ANY
    if isinstance(field, ComplexBaseField):
        return field
    is_free = field is None or isinstance(field, (DynamicField, GenericEmbeddedDocumentField))
    return ANY if is_free else None


def _attribute(model: type[BaseDocument], step: str) -> tuple[list[str], Any] | None:
    """Find a field of a class or of its subclasses, by its own name or by the stored one."""
    for known in with_subclasses(model):
        field = known._fields.get(known._reverse_db_field_map.get(step, step))
        if field is not None:
            return [field.db_field], _inside(field)
    return ([step], ANY) if model._dynamic and step != ANY else None


def with_subclasses(model: type[Any]) -> Iterator[type[Any]]:
    """Yield a class and all classes derived from it."""
    yield model
    for known in model.__subclasses__():
        yield from with_subclasses(known)
