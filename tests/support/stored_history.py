"""The history as it lies in the database, and as others alter it."""

from __future__ import annotations

from typing import Any

import mongoengine as me
from pymongo.collection import Collection


def history() -> Collection[Any]:
    return me.get_db()["history"]


def alter(found: dict[str, Any], update: dict[str, Any]) -> None:
    assert history().update_one(found, update).modified_count == 1
