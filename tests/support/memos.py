"""Short documents that blocks watch, and what their records tell."""

from __future__ import annotations

from typing import Any

import mongoengine as me

from mongoengine_history import History, load_history


class Note(me.Document):
    meta = {"collection": "notes", "auto_create_index": False}
    text = me.StringField(max_length=20)
    tags = me.ListField(me.StringField())
    links = me.DictField()
    owner = me.ReferenceField("self")


class Coded(me.Document):
    meta = {"collection": "coded", "auto_create_index": False}
    code = me.DynamicField(primary_key=True)
    text = me.StringField()


class Memo(me.Document):
    meta = {"collection": "memos", "auto_create_index": False}
    text = me.StringField()
    other = me.StringField()
    number = me.IntField()
    items = me.ListField(me.IntField())
    facts = me.DictField()


class Page(me.Document):
    meta = {"collection": "pages", "auto_create_index": False}
    text = me.StringField()
    data = me.DictField()
    tags = me.ListField(me.StringField())


def change_text(note: Note, text: str) -> None:
    note.text = text
    note.save()


def told(*names: str, **query: Any) -> list[Any]:
    """The named fields of all records, in order."""
    found = History.objects(**query).order_by("revision", "position")
    rows = [tuple(getattr(record, name) for name in names) for record in found]
    return [row[0] for row in rows] if len(names) == 1 else rows


def changes(memo: Any) -> list[Any]:
    return [data for _, _, data in reversed(load_history(memo))]


def revisions(page: Any) -> list[int]:
    return sorted(History.objects(document_id=page.pk).distinct("revision"))
