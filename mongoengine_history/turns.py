"""Threads that save one document take turns, and share what they know of its history."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from mongoengine_history.ledger import Head

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

LONGEST: Final = 1.0
"""Seconds to wait for a turn: without one a number may be taken, which is noticed and mended."""


class Turn:
    """The right of one thread to number the next revision of a document."""

    def __init__(self) -> None:
        self._lock = Lock()
        #: What was learned last of the newest revision, by any thread.
        self.head = Head(learned=0)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for the turn, but not for long, and pass it on at the end of the block."""
        is_taken = self._lock.acquire(timeout=LONGEST)
        try:
            yield
        finally:
            if is_taken:
                self._lock.release()

    def latest(self, head: Head) -> Head:
        """Return what was learned last: *head*, or what another thread found or wrote since."""
        return max(head, self.head, key=lambda known: known.learned)


_turns: WeakValueDictionary[Hashable, Turn] = WeakValueDictionary()
_guard = Lock()


def turn_at(address: Hashable) -> Turn:
    """Return the turn of the document at an address; it is there as long as somebody has it."""
    with _guard:
        return _turns.setdefault(address, Turn())
