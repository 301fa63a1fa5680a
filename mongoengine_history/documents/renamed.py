"""What was stored under other names, under those of today."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mongoengine import Document

from mongoengine_history.documents.options import options_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mongoengine_history.state.values import Path, State


def stored_today(model: Any) -> dict[str, str]:
    """Return the names that a class says were stored before, each with the one stored today."""
    known: Any = model if isinstance(model, type) else type(model)
    pairs = options_of(known).renamed if issubclass(known, Document) else ()
    return {old: known._db_field_map.get(new, new) for old, new in dict(pairs).items()}


def former_names(model: Any, key: str) -> list[str]:
    """Return the names under which a class says that it stored before what has a *key* today."""
    return [old for old, now in stored_today(model).items() if now == key]


def under_new_names(model: Document | type[Document], state: State) -> State:
    """Return a state with the names of today in the place of those that were ``renamed``."""
    names = dict(options_of(model).renamed)
    if not names:
        return state
    now = {old: key for old, key in stored_today(model).items() if old in state}
    state = {now.get(key, key): it for key, it in state.items() if now.get(key) not in state}
    return {**state, "_cls": names.get(state["_cls"], state["_cls"])} if "_cls" in state else state


def paths_today(model: Document | type[Document], paths: Iterable[Path]) -> set[Path]:
    """Return paths as they lead in a state that is `under_new_names`."""
    return {path for path, _ in found_today(model, ((path, None) for path in paths))}


def found_today(
    model: Document | type[Document], found: Iterable[tuple[Path, object]]
) -> Iterator[tuple[Path, object]]:
    """Yield paths as `paths_today` does, each with what was found there."""
    now: dict[Any, str] = stored_today(model)
    for path, value in found:
        yield (*(now.get(key, key) for key in path[:1]), *path[1:]), value
