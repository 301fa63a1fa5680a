"""Paths inside of states, as a reader of revisions follows them."""

from __future__ import annotations

from typing import Any

from mongoengine_history import ABSENT, Revision

Path = tuple[str | int, ...]


def find(state: Any, path: Path) -> Any:
    """Return the value that a path leads to, or `ABSENT`."""
    for key in path:
        try:
            state = state[key]
        except (LookupError, TypeError):
            return ABSENT
    return state


def outermost_list(path: Path) -> Path:
    """Cut a path at its first index: the value of a list is one thing."""
    indexes = [place for place, key in enumerate(path) if isinstance(key, int)]
    return path[: indexes[0]] if indexes else path


def paths_of(revision: Revision) -> set[Path]:
    """Name the paths that a revision set."""
    return {
        outermost_list(tuple(path) if action == "change" else (*path, key))
        for action, path, data in revision.patches
        for key in ([None] if action == "change" else [key for key, _ in data])
    }
