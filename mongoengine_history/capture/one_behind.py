"""Records one batch while the server writes the next one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future


class OneBehind:
    """
    Does things in order, in a thread of its own, at most one behind its caller.

    The thread begins with the first of them; each has the context of its caller. At the end of the
    block all are done, also those behind one that failed, and after a signal. What one of them
    raises comes out where it is waited for.
    """

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._last: Future[None] | None = None

    def __enter__(self) -> OneBehind:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Wait until all is done."""
        try:
            self.wait()
        finally:
            if self._pool:
                self._pool.shutdown()

    def wait(self) -> None:
        """Wait until all is done that was begun."""
        last, self._last = self._last, None
        if last:
            try:
                last.result()
            finally:  # a signal may have ended the waiting
                last.exception()

    def do(self, act: Callable[[], None]) -> None:
        """Do something behind what was begun before, for which is waited."""
        before = self._last
        self._pool = self._pool or ThreadPoolExecutor(1, "mongoengine_history")
        try:  # before any waiting, which a signal may end
            self._last = self._pool.submit(copy_context().run, act)
        except RuntimeError:  # no thread can begin, as at the end of a process
            self._pool = None
            self.do_here(act)
        else:
            if before:
                before.result()

    def do_here(self, act: Callable[[], None]) -> None:
        """Do something in the thread of the caller, when all is done that was begun before."""
        try:
            self.wait()
        finally:
            act()
