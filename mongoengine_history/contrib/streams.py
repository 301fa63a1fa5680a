"""Responses that are sent after the request has returned: what makes their parts runs inside it."""

from __future__ import annotations

import types
from contextvars import Context, copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Coroutine, Generator, Iterable

Part = TypeVar("Part")


class Carried(Generic[Part]):
    """
    Iterates in one context, wherever it is asked for the next part.

    So the changeset of a request holds for what its stream writes. Nothing stays open in the
    thread that sends the parts, also if nobody asks for all of them.

    Args:
        parts: What to iterate over, once.
        context: Where; without it in a copy of the present one.
    """

    def __init__(self, parts: Iterable[Part], context: Context | None = None) -> None:
        self._parts = iter(parts)
        self._context = context or copy_context()
        self._close = getattr(parts, "close", None)

    def __iter__(self) -> Carried[Part]:
        return self

    def __next__(self) -> Part:
        return self._context.run(next, self._parts)

    def close(self) -> None:
        """End a generator early, and free what others hold."""
        if self._close:
            self._context.run(self._close)


class AsyncCarried(Generic[Part]):
    """
    Iterates in a copy of the context in which it was made, with ``async for``.

    Args:
        parts: What to iterate over, once.
    """

    def __init__(self, parts: AsyncIterable[Part]) -> None:
        self._parts = aiter(parts)
        self._context = copy_context()

    def __aiter__(self) -> AsyncCarried[Part]:
        return self

    async def __anext__(self) -> Part:
        return await _inside(self._context, self._next())

    async def _next(self) -> Part:
        return await anext(self._parts)


@types.coroutine
def _inside(context: Context, step: Coroutine[Any, Any, Part]) -> Generator[Any, Any, Part]:
    """Await *step* in *context*. A task of its own would break timeouts around a ``yield``."""
    resume = partial(step.send, None)
    while True:
        try:
            waiting = context.run(resume)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]  # StopIteration has no type for it
        try:
            resume = partial(step.send, (yield waiting))
        except BaseException as error:  # a cancellation belongs to the step, too
            resume = partial(step.throw, error)
