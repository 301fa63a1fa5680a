"""What the tests of the way back have in common."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def alone(monkeypatch: Any) -> None:
    """As with a PyMongo or a server that has no transactions."""
    monkeypatch.setattr(
        "mongoengine_history.back.revert_changeset.can_transact", lambda client: False
    )
