"""One document of a changeset: of which class it is, how it is stored, how it can be written."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from inspect import signature, unwrap
from typing import TYPE_CHECKING, Any, Final

from mongoengine import Document, signals
from mongoengine.queryset import QuerySet
from mongoengine.queryset.base import BaseQuerySet

from mongoengine_history.capture.collection import RecordingCollection
from mongoengine_history.documents.fieldrules import with_subclasses
from mongoengine_history.documents.options import is_tracked
from mongoengine_history.documents.snapshot import loaded
from mongoengine_history.record.revisions import Revisions
from mongoengine_history.record.states import as_recorded
from mongoengine_history.state.revision import DELETE, RESTORE, UNDO
from mongoengine_history.state.rules import CLASS
from mongoengine_history.state.values import native

if TYPE_CHECKING:
    from blinker import Signal
    from pymongo.collection import Collection

    from mongoengine_history.record.head import Head
    from mongoengine_history.record.place import Place
    from mongoengine_history.state.values import State

SAVING: Final = ("save", "clean", "_save_create", "_save_update", "_get_update_doc")
"""The methods that a save calls, of which an application may have its own …"""

DELETING: Final = ("delete",)
"""… and those of a deletion."""

OF_SAVE: Final = (signals.pre_save, signals.pre_save_post_validation, signals.post_save)
"""The signals that a save sends …"""

OF_DELETION: Final = (signals.pre_delete, signals.post_delete)
"""… and those of a deletion."""


@dataclass(frozen=True)
class Home:
    """A collection of documents, and the class by which they are written there."""

    model: type[Document]
    place: Place
    #: The collection, if it is not the one that the class has: after ``switch_db``.
    collection: Collection[Any] | None
    #: Top-level names of values of which no two documents may have the same.
    unique: frozenset[str]

    def class_of(self, state: State | None) -> type[Document]:
        """Return the class that a state names, if it is known."""
        name = (state or {}).get(CLASS)
        named = (it for it in with_subclasses(self.model) if it._class_name == name)
        return next(named, self.model)

    def document(self, pk: Any, state: State) -> Document:
        """
        Make a document of a state, which is written where it lies.

        Raises:
            StateMismatchError: the class cannot load the state.
        """
        document = loaded(self.model, pk, state)
        if self.collection is not None:
            collection = self.collection_of(type(document))
            document.__dict__["_get_collection"] = lambda: collection  # as `switch_db` does
        return document

    def collection_of(self, model: type[Document]) -> Any:
        """Return the collection as a class writes to it: it records if the class is tracked."""
        collection = self.collection
        if collection is None:
            return model._get_collection()
        return RecordingCollection.of(collection, model) if is_tracked(model) else collection


@dataclass(frozen=True)
class Subject:
    """One document of a changeset."""

    home: Home
    #: The primary key, as it is stored.
    key: Any
    head: Head
    #: As it is, with what is hidden from the history; None if it is not there.
    live: State | None
    #: The numbers of the revisions to take back, the newest first, …
    numbers: tuple[int, ...]
    #: … and the place of each in the order of all, from the one that was written last.
    positions: tuple[int, ...] = field(default=(), repr=False)

    @property
    def place(self) -> Place:
        """Where it lies."""
        return self.home.place

    @property
    def address(self) -> tuple[str, Any]:
        """Name it for people: its collection, and the primary key as the application has it."""
        return self.place.document_type, self.pk

    @cached_property
    def pk(self) -> Any:
        """The primary key as the application has it."""
        return native({"": self.key}, self.place.codec)[""]

    @cached_property
    def revisions(self) -> Revisions:
        """Its history."""
        return Revisions(self.place, self.key)

    @cached_property
    def stored(self) -> State | None:
        """As the history may have it."""
        return as_recorded(self.revisions, self.head, self.live)

    @property
    def operation(self) -> str:
        """As what it is recorded that it was written."""
        return RESTORE if self.live is None and self.head.operation != DELETE else UNDO


def has_own(model: type[Document], *, deletion: bool) -> bool:
    """Say whether a class saves, or deletes, itself in another way than MongoEngine does."""
    if deletion and _queryset_of(model).delete is not BaseQuerySet.delete:
        return True
    return any(_is_own(model, name) for name in (DELETING if deletion else SAVING))


def is_heard(model: type[Document], *, deletion: bool) -> bool:
    """Say whether the application has handlers of the signals of a save, or of a deletion."""
    return any(_foreign(it, model) for it in (OF_DELETION if deletion else OF_SAVE))


def _queryset_of(model: type[Document]) -> type[BaseQuerySet]:
    queryset: type[BaseQuerySet] = model._meta.get("queryset_class", QuerySet)
    return queryset


def _is_own(model: type[Document], name: str) -> bool:
    """Say whether a method of a class is not MongoEngine's; what this library covers it with is."""
    return unwrap(getattr(model, name)) is not unwrap(getattr(Document, name))


def _foreign(signal: Signal, model: type[Document]) -> bool:
    heard = signal.receivers_for(model) if signal.receivers else ()
    return any(not str(it.__module__).startswith("mongoengine_history.") for it in heard)


def misses_arguments(method: Any) -> bool:
    """Say whether a method cannot be called without arguments."""
    try:
        signature(method).bind()
    except TypeError:
        return True
    return False
