"""What was stored under other names, under those of today."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mongoengine import Document

from mongoengine_history.documents.options import options_of
from mongoengine_history.errors import StateMismatchError
from mongoengine_history.state.values import ABSENT, find

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mongoengine_history.state.values import Path, State


def stored_today(model: Any) -> dict[str, str]:
    """Return the names that a class says were stored before, each with the one stored today."""
    known: Any = model if isinstance(model, type) else type(model)
    pairs = options_of(known).renamed if issubclass(known, Document) else ()
    return {old: known._db_field_map.get(new, new) for old, new in dict(pairs).items()}


def renamed_in(model: Any, state: State) -> dict[str, str]:
    """Return the names of before that a state has under one of today, each with that."""
    names = stored_today(model).items()
    return {old: now for old, now in names if now in state and old not in state}


def former_names(model: Any, key: str) -> list[str]:
    """Return the names under which a class says that it stored before what has a *key* today."""
    return [old for old, now in stored_today(model).items() if now == key]


def under_new_names(model: Document | type[Document], state: State) -> State:
    """
    Return a state with the names of today in the place of those that were ``renamed``.

    Where it has both, that of today counts: the other one is what a migration past the history left
    there, or is `doubled`.
    """
    names = dict(options_of(model).renamed)
    if not names:
        return state
    now = {old: key for old, key in stored_today(model).items() if old in state}
    state = {now.get(key, key): it for key, it in state.items() if now.get(key) not in state}
    return {**state, "_cls": names.get(state["_cls"], state["_cls"])} if "_cls" in state else state


def doubled(model: Document | type[Document], state: State | None) -> list[str]:
    """Name what a state has under a name of before, though it has that of today, too."""
    return [old for old, key in stored_today(model).items() if {old, key} <= (state or {}).keys()]


def check_single(model: Document | type[Document], key: object, stored: State | None) -> None:
    """
    Check that no value is stored under two names, of which one would be lost on the way back.

    Raises:
        StateMismatchError: one is.
    """
    names = doubled(model, stored)
    if names:
        problem = "the stored document has these and the new names; remove those that are wrong"
        raise StateMismatchError(key, names, problem)


def paths_today(model: Document | type[Document], paths: Iterable[Path]) -> set[Path]:
    """Return paths as they lead in a state that is `under_new_names`."""
    return {path for path, _ in found_today(model, ((path, None) for path in paths), {})}


def found_today(
    model: Document | type[Document], found: Iterable[tuple[Path, object]], before: State
) -> Iterator[tuple[Path, object]]:
    """
    Yield paths as `paths_today` does, each with what was found there.

    What was not there yet was under its other name, as the state *before* has it.
    """
    now: dict[Any, str] = stored_today(model)
    today = under_new_names(model, before) if now else before
    for path, value in found:
        there = (*(now.get(key, key) for key in path[:1]), *path[1:])
        is_elsewhere = value is ABSENT and there[0] in now.values()
        yield there, find(today, there) if is_elsewhere else value
