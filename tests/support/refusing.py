"""A server that takes no record."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def refusing(database: Any) -> Iterator[None]:
    """Let the server take no record while the block is open; the collection is there already."""
    database.command("collMod", "history", validator={"no such field": 1})
    try:
        yield
    finally:
        database.command("collMod", "history", validator={})
