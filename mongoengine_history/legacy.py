"""Records of mongoengine-history 1.1: read as they are, unwound where they still fit.

1.1 joined paths by dots and wrote what was changed more than once, so a path is worked out against
the state that its record led to, and what is gone already is passed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mongoengine_history.draft import Draft
from mongoengine_history.patching import ADD, CHANGE, REMOVE, Patch
from mongoengine_history.values import Path, State, find

if TYPE_CHECKING:
    from collections.abc import Iterable


def unwind(records: Iterable[dict[str, Any]], state: State) -> tuple[State, list[Patch]]:
    """
    Take records of 1.1 back from a state.

    Args:
        records: The records, the newest first.
        state: The state after the newest of them.

    Returns:
        The state before the oldest of them, and their patches with exact paths, newest first.
    """
    draft = Draft(state)
    patches = []
    for record in records:
        for patch in reversed(_patches(record, draft.state)):
            _take_back(patch, draft)
            patches.append(patch)
    return draft.state, patches


def _patches(record: dict[str, Any], state: State) -> list[Patch]:
    path = _path(record["path"], state)
    data = record["data"]
    if record["action"] == CHANGE:
        return [Patch(CHANGE, path, (data["old"], data["new"]))]
    items = [(item["key"], item["value"]) for item in data["items"]]
    if record["action"] == REMOVE and isinstance(items[0][0], int):
        return [Patch(REMOVE, path, [item]) for item in items]  # as 1.1 removed them: one by one
    return [Patch(record["action"], path, items)]


def _path(text: str, state: State) -> Path:
    """Find the path that *text* names in *state*: longest key first, indexes for lists only."""
    path: Path = ()
    parts = text.split(".") if text else []
    while parts:
        node = find(state, path)
        if isinstance(node, list) and parts[0].isdecimal():
            path, parts = (*path, int(parts[0])), parts[1:]
            continue
        lengths = range(len(parts), 0, -1)
        fitting = (n for n in lengths if isinstance(node, dict) and ".".join(parts[:n]) in node)
        length = next(fitting, 1)
        path, parts = (*path, ".".join(parts[:length])), parts[length:]
    return path


def _take_back(patch: Patch, draft: Draft) -> None:
    try:
        if patch.action == CHANGE:
            _put(draft.at(patch.path[:-1]), patch.path[-1], patch.data[0])
            return
        parent = draft.at(patch.path)
        for key, value in reversed(patch.data):
            if patch.action == ADD:
                _drop(parent, key)
            else:
                _restore(parent, key, value)
    except (LookupError, TypeError):
        return  # what the record speaks of is not there any more


def _put(parent: Any, key: Any, value: object) -> None:
    if isinstance(parent, dict) or key < len(parent):
        parent[key] = value


def _drop(parent: Any, key: Any) -> None:
    if isinstance(parent, dict):
        parent.pop(key, None)
    elif key < len(parent):
        del parent[key]


def _restore(parent: Any, key: Any, value: object) -> None:
    if isinstance(parent, dict):
        parent[key] = value
    else:
        parent.insert(key, value)
