"""Answers of a server that do not arrive."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from pymongo.collection import Collection
from pymongo.errors import AutoReconnect, BulkWriteError


@contextmanager
def unanswered(
    name: str, error: BaseException | None = None, *, done: bool = True, among: str = ""
) -> Iterator[None]:
    """
    Let calls of a method of PyMongo's collections fail once the server has done them.

    Of collections whose name begins with *among*; instead of a broken connection *error* is
    raised, and nothing is *done* if that is False.
    """
    ever = getattr(Collection, name)

    def failing(self: Collection[Any], *args: Any, **kwargs: Any) -> Any:
        if not self.name.startswith(among):
            return ever(self, *args, **kwargs)
        if done:
            with suppress(BulkWriteError):  # by which an insert proves what is there
                ever(self, *args, **kwargs)
        raise error or AutoReconnect("connection closed")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Collection, name, failing)
        yield
