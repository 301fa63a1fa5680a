"""What a document refers to, as that stood at the same moment."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Final

from bson import DBRef
from mongoengine import (
    CachedReferenceField,
    EmbeddedDocument,
    GenericReferenceField,
    ReferenceField,
)
from mongoengine.errors import NotRegistered, ValidationError

from mongoengine_history.documents.snapshot import loaded_in_part, stored_key
from mongoengine_history.errors import HistoryError, HistoryWarning
from mongoengine_history.record.place import Place
from mongoengine_history.record.revisions import Revisions
from mongoengine_history.record.states import state_as_of
from mongoengine_history.state.values import identifier

if TYPE_CHECKING:
    from datetime import datetime

    from mongoengine import Document


BROKEN: Final = (AttributeError, LookupError, NotRegistered, TypeError, ValidationError)
"""What a class that is not imported raises, or a stored value that is no reference."""


class References:
    """Documents as they stood at a moment, each read once."""

    def __init__(self, when: datetime) -> None:
        self._when = when
        self._known: dict[tuple[type[Document], object], Document | None] = {}

    def load(self, document: Any) -> None:
        """Put in the place of references, also in lists and embedded documents, what they mean."""
        for name, field in document._fields.items():
            value = document._data.get(name)
            loaded = self._loaded(field, value)
            if loaded is not value:
                document._data[name] = loaded

    def _loaded(self, field: Any, value: Any) -> Any:
        if isinstance(value, EmbeddedDocument):
            self.load(value)
        elif isinstance(value, list):
            some = [self._loaded(getattr(field, "field", None), it) for it in value]
            list.__setitem__(value, slice(None), some)  # which is no change of the document
        elif isinstance(value, dict) and not isinstance(field, GenericReferenceField):
            inside = getattr(field, "field", None)
            dict.update(value, {key: self._loaded(inside, it) for key, it in value.items()})
        else:
            return self._meant(field, value) or value
        return value

    def _meant(self, field: Any, value: Any) -> Document | None:
        """Return the document that a reference means, as it stood, if that is known."""
        try:
            target = _target(field, value)
        except BROKEN as error:
            _tell(f"A reference, {value!r}", f"names nothing that is known: {error}")
            return None
        return None if target is None else self._document(*target)

    def _document(self, model: type[Document], pk: Any) -> Document | None:
        known = model, identifier(pk)
        if known not in self._known:
            self._known[known] = self._read(model, pk)
        return self._known[known]

    def _read(self, model: type[Document], pk: Any) -> Document | None:
        """Make one of what the history knows; None, and a warning, if it does not know it."""
        try:
            key = stored_key(model, pk)
            revisions = Revisions(Place(model), key)
            if revisions.head().number:
                state = state_as_of(revisions, self._when)
                return None if state is None else loaded_in_part(model, key, state)
            problem = "it has no history"
        except HistoryError as error:
            problem = str(error)
        _tell(f"{model.__name__} {pk!r}, which is referred to,", f"is as it is today: {problem}")
        return None


def _tell(what: str, problem: str) -> None:
    warnings.warn(f"{what} {problem}", HistoryWarning, stacklevel=2)


def _target(field: Any, value: Any) -> tuple[type[Document], Any] | None:
    """Return the class and the key that a reference names."""
    if isinstance(field, GenericReferenceField) and isinstance(value, dict):
        return _named(value["_cls"]), value["_ref"].id
    if isinstance(field, ReferenceField | CachedReferenceField) and isinstance(value, DBRef):
        name = getattr(value, "cls", None)
        return (_named(name) if name else field.document_type), value.id
    return None


def _named(name: Any) -> type[Document]:
    """Return the class of a name, as a field finds it: MongoEngine's registry is its own affair."""
    found: type[Document] = ReferenceField(name).document_type
    return found
