"""What is known of the newest revision of a document, and whose turn it is to number the next."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from mongoengine_history.state.merge import list_hash, path_text
from mongoengine_history.state.problem import are_hashes, is_stamp, paths_in
from mongoengine_history.state.revision import DELETE, leaves_nothing
from mongoengine_history.state.values import State, find

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

    from mongoengine_history.state.values import Path

LONGEST_TURN: Final = 1.0
"""Seconds to wait for a turn: without one a number may be taken, which is noticed and mended."""


@dataclass(frozen=True, slots=True)
class Head:
    """What is known of the newest revision of a document."""

    #: Its number; 0 before the first.
    number: int = 0
    #: Its time, microseconds since 1970 UTC.
    stamp: int = 0
    #: The hashes of lists that it carries.
    lists: Mapping[str, bytes] = field(default_factory=dict)
    #: Where that state has masks of values that were erased.
    redacted: tuple[Path, ...] = ()
    #: The state that the history replays to, where it is known without reading.
    state: State | None = None
    #: What it was, ``delete`` wherever there is no document after it; empty if that is not known.
    operation: str = ""
    #: Whether another writer was seen, so that a look comes before the next number is tried.
    is_contended: bool = False
    #: The checksum that it carries; empty where it has none.
    checksum: bytes = b""
    #: ``_id`` of its first record, where that is known …
    record: Any = None
    #: … and whether it was learned by an earlier write, so that it may be gone by now.
    is_remembered: bool = False
    #: When that was learned, on a clock of this process.
    learned: float = field(default_factory=time.monotonic, compare=False)

    @classmethod
    def of(cls, newest: Mapping[str, Any] | None = None) -> Head:
        """
        Make it of the first record of the newest revision, or of a version 0; else nothing.

        A malformed record keeps nobody from saving: what cannot be read of it is not known.
        """
        if newest is None:
            return cls()
        number, stamp, record = newest["revision"], newest.get("stamp"), newest.get("record")
        lists, operation = newest.get("lists"), newest.get("operation")
        checksum, is_gone = newest.get("checksum"), leaves_nothing(operation, newest.get("action"))
        return cls(
            number if isinstance(number, int) else _numbered(number),
            stamp if is_stamp(stamp) else 0,  # type: ignore[arg-type]  # what None is not
            lists if lists and are_hashes(lists) else {},
            paths_in(newest.get("redacted")),
            operation=DELETE if is_gone else operation if isinstance(operation, str) else "",
            checksum=checksum if isinstance(checksum, bytes) else b"",
            record=record,
        )

    def list_hash(self, path: Path) -> bytes | None:
        """Return the hash of a list as the history has it, None if that is not known."""
        known = self.lists.get(path_text(path))
        if known is None and self.state is not None:
            return list_hash(find(self.state, path))
        return known


def _numbered(number: object) -> int:
    """Return what a malformed number sorts by: one of another type, or the items of an array."""
    if isinstance(number, list):
        return max((it for it in number if isinstance(it, int)), default=0)
    return int(float(str(number)))


NO_HEAD: Final = Head()
"""That of a document of which nothing was recorded."""


class Turn:
    """The right of one thread to number the next revision of a document."""

    def __init__(self) -> None:
        self._lock = Lock()
        #: What was learned last of the newest revision, by any thread.
        self.head = Head(learned=0)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for the turn, but not for long, and pass it on at the end of the block."""
        is_taken = self._lock.acquire(timeout=LONGEST_TURN)
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


def _begin_anew() -> None:
    """Forget, in a child process, the turns of threads that are not there."""
    global _guard  # noqa: PLW0603  # it may be held, too
    _guard = Lock()
    _turns.clear()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_begin_anew)


def turn_at(address: Hashable) -> Turn:
    """Return the turn of the document at an address; it is there as long as somebody has it."""
    with _guard:
        return _turns.setdefault(address, Turn())
