"""Documents that are taken back to earlier states."""

from __future__ import annotations

import mongoengine as me
from support.documents import Address, Line


class Plate(me.Document):
    meta = {"collection": "plates", "auto_create_index": False}
    title = me.StringField()
    size = me.IntField(db_field="s", default=7)
    tags = me.ListField(me.StringField())
    lines = me.EmbeddedDocumentListField(Line)
    address = me.EmbeddedDocumentField(Address)
    facts = me.DictField()


class Letter(me.Document):
    meta = {"collection": "letters", "auto_create_index": False}
    title = me.StringField()
    pages = me.IntField(db_field="p")
    tags = me.ListField(me.StringField())
    lines = me.EmbeddedDocumentListField(Line)
    address = me.EmbeddedDocumentField(Address)
    facts = me.DictField()


class Invoice(me.Document):
    meta = {"collection": "invoices", "auto_create_index": False}
    number = me.IntField()
    status = me.StringField(default="open")
    tags = me.ListField(me.StringField())
    lines = me.EmbeddedDocumentListField(Line)
    address = me.EmbeddedDocumentField(Address)
    notes = me.DictField()
