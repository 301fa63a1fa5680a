"""What a block records, of what, and for whom."""

from __future__ import annotations

import copy
import pickle
import uuid
from typing import Any

import mongoengine as me
import pytest
from bson import Binary, ObjectId
from bson.errors import InvalidDocument
from mongoengine import signals
from support.changes import watched
from support.documents import Line, Person, raw
from support.memos import Coded, Note, change_text, told

from mongoengine_history import (
    DocumentTrack,
    History,
    OptionsError,
    load_history,
    revert,
    track_changes,
)
from mongoengine_history.capture.tracker import TRACKER_ATTRIBUTE

connected = watched(Note, Coded, Person, deletions=False)


def test_a_record_has_the_shape_of_1_1_and_the_new_fields() -> None:
    note = Note(text="a", tags=["x"]).save()
    user = ObjectId()
    with DocumentTrack(note, user, reason="typo", request="r1"):
        note.text = "b"
        note.tags = ["y", "x"]
        note.links = {"a.b": 1}
        note.save()
    raws = list(History._get_collection().find({"revision": 1}).sort("position", 1))
    assert [(r["action"], r["path"], r["keys"], r["data"]) for r in raws] == [
        ("change", "text", ["text"], {"old": "a", "new": "b"}),
        ("add", "tags", ["tags"], {"items": [{"key": 0, "value": "y"}]}),
        ("add", "links", ["links"], {"items": [{"key": "a.b", "value": 1}]}),
    ]
    for position, record in enumerate(raws):
        assert record["document_type"] == "notes"
        assert record["document_id"] == note.pk
        assert record["identity"] == user
        assert record["operation"] == "update"
        assert (record["position"], record["size"], record["revision"]) == (position, 3, 1)
        assert record["reason"] == "typo"
        assert record["metadata"] == {"request": "r1"}
        assert record["stamp"] // 1000 * 1000 % 1_000_000 == record["created_at"].microsecond
    assert set(raws[0]["lists"]) == {"tags"}
    assert "lists" not in raws[1]


def test_a_creation_is_one_root_patch() -> None:
    note = Note(text="a", tags=["x"])
    with DocumentTrack(note):
        note.save()
    assert told("operation", "action", "path") == [("create", "add", "")]
    assert load_history(note) == [("add", [], [("text", "a"), ("tags", ["x"]), ("links", {})])]


def test_a_save_without_a_change_leaves_no_revision() -> None:
    note = Note(text="a").save()
    with DocumentTrack(note):
        note.save()
        note.text = "b"
        note.text = "a"
        note.save()
    assert told("path") == []


def test_a_default_that_the_store_lacks_is_no_change(database: Any) -> None:
    pk = database.notes.insert_one({"text": "a"}).inserted_id
    note = Note.objects.get(pk=pk)
    with DocumentTrack(note):
        change_text(note, "b")
    assert told("path") == ["text"]
    revert(note).save()
    assert raw(note) == {"_id": pk, "text": "a"}


def test_two_saves_in_a_block_are_two_revisions() -> None:
    note = Note(text="a").save()
    with DocumentTrack(note):
        change_text(note, "b")
        note.tags.append("x")
        note.save()
    assert told("revision", "path") == [(1, "text"), (2, "tags")]


def test_nothing_is_recorded_after_the_block() -> None:
    note = Note(text="a").save()
    with DocumentTrack(note):
        change_text(note, "b")
    change_text(note, "c")
    assert told("revision") == [1]
    assert not [name for name in vars(note) if name.startswith("_save")]


def test_nothing_is_recorded_after_an_exception_in_the_block() -> None:
    note = Note(text="a").save()
    with pytest.raises(ZeroDivisionError), DocumentTrack(note):
        note.text = "b"
        raise ZeroDivisionError
    note.save()
    assert told("revision") == []


@pytest.mark.filterwarnings("ignore::mongoengine_history.HistoryWarning")
def test_without_a_connected_handler_nothing_is_recorded() -> None:
    signals.post_save.disconnect(track_changes, sender=Note)
    note = Note(text="a").save()
    with DocumentTrack(note):
        change_text(note, "b")
    assert told("revision") == []


def test_a_handler_connected_for_every_class_records_too() -> None:
    signals.post_save.disconnect(track_changes, sender=Note)
    signals.post_save.connect(track_changes)
    note = Note(text="a").save()
    with DocumentTrack(note):
        change_text(note, "b")
    assert told("path") == ["text"]


def test_a_document_that_no_block_watches_is_left_alone() -> None:
    watched, other = Note(text="a").save(), Note(text="a").save()
    with DocumentTrack(watched):
        change_text(other, "b")
    assert told("revision") == []


def test_the_snapshot_is_taken_when_the_object_is_made() -> None:
    note = Note(text="a").save()
    track = DocumentTrack(note)
    note.text = "b"
    with track:
        note.save()
    assert load_history(note) == [("change", ["text"], ("a", "b"))]


def test_without_a_with_it_watches_as_long_as_the_document_lives() -> None:
    note = Note(text="a").save()
    DocumentTrack(note, "anna")
    change_text(note, "b")
    change_text(note, "c")
    assert told("revision", "identity") == [(1, "anna"), (2, "anna")]


def test_a_block_can_be_used_again() -> None:
    note = Note(text="a").save()
    track = DocumentTrack(note, "anna")
    for text in "bc":
        with track:
            change_text(note, text)
    assert told("revision", "identity") == [(1, "anna"), (2, "anna")]


