"""Documents that hold what is to be forgotten, each value with the mark of its place."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import mongoengine as me
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from hypothesis import strategies as st

from mongoengine_history import History

_numbers = count()


class Entry(me.EmbeddedDocument):
    sku = me.StringField()
    card = me.StringField(db_field="c")


class Room(me.EmbeddedDocument):
    street = me.StringField()
    door = me.StringField(db_field="d")


class Diary(me.Document):
    meta = {"collection": "diaries", "auto_create_index": False}
    name = me.StringField()
    mail = me.StringField(db_field="m")
    tags = me.ListField(me.StringField())
    entries = me.EmbeddedDocumentListField(Entry, db_field="e")
    facts = me.DictField()
    room = me.EmbeddedDocumentField(Room)


#: What may be forgotten, the marks that are gone then, and the stored path of the masks.
PATHS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "mail": (("MAIL",), ("m",)),
    "m": (("MAIL",), ("m",)),
    "tags": (("TAGS",), ("tags",)),
    "tags.*": (("TAGS",), ("tags",)),
    "entries": (("CARD", "SKU"), ("e",)),
    "entries.card": (("CARD",), ("e", "c")),
    "entries.*.card": (("CARD",), ("e", "c")),
    "facts": (("FACT", "PIN"), ("facts",)),
    "facts.*.pin": (("PIN",), ("facts", "*", "pin")),
    "facts.a": ((), ("facts", "a")),
    "room": (("DOOR", "STREET"), ("room",)),
    "room.door": (("DOOR",), ("room", "d")),
}


def marked(mark: str) -> str:
    """Make a text of a place, each another one."""
    return f"{mark}-{next(_numbers)}-{mark}"


def filled() -> Diary:
    return Diary(
        name="a",
        mail=marked("MAIL"),
        tags=[marked("TAGS"), marked("TAGS")],
        entries=[Entry(sku=marked("SKU"), card=marked("CARD")) for _ in range(3)],
        facts={"a": {"pin": marked("PIN"), "b": marked("FACT")}, "n": 1},
        room=Room(street=marked("STREET"), door=marked("DOOR")),
    )


Step = Callable[[Diary], Any]


def _rename(diary: Diary) -> None:
    diary.name = f"name {next(_numbers)}"


def _write(diary: Diary) -> None:
    diary.mail = marked("MAIL")


def _tag(diary: Diary) -> None:
    diary.tags.insert(0, marked("TAGS"))


def _untag(diary: Diary) -> None:
    if diary.tags:
        diary.tags.pop(len(diary.tags) // 2)


def _enter(diary: Diary) -> None:
    diary.entries.insert(1, Entry(sku=marked("SKU"), card=marked("CARD")))


def _drop(diary: Diary) -> None:
    if diary.entries:
        diary.entries.pop(0)


def _pay(diary: Diary) -> None:
    if diary.entries:
        diary.entries[-1].card = marked("CARD")


def _find_out(diary: Diary) -> None:
    diary.facts[f"k{next(_numbers) % 3}"] = {"pin": marked("PIN"), "b": marked("FACT")}


def _change_pin(diary: Diary) -> None:
    if "a" in diary.facts:
        diary.facts["a"]["pin"] = marked("PIN")


def _move(diary: Diary) -> None:
    if diary.room:
        diary.room.door = marked("DOOR")


def _leave(diary: Diary) -> None:
    diary.room = None if diary.room else Room(street=marked("STREET"), door=marked("DOOR"))


def _clear(diary: Diary) -> None:
    diary.tags, diary.facts, diary.mail = [], {}, None


STEPS: tuple[Step, ...] = (
    *(_rename, _write, _tag, _untag, _enter, _drop, _pay),
    *(_find_out, _change_pin, _move, _leave, _clear),
)

scripts = st.lists(st.sampled_from(STEPS), max_size=8)


def found(*marks: str) -> list[str]:
    """Name the marks that any document of the history holds."""
    codec: CodecOptions[Any] = CodecOptions(document_class=RawBSONDocument)
    raws = [it.raw for it in History._get_collection().with_options(codec_options=codec).find()]
    return [mark for mark in marks if any(mark.encode() in raw for raw in raws)]
