"""What patches changed, value by value, as plain dicts: for an API or a page. Knows no database."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any, Final

from bson.binary import UuidRepresentation
from bson.json_util import RELAXED_JSON_OPTIONS, default

from mongoengine_history.state.mask import fingerprint_of, is_mask
from mongoengine_history.state.patches import CHANGE, REMOVE
from mongoengine_history.state.values import ABSENT
from mongoengine_history.state.wording import readable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mongoengine_history.state.values import Path

    Patches = Iterable[tuple[str, Sequence[str | int], Any]]

JSON: Final = RELAXED_JSON_OPTIONS.with_options(uuid_representation=UuidRepresentation.STANDARD)
"""How values become Extended JSON, native UUIDs among them."""


def told(patches: Patches, item_key: str, names: Callable[[Path], Path]) -> list[dict[str, Any]]:
    """Tell each value that patches set, in their order; see `Revision.to_dict`."""
    changes: list[dict[str, Any]] = []
    removed: dict[tuple[Path, str], dict[str, Any]] = {}
    for action, root, data in patches:
        values = [((*root,), *data)] if action == CHANGE else _pairs(action, tuple(root), data)
        for path, old, new in values:
            item = (path[:-1], _key(new if old is ABSENT else old, item_key))
            if item[1] and old is ABSENT and isinstance(path[-1], int) and item in removed:
                change = removed.pop(item)  # put in elsewhere: told once, where it was taken out
                change.update(kind="moved", **{"from": change["keys"], "keys": path, "new": new})
                continue
            changes.append(_change(path, old, new))
            if item[1] and new is ABSENT and isinstance(path[-1], int):
                removed[item] = changes[-1]
    return [_named(change, item_key, names) for change in changes]


def _pairs(action: str, root: Path, data: Any) -> list[tuple[Path, Any, Any]]:
    if action == REMOVE:
        return [((*root, key), value, ABSENT) for key, value in data]
    return [((*root, key), ABSENT, value) for key, value in data]


def _change(keys: Any, old: object, new: object) -> dict[str, Any]:
    sides = {name: it for name, it in (("old", old), ("new", new)) if it is not ABSENT}
    kind = "added" if old is ABSENT else "removed" if new is ABSENT else "edited"
    return {"kind": kind, "keys": keys, **sides}


def _named(change: dict[str, Any], item_key: str, names: Callable[[Path], Path]) -> dict[str, Any]:
    """Give a change its paths, and what happened to the items of a list that changed as a whole."""
    told = {**change, "keys": list(names(change["keys"]))}
    told = {"kind": told.pop("kind"), "path": readable(tuple(told["keys"])), **told}
    if "from" in change:
        told["from"] = readable(names(change["from"]))
    items = _items(change.get("old"), change.get("new"), item_key)
    return told if items is None else {**told, "items": items}


def _items(old: object, new: object, item_key: str) -> list[dict[str, Any]] | None:
    """Tell items of two lists; None unless each has a key of its own in each list."""
    before, after = _by_key(old, item_key), _by_key(new, item_key)
    if before is None or after is None:
        return None
    kept = [key for key in before if key in after], [key for key in after if key in before]
    blocks = SequenceMatcher(None, *kept, autojunk=False).get_matching_blocks()
    stayed = {key for start, _, size in blocks for key in kept[0][start : start + size]}
    told = [_change(at, it, ABSENT) for key, (at, it) in before.items() if key not in after]
    for key, (at, item) in after.items():
        was, former = before.get(key, (at, ABSENT))
        if former is not ABSENT and key not in stayed:
            told.append({**_change(at, former, item), "kind": "moved", "from": was})
        elif repr(former) != repr(item):
            told.append(_change(at, former, item))
    return [{"index" if name == "keys" else name: it for name, it in one.items()} for one in told]


def _by_key(items: object, item_key: str) -> dict[str, tuple[int, Any]] | None:
    if not isinstance(items, list):
        return None
    found = {_key(item, item_key): (index, item) for index, item in enumerate(items)}
    return None if len(found) < len(items) or "" in found else found


def _key(item: object, item_key: str) -> str:
    """
    Return what tells an item from others in a list; nothing if it has no such key.

    By ``repr``, as values have the types that an application reads, which need be no BSON.
    """
    return repr(item[item_key]) if isinstance(item, Mapping) and item_key in item else ""


def json_ready(value: Any) -> Any:
    """Copy a value as MongoDB's Extended JSON, relaxed; a mask as ``{"$masked": fingerprint}``."""
    if is_mask(value):
        return {"$masked": fingerprint_of(value).hex()}
    if isinstance(value, Mapping):
        return {str(key): json_ready(it) for key, it in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_ready(item) for item in value]
    if value is None or type(value) in {str, bool, int}:
        return value
    try:
        written = default(value, JSON)
    except TypeError:  # of a type that an application's codec makes
        return str(value)
    return json_ready(written) if isinstance(written, Mapping) else written