def test_after_a_nested_block_the_outer_identity_is_back() -> None:
    note = Note(text="a").save()
    with DocumentTrack(note, "anna", reason="outer", one=1):
        note.tags = ["edited before the inner block"]
        with DocumentTrack(note, "ben", two=2):
            change_text(note, "b")
        change_text(note, "c")
    assert told("identity", "reason", "metadata", "path") == [
        ("ben", "outer", {"one": 1, "two": 2}, "text"),
        ("ben", "outer", {"one": 1, "two": 2}, "tags"),
        ("anna", "outer", {"one": 1}, "text"),
    ]


def test_the_save_itself_may_say_who_and_why() -> None:
    note = Note(text="a").save()
    with DocumentTrack(note, "anna", reason="block"):
        note.text = "b"
        note.save(signal_kwargs={"identity": "ben", "reason": "save"})
        change_text(note, "c")
    assert told("identity", "reason") == [("ben", "save"), ("anna", "block")]


@pytest.mark.parametrize(
    "identity", [ObjectId(), 7, "anna", uuid.UUID(int=7), None, {"id": 1, "name": "x"}, b"key", 1.5]
)
def test_an_identity_may_be_any_bson_value(identity: Any) -> None:
    note = Note(text="a").save()
    with DocumentTrack(note, identity):
        change_text(note, "b")
    assert told("identity") == [identity]
    assert History.objects(identity=identity).count() == 1


def test_of_a_document_the_primary_key_is_kept() -> None:
    anna, note = Person(name="anna").save(), Note(text="a").save()
    with DocumentTrack(note, anna):
        change_text(note, "b")
    assert told("identity") == [anna.pk]


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"identity": object()}, "identity"),
        ({"identity": {1, 2}}, "identity"),
        ({"identity": 2**70}, "identity"),
        ({"identity": Person(name="unsaved")}, "identity"),
        ({"identity": "x" * 2_000_000}, "identity"),
        ({"reason": 5}, "reason"),
        ({"where": object()}, "metadata"),
    ],
)
def test_what_cannot_be_stored_is_refused_before_anything_happens(
    arguments: dict[str, Any], name: str
) -> None:
    note = Note(text="a").save()
    with pytest.raises(OptionsError, match="cannot be used") as caught:
        DocumentTrack(note, **arguments)
    assert caught.value.name == name
    with DocumentTrack(note), pytest.raises(OptionsError):
        note.text = "b"
        note.save(signal_kwargs={"identity": object()})
    assert raw(note)["text"] == "a"


def test_only_a_document_has_a_history() -> None:
    with pytest.raises(OptionsError, match="top-level"):
        DocumentTrack(Line(sku="x"))


def test_a_new_object_under_a_stored_key_is_an_update() -> None:
    Coded(code=1, text="a").save()
    other = Coded(code=1, text="b")
    with DocumentTrack(other):
        other.save()
    assert told("operation", "path") == [("update", "text")]
    revert(other).save()
    assert raw(other)["text"] == "a"


@pytest.mark.parametrize(
    "code",
    [1, "text", 2.5, uuid.UUID(int=5), {"a": 1, "b": [2]}, b"bytes", ObjectId(), Binary(b"x", 9)],
)
def test_a_primary_key_may_be_anything(code: Any) -> None:
    coded = Coded(code=code, text="a")
    with DocumentTrack(coded):
        coded.save()
        coded.text = "b"
        coded.save()
    assert told("revision", document_id=code) == [1, 2]
    revert(Coded.objects.get(pk=code)).save()
    assert raw(coded)["text"] == "a"


def test_copies_and_pickles_of_a_watched_document_are_plain() -> None:
    note = Note(text="a").save()
    with DocumentTrack(note):
        for twin in (copy.copy(note), copy.deepcopy(note), pickle.loads(pickle.dumps(note))):
            change_text(twin, twin.text + "x")
    assert told("revision") == []
    assert TRACKER_ATTRIBUTE not in note._data
    assert TRACKER_ATTRIBUTE not in note.to_mongo()


def test_a_number_of_a_sequence_is_not_used_up_by_watching(database: Any) -> None:
    class Counted(me.Document):
        meta = {"collection": "counted", "auto_create_index": False}
        number = me.SequenceField()
        text = me.StringField()

    pk = database.counted.insert_one({"text": "a"}).inserted_id
    DocumentTrack(Counted.objects.get(pk=pk))
    assert database["mongoengine.counters"].count_documents({}) == 0


def test_a_partly_loaded_document_takes_back_what_it_changed(database: Any) -> None:
    note = Note(text="a", tags=["x"], links={"k": 1}).save()
    before = raw(note)
    for loaded in (Note.objects.only("text").get(), Note.objects.exclude("tags").get()):
        with DocumentTrack(loaded):
            change_text(loaded, "b")
        revert(loaded).save()
        assert raw(note) == before
    loaded = Note.objects.only("text").get()
    with DocumentTrack(loaded):
        loaded.tags = ["new"]
        loaded.save()
    revert(loaded).save()
    assert raw(note) == before


def test_values_of_any_bson_type_inside_metadata_are_kept() -> None:
    note = Note(text="a").save()
    with DocumentTrack(note, when={"deep": [1, {"x": b"y"}]}):
        change_text(note, "b")
    assert told("metadata") == [{"when": {"deep": [1, {"x": b"y"}]}}]


def test_a_metadata_key_that_is_no_text_is_refused() -> None:
    with pytest.raises((OptionsError, TypeError, InvalidDocument)):
        DocumentTrack(Note(text="a"), metadata={1: 2})
