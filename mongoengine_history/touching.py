"""Which records say something about a path, as conditions of MongoDB. Knows no database."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from mongoengine_history.errors import OptionsError

if TYPE_CHECKING:
    from collections.abc import Sequence


DOT: Final = r"(?<!\\)\."
"""A dot that no backslash stands before."""


def conditions(path: str | Sequence[str | int]) -> list[dict[str, Any]]:
    """
    Return conditions, one of which holds for each record at *path*, below it or above it.

    Args:
        path: Stored names joined by dots, those inside of names escaped by a backslash; or a
            sequence of keys and indexes, which is exact.

    Raises:
        OptionsError: *path* is neither, or empty.
    """
    if "\x00" in "".join(map(str, path if isinstance(path, str | list | tuple) else ())):
        raise OptionsError("path", path, "no name holds a null")
    if isinstance(path, str) and path:
        return _of_text([re.sub(r"\\(.)", r"\1", name) for name in re.split(DOT, path)])
    if isinstance(path, list | tuple) and path and all(isinstance(key, str | int) for key in path):
        return _of_keys(list(path))
    raise OptionsError("path", path, "it must be names joined by dots, or a list of keys")


def _of_text(names: list[str]) -> list[dict[str, Any]]:
    text = ".".join(names)
    below = {"path": {"$regex": rf"^{re.escape(text)}(\.|$)"}}
    above = [{"action": "change", "path": ".".join(names[:end])} for end in range(1, len(names))]
    items = [
        {"path": ".".join(names[:start]), **_item(".".join(names[start:end]), names[end:])}
        for start in range(len(names))
        for end in range(start + 1, len(names) + 1)
    ]
    return [below, *above, *items]


def _of_keys(keys: list[str | int]) -> list[dict[str, Any]]:
    below = {f"keys.{place}": key for place, key in enumerate(keys)}
    above = [{"action": "change", "keys": keys[:end]} for end in range(1, len(keys))]
    items = [
        {"keys": keys[:place], **_item(key, keys[place + 1 :], is_exact=True)}
        for place, key in enumerate(keys)
    ]
    return [below, *above, *items]


def _item(key: str | int, rest: Sequence[str | int], *, is_exact: bool = False) -> dict[str, Any]:
    """Say that an item was added or removed as *key*, and that it holds what lies *rest* below."""
    item: dict[str, Any] = {"key": key if is_exact else {"$in": _meanings(key)}}
    if not any("." in str(name) or str(name).startswith("$") for name in rest):
        item |= _held(rest, is_exact=is_exact)
    held = {"data.items": {"$elemMatch": item}}
    # Nobody can look into values that are kept in parts.
    hidden = {"parts": {"$exists": True}, "data.items.key": item["key"]}
    return {"$or": [held, hidden]} if rest else held


def _held(rest: Sequence[str | int], *, is_exact: bool) -> dict[str, Any]:
    """Say that a value holds what lies *rest* below: a name leads into no list."""
    places = [".".join(["value", *map(str, rest[:end])]) for end in range(len(rest) + 1)]
    held: dict[str, Any] = {}
    for place, name in zip(places, rest, strict=False):
        if isinstance(name, int):
            held[place] = {"$type": "array"}
        elif is_exact or len(_meanings(name)) == 1:
            held[place] = {"$not": {"$type": "array"}}
    return {**held, places[-1]: {"$exists": True}} if rest else {}


def _meanings(name: str | int) -> list[str | int]:
    """Return the keys that a name of a text may mean: digits may be an index."""
    return [name, int(name)] if isinstance(name, str) and name.isdecimal() else [name]
