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
    block all are done. What one of them raises comes out where it is waited for.
    """

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._last: Future[None] | None = None

    def __enter__(self) -> OneBehind:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Wait until all is done."""
        if self._pool:
            self._pool.shutdown()
        self.wait()

    @property
    def is_open(self) -> bool:
        """Say whether something was begun that was not waited for yet."""
        return self._last is not None

    def wait(self) -> None:
        """Wait until all is done that was begun."""
        last, self._last = self._last, None
        if last:
            last.result()

    def do(self, act: Callable[[], None]) -> None:
        """Do something behind what was begun before."""
        self.wait()
        self._pool = self._pool or ThreadPoolExecutor(1, "mongoengine_history")
        try:
            self._last = self._pool.submit(copy_context().run, act)
        except RuntimeError:  # no thread can begin, as at the end of a process
            self._pool = None
            act()
