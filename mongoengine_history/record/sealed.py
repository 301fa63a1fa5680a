"""Clients that decrypt what they read: the history has the ciphertext, as it is stored.

With ``auto_encryption_opts`` PyMongo decrypts each answer. So what is read and written for the
history goes through a client that is the same in all else, and is closed with the first one.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any, Final, TypeVar

import bson

from mongoengine_history.errors import OptionsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bson.codec_options import CodecOptions
    from pymongo import MongoClient
    from pymongo.collection import Collection

T = TypeVar("T", bound="Mapping[str, Any] | None")

_making: Final = Lock()


def is_decrypting(client: MongoClient[Any]) -> bool:
    """Say whether a client decrypts what it reads."""
    return client.options.auto_encryption_opts is not None


def is_encrypting(client: MongoClient[Any]) -> bool:
    """Say whether a client encrypts what it writes, by rules of its own."""
    options: Any = client.options.auto_encryption_opts
    return options is not None and not options._bypass_auto_encryption


def sealed(client: MongoClient[Any]) -> MongoClient[Any]:
    """
    Return a client that decrypts nothing: the same one, or one that it keeps for that.

    Raises:
        OptionsError: the client encrypts what it writes, which no other one can do for it.
        pymongo.errors.InvalidOperation: it was closed.
    """
    if not is_decrypting(client):
        return client
    if is_encrypting(client):
        raise OptionsError(
            "auto_encryption_opts",
            "…",  # they hold keys
            "with automatic encryption nobody can tell what a write stores. Encrypt explicitly, "
            "with bypass_auto_encryption=True, or give the class a connection that does not "
            "encrypt, or write in an untracked() block",
        )
    # PyMongo has no public names for this. It keeps such a client itself, to read keys.
    encrypter: Any = client._encrypter
    encrypter._check_closed()
    with _making:
        if getattr(encrypter, "_internal_client", None) is None:
            twin = client._duplicate(minPoolSize=0, auto_encryption_opts=None)
            encrypter._internal_client = twin
    kept: MongoClient[Any] = encrypter._internal_client
    return kept


def sealed_collection(collection: Collection[Any]) -> Collection[Any]:
    """Return the same collection of a client that decrypts nothing, as `sealed` does."""
    database = collection.database
    client = sealed(database.client)
    if client is database.client:
        return collection
    return client.get_database(database.name, **_options(database)).get_collection(
        collection.name, **_options(collection)
    )


def _options(source: Any) -> dict[str, Any]:
    names = ("codec_options", "read_preference", "write_concern", "read_concern")
    return {name: getattr(source, name) for name in names}


def readable(document: T, collection: Collection[Any], codec: CodecOptions[Any]) -> T:
    """Return what the client of a collection would have read: decrypted, if it does that."""
    client = collection.database.client
    if document is None or not is_decrypting(client):
        return document
    encrypter: Any = client._encrypter
    raw = encrypter.decrypt(bson.encode(document, codec_options=codec))
    read: T = bson.decode(raw, codec_options=codec)
    return read
