"""Names of classes and primary keys, whatever they are, as one part of an address each."""

from __future__ import annotations

import base64
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from bson.binary import UuidRepresentation
from bson.json_util import CANONICAL_JSON_OPTIONS, dumps, loads

from mongoengine_history.documents.snapshot import stored_key
from mongoengine_history.errors import OptionsError
from mongoengine_history.faces.classless import Classless
from mongoengine_history.state.problem import UNREADABLE
from mongoengine_history.state.values import encode, wire

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mongoengine import Document

KEY_JSON: Final = CANONICAL_JSON_OPTIONS.with_options(
    uuid_representation=UuidRepresentation.STANDARD, document_class=dict
)

PLAIN: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,199}\Z")
"""Keys that stand in an address as they are; nothing in them means anything there."""

CODED: Final = "~"
"""What others begin with: canonical Extended JSON follows, in Base64 for addresses."""

OWN_PAGES: Final = ("changesets", "static")
"""What the addresses of pages begin with that are of no class."""


def named(models: Iterable[type[Document]]) -> dict[str, type[Document]]:
    """
    Give each class a name of its own.

    It is the one that MongoEngine knows it by, of a class for a collection that of the collection;
    with the module before it where two of several modules have the same. Of a class that was
    defined anew, as in a notebook, the newest counts.
    """
    newest = {(it.__module__, name_of(it)): it for it in models}
    count = Counter(name for _, name in newest)
    return {
        name if count[name] == 1 else f"{module}.{name}": it
        for (module, name), it in newest.items()
    }


def name_of(model: type[Document]) -> str:
    """Return the name of a class, which two may have."""
    name: str = model.__name__ if issubclass(model, Classless) else model._class_name
    return name


def name_text(name: str) -> str:
    """Write the name of a class, as a part of an address."""
    return name if PLAIN.match(name) and name not in OWN_PAGES else _coded(name)


def key_text(model: type[Document], key: Any) -> str:
    """Write a primary key, as a part of an address."""
    text = str(key)
    if PLAIN.match(text) and _is_key(model, text, key):
        return text
    return _coded(key)


def _coded(value: Any) -> str:
    coded = base64.urlsafe_b64encode(dumps(value, json_options=KEY_JSON).encode())
    return CODED + coded.decode().rstrip("=")


def _is_key(model: type[Document], text: str, key: Any) -> bool:
    try:
        codec = model._get_collection().codec_options
        read, meant = (wire({"": it}, codec) for it in (stored_key(model, text), key))
        return encode(read) == encode(meant)
    except OptionsError:
        return False


def key_in_text(model: type[Document], text: str) -> Any:
    """
    Read a primary key that `key_text` wrote.

    Raises:
        OptionsError: it is none.
    """
    if not text.startswith(CODED):
        return stored_key(model, text)
    try:
        coded = text.removeprefix(CODED)
        key = loads(
            base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4)), json_options=KEY_JSON
        )
    except (*UNREADABLE, RecursionError) as error:  # nor is it JSON
        raise OptionsError("pk", text, "it is no primary key") from error
    return stored_key(model, key)
