"""Reverting documents of all kinds: of classes that changed, of references, files, shard keys."""

from __future__ import annotations

from typing import Any

import mongoengine as me
import pytest
from mongoengine import signals
from support.changes import edited
from support.documents import raw

from mongoengine_history import (
    DocumentTrack,
    StateMismatchError,
    load_history,
    revert,
    track_changes,
)

pytestmark = pytest.mark.usefixtures("database")


def test_removed_attributes_of_a_dynamic_document_are_gone_in_memory_too() -> None:
    class Free(me.DynamicDocument):
        meta = {"collection": "free", "auto_create_index": False}

    signals.post_save.connect(track_changes, sender=Free)
    free = Free(a=1, b={"x": [1]}).save()
    before = raw(free)
    edited(free, c=3, b=None, d={"y": 1})
    revert(free)
    assert not hasattr(free, "c")
    assert free.b == {"x": [1]}
    free.save()
    assert raw(free) == before


def test_a_field_that_todays_class_does_not_know_is_named() -> None:
    class Old(me.Document):
        meta = {"collection": "changing", "auto_create_index": False}
        kept = me.IntField()
        gone = me.IntField()

    signals.post_save.connect(track_changes, sender=Old)
    old = Old(kept=1, gone=1).save()
    edited(old, kept=2, gone=None)

    class New(me.Document):
        meta = {"collection": "changing", "auto_create_index": False}
        kept = me.IntField()

    new = New.objects.get()
    with pytest.raises(StateMismatchError) as caught:
        revert(new)
    assert caught.value.keys == ["gone"]
    assert new.kept == 2

    class Loose(me.Document):
        meta = {"collection": "changing", "auto_create_index": False, "strict": False}
        kept = me.IntField()

    revert(Loose.objects.get()).save()
    assert raw(old) == {"_id": old.pk, "kept": 1, "gone": 1}


def test_an_abstract_base_and_inherited_classes_share_a_history() -> None:
    class Base(me.Document):
        meta = {"abstract": True, "auto_create_index": False}
        name = me.StringField()

    class Wagon(Base):
        meta = {"collection": "vehicles", "allow_inheritance": True}

    class Coach(Wagon):
        doors = me.IntField()

    signals.post_save.connect(track_changes, sender=Coach)
    car = Coach(name="a", doors=3)
    edited(car)
    before = raw(car)
    edited(car, name="b", doors=None)
    loaded = Wagon.objects.get()
    assert isinstance(loaded, Coach)
    revert(loaded).save()
    assert raw(car) == before
    assert before["_cls"] == "Wagon.Coach"


def test_a_document_of_another_class_is_not_forced_into_this_one() -> None:
    class Kind(me.Document):
        meta = {"collection": "kinds", "allow_inheritance": True, "auto_create_index": False}
        name = me.StringField()

    class Special(Kind):
        pass

    signals.post_save.connect(track_changes, sender=Kind)
    kind = Kind(name="a").save()
    edited(kind, name="b")
    me.get_db().kinds.update_one({}, {"$set": {"_cls": "Kind.Special"}})
    with pytest.raises(StateMismatchError) as caught:
        revert(kind)
    assert caught.value.keys == ["_cls"]


def test_a_shard_key_may_be_part_of_the_document() -> None:
    class Sharded(me.Document):
        meta = {"collection": "sharded", "shard_key": ("region",), "auto_create_index": False}
        region = me.StringField()
        text = me.StringField()

    signals.post_save.connect(track_changes, sender=Sharded)
    document = Sharded(region="eu", text="a")
    edited(document)
    before = raw(document)
    edited(document, text="b")
    revert(document).save()
    assert raw(document) == before
    Sharded.objects.delete()
    edited(document, text="c")
    assert raw(document) == {"_id": document.pk, "region": "eu", "text": "c"}
    assert revert(document, revision=4).text == "c"


def test_a_file_is_kept_by_its_reference() -> None:
    class Filed(me.Document):
        meta = {"collection": "filed", "auto_create_index": False}
        file = me.FileField()
        text = me.StringField()

    signals.post_save.connect(track_changes, sender=Filed)
    filed = Filed(text="a")
    filed.file.put(b"content")
    filed.save()
    before = raw(filed)
    edited(filed, text="b")
    with DocumentTrack(filed):
        filed.file = None
        filed.save()
    revert(filed).save()
    assert raw(filed) == before
    assert filed.file.read() == b"content"
    assert Filed.objects.get().file.read() == b"content"


def test_reading_never_fetches_what_references_name(commands: Any) -> None:
    class Owner(me.Document):
        meta = {"collection": "owners", "auto_create_index": False}
        friend = me.ReferenceField("self")
        friends = me.ListField(me.ReferenceField("self"))
        text = me.StringField()

    signals.post_save.connect(track_changes, sender=Owner)
    friend = Owner(text="f").save()
    owner = Owner(text="a", friend=friend, friends=[friend]).save()
    edited(owner, text="b", friends=[], friend=None)
    loaded = Owner.objects.get(text="b")
    commands.clear()
    revert(loaded)
    load_history(loaded)
    assert set(commands.names) <= {"find", "aggregate"}
    assert "owners" not in {sent.get("find") for sent in commands.sent}
    loaded.save()
    assert raw(owner)["friend"] == friend.pk
