"""Bringing back what was deleted: as it was, and where it was."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import bson
import mongoengine as me
import pytest
from bson import ObjectId
from mongoengine.context_managers import switch_collection, switch_db
from support.changes import agrees, deleted, edited, told, watch, watched
from support.documents import Address, Line, Person, exactly, raw
from support.papers import Plate

from mongoengine_history import (
    DocumentDidNotExistError,
    DocumentTrack,
    History,
    RevisionNotFoundError,
    StateMismatchError,
    StateNotKeptError,
    history_of,
    restore,
    undo,
)

connected = watched(Plate)


class TestWhatComesBack:
    def test_the_deleted_state_to_the_byte(self, database: Any) -> None:
        """The order of fields, what is empty, what the class would fill in, old types."""
        pk = ObjectId()
        database.plates.insert_one(
            {
                "_id": pk,
                "tags": [],
                "facts": {"z": 1, "a": bson.Int64(1), "a.b": {"": None}},
                "address": {"zip": "1", "s": "x"},
                "title": "odd order",
            }
        )
        plate = Plate.objects.get()
        before = exactly(plate)
        deleted(plate)
        assert exactly(plate) == b""
        restore(Plate, pk).save()
        assert exactly(plate) == before
        assert agrees(plate)

    def test_it_is_a_new_object_and_nothing_is_stored_before_its_save(self) -> None:
        plate = Plate(title="a", tags=["x"], address=Address(street="s"))
        edited(plate)
        deleted(plate)
        restored = restore(Plate, plate.pk)
        assert restored is not plate
        assert type(restored) is Plate
        assert (restored.pk, restored.title, restored.tags) == (plate.pk, "a", ["x"])
        assert restored.address.street == "s"
        assert (raw(plate), len(history_of(plate))) == (None, 2)

    def test_what_was_written_untracked_before_a_recorded_deletion_comes_back(self) -> None:
        plate = Plate(title="a")
        edited(plate)
        Plate.objects.update(set__title="drift", set__facts__x=1)
        before = exactly(plate)
        deleted(plate)
        restore(Plate, plate.pk).save()
        assert exactly(plate) == before
        assert agrees(plate)

    def test_of_a_deletion_that_nobody_recorded_the_state_after_the_newest_revision(self) -> None:
        plate = Plate(title="a", tags=["x"]).save()
        edited(plate, title="b")
        before = exactly(plate)
        Plate.objects.update(set__title="drift")
        Plate.objects.delete()
        restore(Plate, plate.pk).save()
        assert exactly(plate) == before
        assert told(plate)[-1][0] == "restore"
        assert agrees(plate)

    def test_without_any_version_the_deletion_alone_is_enough(self, monkeypatch: Any) -> None:
        monkeypatch.setitem(Plate._meta, "history", {"version_every": 0})
        plate = Plate(title="a", tags=["x"]).save()
        edited(plate, title="b")
        before = exactly(plate)
        deleted(plate)
        restore(Plate, plate.pk).save()
        assert exactly(plate) == before

    def test_a_state_that_nothing_leads_to_is_refused(self, monkeypatch: Any) -> None:
        """No version, no creation, no deletion: an empty document would be a lie."""
        monkeypatch.setitem(Plate._meta, "history", {"version_every": 0})
        plate = Plate(title="a", tags=["x"]).save()
        edited(plate, title="b")
        Plate.objects.delete()
        with pytest.raises(StateNotKeptError) as caught:
            restore(Plate, plate.pk)
        assert (caught.value.document_id, caught.value.number) == (plate.pk, 1)
        for number in (0, 1):
            with pytest.raises(StateNotKeptError):
                history_of(plate).state(number)

    def test_without_any_version_an_earlier_restore_is_enough(self, monkeypatch: Any) -> None:
        """It has recorded the whole document, as a creation does."""
        monkeypatch.setitem(Plate._meta, "history", {"version_every": 0})
        plate = Plate(title="a", tags=["x"]).save()
        edited(plate, title="b")
        deleted(plate)
        restored = restore(Plate, plate.pk).save()
        edited(restored, tags=["y", "x"])
        before = exactly(plate)
        Plate.objects.delete()
        assert [history_of(plate).state(number)["title"] for number in (0, 1, 3, 4)] == [*"abbb"]
        restore(Plate, plate.pk).save()
        assert exactly(plate) == before

    def test_without_any_version_a_creation_is_enough(self, monkeypatch: Any) -> None:
        monkeypatch.setitem(Plate._meta, "history", {"version_every": 0})
        plate = Plate(title="a", tags=["x"])
        edited(plate)
        edited(plate, tags=["y", "x"])
        before = exactly(plate)
        Plate.objects.delete()
        restore(Plate, plate.pk).save()
        assert exactly(plate) == before

    def test_of_several_lives_the_last_one(self) -> None:
        plate = Plate(title="first")
        edited(plate)
        deleted(plate)
        edited(Plate(pk=plate.pk, title="second"))
        deleted(Plate.objects.get())
        restored = restore(Plate, plate.pk).save()
        assert restored.title == "second"
        edited(restored, title="third")
        Plate.objects.delete()
        assert restore(Plate, plate.pk).save().title == "third"
        operations = [operation for operation, _ in told(plate)]
        assert operations == [
            *("create", "delete", "create", "delete", "restore", "update", "restore")
        ]
        assert [history_of(plate).state(it)["title"] for it in (1, 3, 5, 6, 7)] == [
            *("first", "second", "second", "third", "third")
        ]

    def test_what_was_gone_from_the_second_life_stays_gone(self) -> None:
        """Each life begins with nothing, whatever the history had before."""
        plate = Plate(title="first", facts={"x": 1}, lines=[Line(sku="1")])
        edited(plate)
        Plate.objects.delete()
        edited(Plate(pk=plate.pk, title="second"))
        Plate.objects.delete()
        restore(Plate, plate.pk).save()
        assert raw(plate) == {"_id": plate.pk, **history_of(plate).state(2)}
        assert raw(plate)["lines"] == []
        assert agrees(plate)

    def test_generated_and_default_values_are_not_filled_in(self, database: Any) -> None:
        class Numbered(me.Document):
            meta = {"collection": "numbered", "auto_create_index": False}
            number = me.SequenceField()
            size = me.IntField(default=3)
            text = me.StringField()

        watch(Numbered)
        database.numbered.insert_one({"_id": ObjectId("5" * 24), "text": "old"})
        numbered = Numbered.objects.get()
        deleted(numbered)
        restored = restore(Numbered, "5" * 24)
        restored.save()
        assert database.numbered.find_one() == {"_id": ObjectId("5" * 24), "text": "old"}

    def test_a_base_class_gives_the_subclass(self) -> None:
        class Dish(me.Document):
            meta = {"collection": "dishes", "allow_inheritance": True, "auto_create_index": False}
            name = me.StringField()

        class Soup(Dish):
            hot = me.BooleanField()

        class Salad(Dish):
            green = me.BooleanField()

        watch(Soup)
        soup = Soup(name="leek", hot=True)
        edited(soup)
        before = exactly(soup)
        deleted(soup)
        with pytest.raises(StateMismatchError) as caught:
            restore(Salad, soup.pk)
        assert caught.value.keys == ["_cls"]
        restored = restore(Dish, soup.pk)
        assert isinstance(restored, Soup)
        restored.save()
        assert exactly(soup) == before
        assert told(soup)[-1][0] == "restore"

    def test_dynamic_documents(self) -> None:
        class Free(me.DynamicDocument):
            meta = {"collection": "free_plates", "auto_create_index": False}
            a = me.IntField()

        watch(Free)
        free = Free(b={"x": [1, {"y": None}]}, a=1, c="", d=[])
        edited(free)
        before = exactly(free)
        deleted(free)
        restored = restore(Free, free.pk)
        assert (restored.b["x"][1], restored.c) == ({"y": None}, "")
        restored.save()
        assert exactly(free) == before

    def test_references_to_documents_that_are_gone(self, commands: Any) -> None:
        class Owned(me.Document):
            meta = {"collection": "owned", "auto_create_index": False}
            owner = me.ReferenceField(Person)
            others = me.ListField(me.ReferenceField(Person, dbref=True))

        watch(Owned)
        ann = Person(name="ann").save()
        owned = Owned(owner=ann, others=[ann])
        edited(owned)
        before = exactly(owned)
        deleted(owned)
        ann.delete()
        commands.clear()
        restore(Owned, owned.pk).save()
        assert "person" not in {sent.get("find") for sent in commands.sent}
        assert exactly(owned) == before

    def test_states_of_nearly_16_mb(self) -> None:
        plate = Plate(title="a" * 16_600_000)
        edited(plate)
        deleted(plate)
        assert len(restore(Plate, plate.pk).save().title) == 16_600_000
        assert agrees(plate)

    @pytest.mark.parametrize(
        ("field", "pk"),
        [
            (me.IntField, 0),
            (me.StringField, ""),
            (me.DynamicField, {"a": 1, "b": 2}),
        ],
    )
    def test_primary_keys_of_any_type(self, field: Any, pk: Any) -> None:
        class Keyed(me.Document):
            meta = {"collection": "keyed_plates", "auto_create_index": False}
            key = field(primary_key=True)
            text = me.StringField()

        watch(Keyed)
        Keyed._get_collection().insert_one({"_id": pk, "text": "a"})
        keyed = Keyed.objects.get()
        edited(keyed, text="b")
        deleted(keyed)
        restore(Keyed, pk).save()
        assert Keyed._get_collection().find_one() == {"_id": pk, "text": "b"}

    def test_a_document_of_nothing_but_its_key(self) -> None:
        """Its state is empty, so nothing in it changes, but it comes and goes."""

        class Label(me.Document):
            meta = {"collection": "labels", "auto_create_index": False}
            name = me.StringField(primary_key=True)

        watch(Label)
        label = Label(name="blue")
        edited(label, "ann")
        deleted(label, "ben")
        restored = restore(Label, "blue")
        with DocumentTrack(restored, "cleo"):
            restored.save()
        assert raw(restored) == {"_id": "blue"}
        deleted(restored)
        undo(restored, -1).save()
        assert told(restored) == [
            *(("create", "ann"), ("delete", "ben"), ("restore", "cleo")),
            *(("delete", None), ("undo", None)),
        ]
        timeline = history_of(restored)
        for number in (1, 3, 5):
            assert timeline.state(number) == {}
            assert timeline.as_of(timeline[number].at).name == "blue"
        for number in (0, 2, 4):
            with pytest.raises(DocumentDidNotExistError):
                timeline.state(number)
        assert timeline.as_of(timeline[2].at) is None
        assert timeline.as_of(timeline[1].at - timedelta(seconds=1)) is None
        assert str(timeline[2]).startswith("2. ")

    def test_a_primary_key_that_refers_to_what_is_gone(self) -> None:
        """MongoEngine can save such a document as long as nobody asks for its ``pk``."""

        class Profile(me.Document):
            meta = {"collection": "profile_plates", "auto_create_index": False}
            owner = me.ReferenceField(Person, primary_key=True)
            text = me.StringField()

        watch(Profile)
        Profile._get_collection().insert_one({"_id": ObjectId("7" * 24), "text": "a"})
        profile = Profile.objects.get()
        edited(profile, text="b")
        Profile._get_collection().delete_many({})
        restore(Profile, "7" * 24).save()
        assert Profile._get_collection().find_one()["text"] == "b"


@pytest.mark.parametrize("switch", [switch_db, switch_collection])
def test_it_is_restored_where_it_was(switch: Any) -> None:
    with switch(Plate, "other") as elsewhere:
        plate = elsewhere(title="elsewhere")
        edited(plate)
        deleted(plate)
        restored = restore(elsewhere, plate.pk)
        restored.save()
        assert raw(plate)["title"] == "elsewhere"
        assert told(plate)[-1][0] == "restore"
    with pytest.raises(RevisionNotFoundError):
        restore(Plate, plate.pk)
    assert (Plate.objects.count(), History.objects.of(Plate, plate.pk).count()) == (0, 0)
