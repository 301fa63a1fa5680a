"""Iterators that keep the context in which they were made."""

from __future__ import annotations

import asyncio
import types
from collections.abc import AsyncIterator, Generator, Iterator
from contextvars import ContextVar, copy_context

import pytest

from mongoengine_history.contrib.streams import AsyncCarried, Carried

where: ContextVar[str] = ContextVar("where", default="outside")


@types.coroutine
def ask() -> Generator[str, str, str]:
    return (yield where.get())


def test_parts_are_made_where_the_iterator_was_made() -> None:
    token = where.set("inside")
    parts = Carried(where.get() for _ in range(2))
    where.reset(token)
    assert [*parts, where.get()] == ["inside", "inside", "outside"]


def test_a_generator_finds_what_it_has_set() -> None:
    def parts() -> Iterator[str]:
        token = where.set("generator")
        yield where.get()
        yield where.get()
        where.reset(token)
        yield where.get()

    carried = Carried(parts())
    found = [(part, where.get()) for part in carried]
    assert found == [("generator", "outside")] * 2 + [("outside", "outside")]


def test_a_context_may_be_given() -> None:
    context = copy_context()
    context.run(where.set, "given")
    assert list(Carried((where.get() for _ in "a"), context)) == ["given"]


def test_what_is_iterated_over_is_closed_inside() -> None:
    closed = []

    class Parts:
        """As WSGI has it: the iterable has the ``close``, not its iterator."""

        def __iter__(self) -> Iterator[str]:
            return iter("ab")

        def close(self) -> None:
            closed.append(where.get())

    token = where.set("inside")
    carried = Carried(Parts())
    where.reset(token)
    assert next(carried) == "a"
    carried.close()
    assert closed == ["inside"]
    Carried("ab").close()  # nothing to close


def test_async_parts_are_made_where_the_iterator_was_made() -> None:
    async def parts() -> AsyncIterator[str]:
        for _ in range(2):
            await asyncio.sleep(0)
            yield where.get()

    async def consume() -> list[str]:
        token = where.set("inside")
        carried = AsyncCarried(parts())
        where.reset(token)
        return [part async for part in carried] + [where.get()]

    assert asyncio.run(consume()) == ["inside", "inside", "outside"]


def test_a_cancellation_reaches_the_async_parts() -> None:
    cancelled = []

    async def parts() -> AsyncIterator[str]:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(where.get())
            raise
        yield "never"

    async def consume() -> None:
        token = where.set("inside")
        carried = AsyncCarried(parts())
        where.reset(token)
        task = asyncio.ensure_future(carried.__anext__())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(consume())
    assert cancelled == ["inside"]


def test_async_parts_and_their_event_loop_hear_each_other() -> None:
    """Also one that answers with values and goes on after an error, as other loops than asyncio."""

    async def parts() -> AsyncIterator[str]:
        try:
            yield await ask()
        except LookupError:
            yield await ask()

    async def first(carried: AsyncCarried[str]) -> str:
        return await carried.__anext__()

    answered, failed = first(AsyncCarried(parts())), first(AsyncCarried(parts()))
    assert answered.send(None) == "outside"
    with pytest.raises(StopIteration, match="answer"):
        answered.send("answer")
    assert failed.send(None) == "outside"
    assert failed.throw(LookupError()) == "outside"
    with pytest.raises(StopIteration, match="other answer"):
        failed.send("other answer")
