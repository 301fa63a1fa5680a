"""The server that is asked. No password of its URI is told."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_plus

import mongoengine
from mongoengine import connection
from pymongo import MongoClient
from pymongo.errors import ConfigurationError, ConnectionFailure, PyMongoError

from mongoengine_history.embedded import NoServerError

if TYPE_CHECKING:
    from pymongo.database import Database

PATIENCE_SECONDS: Final = 5
"""How long a server may take to answer."""

OWN_ALIAS: Final = "mongoengine_history_cli"
"""MongoEngine's name of the connection for collections whose class is not there."""

SECRETS_IN_URI: Final = re.compile(r"://[^/@]*?:(.*)@")

ANY_PASSWORD: Final = re.compile(r"(://[^\s/@:]*):\S*@")

INSTEAD_OF_SECRETS: Final = "***"


def without_passwords(text: str, uri: str | None) -> str:
    """
    Return a text without passwords of URIs that stand in it.

    Nor has it those of *uri*, be they as they stand there, or decoded.
    """
    text = ANY_PASSWORD.sub(rf"\1:{INSTEAD_OF_SECRETS}@", text)
    for secret in SECRETS_IN_URI.findall(uri or ""):
        for each in {secret, unquote_plus(secret)} - {""}:
            text = text.replace(each, INSTEAD_OF_SECRETS)
    return text


def is_registered(alias: str) -> bool:
    """Say whether the application has said where a connection leads."""
    return alias in connection._connection_settings


def database_of(alias: str) -> str:
    """Return the name of the database that the application has said."""
    name: str = connection._connection_settings[alias]["name"]
    return name


def connect(uri: str, database: str | None, alias: str) -> MongoClient[Any]:
    """
    Give MongoEngine a connection, in the place of one that is registered.

    Raises:
        NoServerError: the URI is none, no server answers, or none of them names a database.
    """
    client = _client(uri)
    try:
        name = database or _named_in(client)
        expect_answer(client)
        if is_registered(alias):
            mongoengine.disconnect(alias)
        _register(alias, name, client)
    except BaseException:
        client.close()
        raise
    return client


def also(alias: str, other: str) -> None:
    """Let another alias lead to the same."""
    _register(other, database_of(alias), mongoengine.get_connection(alias))


def is_there(database: Database[Any], collection: str) -> bool:
    """Say whether a database has a collection."""
    found = database.list_collection_names(filter={"name": collection}, authorizedCollections=True)
    return bool(found)


def _register(alias: str, database: str, client: MongoClient[Any]) -> None:
    """Name a connection; MongoEngine gets no URI, so that it can put no password into an error."""
    mongoengine.connect(
        database, alias, mongo_client_class=lambda **_: client, uuidRepresentation="standard"
    )


def _client(uri: str) -> MongoClient[Any]:
    milliseconds = PATIENCE_SECONDS * 1000
    try:
        with warnings.catch_warnings():  # of options that are none, with their values
            warnings.simplefilter("error", UserWarning)
            return MongoClient(
                uri,
                serverSelectionTimeoutMS=milliseconds,
                uuidRepresentation="standard",
                datetime_conversion="DATETIME_AUTO",  # also moments that Python has no datetime for
            )
    except (PyMongoError, ValueError, UserWarning) as error:  # whose text may quote a password
        hint = f"({type(error).__name__}); it looks like mongodb://localhost:27017/shop"
        raise NoServerError(f"The URI is none of MongoDB {hint}") from None


def _named_in(client: MongoClient[Any]) -> str:
    try:
        return client.get_default_database().name
    except ConfigurationError:
        raise NoServerError("Which database? Name it in the URI, or by --database.") from None


def expect_answer(client: MongoClient[Any]) -> None:
    """Raise a NoServerError if no server answers."""
    try:
        client.admin.command("ping")
    except ConnectionFailure:
        servers = client.topology_description.server_descriptions()
        where = ", ".join(f"{host}:{port}" if port else str(host) for host, port in sorted(servers))
        problem = f"No MongoDB answers at {where} within {PATIENCE_SECONDS} s."
        raise NoServerError(problem) from None
