"""In which session to read and write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mongoengine import connection

if TYPE_CHECKING:
    from pymongo import MongoClient
    from pymongo.client_session import ClientSession

# MongoEngine's development version has run_in_transaction, which keeps its session here.
_of_mongoengine = getattr(connection, "_get_session", lambda: None)


def active_session(client: MongoClient[Any]) -> ClientSession | None:
    """Return the session bound by PyMongo 4.17 or later or by MongoEngine, if it is *client*'s."""
    bound = getattr(client, "_get_bound_session", lambda: None)()
    session = bound or _of_mongoengine()
    return session if session is not None and session.client is client else None
