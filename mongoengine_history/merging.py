"""Values of one state are put over another, path by path. Knows no database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mongoengine_history.draft import Draft
from mongoengine_history.errors import Conflict
from mongoengine_history.patching import CHANGE, Patch
from mongoengine_history.values import ABSENT, Path, State, find, same

if TYPE_CHECKING:
    from collections.abc import Iterable


def differs(first: State, second: State) -> bool:
    """Say whether two states differ in more than the order of their fields."""
    return first.keys() != second.keys() or any(not same(first[key], second[key]) for key in first)


def conflicts(stored: State, expected: State, paths: Iterable[Path]) -> list[Conflict]:
    """
    Name what keeps values from being put back at *paths*, the shortest path first.

    That is a value that is not as *expected*, or a dict on the way to it that is gone.
    """
    places = {_conflict(path, stored, expected) for path in paths}
    ordered = sorted(filter(None, places), key=lambda path: (len(path), path))
    return [Conflict(path, find(expected, path), find(stored, path)) for path in ordered]


def _conflict(path: Path, stored: State, expected: State) -> Path | None:
    """Return where the way to a value differs, or the path itself if the value does."""
    for length in range(1, len(path)):
        was, is_now = find(expected, path[:length]), find(stored, path[:length])
        if isinstance(was, dict) and not isinstance(is_now, dict):
            return path[:length]
    return None if same(find(expected, path), find(stored, path)) else path


def concerns(path: Path, others: Iterable[Path]) -> bool:
    """Say whether one of *others* is at *path*, above it or below it."""
    return any(path[: len(other)] == other[: len(path)] for other in others)


def without(state: State, after: State, before: State, paths: Iterable[Path]) -> State | None:
    """
    Return *state* without a change from *before* to *after*, None if it has nothing of it.

    Args:
        state: What may hold the change.
        after: The state after it.
        before: The state before it.
        paths: What the change set.
    """
    found = [
        path
        for path in paths
        if same(find(state, path), find(after, path))
        and not same(find(state, path), find(before, path))
    ]
    return overlay(state, {}, before, found) if found else None


def collapse(
    patches: list[Patch], paths: Iterable[Path], before: State, after: State
) -> list[Patch]:
    """Replace the patches at and inside of *paths* by one change of each from *before*."""
    left: dict[Path, list[Patch]] = {
        path: [Patch(CHANGE, path, (find(before, path), find(after, path)))]
        for path in sorted(paths, key=len)
    }
    result: list[Patch] = []
    for patch in patches:
        path = next((path for path in left if patch.path[: len(path)] == path), None)
        result += [patch] if path is None else left[path]
        if path is not None:
            left[path] = []  # once is enough
    return result


def overlay(stored: State, head: State, target: State, paths: Iterable[Path]) -> State:
    """
    Return *stored* with the values of *target* at *paths*.

    A key that is stored as it is in *head* becomes what it is in *target*, whole.
    """
    draft = Draft(stored)
    paths = sorted(paths, key=len)
    for key in {str(path[0]): None for path in paths}:
        if same(find(stored, (key,)), find(head, (key,))):
            _put(draft, (key,), find(target, (key,)))
            continue
        for path in paths:
            if path[0] == key:
                _put_back(draft, path, target)
    return draft.state


def _put_back(draft: Draft, path: Path, target: State) -> None:
    """Put a value of *target* back, or the whole it lies in where another kind is stored now."""
    for length in range(1, len(path)):
        found = find(draft.state, path[:length])
        if found is not ABSENT and not isinstance(found, dict):
            path = path[:length]
            break
    _put(draft, path, find(target, path))


def _put(draft: Draft, path: Path, value: object) -> None:
    if value is not ABSENT:
        draft.dict_at(path[:-1])[str(path[-1])] = value
    elif find(draft.state, path) is not ABSENT:
        draft.dict_at(path[:-1]).pop(str(path[-1]))
