"""What "equal" means here: the same BSON, in type, value and order of keys. Knows no database."""

from __future__ import annotations

from itertools import chain
from math import isnan
from typing import TYPE_CHECKING, Any, Final

import bson
from bson import ObjectId
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions, DatetimeConversion

if TYPE_CHECKING:
    from collections.abc import Iterable

State = dict[str, Any]
"""One document as plain BSON data at one moment, without its ``_id``."""

Path = tuple[str | int, ...]
"""The way into a state: a ``str`` is a key, an ``int`` the index of a list."""

WIRE: Final[CodecOptions[dict[str, Any]]] = CodecOptions(
    document_class=dict,
    uuid_representation=UuidRepresentation.UNSPECIFIED,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)
"""Decodes BSON so that encoding gives back the same bytes, whatever an application's codec does."""


SIMPLE_TYPES: Final = {str, int, bool, ObjectId, type(None)}
"""Types of decoded values of which equal ones of one type are the same BSON."""


class Absent:
    """No value at all, which is neither None nor empty; there is one, `ABSENT`."""

    def __repr__(self) -> str:
        return "ABSENT"

    def __reduce__(self) -> str:
        return "ABSENT"  # there is only one, also after a copy


ABSENT: Final = Absent()


def encode(value: object) -> bytes:
    """Encode any value that `WIRE` decoded. Equal bytes mean equal values."""
    return bson.encode({"": value}, codec_options=WIRE)


def identifier(key: object) -> object:
    """
    Return what tells a primary key from all others and can be looked up; not to be stored.

    The server takes numbers that are equal for one key, whatever their types.
    """
    if type(key) is ObjectId:
        return key.binary + b"\x01"  # which no encoded one ends with; looked up faster than itself
    is_number = isinstance(key, (int, float)) and not isinstance(key, bool) and not isnan(key)
    return key if is_number or type(key) is str else encode(key)


def same(first: object, second: object) -> bool:
    """Say whether two values are the same BSON: ``1``, ``1.0`` and ``True`` are three values."""
    if first is second:
        return True
    if first is ABSENT or second is ABSENT:
        return False
    if type(first) in SIMPLE_TYPES and type(second) in SIMPLE_TYPES:  # a short cut, no other result
        return type(first) is type(second) and first == second
    return encode(first) == encode(second)


def wire(document: Any, codec: CodecOptions[Any]) -> State:
    """
    Copy a document of Python values as the server would store it.

    Args:
        document: A mapping that *codec* can encode.
        codec: The options of the collection that the document lies in.

    Raises:
        bson.errors.InvalidDocument: *document* holds a value that BSON cannot hold.
    """
    return bson.decode(bson.encode(document, codec_options=codec), codec_options=WIRE)


def native(state: State, codec: CodecOptions[Any]) -> Any:
    """Copy a state as an application with the options *codec* reads it."""
    return bson.decode(bson.encode(state, codec_options=WIRE), codec_options=codec)


def find(state: Any, path: Path) -> Any:
    """Return the value at *path*, or `ABSENT`."""
    for key in path:
        if isinstance(key, str) and isinstance(state, dict) and key in state:
            state = state[key]
        elif isinstance(key, int) and isinstance(state, list) and key < len(state):
            state = state[key]
        else:
            return ABSENT
    return state


def items_in(value: Any) -> Iterable[tuple[Any, Any]]:
    """Return what lies in a dict or a list, by keys or indexes; in anything else is nothing."""
    if isinstance(value, dict):
        return value.items()
    return enumerate(value) if isinstance(value, list) else ()


def unordered(value: Any) -> Any:
    """Return *value* with the keys of all dicts sorted, to compare where order does not count."""
    if isinstance(value, dict):
        pairs = sorted(value.items())
        return {key: unordered(it) if isinstance(it, (dict, list)) else it for key, it in pairs}
    return [unordered(item) for item in value] if isinstance(value, list) else value


def depth(value: object) -> int:
    """Count how deep dicts and lists nest in *value*: 0 for a scalar, 1 for ``{}``."""
    levels, inside = 0, [value]
    while inside := [it for it in inside if isinstance(it, (dict, list))]:
        children = (it.values() if isinstance(it, dict) else it for it in inside)
        levels, inside = levels + 1, [*chain.from_iterable(children)]
    return levels
