"""What the application does in its own way: fields, operators, handlers, names."""

from __future__ import annotations

import os
from typing import Any

import mongoengine as me
import pytest
from mongoengine import signals
from mongoengine.base import BaseField
from support.changes import edited, watched
from support.documents import raw
from support.memos import Memo, changes

from mongoengine_history import DocumentTrack, History, OptionsError, revert, track_changes

connected = watched(Memo, deletions=False)


def test_other_operators_of_a_class_are_recorded_as_the_server_did_them() -> None:
    class Locked(me.Document):
        meta = {"collection": "locked", "auto_create_index": False}
        text = me.StringField()
        version = me.IntField(default=0)

        def _get_update_doc(self) -> Any:
            update = super()._get_update_doc()
            return {**update, "$inc": {"version": 1}} if update else update

    signals.post_save.connect(track_changes, sender=Locked)
    locked = Locked(text="a").save()
    edited(locked, text="b")
    edited(locked, text="c")
    assert changes(locked) == [("a", "b"), (0, 1), ("b", "c"), (1, 2)]


class Secret(BaseField):
    """Never stores the same twice."""

    def to_mongo(self, value: Any) -> Any:
        return os.urandom(4) + value.encode()

    def to_python(self, value: Any) -> Any:
        return value[4:].decode() if isinstance(value, bytes) else value


def test_a_field_that_is_never_stored_alike_comes_back_exactly() -> None:
    class Safe(me.Document):
        meta = {"collection": "safes", "auto_create_index": False}
        secret = Secret()

    signals.post_save.connect(track_changes, sender=Safe)
    safe = Safe(secret="a").save()
    before = raw(safe)
    edited(safe, secret="b")
    revert(safe).save()
    assert raw(safe) == before
    revert(safe, revision=1)
    safe.secret = "edited"
    safe.save()
    assert Safe.objects.get().secret == "edited"


def test_a_field_that_cannot_be_loaded_loses_no_record(database: Any) -> None:
    class Currency(BaseField):
        def to_python(self, value: Any) -> Any:
            return {"EUR": 1}[value] if isinstance(value, str) else value

    class Price(me.Document):
        meta = {"collection": "prices", "auto_create_index": False}
        tags = me.ListField(me.StringField())
        currency = Currency()

    signals.post_save.connect(track_changes, sender=Price)
    database.prices.insert_one({"tags": ["a"], "currency": "DEM"})
    price = Price.objects.only("tags").get()
    edited(price, tags=[])
    assert changes(price) == [[("tags", ["a"])]]


def test_memory_that_bson_cannot_hold_is_refused_with_a_reason() -> None:
    memo = Memo(text="a").save()
    memo.number = 2**70
    with DocumentTrack(memo), pytest.raises(OverflowError, match="8-byte ints"):
        memo.save()
    assert "number" not in raw(memo)
    with pytest.raises(OptionsError, match="no BSON"):
        DocumentTrack(memo, refuse_stale=True)


def test_fields_with_names_of_dict_methods_come_back_in_memory_too() -> None:
    class Strict(me.Document):
        STRICT = True
        meta = {"collection": "strict", "auto_create_index": False}
        items = me.ListField(me.StringField())
        keys = me.DictField()

    signals.post_save.connect(track_changes, sender=Strict)
    strict = Strict(items=["1"], keys={"a": 1}).save()
    edited(strict, items=["2"], keys={"b": 2})
    revert(strict)
    assert (strict.items, strict.keys) == (["1"], {"a": 1})


@pytest.mark.parametrize("signal", [signals.post_save, signals.pre_save])
def test_a_handler_of_ones_own_may_call_track_changes(signal: Any) -> None:
    signals.post_save._clear_state()

    def handler(sender: type, document: Any, **kwargs: Any) -> None:
        if document.text != "private":
            track_changes(sender, document, **kwargs)

    signal.connect(handler, sender=Memo)
    memo = Memo(text="a").save()
    with DocumentTrack(memo, "anna"):
        for text in ("b", "private", "c"):
            memo.text = text
            memo.save()
    assert changes(memo) == [("a", "b"), ("private", "c")]
    assert History.objects.distinct("identity") == ["anna"]


def test_only_part_of_a_sharded_document_may_be_loaded() -> None:
    class Part(me.Document):
        meta = {"collection": "parts", "shard_key": ("region",), "auto_create_index": False}
        region = me.StringField()
        text = me.StringField()

    signals.post_save.connect(track_changes, sender=Part)
    part = Part(region="eu", text="a").save()
    edited(part, text="b")
    assert revert(Part.objects.only("text").get()).region == "eu"
