"""Whose method is under way: what receivers of signals write meanwhile does not come from it."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

_origin: ContextVar[Any] = ContextVar("mongoengine_history_origin", default=None)


def origin_now() -> Any:
    """Return where what is written now comes from; None where no document's method is under way."""
    return _origin.get()


def on_its_own() -> AbstractContextManager[None]:
    """Let what is written inside the block come from no document's method that is under way."""
    return coming_from(None)


@contextmanager
def coming_from(origin: Any) -> Iterator[None]:
    """Let what is written inside the block come from somewhere."""
    token = _origin.set(origin)
    try:
        yield
    finally:
        _origin.reset(token)
