"""Where those who follow change streams have got to; kept beside the history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mongoengine_history.record.place import Place


class Bookmark:
    """
    A resume token in the collection ``….watch`` beside the history, such as ``history.watch``.

    Args:
        place: Of whose history.
        name: Tells it from others.
    """

    def __init__(self, place: Place, name: str) -> None:
        self._kept = place.history.database[f"{place.history.name}.watch"]
        self._name = name

    def read(self) -> Mapping[str, Any] | None:
        """Read the token that was kept last."""
        found = self._kept.find_one({"_id": self._name})
        return found["token"] if found else None

    def keep(self, token: Mapping[str, Any]) -> None:
        """Keep a token in the place of the one before."""
        self._kept.update_one({"_id": self._name}, {"$set": {"token": token}}, upsert=True)
