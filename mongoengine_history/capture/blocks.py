"""Blocks of code that say something of what is written inside, and those that are open now."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar
from warnings import warn

from mongoengine_history.capture.decorated import decorated
from mongoengine_history.errors import HistoryWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from mongoengine_history.state.context import Context

T = TypeVar("T")
F = TypeVar("F", bound="Callable[..., Any]")

ELSEWHERE: Final = (
    "A block ended in another context than it began, so it did not hold for what was written in "
    "between. A dependency of FastAPI that yields inside a block has to be an `async def`."
)


@dataclass(frozen=True, slots=True, eq=False)
class _Open:
    """A block that is open; without a context it is one in which nothing is recorded."""

    block: Block[Any]
    order: int
    context: Context | None
    around: ExitStack = field(default_factory=ExitStack)


_open: ContextVar[tuple[_Open, ...]] = ContextVar("mongoengine_history_blocks", default=())
_orders: Final = count()


def next_order() -> int:
    """Return a number that tells a block opened now from those opened before and later."""
    return next(_orders)


def said_now() -> list[tuple[int, Context]]:
    """Return what the open blocks say, and when each was opened: the outermost first."""
    return [(it.order, it.context) for it in _open.get() if it.context]


def is_untracked() -> bool:
    """Say whether nothing is to be recorded now."""
    return any(it.context is None for it in _open.get())


class Block(Generic[T]):
    """
    A context manager, and a decorator whose functions each run in a block of their own.

    One may be used by many threads and tasks at once, and inside of itself.

    Args:
        say: Returns what a block that opens says, None that nothing is recorded, and what it gives.
        around: What is open around it meanwhile.
    """

    def __init__(
        self,
        say: Callable[[], tuple[Context | None, T]],
        around: Callable[[], AbstractContextManager[Any]] | None = None,
    ) -> None:
        self._say, self._around = say, around
        self._opened: list[_Open] = []

    def __enter__(self) -> T:
        context, given = self._say()
        opened = _Open(self, next_order(), context)
        if self._around:
            opened.around.enter_context(self._around())
        _open.set((*_open.get(), opened))
        self._opened.append(opened)
        return given

    def __exit__(self, *error: Any) -> None:
        own = [it for it in _open.get() if it.block is self]
        if not own:
            warn(ELSEWHERE, HistoryWarning, stacklevel=2)
        opened = (own or self._opened)[-1]
        self._opened.remove(opened)
        _close(opened)
        opened.around.__exit__(*error)

    def __call__(self, function: F) -> F:
        """
        Let each call of *function* run inside, also of a generator or an ``async`` one.

        Raises:
            OptionsError: it cannot be decorated; of a generator, not with ``atomic=True``.
        """
        return decorated(function, self, None if self._around else self._in_steps)

    def _in_steps(self) -> Callable[[], AbstractContextManager[None]]:
        """Open a block for a generator, and make what holds it during each step."""
        return partial(_inside, _Open(self, next_order(), self._say()[0]))


@contextmanager
def _inside(opened: _Open) -> Iterator[None]:
    _open.set((*_open.get(), opened))
    try:
        yield
    finally:
        _close(opened)


def _close(opened: _Open) -> None:
    """Close a block, not all that was opened since: those of generators may close in any order."""
    _open.set(tuple(it for it in _open.get() if it is not opened))
