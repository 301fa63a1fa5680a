"""The documents that one thread writes, and the object of each, which it keeps all the time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from random import Random
from typing import Any, Final

from faults import marks
from faults.documents import Style

SHARED: Final = [marks.key("shared", number) for number in range(3)]
"""Documents that all threads write, from copies that may be stale."""

MOST: Final = 4
"""Documents of a thread's own."""


class Desk:
    """
    Copies of shared documents, and documents of a thread's own, which no other thread writes.

    A document stays until it is certain that it was deleted: an object knows what its last save
    has met.
    """

    def __init__(self, name: str, style: Style) -> None:
        self._name, self._model = name, style.model
        self._numbers = count()
        self.shared: list[Any] = []
        self.own: list[Any] = []
        #: Those of which a deletion was tried.
        self.deleted: list[Any] = []
        #: Those of which the creation was acknowledged.
        self.created: set[str] = set()

    def copy(self, key: str) -> Any:
        """Return a shared document as it is stored, or else one to be created."""
        return self._model.objects(pk=key).first() or self._model(pk=key)

    def new(self) -> Any:
        """Put a new document on the desk."""
        sheet = self._model(pk=marks.key(self._name, next(self._numbers)))
        self.own.append(sheet)
        return sheet

    def any(self, chance: Random) -> Any:
        """Choose a document to save."""
        return chance.choice([*self.shared, *self.own])

    def stored(self, chance: Random) -> Any | None:
        """Choose an own document that is stored."""
        found = [sheet for sheet in self.own if sheet.pk in self.created]
        return chance.choice(found) if found else None

    def take_away(self, sheet: Any) -> None:
        """Let nobody write to a document any more."""
        self.own.remove(sheet)
        self.deleted.append(sheet)

    def __iter__(self) -> Iterator[Any]:
        """Give all that may still be saved."""
        return iter([*self.shared, *self.own])
