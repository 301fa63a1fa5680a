"""Where documents may lie: all known databases, and the classes of their collections."""

from __future__ import annotations

from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any

from mongoengine import Document, connection, signals

from mongoengine_history.capture.document_track import track_changes
from mongoengine_history.documents.fieldpaths import hiding_of
from mongoengine_history.documents.fieldrules import concrete, with_subclasses
from mongoengine_history.documents.options import is_tracked, options_of
from mongoengine_history.documents.stand_in import is_stand_in
from mongoengine_history.errors import OptionsError
from mongoengine_history.record.connected import connected
from mongoengine_history.record.history import BaseHistory, Version, kept_by
from mongoengine_history.record.place import Place
from mongoengine_history.record.sealed import is_encrypting
from mongoengine_history.record.sessions import is_bound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymongo import MongoClient
    from pymongo.database import Database


class Databases:
    """The databases of all known classes and of all aliases, without those that have no history."""

    def __init__(self) -> None:
        known = [it for it in concrete(Document) if not issubclass(it, (BaseHistory, Version))]
        of_classes = [(model, _of(model)) for model in known]
        aliases = map(_of, connection._connection_settings)
        found = [it for it in chain((it for _, it in of_classes), aliases) if it is not None]
        #: Each with all that lead there, since clients are equal if they are of one server.
        self._databases: dict[object, list[Database[Any]]] = {}
        for each in found:
            self._databases.setdefault((each.client, each.name), []).append(each)
        self._models = [(model, database) for model, database in of_classes if database is not None]

    def __iter__(self) -> Iterator[Database[Any]]:
        return (self.nearest(each) for each, *_ in self._databases.values())

    def nearest(self, database: Database[Any]) -> Database[Any]:
        """Return a database by a client whose session is active, if one of its server's has one."""
        ways = self._databases[database.client, database.name]
        return next((it for it in ways if is_bound(it.client)), ways[0])

    def has_classes(self, database: Database[Any]) -> bool:
        """Say whether a database is that of a class, and not only of an alias."""
        return any(own == database for _, own in self._models)

    def models(self, database: Database[Any]) -> list[type[Document]]:
        """Return the classes of a database whose options can be used."""
        return [model for model, own in self._models if own == database and _is_usable(model)]

    def name_today(self, database: Database[Any], name: str) -> str:
        """Return the name that a collection has now, of which there are records under *name*."""
        found = [(own, now) for before, own, now in self._renamed if before == name]
        here = [now for own, now in found if own == database] or [now for _, now in found]
        return here[0] if here else name

    @cached_property
    def _renamed(self) -> list[tuple[str, Database[Any], str]]:
        """The names that collections had before, their databases, and the names of today."""
        usable = [
            (it, own, it._get_collection_name()) for it, own in self._models if _is_usable(it)
        ]
        return [(name, own, now) for it, own, now in usable for name in options_of(it).formerly]

    def place(self, database: Database[Any], name: str, history: str) -> Place | None:
        """Return where documents lie, of which there are records in a history; None if unknown."""
        name = self.name_today(database, name)
        models = self.classes(database, name, history)
        return Place(models[0], database[name]) if models else None

    def client(self, database: Database[Any], name: str, history: str) -> MongoClient[Any]:
        """Return the client by which the documents of a collection are written."""
        name = self.name_today(database, name)
        own = next((it._get_db() for it in self.classes(database, name, history)), None)
        client: MongoClient[Any] = own.client if own == database else database.client
        return client

    def classes(
        self, database: Database[Any], name: str, history: str | None = None
    ) -> list[type[Document]]:
        """
        Return the classes of a collection, the best first; of each tree only the one at its root.

        Only those that record into the *history* of that full name, if one is given. A class that
        is switched to another collection still is of its own one. Where the database has none they
        are those that were switched to it: of the same collection in another one, but in one only.
        Tracked classes come first, then those that were defined last. One whose options cannot be
        used, so that it records nothing, is left out where there is another.
        """
        named = [it for it in self._models if name in _collections_of(it[0])]
        named = [it for it in named if _records_into(it[0], database, history)]
        here = [it for it in named if it[1] == database]
        there = dict(here or named)
        roots = [it for it in there if not {*it.__mro__[1:]} & {*there}]
        roots.reverse()
        usable = [it for it in roots if _is_usable(it)]
        ranked = sorted(usable or roots, key=_rank, reverse=True)
        best = {there[it] for it in ranked if _rank(it) == _rank(ranked[0])}
        return ranked if len(best) == 1 else []


def _of(where: type[Document] | str) -> Database[Any] | None:
    """Return a database that can have a history; None of where this process is not connected."""
    database = connected(where)
    is_none = database is None or is_stand_in(database) or is_encrypting(database.client)
    return None if is_none else database


def _collections_of(model: type[Document]) -> set[str]:
    """Name the collection that a class is switched to, and its own one."""
    return {model._get_collection_name(), model._meta["collection"]}


def _records_into(model: type[Document], database: Database[Any], history: str | None) -> bool:
    """Say whether what a class writes in a database is recorded there, as far as that is known."""
    try:
        return history in {None, kept_by(model).beside(database).full_name}
    except OptionsError:  # which is told when it is used
        return True


def _is_usable(model: type[Document]) -> bool:
    try:
        hiding_of(model)
    except OptionsError:
        return False
    return True


def _rank(root: type[Document]) -> int:
    """Say how sure it is that documents are written, and recorded, by a class."""
    models = list(with_subclasses(root))
    if any(is_tracked(model) for model in models):
        return 2
    heard = signals.post_save.receivers_for(root) if signals.post_save.receivers else ()
    return int(track_changes in heard)
