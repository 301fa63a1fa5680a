"""Only some paths are put back, and the rest stays as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mongoengine_history.documents.attributes import stored_paths
from mongoengine_history.errors import OptionsError
from mongoengine_history.state.merge import path_names, put_back
from mongoengine_history.state.patches import Draft
from mongoengine_history.state.values import ABSENT, find

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mongoengine import Document

    from mongoengine_history.state.values import Path, State

NOTHING_THERE: Final = "there is nothing at it, neither now nor in the earlier state"

IN_A_LIST: Final = "it leads into a list, which is one value here: name the list"


def chosen(model: type[Document], paths: object, *states: State) -> set[Path]:
    """
    Return paths of stored keys, given those that are asked for, which have to be in some state.

    Raises:
        OptionsError: they are no paths, lead to nothing, or into a list.
    """
    if not isinstance(paths, list | tuple) or not paths:
        raise OptionsError("paths", paths, "it is a list of paths: names joined by dots, or keys")
    return {found for path in paths for found in _found(model, path, states)}


def _found(model: type[Document], path: Any, states: Sequence[State]) -> list[Path]:
    meant = _meant(model, path)
    inside = (find(it, way[:end]) for it in states for way in meant for end in range(1, len(way)))
    if any(isinstance(value, list) for value in inside):
        raise OptionsError("paths", path, IN_A_LIST)
    found = [way for way in meant if any(find(it, way) is not ABSENT for it in states)]
    if not found:
        raise OptionsError("paths", path, NOTHING_THERE)
    return found


def _meant(model: type[Document], path: Any) -> list[Path]:
    if isinstance(path, list | tuple) and path and all(isinstance(it, str | int) for it in path):
        return [tuple(path)]
    if not isinstance(path, str) or not path:
        raise OptionsError("paths", path, "it is no path: names joined by dots, or a list of keys")
    names = path_names(path)
    try:
        return [*stored_paths(model, names)]
    except OptionsError:  # the class had it before
        return [tuple(names)]


def only(paths: Iterable[Path], stored: State, wanted: State) -> State:
    """Return what is stored, with the values of another state at some paths."""
    draft = Draft(stored)
    for path in paths:
        put_back(draft, path, wanted)
    return draft.state


def narrowed(paths: Iterable[Path], wanted: Iterable[Path]) -> set[Path]:
    """Return those of some paths that lie in wanted ones, or the wanted ones that lie in them."""
    wanted = [*wanted]
    return {
        max(path, it, key=len)
        for path in paths
        for it in wanted
        if path[: len(it)] == it or it[: len(path)] == path
    }
