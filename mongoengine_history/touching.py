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
        {"keys": keys[:place], **_item(key, keys[place + 1 :])} for place, key in enumerate(keys)
    ]
    return [below, *above, *items]


def _item(key: str | int, rest: Sequence[str | int]) -> dict[str, Any]:
    """Say that an item was added or removed as *key*, and that it holds what lies *rest* below."""
    number = int(key) if isinstance(key, str) and key.isdecimal() else key
    item: dict[str, Any] = {"key": {"$in": [key, number]} if number != key else key}
    if rest and not any("." in str(name) or str(name).startswith("$") for name in rest):
        item[".".join(["value", *map(str, rest)])] = {"$exists": True}
    held = {"data.items": {"$elemMatch": item}}
    return {"$or": [held, {"parts": {"$exists": True}}]}  # nobody can look into parts
