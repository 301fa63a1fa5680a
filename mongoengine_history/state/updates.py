"""What ``$set`` and ``$unset`` make of a state, as the server does it. Knows no database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bson import Timestamp

from mongoengine_history.state.patches import Draft
from mongoengine_history.state.rules import CLASS
from mongoengine_history.state.values import ABSENT, find

if TYPE_CHECKING:
    from mongoengine_history.state.values import Path, State

EMPTY: Final = Timestamp(0, 0)

SIMPLE: Final = {"$set", "$unset"}
"""The operators that MongoEngine itself sends; `updated` works them out."""


def root(path: str) -> str:
    """Return the top-level key of a dotted path as ``$set`` takes it."""
    return path.partition(".")[0]


def roots_of(update: Any) -> set[str] | None:
    """Name the top-level keys that an update may set; None if it may set any."""
    if not isinstance(update, dict) or not all(
        operator.startswith("$") and isinstance(values, dict) for operator, values in update.items()
    ):
        return None  # a pipeline, a replacement, or something that the server refuses
    paths = [path for values in update.values() for path in values]
    paths += update.get("$rename", {}).values()
    return {root(path) for path in paths} if all(isinstance(it, str) for it in paths) else None


def is_completed(state: State) -> bool:
    """Say whether the server puts its time into a new document, in the place of an empty one."""
    return EMPTY in state.values()


def only(state: State, roots: set[str] | None) -> State:
    """Return what an update that sets *roots* may have set of a state, and of which class it is."""
    if roots is None or state.keys() <= roots:
        return state
    return {key: state[key] for key in state if key in roots or key == CLASS}


def updated(state: State, update: dict[str, Any]) -> State:
    """
    Return what ``$set`` and ``$unset`` make of *state*, as the server does.

    New keys go to the end of their dict in the order of the server, an unset item of a list becomes
    null, a list that is too short is filled up with null:
    https://www.mongodb.com/docs/manual/reference/operator/update/set/

    Raises:
        LookupError: a path leads through a list that *state* does not have, or the update holds
            more than plain ``$set`` and ``$unset``.
    """
    if update.keys() - SIMPLE or any(".$" in path for paths in update.values() for path in paths):
        raise LookupError(update)
    draft = Draft(state)
    paths = {tuple(dotted.split(".")): value for dotted, value in update.get("$set", {}).items()}
    for path in sorted(paths, key=_server_order):
        _set(draft, list(path), paths[path])
    for dotted in update.get("$unset", {}):
        _unset(draft, dotted.split("."))
    return draft.state


def dicts_in(update: Any, state: State) -> frozenset[Path]:
    """Name the dicts, those inside of lists apart, that an update sets as a whole."""
    is_known = isinstance(update, dict) and isinstance(update.get("$set"), dict)
    paths = {
        path_in(state, dotted)
        for dotted, value in (update["$set"].items() if is_known else ())
        if isinstance(value, dict)
    }
    return frozenset(path for path in paths if all(isinstance(key, str) for key in path))


def _server_order(path: tuple[str, ...]) -> list[tuple[bytes, int, bytes]]:
    """Sort as MongoDB processes paths: by bytes, but what begins with 1 to 9 by length first."""
    names = [name.encode() for name in path]
    return [
        (b"1", len(name), name) if name[:1] in b"123456789" and name else (name, 0, b"")
        for name in names
    ]


def _set(draft: Draft, parts: list[str], value: object) -> None:
    parent = draft.at(_path(draft.state, parts[:-1]))
    if isinstance(parent, dict):
        parent[parts[-1]] = value
        return
    if not _is_index(parts[-1]):
        raise LookupError(parts)
    index = int(parts[-1])
    parent.extend([None] * (index + 1 - len(parent)))
    parent[index] = value


def _unset(draft: Draft, parts: list[str]) -> None:
    path = _path(draft.state, parts)
    if find(draft.state, path) is ABSENT:
        return
    parent = draft.at(path[:-1])
    if isinstance(parent, dict):
        parent.pop(parts[-1])
    else:
        parent[int(parts[-1])] = None


def _is_index(part: str) -> bool:
    """Say whether the server would take a name for an index: it knows 0 to 9 alone."""
    return part.isascii() and part.isdecimal()


def path_in(state: State, dotted: str) -> Path:
    """Return the path that an update names in a state."""
    return _path(state, dotted.split("."))


def _path(state: State, parts: list[str]) -> Path:
    """Tell indexes from keys that look like one, by what stands there."""
    path: Path = ()
    for part in parts:
        is_index = _is_index(part) and isinstance(find(state, path), list)
        path = (*path, int(part) if is_index else part)
    return path
