"""A library: documents of several classes, with keys of several types, in two databases."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import mongoengine as me
from mongoengine import Document, signals
from support.changes import tracked

from mongoengine_history import history_of, track_changes


class Volume(Document):
    meta = {"collection": "rv_books", "allow_inheritance": True, "auto_create_index": False}
    title = me.StringField(max_length=20)
    code = me.IntField(unique=True, sparse=True)
    tags = me.ListField(me.StringField())
    facts = me.DictField()


class Atlas(Volume):
    maps = me.IntField()


class Reader(Document):
    meta = {"collection": "rv_readers", "auto_create_index": False}
    key = me.UUIDField(primary_key=True)
    book = me.ReferenceField(Volume, reverse_delete_rule=me.CASCADE)
    name = me.StringField()


class SeatPlace(me.EmbeddedDocument):
    row = me.IntField()
    seat = me.IntField()


class Seat(Document):
    meta = {"collection": "rv_seats", "auto_create_index": False}
    place = me.EmbeddedDocumentField(SeatPlace, primary_key=True)
    taken = me.StringField()


class Far(Document):
    meta = {"collection": "rv_far", "db_alias": "other", "auto_create_index": False}
    name = me.StringField()


class Quiet(Document):
    """Tracked by blocks and signals alone."""

    meta = {"collection": "rv_quiet", "auto_create_index": False}
    name = me.StringField()


TRACKED = (Volume, Reader, Seat, Far)


@contextmanager
def tracking() -> Iterator[None]:
    """Track all of it; `Quiet` documents only where a block watches them."""
    Volume._get_collection().create_index("code", unique=True, sparse=True)
    for signal in (signals.post_save, signals.post_delete):
        signal.connect(track_changes, sender=Quiet)
    with tracked(*TRACKED):
        yield


def contents() -> dict[Any, Any]:
    """All that is stored, to the order of keys inside of values."""
    found = {}
    for model in (*TRACKED, Quiet):
        for document in model._get_collection().find():
            key = document.pop("_id")
            found[model.__name__, repr(key)] = {name: repr(document[name]) for name in document}
    return found


def told(model: Any, key: Any) -> list[tuple[str, Any]]:
    return [(it.operation, it.identity) for it in history_of(model, key)]


def by_another(write: Callable[[], Any]) -> None:
    """Write outside of all blocks."""
    thread = threading.Thread(target=write)
    thread.start()
    thread.join()


def stocked() -> tuple[Volume, Atlas, Reader]:
    book = Volume(title="a", code=1, tags=["x", "y"], facts={"b": {"c": 1}, "a": 2}).save()
    atlas = Atlas(title="w", code=2, maps=5).save()
    return book, atlas, Reader(key=uuid.UUID(int=1), book=book, name="ann").save()
