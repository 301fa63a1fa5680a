"""Which revisions set the values of a state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mongoengine_history.state.patches import paths_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mongoengine_history.state.revision import StoredRevision
    from mongoengine_history.state.values import Path, State


def setters(newest_first: Iterable[StoredRevision], state: State) -> dict[Path, StoredRevision]:
    """
    Find for each value of a state the revision that last set it.

    Args:
        newest_first: The revisions that led to *state*; no more of them are taken than needed.
        state: The state after the newest of them.

    Returns:
        A revision for each path at which *state* has a list, an empty dict or a scalar, in the
        order of *state*. What no revision has set is left out.
    """
    left = dict.fromkeys(_leaves(state, ()))
    above = {path[:end] for path in left for end in range(len(path))}
    found: dict[Path, StoredRevision] = {}
    for revision in newest_first if left else ():
        paths = paths_of(revision.patches)
        for leaf in {leaf for path in paths for leaf in _set_by(path, left, above)}:
            found[leaf] = revision
            del left[leaf]
        if not left:
            break
    return {path: found[path] for path in _leaves(state, ()) if path in found}


def _leaves(state: State, root: Path) -> Iterator[Path]:
    for key, value in state.items():
        if value and isinstance(value, dict):
            yield from _leaves(value, (*root, key))
        else:
            yield (*root, key)


def _set_by(path: Path, left: Iterable[Path], above: set[Path]) -> list[Path]:
    """Name the leaves that setting *path* has set: at it, above it or below it."""
    if path in above:
        return [leaf for leaf in left if leaf[: len(path)] == path]
    return [path[:end] for end in range(1, len(path) + 1) if path[:end] in left]
