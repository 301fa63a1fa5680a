"""The session that reads and writes of a history must join, where one is active."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mongoengine import connection
from pymongo.client_session import ClientSession

from mongoengine_history.errors import OptionsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymongo import MongoClient

# MongoEngine's development version has run_in_transaction, which keeps its session here.
_of_mongoengine = getattr(connection, "_get_session", lambda: None)


def active_session(client: MongoClient[Any]) -> ClientSession | None:
    """Return the session bound by PyMongo 4.17 or later or by MongoEngine, if it is *client*'s."""
    bound = getattr(client, "_get_bound_session", lambda: None)()
    session = bound or _of_mongoengine()
    return session if session is not None and session.client is client else None


def in_transaction(client: MongoClient[Any]) -> bool:
    """Say whether operations of *client* are part of a transaction now."""
    session = active_session(client)
    return session is not None and session.in_transaction


@contextmanager
def transaction(client: MongoClient[Any]) -> Iterator[None]:
    """
    Make all operations of *client* inside the block one transaction.

    Raises:
        OptionsError: PyMongo is too old to bind a session.
    """
    if not hasattr(ClientSession, "bind"):
        raise OptionsError("atomic", True, "it needs PyMongo 4.17 or later")
    with client.start_session() as session, session.bind(), session.start_transaction():
        yield


def can_transact(client: MongoClient[Any]) -> bool:
    """Say whether `transaction` works: by the release of PyMongo and by what the server is."""
    if not hasattr(ClientSession, "bind"):
        return False
    hello = client.admin.command("hello")
    return "setName" in hello or hello.get("msg") == "isdbgrid"
