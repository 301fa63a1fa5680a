"""Crates, and what others write to them."""

from __future__ import annotations

from typing import Any

import mongoengine as me
from mongoengine import Document

from mongoengine_history import history_of


class Crate(Document):
    meta = {"collection": "crates", "auto_create_index": False}
    name = me.StringField()
    count = me.IntField()
    tags = me.ListField(me.StringField())
    notes = me.DictField()


def crate(**values: Any) -> Crate:
    return Crate(**{"name": "a", "tags": ["x", "y"], "notes": {"k": 1}, **values}).save()


def collection() -> Any:
    return Crate._get_collection().database["crates"]


def write(document: Crate, update: dict[str, Any]) -> None:
    """Update it as another program does."""
    collection().update_one({"_id": document.pk}, update)


def paths(document: Crate, number: int = -1) -> list[Any]:
    return [path for _, path, _ in history_of(document)[number].patches]
