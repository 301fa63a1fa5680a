"""What the tests of reading have in common."""

from __future__ import annotations

from typing import Any

import pytest
from support.books import Book
from support.changes import edited
from support.rooms import EVERY, Room


@pytest.fixture
def book() -> Book:
    """A book with five revisions."""
    book = Book(title="a", tags=["x"])
    edited(book, "ann")
    for number in range(2, 6):
        edited(book, "ben", pages=number)
    return book


@pytest.fixture(params=EVERY)
def every(request: pytest.FixtureRequest, monkeypatch: Any) -> int:
    """Keeps a version of rooms with every so many revisions."""
    monkeypatch.setitem(Room._meta, "history", {"version_every": request.param})
    return request.param
