"""What the tests of trust have in common."""

from __future__ import annotations

from typing import Any

import pytest
from support.watching import Bin, Shelf, db, keep_images

from mongoengine_history.trust import reconcile, verify


@pytest.fixture
def at_once(database: Any, monkeypatch: Any) -> None:
    """Nobody writes meanwhile, so nothing has to be waited for."""
    monkeypatch.setattr(reconcile, "GRACE", 0.0)
    monkeypatch.setattr(verify, "PAUSES", (0.0, 0.0))


@pytest.fixture
def bookmarks(database: Any) -> None:
    """Nothing is known of earlier watchers, and the collections are there."""
    db()["history.watch"].delete_many({})
    Bin(name="first").save().delete()
    Shelf(name="first").save().delete()


@pytest.fixture
def images(bookmarks: None, server_version: list[int]) -> None:
    if server_version < [6]:
        pytest.skip("MongoDB 6.0 or later")
    keep_images(True)
