"""Whether this process is connected to where the documents of a class lie, and their history."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mongoengine import get_db
from mongoengine.connection import ConnectionFailure

from mongoengine_history.errors import OptionsError
from mongoengine_history.record.history import kept_by

if TYPE_CHECKING:
    from mongoengine import Document
    from pymongo.database import Database


def connected(where: type[Document] | str) -> Database[Any] | None:
    """
    Return the database of a class, or of an alias; None if there is no connection to it.

    A class needs one to its history as well.
    """
    try:
        if isinstance(where, str):
            alias: Database[Any] = get_db(where)
            return alias
        database: Database[Any] = where._get_db()
        with suppress(OptionsError):  # which is told when the class is used
            kept_by(where).beside(database)
    except ConnectionFailure:
        return None
    return database
