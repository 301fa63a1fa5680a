"""Bringing back what was deleted: as it was, once, and on the record."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import bson
import mongoengine as me
import pytest
from bson import ObjectId
from bson.raw_bson import RawBSONDocument
from mongoengine import signals
from mongoengine.context_managers import switch_collection, switch_db
from mongoengine.errors import NotUniqueError, ValidationError
from support.documents import Address, Line, Person, raw

from mongoengine_history import (
    DocumentDidNotExistError,
    DocumentExistsError,
    DocumentTrack,
    History,
    OptionsError,
    RevisionNotFoundError,
    StateMismatchError,
    StateNotKeptError,
    history_of,
    restore,
    revert,
    track_changes,
    undo,
)


class Plate(me.Document):
    meta = {"collection": "plates", "auto_create_index": False}
    title = me.StringField()
    size = me.IntField(db_field="s", default=7)
    tags = me.ListField(me.StringField())
    lines = me.EmbeddedDocumentListField(Line)
    address = me.EmbeddedDocumentField(Address)
    facts = me.DictField()


def watch(*classes: type[me.Document]) -> None:
    for cls in classes:
        signals.post_save.connect(track_changes, sender=cls)
        signals.post_delete.connect(track_changes, sender=cls)


@pytest.fixture(autouse=True)
def connected(database: Any) -> None:
    watch(Plate)


def edited(document: Any, who: object = None, **values: Any) -> None:
    """Save some values as one revision."""
    with DocumentTrack(document, who):
        for name, value in values.items():
            setattr(document, name, value)
        document.save()


def deleted(document: Any, who: object = None) -> None:
    with DocumentTrack(document, who):
        document.delete()


def exactly(document: Any) -> bytes:
    """Read what is stored to the byte, the order of fields included."""
    collection = document._get_collection()
    codec = collection.codec_options.with_options(document_class=RawBSONDocument)
    found = collection.with_options(codec).find_one({"_id": document.pk})
    return found.raw if found else b""


def told(document: Any) -> list[tuple[str, Any]]:
    return [(it.operation, it.identity) for it in history_of(document)]


def agrees(document: Any) -> bool:
    """Whether the history says what is stored."""
    return history_of(document).compare(-1) == []


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


class TestWhatIsRecorded:
    def test_a_restore_by_whoever_the_block_says(self) -> None:
        plate = Plate(title="a")
        edited(plate, "ann")
        deleted(plate, "ben")
        restored = restore(Plate, plate.pk)
        with DocumentTrack(restored, "cleo", reason="a mistake", request="r1"):
            restored.save()
        assert told(plate) == [("create", "ann"), ("delete", "ben"), ("restore", "cleo")]
        newest = history_of(plate)[-1]
        assert (newest.reason, newest.metadata) == ("a mistake", {"request": "r1"})
        assert [(action, path) for action, path, _ in newest.patches] == [("add", [])]

    def test_one_by_nobody_without_a_block(self) -> None:
        plate = Plate(title="a")
        edited(plate, "ann")
        deleted(plate)
        restore(Plate, plate.pk).save()
        assert told(plate)[-1] == ("restore", None)

    def test_one_by_whoever_the_save_says(self) -> None:
        plate = Plate(title="a")
        edited(plate)
        deleted(plate)
        restore(Plate, plate.pk).save(signal_kwargs={"identity": "ann", "reason": "why"})
        assert (told(plate)[-1], history_of(plate)[-1].reason) == (("restore", "ann"), "why")

    def test_nothing_without_a_connected_handler(self) -> None:
        plate = Plate(title="a")
        edited(plate)
        before = exactly(plate)
        deleted(plate)
        signals.post_save.disconnect(track_changes, sender=Plate)
        restored = restore(Plate, plate.pk)
        restored.save()
        assert exactly(plate) == before
        assert len(history_of(plate)) == 2
        assert not [name for name in vars(restored) if name.startswith("_save")]

    def test_the_document_goes_on_as_usual(self) -> None:
        plate = Plate(title="a", tags=["x"], lines=[Line(sku="1")])
        edited(plate)
        deleted(plate)
        restored = restore(Plate, plate.pk)
        restored.save()
        restored.title = "untracked"
        restored.save()
        assert len(history_of(plate)) == 3
        edited(restored, "ann", tags=["y", "x"])
        restored.lines[0].sku = "2"
        edited(restored, "ann")
        assert told(plate)[3:] == [("update", "ann"), ("update", "ann")]
        assert history_of(plate).state(-1)["lines"] == raw(plate)["lines"] == [{"sku": "2"}]
        assert revert(restored, revision=3).save().tags == ["x"]

    def test_a_second_save_in_the_block_is_a_revision_of_its_own(self) -> None:
        plate = Plate(title="a")
        edited(plate)
        deleted(plate)
        restored = restore(Plate, plate.pk)
        with DocumentTrack(restored, "ann"):
            restored.save()
            restored.title = "b"
            restored.save()
        assert told(plate)[2:] == [("restore", "ann"), ("update", "ann")]

    def test_it_can_be_deleted_and_restored_again(self) -> None:
        plate = Plate(title="a", tags=["x"])
        edited(plate)
        before = exactly(plate)
        for _ in range(3):
            deleted(Plate.objects.get())
            restore(Plate, plate.pk).save()
        assert exactly(plate) == before
        assert [operation for operation, _ in told(plate)] == [
            *("create", *("delete", "restore") * 3)
        ]


class TestBeforeItIsSaved:
    def test_edits_are_saved_with_it(self) -> None:
        plate = Plate(title="a", tags=["x"], facts={"k": 1}, address=Address(street="s"))
        edited(plate)
        deleted(plate)
        restored = restore(Plate, plate.pk)
        restored.title = "b"
        restored.tags.append("y")
        restored.facts["l"] = 2
        restored.address = None
        restored.save()
        stored = raw(plate)
        assert (stored["title"], stored["tags"]) == ("b", ["x", "y"])
        assert (stored["facts"], stored["s"]) == ({"k": 1, "l": 2}, 7)
        assert "address" not in stored
        assert list(stored)[:3] == ["_id", "title", "s"]
        assert [operation for operation, _ in told(plate)] == ["create", "delete", "restore"]
        assert agrees(plate)

    def test_a_save_that_is_not_valid_can_be_repeated(self) -> None:
        class Strict(me.Document):
            meta = {"collection": "strict_plates", "auto_create_index": False}
            title = me.StringField()
            text = me.StringField()

        watch(Strict)
        strict = Strict(text="x")
        edited(strict)
        deleted(strict)
        Strict._fields["title"].required = True
        try:
            restored = restore(Strict, strict.pk)
            with pytest.raises(ValidationError):
                restored.save()
            assert (raw(strict), len(history_of(strict))) == (None, 2)
            restored.title = "now needed"
            restored.save()
        finally:
            Strict._fields["title"].required = False
        assert raw(strict) == {"_id": strict.pk, "text": "x", "title": "now needed"}
        assert told(strict)[-1] == ("restore", None)
        assert agrees(strict)

    def test_one_stored_by_somebody_else_meanwhile_is_not_replaced(self) -> None:
        plate = Plate(title="a")
        edited(plate)
        deleted(plate)
        restored = restore(Plate, plate.pk)
        Plate(pk=plate.pk, title="other").save()
        with pytest.raises(NotUniqueError):
            restored.save()
        with pytest.raises(NotUniqueError), DocumentTrack(restored, "ann"):
            restored.save()
        assert (raw(plate)["title"], len(history_of(plate))) == ("other", 2)

    def test_a_second_restore_of_the_same_document_loses(self) -> None:
        plate = Plate(title="a")
        edited(plate)
        deleted(plate)
        first, second = restore(Plate, plate.pk), restore(Plate, plate.pk)
        first.save()
        second.title = "b"
        with pytest.raises(NotUniqueError):
            second.save()
        assert raw(plate)["title"] == "a"
        assert [operation for operation, _ in told(plate)] == ["create", "delete", "restore"]

    def test_of_many_at_once_one_wins(self) -> None:
        plate = Plate(title="a")
        edited(plate)
        deleted(plate)
        restored = [restore(Plate, plate.pk) for _ in range(8)]
        start = threading.Barrier(8)
        outcomes: list[str] = []

        def save(who: int) -> None:
            start.wait()
            try:
                with DocumentTrack(restored[who], who):
                    restored[who].save()
                outcomes.append("stored")
            except NotUniqueError:
                outcomes.append("refused")

        threads = [threading.Thread(target=save, args=(who,)) for who in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["refused"] * 7 + ["stored"]
        assert [operation for operation, _ in told(plate)] == ["create", "delete", "restore"]
        assert agrees(plate)

    def test_a_unique_value_that_is_taken_is_an_error(self, database: Any) -> None:
        class Unique(me.Document):
            meta = {"collection": "unique_plates"}
            name = me.StringField(unique=True)

        watch(Unique)
        unique = Unique(name="a")
        edited(unique)
        deleted(unique)
        Unique(name="a").save()
        with pytest.raises(NotUniqueError):
            restore(Unique, unique.pk).save()
        assert len(history_of(unique)) == 2
        database.drop_collection("unique_plates")


class TestWhatIsRefused:
    def test_a_document_that_is_stored(self) -> None:
        plate = Plate(title="a")
        edited(plate)
        for _ in range(2):
            with pytest.raises(DocumentExistsError) as caught:
                restore(Plate, plate.pk)
            assert caught.value.document_id == plate.pk
            deleted(plate)
            restore(Plate, plate.pk).save()

    def test_one_that_has_no_history(self) -> None:
        plate = Plate(title="a").save()
        plate.delete()
        for key in (plate.pk, ObjectId()):
            with pytest.raises(RevisionNotFoundError) as caught:
                restore(Plate, key)
            assert (caught.value.document_id, caught.value.newest) == (key, 0)

    @pytest.mark.parametrize(
        "arguments",
        [
            (Plate, None),
            (Plate, "no object id"),
            (Address, 1),
            (dict, 1),
            (Plate(pk=ObjectId()), ObjectId()),
        ],
    )
    def test_what_names_no_document(self, database: Any, arguments: tuple[Any, ...]) -> None:
        with pytest.raises(OptionsError):
            restore(*arguments)

    def test_a_state_that_todays_class_cannot_hold(self) -> None:
        class Old(me.Document):
            meta = {"collection": "changed_plates", "auto_create_index": False}
            kept = me.IntField()
            gone = me.IntField()

        watch(Old)
        old = Old(kept=1, gone=1)
        edited(old)
        deleted(old)

        class New(me.Document):
            meta = {"collection": "changed_plates", "auto_create_index": False}
            kept = me.IntField()

        with pytest.raises(StateMismatchError) as caught:
            restore(New, old.pk)
        assert (caught.value.document_id, caught.value.keys) == (old.pk, ["gone"])


class TestRevertOfWhatIsGone:
    """The object is still there, the document is not."""

    def test_after_a_recorded_deletion_any_state_can_be_stored_again(self) -> None:
        plate = Plate(title="a", tags=[], facts={"x": 1})
        edited(plate)
        states = [b"", exactly(plate)]
        edited(plate, title="b", facts={})
        states.append(exactly(plate))
        deleted(plate)
        for number in (1, 2):
            revert(plate, revision=number)
            assert raw(plate) is None
            with DocumentTrack(plate, "ann"):
                plate.save()
            assert bson.decode(exactly(plate)) == bson.decode(states[number])
            assert told(plate)[-1] == ("revert", "ann")
            assert agrees(plate)
            deleted(plate)

    def test_without_an_argument_it_is_the_first_state(self) -> None:
        plate = Plate(title="a", tags=["x"]).save()
        before = exactly(plate)
        edited(plate, title="b", size=None)
        deleted(plate)
        revert(plate).save()
        assert exactly(plate) == before

    def test_to_a_point_where_it_was_gone_is_an_error(self) -> None:
        plate = Plate(title="a")
        edited(plate)
        deleted(plate)
        for number in (0, 2):
            with pytest.raises(DocumentDidNotExistError):
                revert(plate, revision=number)
        assert raw(plate) is None

    def test_after_a_deletion_that_nobody_recorded_it_is_a_restore(self) -> None:
        """So that the history forgets what the document had before."""
        plate = Plate(title="a")
        edited(plate)
        edited(plate, title="b", facts={"x": 1})
        Plate.objects.delete()
        revert(plate, revision=1).save()
        assert told(plate)[-1] == ("restore", None)
        assert "x" not in raw(plate)["facts"]
        assert agrees(plate)

    def test_somebody_elses_new_one_is_not_replaced(self) -> None:
        plate = Plate(title="a")
        edited(plate)
        deleted(plate)
        revert(plate, revision=1)
        Plate(pk=plate.pk, title="other").save()
        with pytest.raises(NotUniqueError):
            plate.save()
        assert raw(plate)["title"] == "other"

    def test_a_restored_document_can_be_undone_and_reverted_through_its_deletion(self) -> None:
        plate = Plate(title="a")
        edited(plate)
        edited(plate, title="b")
        deleted(plate)
        restored = restore(Plate, plate.pk).save()
        assert undo(restored, 2).save().title == "a"
        assert revert(restored, revision=2).save().title == "b"
        assert agrees(plate)


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
