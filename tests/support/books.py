"""Documents whose histories are read: without versions of their own, with some, with all, none."""

from __future__ import annotations

from typing import Any

import mongoengine as me
from support.documents import Address, Line


class Book(me.Document):
    meta = {"collection": "books", "auto_create_index": False}
    title = me.StringField()
    pages = me.IntField(db_field="p")
    tags = me.ListField(me.StringField())
    lines = me.EmbeddedDocumentListField(Line)
    address = me.EmbeddedDocumentField(Address)
    facts = me.DictField()


class Kept(me.Document):
    """Keeps a version with every second revision."""

    meta = {"collection": "kept", "auto_create_index": False, "history": {"version_every": 2}}
    text = me.StringField()
    tags = me.ListField(me.StringField())


class Full(me.Document):
    """Keeps every full state."""

    meta = {"collection": "full", "auto_create_index": False, "history": {"version_every": 1}}
    text = me.StringField()


class Bare(me.Document):
    """Keeps no state."""

    meta = {"collection": "bare", "auto_create_index": False, "history": {"version_every": 0}}
    text = me.StringField()


def many_revisions(database: Any, document: Any, count: int) -> None:
    """Continue a history of one creation, without saving each time."""
    first = database.history.find_one({"document_id": document.pk, "revision": 1, "position": 0})
    database.history.insert_many(
        {
            **{key: value for key, value in first.items() if key not in {"_id", "lists"}},
            "action": "change",
            "path": "text",
            "keys": ["text"],
            "data": {"old": f"{number - 1:08}", "new": f"{number:08}"},
            "operation": "update",
            "revision": number,
            "stamp": first["stamp"] + number,
        }
        for number in range(2, count + 1)
    )
