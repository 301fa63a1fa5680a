"""A copy of a state to be edited, which shares with the original all that is not edited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mongoengine_history.values import Path, State


class Draft:
    """Edits a copy of a state; the original and all that it shares stay untouched."""

    def __init__(self, state: State) -> None:
        self.state: State = dict(state)
        #: Containers copied already, by identity; the draft keeps them alive, so ids are unique.
        self._own: dict[int, Any] = {id(self.state): self.state}

    def at(self, path: Path, kind: Any = (dict, list)) -> Any:
        """
        Return the dict or list at *path*, ready to be edited.

        As ``$set`` does, dicts that are missing on the way are made. They are made in the place of
        lists, too: keys are absolute, and another writer may have stored another kind of value.

        Raises:
            LookupError: the path leads through a list that is not there or too short.
        """
        node: Any = self.state
        kinds = [list if isinstance(key, int) else dict for key in path[1:]]
        for key, expected in zip(path, [*kinds, kind], strict=False):
            if isinstance(node, list) != isinstance(key, int):
                raise LookupError(path)
            child: Any = node.get(key) if isinstance(node, dict) else node[key]
            if isinstance(node, dict) and expected is not list and not isinstance(child, expected):
                child = {}
            node = self._owned(node, key, child)
        return node

    def dict_at(self, path: Path) -> dict[str, Any]:
        """Return the dict at *path*, as `at` does."""
        node: dict[str, Any] = self.at(path, dict)
        return node

    def list_at(self, path: Path) -> list[Any]:
        """Return the list at *path*, as `at` does; LookupError if there is none."""
        node = self.at(path)
        if not isinstance(node, list):
            raise LookupError(path)
        return node

    def _owned(self, parent: Any, key: str | int, child: Any) -> Any:
        if id(child) not in self._own:
            if not isinstance(child, dict | list):
                raise LookupError(key)
            child = child.copy()
            self._own[id(child)] = child
            parent[key] = child
        return child
