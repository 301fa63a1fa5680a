"""What all histories of a database have of a changeset, and of somebody whom they name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mongoengine import Document

from mongoengine_history.documents.fieldrules import concrete
from mongoengine_history.errors import OptionsError
from mongoengine_history.record.connected import connected
from mongoengine_history.record.history import BaseHistory, kept_by
from mongoengine_history.record.neighbours import database_of
from mongoengine_history.record.place import LOCAL, PRIMARY
from mongoengine_history.record.sealed import sealed, sealed_collection
from mongoengine_history.record.sessions import in_transaction
from mongoengine_history.state.revision import UNCHANGING
from mongoengine_history.state.values import WIRE, identifier, items_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymongo import MongoClient
    from pymongo.collection import Collection
    from pymongo.database import Database

NAMING: Final = ("identity", "metadata", "pruned")
"""The fields of a record that may name somebody."""


def revisions_of(
    changeset: object, database: Database[Any], session: Any
) -> Iterator[tuple[str, Any]]:
    """
    Find the first record of each revision by which a changeset changed something somewhere.

    With each comes the full name of the history that has it.
    """
    wanted = ("document_type", "document_id", "revision", "stamp", "operation")
    query: dict[str, Any] = {
        "changeset": changeset,
        "position": 0,
        "operation": {"$nin": [*UNCHANGING]},
    }
    for history in map(_exactly, _histories(database)):
        client = history.database.client
        if client is not sealed(database.client) and in_transaction(database.client):
            continue  # where it cannot be asked, and nothing can have been written
        own = session if session and session.client is client else None
        yield from ((history.full_name, it) for it in history.find(query, wanted, session=own))


def clients_of(changeset: object, database: Database[Any]) -> list[MongoClient[Any]]:
    """Return the clients of histories that know a changeset, if they are not the database's."""
    query = {"changeset": changeset, "position": 0}
    apart = [it for it in _histories(database) if it.database.client is not database.client]
    return [it.database.client for it in apart if it.find_one(query)]


def types_naming(who: object, database: Database[Any]) -> set[str]:
    """Name the collections of which a document has records that name somebody."""
    return {name for name, _ in whom_naming(who, database)}


def whom_naming(who: object, database: Database[Any]) -> Iterator[tuple[str, Any]]:
    """
    Find the documents that have records which name somebody: each collection, and key.

    Goes through all of the history, since no index knows what metadata holds. A document may come
    several times.
    """
    there = {"$exists": True}
    query = {"$or": [{"identity": {"$eq": who}}, {"metadata": there}, {"pruned": there}]}
    wanted = ("document_type", "document_id", *NAMING)
    last = None
    for history in map(_exactly, _histories(database)):
        for it in history.find(query, wanted):
            found = it["document_type"], it.get("document_id")
            if found != last and any(_holds(it.get(name), identifier(who)) for name in NAMING):
                last = found
                yield found


def _holds(value: Any, who: object) -> bool:
    """Say whether a value is somebody, or names him anywhere in it."""
    return identifier(value) == who or any(_holds(it, who) for _, it in items_in(value))


def _exactly(kept: Collection[Any]) -> Collection[Any]:
    """Return a history as it is read: what was written last, as it is stored."""
    return sealed_collection(kept.with_options(WIRE, PRIMARY, read_concern=LOCAL))


def _histories(database: Database[Any]) -> list[Collection[Any]]:
    """Return where the records of the documents of a database lie."""
    beside = [it.beside(database) for it in concrete(BaseHistory) if not it.kept_at]
    kept = [(it, _kept_apart(it)) for it in concrete(Document)]
    apart = [own.beside(database) for it, own in kept if own and _keeps(own, it, database)]
    return list({it.full_name: it for it in [*beside, *apart]}.values())


def _keeps(kept: type[BaseHistory], model: type[Document], database: Database[Any]) -> bool:
    """Say whether a history elsewhere keeps the documents of a database: it says so itself."""
    own = connected(model)
    if own is None:
        return False
    history = sealed_collection(kept.beside(database))
    with history.database.client.start_session() as apart:  # in nobody's transaction
        claimed = database_of(history, apart)
    return own == database if claimed in {None, own.name} else claimed == database.name


def _kept_apart(model: type[Document]) -> type[BaseHistory] | None:
    """Return the class of the records of a class, if they lie on a connection of their own."""
    try:
        kept = kept_by(model)
    except OptionsError:  # nothing of a class was recorded whose options cannot be used
        return None
    return kept if kept.kept_at else None
