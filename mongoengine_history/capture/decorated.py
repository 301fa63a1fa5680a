"""Decorated functions of all kinds, each call of which runs inside of a context manager."""

from __future__ import annotations

import inspect
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Final, TypeVar

from mongoengine_history.errors import OptionsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

F = TypeVar("F", bound="Callable[..., Any]")

NO_FUNCTION: Final = "decorate a function or a method; of a class those that write"


def decorated(
    function: F,
    block: AbstractContextManager[Any],
    in_steps: Callable[[], Callable[[], AbstractContextManager[None]]] | None,
) -> F:
    """
    Let each call of a function run inside of a block.

    Args:
        function: Any that can be called; if it is, or returns, a generator or a coroutine, that
            runs inside, too.
        block: May be entered many times at once.
        in_steps: Opens a block for a generator, and makes what each of its steps runs in. None
            where there can be nobody between two steps.

    Raises:
        OptionsError: it is none, or a generator that cannot be.
    """
    if isinstance(function, (staticmethod, classmethod)):
        method: Any = type(function)
        of_method: F = method(decorated(function.__func__, block, in_steps))
        return of_method
    if not callable(function) or isinstance(function, type):
        raise OptionsError("function", function, NO_FUNCTION)
    called = getattr(function, "__call__", None)  # noqa: B004  # an object's own, not whether
    for is_such, _, made in RUN_LATER:
        if is_such(function) or is_such(called):
            decorate: Any = wraps(function, updated=())
            made_of: F = decorate(made(function, block, in_steps))
            return made_of

    @wraps(function, updated=())
    def inside(*args: Any, **kwargs: Any) -> Any:
        with block:
            result = function(*args, **kwargs)
            for _, is_such, made in RUN_LATER:
                if is_such(result):  # which a function around another one returns
                    return made(lambda: result, block, in_steps)()
            return result

    return inside  # type: ignore[return-value]  # it takes and gives the same


def runs_later(function: object) -> bool:
    """Say whether a call of a function only makes what runs later."""
    return any(is_such(function) for is_such, *_ in RUN_LATER)


def _coroutine(function: Any, block: Any, _: Any) -> Any:
    async def awaited(*args: Any, **kwargs: Any) -> Any:
        with block:
            return await function(*args, **kwargs)

    return awaited


def _check_steps(in_steps: object) -> None:
    if in_steps is None:
        raise OptionsError("atomic", True, "no transaction can wait for a generator's next step")


def _generator(function: Any, _: Any, in_steps: Any) -> Any:
    _check_steps(in_steps)

    def stepped(*args: Any, **kwargs: Any) -> Any:
        inside, generator = in_steps(), function(*args, **kwargs)
        step = partial(next, generator)
        while True:
            try:
                with inside():
                    value = step()
            except StopIteration as end:
                return end.value
            try:
                step = partial(generator.send, (yield value))
            except GeneratorExit:
                with inside():
                    generator.close()
                raise
            except BaseException as error:  # it is the generator's
                step = partial(generator.throw, error)

    return stepped


def _async_generator(function: Any, _: Any, in_steps: Any) -> Any:
    _check_steps(in_steps)

    async def stepped(*args: Any, **kwargs: Any) -> Any:
        inside, generator = in_steps(), function(*args, **kwargs)
        step = partial(generator.asend, None)
        while True:
            try:
                with inside():
                    value = await step()
            except StopAsyncIteration:
                return
            try:
                step = partial(generator.asend, (yield value))
            except GeneratorExit:
                with inside():
                    await generator.aclose()
                raise
            except BaseException as error:  # it is the generator's
                step = partial(generator.athrow, error)

    return stepped


RUN_LATER: Final = (
    (inspect.iscoroutinefunction, inspect.iscoroutine, _coroutine),
    (inspect.isgeneratorfunction, inspect.isgenerator, _generator),
    (inspect.isasyncgenfunction, inspect.isasyncgen, _async_generator),
)
"""How to tell a function of a kind, how what it returns, and what decorates it."""
