"""Blocks that are decorators, too: of functions, and of those that have to be awaited."""

from __future__ import annotations

from functools import wraps
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

T = TypeVar("T")
F = TypeVar("F", bound="Callable[..., Any]")


class Block(Generic[T]):
    """
    A context manager, and a decorator whose functions each run in a block of their own.

    Python's own decorators of this kind end before an ``async def`` has begun.

    Args:
        make: Makes what is entered and left.
    """

    def __init__(self, make: Callable[[], AbstractContextManager[T]]) -> None:
        self._make = make
        self._open: list[AbstractContextManager[T]] = []

    def __enter__(self) -> T:
        self._open.append(self._make())
        return self._open[-1].__enter__()

    def __exit__(self, *error: Any) -> None:
        self._open.pop().__exit__(*error)

    def __call__(self, function: F) -> F:
        """Let each call of *function* run inside."""
        if iscoroutinefunction(function):

            @wraps(function)
            async def awaited(*args: Any, **kwargs: Any) -> Any:
                with self._make():
                    return await function(*args, **kwargs)

            return awaited  # type: ignore[return-value]  # it takes and gives the same

        @wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            with self._make():
                return function(*args, **kwargs)

        return called  # type: ignore[return-value]  # it takes and gives the same
