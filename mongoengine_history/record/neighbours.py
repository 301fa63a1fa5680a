"""What must not meet in one history: classes of the application, documents of two databases."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from mongoengine import Document, connection
from pymongo.errors import DuplicateKeyError

from mongoengine_history.documents.fieldrules import with_subclasses
from mongoengine_history.documents.options import OPTIONS_ATTRIBUTE, is_tracked
from mongoengine_history.errors import OptionsError
from mongoengine_history.record.history import alias_of, kept_by
from mongoengine_history.record.indexes import OWNER

if TYPE_CHECKING:
    from pymongo import MongoClient
    from pymongo.client_session import ClientSession
    from pymongo.collection import Collection

NEIGHBOUR: Final = (
    "the class {} of the application lies in its collection {!r}, and would read records as its "
    "documents. Put the records elsewhere: history=… of track_history, or of meta['history'], with "
    "a class derived from BaseHistory. Derive a class that is to read records from that one, too"
)

SECOND_DATABASE: Final = (
    "it says a db_alias, so it keeps the documents of one database, which is {!r}; those of {!r} "
    "need a class of their own derived from BaseHistory, or one without db_alias"
)

MIXED: Final = (
    "the documents of {}, which lie in another database, have their history in the same collection "
    "{!r}: one says a db_alias that leads there. Give one of the two another collection: history=… "
    "with a class derived from BaseHistory"
)

WHOSE: Final = "documents of"
"""The key of what says of which database a history elsewhere keeps the documents."""

_kept: Final[WeakKeyDictionary[MongoClient[Any], dict[str, str]]] = WeakKeyDictionary()
"""The databases of histories elsewhere that were looked up."""


def check_apart(model: Document | type[Document]) -> None:
    """
    Check that no class of the application lies in the collection of the history of *model*.

    One that knows whose a record is reads records on purpose.

    Raises:
        OptionsError: there is one.
    """
    kept = kept_by(model)
    collection = kept._meta["collection"]
    alias = kept.kept_at or alias_of(model)
    for known in with_subclasses(Document):
        lies_there = (known._meta.get("collection"), alias_of(known)) == (collection, alias)
        if lies_there and not _reads_records(known):
            problem = NEIGHBOUR.format(known.__name__, collection)
            raise OptionsError("history", kept.__name__, problem)
        if is_tracked(known) and _would_mix(model, known):
            raise OptionsError("history", kept.__name__, MIXED.format(known.__name__, collection))


def _would_mix(model: Any, known: Any) -> bool:
    """Say whether two classes of different databases have one history, which only one knows."""
    try:
        kept = kept_by(model), kept_by(known)
    except OptionsError:  # which is told when it is used
        return False
    if bool(kept[0].kept_at) == bool(kept[1].kept_at):  # a claim tells of both
        return False
    names, own = {it._meta["collection"] for it in kept}, (alias_of(model), alias_of(known))
    pairs = zip(kept, own, strict=True)
    there = {_database_of(it.kept_at or alias) for it, alias in pairs}
    return len(names) == len(there) == 1 and len({*map(_database_of, own)}) == 2


def _database_of(alias: str) -> Any:
    """Return which database an alias means, or the alias where that was not said yet."""
    said = connection._connection_settings.get(alias)
    return (said["name"], str(said["host"])) if said else alias


def _reads_records(known: Any) -> bool:
    """Say whether a class is one of records, or of versions."""
    is_ours = getattr(known, OPTIONS_ATTRIBUTE, known) is None
    return is_ours or set(known._db_field_map.values()) >= OWNER


def claim(history: Collection[Any], database: str) -> None:
    """
    Say in a history elsewhere that it keeps the documents of a database.

    Raises:
        OptionsError: it keeps those of another one.
    """
    with suppress(DuplicateKeyError):
        history.insert_one({"_id": WHOSE, "database": database})
    check_database(history, database, is_known=False)


def check_database(history: Collection[Any], database: str, *, is_known: bool = True) -> None:
    """
    Check that a history elsewhere keeps the documents of a database; asked once if *is_known*.

    Raises:
        OptionsError: it keeps those of another one.
    """
    kept = _kept.setdefault(history.database.client, {})
    if is_known and kept.get(history.full_name) == database:
        return
    claimed = database_of(history)
    if claimed not in {None, database}:
        problem = SECOND_DATABASE.format(claimed, database)
        raise OptionsError("history", history.full_name, problem)
    if claimed:
        kept[history.full_name] = database


def database_of(history: Collection[Any], session: ClientSession | None = None) -> str | None:
    """Read of which database a history elsewhere keeps the documents; None before the first."""
    found: str | None = (history.find_one({"_id": WHOSE}, session=session) or {}).get("database")
    return found
