"""Somebody who answers for revisions becomes nobody, or another name, wherever that stands."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mongoengine_history.back.databases import Databases
from mongoengine_history.capture.changeset import context_of
from mongoengine_history.documents.snapshot import check_progress
from mongoengine_history.errors import OptionsError
from mongoengine_history.record.history import database_at
from mongoengine_history.record.naming import types_naming, whom_naming
from mongoengine_history.record.place import Place, place_of_events
from mongoengine_history.record.revisions import Revisions
from mongoengine_history.state.context import identity_of, plain
from mongoengine_history.state.redaction import Forgotten
from mongoengine_history.trust.forgetting.forget import forget_each
from mongoengine_history.trust.forgetting.receipt import Receipt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pymongo.database import Database

WHAT = "an identity"
"""What is forgotten; the receipt does not say whose."""


def anonymise(
    identity: object,
    as_: object = None,
    *,
    using: str | None = None,
    progress: Callable[[Receipt], object] | None = None,
) -> Receipt:
    """
    Replace an identity in all histories of a database, for good. Reads all of it, and writes.

    It stands for who answers for revisions, or pruned them, and as any value in their metadata,
    such as ``on_behalf_of``. Values of documents are not looked at: `redact` and `erase` them. Each
    history gets a revision of operation ``redact``, and its checksums still prove the rest. If it
    is broken off, ask again: that finishes it.

    Args:
        identity: A saved document, of which the primary key is meant, or any BSON value.
        as_: What stands there from now on, such as a pseudonym; None is nobody.
        using: The alias of the connection, if not the default one.
        progress: Is called with the receipt of each document.

    Returns:
        The receipt of all together.

    Raises:
        OptionsError: an argument cannot be used, or no class of this process has documents in the
            collection that a record names; nothing was written. Or a transaction is active. Or a
            document is held: it stays as it is, and all others were done with before.
        HistoryError: a history cannot be read.
    """
    check_progress(progress, "a receipt")
    database = database_at(using, "using")
    who, other = (_plain(name, it, database) for name, it in (("identity", identity), ("as_", as_)))
    if who is None:
        raise OptionsError("identity", identity, "nobody is not somebody to forget")
    forgotten = Forgotten({}, renamed=(who, other))
    databases = Databases()
    places = {name: _place(databases, database, name) for name in types_naming(who, database)}
    asked = {
        name: forgotten.said_of(context_of(it.options, it.codec)) for name, it in places.items()
    }
    found = (
        (Revisions(places[name], key), asked[name])
        for name, key in whom_naming(who, database)
        if name in places  # which is new by now, and of a class that may be unknown
    )
    return forget_each(
        found, forgotten, Receipt(WHAT, None, None), _all(databases, database), progress
    )


def _all(databases: Databases, database: Database[Any]) -> Iterator[Place]:
    """Yield where the documents of all classes lie that can have a history."""
    for model in databases.models(database):
        with suppress(OptionsError):
            yield Place(model)


def _plain(name: str, value: object, database: Database[Any]) -> Any:
    return plain(name, identity_of(value), database.codec_options)


def _place(databases: Databases, database: Database[Any], name: str) -> Place:
    """Return where the documents of a collection lie, those of none included: its events."""
    if not name:
        return place_of_events(database)
    today = databases.name_today(database, name)
    found = databases.classes(database, today)
    if not found:
        problem = f"import the module that defines the class of the collection {name!r} first"
        raise OptionsError("identity", "…", problem)
    return Place(found[0], database[today])
