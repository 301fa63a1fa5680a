"""By which conditions the server finds what records say about a path."""

from __future__ import annotations

import re
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from mongoengine_history.documents.attributes import stored_paths
from mongoengine_history.errors import OptionsError
from mongoengine_history.state.merge import path_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mongoengine import Document

MOST_NAMES: Final = 100
"""Names of a path that is asked for: about as deep as a document can nest."""

LONGEST_PATH: Final = 4 * 1024
"""Bytes of such a path; patterns are made of it, which the server limits."""

LEVELS: Final = 10
"""Levels of an item at which a name is kept from leading into a list; each is a condition."""

DIGITS: Final = 9
"""Digits that an index may have; no document has room for a longer list."""

LARGEST_KEY: Final = 2**63
"""No integer that BSON can hold is larger, or smaller than its negative."""


def conditions(
    path: str | Sequence[str | int], model: type[Document] | None = None
) -> list[dict[str, Any]]:
    """
    Return conditions, one of which holds for each record at *path*, below it or above it.

    With *model* names may be those of its attributes, and have to be known to it.

    Raises:
        OptionsError: *path* is neither names joined by dots, those inside of names escaped by a
            backslash, nor a sequence of keys and indexes, which is exact; or it is empty, has more
            than 100 names or 4 kB, cannot be encoded, or leads to nothing in the class.
    """
    _check(path)
    if not isinstance(path, str):
        return _of_keys(_few(path, list(path)))
    names = _few(path, path_names(path))
    paths = [names] if model is None else map(list, stored_paths(model, names))
    return [condition for stored in paths for condition in _of_text(stored)]


def _check(path: Any) -> None:
    keys = [path] if isinstance(path, str) else path
    if not path or not isinstance(keys, list | tuple) or not all(map(_is_key, keys)):
        raise OptionsError("path", path, "it must be names joined by dots, or a list of keys")
    text = ".".join(map(str, keys))
    if "\x00" in text:
        raise OptionsError("path", path, "no name holds a null")
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise OptionsError("path", path, f"it is no text ({error})") from error
    if size > LONGEST_PATH:
        raise OptionsError("path", path, f"it is longer than {LONGEST_PATH} bytes")


def _is_key(key: object) -> bool:
    return isinstance(key, str) or (isinstance(key, int) and -LARGEST_KEY <= key < LARGEST_KEY)


def _few(path: Any, names: list[Any]) -> list[Any]:
    if len(names) > MOST_NAMES:
        raise OptionsError("path", path, f"it has more than {MOST_NAMES} names")
    return names


def _of_text(names: list[str]) -> list[dict[str, Any]]:
    roots = [".".join(names[:end]) for end in range(len(names) + 1)]
    below = {"path": {"$regex": rf"^{re.escape(roots[-1])}(\.|$)"}}
    above = [{"action": "change", "path": root} for root in roots[1:-1]]
    items = [
        {"path": root, **_item(name, names[start + 1 :])}
        for start, (root, name) in enumerate(zip(roots, names, strict=False))
    ]
    dotted = [
        {"path": root, "data.items.key": {"$regex": _dotted(names[start:])}}
        for start, root in enumerate(roots[:-2])
    ]
    return [below, *above, *items, *dotted]


def _dotted(names: list[str]) -> str:
    """
    Match two or more of the first *names* joined by dots: in a text they may be one name.

    What an item of such a name holds is not asked for: that would be a condition for each pair.
    """
    first, second, *others = map(re.escape, names)
    more = "".join(rf"(?:\.{name}" for name in others)
    return rf"^{first}\.{second}{more}{')?' * len(others)}$"


def _of_keys(keys: list[str | int]) -> list[dict[str, Any]]:
    below = {f"keys.{index}": key for index, key in enumerate(keys)}
    above = [{"action": "change", "keys": keys[:end]} for end in range(1, len(keys))]
    items = [
        {"keys": keys[:index], **_item(key, keys[index + 1 :], is_exact=True)}
        for index, key in enumerate(keys)
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
    """Say that a value holds what lies *rest* below: a name leads into no list near the top."""
    targets = list(accumulate(["value", *map(str, rest)], "{}.{}".format))
    held: dict[str, Any] = {}
    for target, name in zip(targets[:LEVELS], rest, strict=False):
        if isinstance(name, int):
            held[target] = {"$type": "array"}
        elif is_exact or len(_meanings(name)) == 1:
            held[target] = {"$not": {"$type": "array"}}
    return {**held, targets[-1]: {"$exists": True}} if rest else {}


def _meanings(name: str | int) -> list[str | int]:
    """Return the keys that a name of a text may mean: digits may be an index."""
    is_index = isinstance(name, str) and name.isdecimal() and len(name) <= DIGITS
    return [name, int(name)] if is_index else [name]
