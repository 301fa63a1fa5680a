"""Databases of a run: their names are made up, and nothing of them is left."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import mongoengine
from pymongo import MongoClient


@contextmanager
def databases(uri: str, count: int, **options: Any) -> Iterator[list[str]]:
    """Name databases, connect MongoEngine to the first of them, and drop all of them at the end."""
    run = uuid.uuid4().hex[:8]
    names = [f"history_benchmark_{run}_{place}" for place in range(count)]
    mongoengine.connect(names[0], host=uri, uuidRepresentation="standard", **options)
    try:
        yield names
    finally:
        mongoengine.disconnect_all()
        with MongoClient(uri) as client:
            for name in names:
                client.drop_database(name)
