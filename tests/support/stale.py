"""Cards that several writers have in hand, and saves of stale copies that are refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import bson
import mongoengine as me
import pytest
from bson import ObjectId
from bson.raw_bson import RawBSONDocument
from support.changes import watch
from support.documents import Address, Line, exactly

from mongoengine_history import (
    ABSENT,
    History,
    StaleDocumentError,
    track_history,
    untrack_history,
)

Edit = Callable[[Any], None]


def fields() -> dict[str, Any]:
    """Make the fields of a card."""
    return {
        "text": me.StringField(),
        "other": me.StringField(),
        "count": me.IntField(db_field="c"),
        "size": me.IntField(default=7),
        "tags": me.ListField(me.StringField()),
        "facts": me.DictField(),
        "lines": me.EmbeddedDocumentListField(Line),
        "address": me.EmbeddedDocumentField(Address),
        "owner": me.ReferenceField("self"),
    }


def card(name: str, **meta: Any) -> type[me.Document]:
    """Make a class of cards; unknown fields of other writers do no harm."""
    meta = {"collection": name.lower(), "auto_create_index": False, "strict": False, **meta}
    return type(name, (me.Document,), {"meta": meta, **fields()})


Card = card("Card")
PlainCard = card("PlainCard")


class Loose(me.DynamicDocument):
    meta = {"collection": "loose_cards", "auto_create_index": False}
    text = me.StringField()


class Numbered(me.Document):
    meta = {"collection": "numbered_cards", "auto_create_index": False}
    number = me.IntField(primary_key=True)
    text = me.StringField()
    code = me.IntField()
    tags = me.ListField(me.StringField())


class Hidden(me.Document):
    meta = {
        "collection": "hidden_cards",
        "auto_create_index": False,
        "history": {"mask": ["token"], "exclude": ["password", "facts.pin"]},
    }
    text = me.StringField()
    token = me.StringField()
    password = me.StringField()
    facts = me.DictField()


WAYS = ["watched", "automatic", "neither"]
"""How a class may be tracked; a stale copy is refused whichever it is."""


def tracked_by(*classes: Any, ways: list[str] = WAYS) -> Callable[..., Iterator[str]]:
    """Make a fixture that has each test of a module once for each way."""

    @pytest.fixture(autouse=True, params=ways)
    def way(request: Any, database: Any) -> Iterator[str]:
        if request.param == "watched":
            watch(*classes)
        for cls in classes if request.param == "automatic" else ():
            track_history(cls, **cls._meta.get("history", {}))
        yield request.param
        for cls in classes if request.param == "automatic" else ():
            untrack_history(cls)

    return way


def loaded(model: Any, state: Mapping[str, Any]) -> Any:
    """Store a state past MongoEngine, and load it."""
    key = ObjectId()
    model._get_db()[model._get_collection_name()].insert_one({"_id": key, **state})
    return model.objects.get(pk=key)


def by_another(document: Any, update: Mapping[str, Any]) -> None:
    """Write past MongoEngine and the history."""
    name = document._get_collection_name()
    document._get_db()[name].update_one({"_id": document.pk}, update)


def refused(document: Any, **options: Any) -> StaleDocumentError:
    """Save, and check that it is refused and that nothing at all is written."""
    before = exactly(document), recorded()
    with pytest.raises(StaleDocumentError) as caught:
        document.save(**options)
    assert (exactly(document), recorded()) == before
    return caught.value


def recorded() -> list[bytes]:
    """Read all that any history has, to the byte."""
    history = History._get_collection()
    codec = history.codec_options.with_options(document_class=RawBSONDocument)
    return [it.raw for it in history.with_options(codec_options=codec).find().sort("_id", 1)]


def told(value: Any) -> Any:
    """Return a value to compare: by type and order, and `ABSENT` as it is."""
    return value if value is ABSENT else bson.encode({"": value})


def put(**values: Any) -> Edit:
    """Set attributes; ``a__b`` is an item or an attribute of another one."""

    def edit(document: Any) -> None:
        for name, value in values.items():
            target, *others = name.split("__")
            if not others:
                setattr(document, target, value)
                continue
            inner = getattr(document, target)
            for each in others[:-1]:
                inner = inner[each]
            inner[others[-1]] = value

    return edit
