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
        self._own = {id(self.state)}

    def at(self, path: Path) -> dict[str, Any] | list[Any]:
        """
        Return the dict or list at *path*, ready to be edited.

        As ``$set`` does, dicts that are missing on the way are made.

        Raises:
            LookupError: the path leads through a list that is not there or too short.
        """
        node: Any = self.state
        for key in path:
            if isinstance(node, list) != isinstance(key, int):
                raise LookupError(path)
            child: Any = node.get(key) if isinstance(node, dict) else node[key]
            if isinstance(node, dict) and not isinstance(child, dict | list):
                child = {}
            node = self._owned(node, key, child)
        return node  # type: ignore[no-any-return]  # BSON has these two containers only

    def dict_at(self, path: Path) -> dict[str, Any]:
        """Return the dict at *path*, as `at` does; LookupError if there is a list."""
        node = self.at(path)
        if not isinstance(node, dict):
            raise LookupError(path)
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
            self._own.add(id(child))
            parent[key] = child
        return child
