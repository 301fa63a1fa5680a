"""Primary keys as one part of an address, whatever their type, and back."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any, Final

from bson.binary import UuidRepresentation
from bson.json_util import CANONICAL_JSON_OPTIONS, dumps, loads

from mongoengine_history.documents.snapshot import stored_key
from mongoengine_history.errors import OptionsError
from mongoengine_history.state.problem import UNREADABLE
from mongoengine_history.state.values import encode, wire

if TYPE_CHECKING:
    from mongoengine import Document

KEY_JSON: Final = CANONICAL_JSON_OPTIONS.with_options(
    uuid_representation=UuidRepresentation.STANDARD, document_class=dict
)

PLAIN: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,199}\Z")
"""Keys that stand in an address as they are; nothing in them means anything there."""

CODED: Final = "~"
"""What others begin with: canonical Extended JSON follows, in Base64 for addresses."""


def key_text(model: type[Document], key: Any) -> str:
    """Write a primary key, as a part of an address."""
    text = str(key)
    if PLAIN.match(text) and _is_key(model, text, key):
        return text
    coded = base64.urlsafe_b64encode(dumps(key, json_options=KEY_JSON).encode())
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
