"""In which session to read and write, and transactions."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from itertools import count
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeVar

from mongoengine import connection
from pymongo.client_session import ClientSession
from pymongo.errors import InvalidOperation, PyMongoError

from mongoengine_history.errors import OptionsError, WriteConflictError
from mongoengine_history.record.sealed import is_decrypting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pymongo import MongoClient

T = TypeVar("T")

APART: Final = (
    "the client decrypts (auto_encryption_opts), so what is recorded goes through another one, "
    "which can join none of its sessions. Do it outside of the session, or in an untracked() block"
)
"""Why a client that decrypts has no sessions for the history."""

TRIED_AGAIN: Final = 30
"""Seconds after which a transaction that others came in between is not tried again."""

TRANSACTING: Final = {"RSPrimary", "Mongos", "LoadBalancer"}

NO_TRANSACTIONS: Final = (
    "the server has none: it must be a replica set, if only of itself, or a sharded cluster"
)

CONCERNED: Final = (
    "the client has a write concern of its own, {}. PyMongo sends it with each command of a bound "
    "session, where no server takes it. Leave it out of the address and of connect(): the server "
    "has a default, which is majority since 5.0"
)

OVER: Final = (
    "its transaction is over, be it an atomic changeset, but a task that began in it goes on. Wait "
    "for the task inside, or begin it outside"
)

# MongoEngine's development version has run_in_transaction, which keeps its session here.
_of_mongoengine = getattr(connection, "_get_session", lambda: None)


def active_session(client: MongoClient[Any]) -> ClientSession | None:
    """
    Return the session bound by PyMongo 4.17 or later or by MongoEngine, if it is *client*'s.

    Raises:
        OptionsError: it has ended.
    """
    bound = getattr(client, "_get_bound_session", lambda: None)()
    session: ClientSession | None = bound or _of_mongoengine()
    if session is None or session.client is not client:
        return None
    _check_ended(session)
    return session


def is_bound(client: MongoClient[Any]) -> bool:
    """Say whether a session of *client*, and not of another one, is active."""
    try:
        return active_session(client) is not None
    except InvalidOperation:
        return False


def in_transaction(client: MongoClient[Any]) -> bool:
    """Say whether operations of *client* are part of a transaction now."""
    session = active_session(client)
    return session is not None and session.in_transaction


@contextmanager
def transaction(client: MongoClient[Any]) -> Iterator[None]:
    """Make all operations of *client* inside the block one transaction; what is late is refused."""
    session = client.start_session()
    try:
        with session, session.bind(), session.start_transaction():
            yield
    finally:  # PyMongo calls it before each command, also of classes that are not tracked
        session._check_ended = partial(_check_ended, session)  # type: ignore[method-assign]


def _check_ended(session: ClientSession) -> None:
    if session.has_ended:
        raise OptionsError("session", session, OVER)


def transacted(client: MongoClient[Any], work: Callable[[], T]) -> T:
    """
    Do some work in one transaction, and again where others came in between: it has to allow that.

    Raises:
        WriteConflictError: they did so again and again. Nothing of it was written.
        Exception: whatever the work raises. Nothing of it was written.
    """
    until, attempts = monotonic() + TRIED_AGAIN, count(1)

    def once(_: object) -> T:
        attempt = next(attempts)
        try:
            return transiently(work)
        except PyMongoError as error:
            if is_transient(error) and monotonic() >= until:
                raise WriteConflictError(attempt) from error
            raise

    with client.start_session() as session, session.bind(end_session=False):
        done: T = session.with_transaction(once)
    return done


def transiently(work: Callable[[], T]) -> T:
    """
    Do some work in a transaction; that this may be tried again is told as the server told it.

    Raises:
        pymongo.errors.PyMongoError: it may be tried again, whatever MongoEngine made of that.
        Exception: whatever else the work raises.
    """
    try:
        return work()
    except Exception as error:
        told: BaseException | None = error
        while told is not None and not is_transient(told):
            told = told.__cause__ or told.__context__
        if told is None or told is error:
            raise
        raise told from None


def is_transient(error: BaseException) -> bool:
    """Say whether a transaction that failed may be tried again."""
    return isinstance(error, PyMongoError) and error.has_error_label("TransientTransactionError")


def can_transact(client: MongoClient[Any]) -> bool:
    """Say whether `transaction` works."""
    try:
        check_transactions(client)
    except OptionsError:
        return False
    return True


def check_transactions(client: MongoClient[Any]) -> None:
    """
    Check that `transaction` works: by PyMongo, by the client, and by what the server is.

    Raises:
        OptionsError: it does not.
    """
    if not hasattr(ClientSession, "bind"):
        raise OptionsError("atomic", True, "it needs PyMongo 4.17 or later")
    if is_decrypting(client):
        raise OptionsError("atomic", True, APART)
    if not client.write_concern.is_server_default:
        raise OptionsError("atomic", True, CONCERNED.format(client.write_concern.document))
    servers = client.topology_description.server_descriptions().values()
    if not TRANSACTING & {it.server_type_name for it in servers}:  # or none was asked yet
        hello = client.admin.command("hello")
        if "setName" not in hello and hello.get("msg") != "isdbgrid":
            raise OptionsError("atomic", True, NO_TRANSACTIONS)
