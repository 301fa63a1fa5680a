"""What is recorded by a connected handler: of which signal, and where a save fails."""

from __future__ import annotations

from typing import Any

import mongoengine as me
import pytest
from mongoengine import signals
from mongoengine.errors import NotUniqueError, ValidationError
from support.changes import watched
from support.documents import Person, raw
from support.memos import Coded, Note, change_text, told

from mongoengine_history import (
    DocumentTrack,
    HistoryNotRecordedError,
    load_history,
    revert,
    track_changes,
)

connected = watched(Note, Coded, Person, deletions=False)


def test_a_save_that_fails_leaves_no_record_and_the_next_one_does(database: Any) -> None:
    note = Note(text="a").save()
    with DocumentTrack(note):
        note.text = "x" * 21
        with pytest.raises(ValidationError):
            note.save()
        note.text = "b"
        with pytest.raises(me.errors.SaveConditionError):
            note.save(save_condition={"text": "other"})
        database.notes.create_index("text", unique=True, name="once")
        Note(text="b").save()
        with pytest.raises(NotUniqueError):
            note.save()
        database.notes.drop_index("once")
        assert told("revision") == []
        note.save()
    assert told("revision", "path") == [(1, "text")]


def test_a_save_inside_a_save_is_a_revision_of_its_own() -> None:
    def again(sender: type, document: Note, **kwargs: Any) -> None:
        if document.text == "b" and "seen" not in document.tags:
            document.tags.append("seen")
            document.save()

    for early in (True, False):
        signals.post_save._clear_state()
        receivers = [again, track_changes] if early else [track_changes, again]
        for receiver in receivers:
            signals.post_save.connect(receiver, sender=Note)
        note = Note(text="a", tags=["x"]).save()
        first = raw(note)
        with DocumentTrack(note):
            change_text(note, "b")
        assert told("revision", "path", document_id=note.pk) == [(1, "text"), (2, "tags")]
        revert(note, revision=0).save()
        assert raw(note) == first


def test_a_handler_that_edits_after_the_save_is_not_taken_for_the_save() -> None:
    def edit(sender: type, document: Note, **kwargs: Any) -> None:
        document.tags = ["edited, not saved"]

    signals.post_save.connect(edit, sender=Note)
    note = Note(text="a")
    with DocumentTrack(note):
        note.save()
    assert load_history(note)[0][2] == [("text", "a"), ("tags", []), ("links", {})]


def test_connected_to_pre_save_alone_what_was_written_is_recorded() -> None:
    signals.post_save.disconnect(track_changes, sender=Note)
    signals.pre_save.connect(track_changes, sender=Note)
    note = Note(text="a").save()
    with DocumentTrack(note):
        note.text = "x" * 21
        with pytest.raises(ValidationError):
            note.save()
        change_text(note, "b")
    new = Note(text="new")
    with DocumentTrack(new):
        new.save()
    assert told("operation", "revision", "path") == [("update", 1, "text"), ("create", 1, "")]


def test_connected_to_both_signals_a_write_is_recorded_once() -> None:
    signals.pre_save.connect(track_changes, sender=Note)
    note = Note(text="a").save()
    with DocumentTrack(note):
        change_text(note, "b")
    assert told("revision") == [1]


@pytest.mark.parametrize("when", ["before the block", "inside the block", "with pre_save"])
def test_a_deletion_is_recorded_where_the_handler_is_connected(when: str) -> None:
    if when == "with pre_save":
        signals.pre_save.connect(track_changes, sender=Note)
    if when != "inside the block":
        signals.post_delete.connect(track_changes, sender=Note)
    note = Note(text="a", tags=["x"]).save()
    with DocumentTrack(note, "anna"):
        if when == "inside the block":
            signals.post_delete.connect(track_changes, sender=Note)
        note.delete(signal_kwargs={"reason": "gone"})
    assert told("operation", "action", "path", "identity") == [("delete", "remove", "", "anna")]
    removed = [("text", "a"), ("tags", ["x"]), ("links", {})]
    assert load_history(note) == [("remove", [], removed)]
    revert(note).save()
    assert raw(note) == {"_id": note.pk, "text": "a", "tags": ["x"], "links": {}}
    assert told("operation") == ["delete", "revert"]


def test_without_a_connected_handler_a_deletion_is_one_command(commands: Any) -> None:
    for _ in range(5):
        Note(text="a").save()
    with DocumentTrack(Note.objects.first()):
        commands.clear()
        Note.objects.delete()
    assert commands.names == ["delete"]


def test_a_deleted_and_saved_document_is_a_creation_of_what_came_back() -> None:
    """MongoEngine's save upserts the changed fields only: that is what is stored."""
    note = Note(text="a", tags=["x"]).save()
    with DocumentTrack(note):
        Note.objects(pk=note.pk).delete()
        change_text(note, "b")
    assert raw(note) == {"_id": note.pk, "text": "b"}
    assert told("operation", "action") == [("create", "add")]


def test_a_parent_is_recorded_even_if_the_cascade_fails() -> None:
    child = Note(text="a").save()
    parent = Note(text="a", owner=child).save()
    with DocumentTrack(parent):
        parent.owner.text = "x" * 21
        parent.text = "b"
        with pytest.raises(ValidationError):
            parent.save(cascade=True)
    assert told("path") == ["text"]


def test_unstorable_history_says_so_and_carries_the_records(monkeypatch: Any) -> None:
    from pymongo.collection import Collection
    from pymongo.errors import AutoReconnect

    def fail(*args: Any, **kwargs: Any) -> None:
        raise AutoReconnect("gone")

    note = Note(text="a").save()
    with DocumentTrack(note, "anna"):
        note.text = "b"
        with monkeypatch.context() as patch:
            patch.setattr(Collection, "insert_many", fail)
            with pytest.raises(HistoryNotRecordedError, match=r"record\(\)") as caught:
                note.save()
    assert raw(note)["text"] == "b"
    assert told("revision") == []
    caught.value.record()
    assert told("revision", "identity") == [(1, "anna")]
    revert(note).save()
    assert raw(note)["text"] == "a"


def test_a_failing_look_at_the_history_stops_the_save_before_it_writes(monkeypatch: Any) -> None:
    from pymongo.errors import AutoReconnect

    from mongoengine_history.record.revisions import Revisions

    def fail(*args: Any) -> None:
        raise AutoReconnect("gone")

    note = Note(text="a").save()
    with DocumentTrack(note), monkeypatch.context() as patch:
        patch.setattr(Revisions, "looked", fail)
        note.text = "b"
        with pytest.raises(AutoReconnect):
            note.save()
    assert raw(note)["text"] == "a"


def test_a_change_that_waits_outlives_the_inner_of_two_blocks(database: Any) -> None:
    signals.post_save._clear_state()
    heard: list[dict[str, Any]] = []

    def later(sender: type, **said: Any) -> None:
        heard.append({"sender": sender, **said})

    signals.post_save.connect(later, sender=Note)
    note = Note(text="a").save()
    heard.clear()
    with DocumentTrack(note, "outer"):
        with DocumentTrack(note, "inner"):
            change_text(note, "b")
        track_changes(**heard.pop())
    change_text(note, "c")
    track_changes(**heard.pop())
    assert told("identity", "path") == [("inner", "text")]
