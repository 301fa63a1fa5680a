"""A state as nested values, each with its name and who set it last."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mongoengine_history.documents.attributes import labels
from mongoengine_history.state.values import items_in
from mongoengine_history.state.wording import shortened

if TYPE_CHECKING:
    from collections.abc import Callable

    from mongoengine_history import Revision
    from mongoengine_history.faces.words import Words
    from mongoengine_history.state.values import Path


@dataclass(frozen=True)
class Node:
    """One value of a state."""

    path: Path
    name: str
    #: What it is, in words; of one with others inside how many they are.
    text: str
    #: Who set it last; None where that is not known, or said of what is inside.
    setter: Revision | None = None
    inner: list[Node] = field(default_factory=list)


def tree(
    state: Any, words: Words, setter: Callable[[Path], Revision | None], root: Path = ()
) -> list[Node]:
    """Return the values of a state, in their order."""
    return [_node((*root, key), value, words, setter) for key, value in items_in(state)]


def _node(path: Path, value: Any, words: Words, setter: Callable[[Path], Revision | None]) -> Node:
    named = labels(words.model, path)[-1] if words.model else path[-1]
    inner = tree(value, words, setter, path)
    text = f"{len(inner):,}" if inner else words.value(value)
    return Node(path, shortened(str(named), sys.maxsize), text, setter(path), inner)
