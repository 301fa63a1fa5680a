"""A class as the command line imports it: with verbose names, and with something to hide."""

from __future__ import annotations

from typing import Any

import mongoengine as me

from mongoengine_history import changeset, track_history


class Board(me.EmbeddedDocument):
    label = me.StringField()
    width = me.IntField()


@track_history(mask=["code"], exclude=["secret"])
class Shelf(me.Document):
    owner = me.StringField(verbose_name="owned by")
    height = me.IntField(db_field="h")
    boards = me.EmbeddedDocumentListField(Board)
    note = me.StringField()
    code = me.StringField()
    secret = me.StringField()


@track_history
class Hook(me.Document):
    """It hides nothing, so that all can be done to it without the class."""

    name = me.StringField(primary_key=True)
    load = me.IntField()
    colour = me.StringField()


@track_history(reason_required=True)
class Deed(me.Document):
    """It goes back with a reason only."""

    meta = {"allow_inheritance": True}
    name = me.StringField(primary_key=True)
    acres = me.IntField()


class Draft(Deed):
    """It does without."""

    meta = {"history": {"reason_required": False}}


class Loose(me.Document):
    """Nobody tracks it."""

    size = me.IntField()


class Base(me.Document):
    meta = {"abstract": True}


SHELF, HOOK, DEED = "support.shelves:Shelf", "support.shelves:Hook", "support.shelves:Deed"


def shelf() -> Shelf:
    """Make a shelf of three revisions, in three changesets."""
    with changeset("ada", reason="order 4711"):
        made = Shelf(owner="Ada", height=1, code="c1", secret="s1", boards=[Board(label="a")])
        made.save()
    with changeset("ben"):
        made.modify(height=2, code="c2", secret="s2", push__boards=Board(label="b", width=3))
    with changeset("cleo", reason="wrong"):
        made.modify(height=3)
    return made


def hook(name: str = "door") -> Hook:
    """Make a hook of three revisions."""
    with changeset("ada"):
        made = Hook(name=name, load=1, colour="red").save()
    with changeset("ben", reason="repainted"):
        made.modify(load=2, colour="blue")
    with changeset("cleo"):
        made.modify(load=3)
    return made


def raw_collection(name: str) -> Any:
    """Return a collection of which nobody records what is written."""
    return me.get_db().get_collection(name)
