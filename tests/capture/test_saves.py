"""What the documents of a tracked class do: each write once, exactly, and at an exact cost."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import mongoengine as me
import pytest
from mongoengine import Document, signals
from mongoengine.errors import ValidationError
from support.changes import automatic
from support.documents import raw
from support.refusing import refusing
from support.twins import numbers, recorded

from mongoengine_history import (
    DocumentTrack,
    History,
    HistoryNotRecordedError,
    history_of,
    revert,
    track_changes,
    track_history,
    untrack_history,
    untracked,
)


class Unrecorded(Document):
    meta = {"collection": "unrecorded_notes", "auto_create_index": False}
    text = me.StringField(max_length=20)
    tags = me.ListField(me.StringField())


class Note(Document):
    meta = {"collection": "automatic_notes", "auto_create_index": False}
    text = me.StringField(max_length=20)
    tags = me.ListField(me.StringField())
    owner = me.ReferenceField("self")

    def clean(self) -> None:
        if self.text and self.text.endswith(" "):
            self.text = self.text.strip()


tracking = automatic(Note)


@pytest.fixture(autouse=True)
def indexed(database: Any) -> None:
    """The collection of the history and its indexes are there."""
    History.ensure_indexes()


def operations(document: Document) -> list[str]:
    return [revision.operation for revision in history_of(document)]


def test_a_block_around_a_tracked_document_says_who_and_records_once() -> None:
    signals.post_save.connect(track_changes, sender=Note)
    signals.pre_save.connect(track_changes, sender=Note)
    signals.post_delete.connect(track_changes, sender=Note)
    note = Note(text="a")
    with DocumentTrack(note, "anna", reason="r", request=1):
        for write in (note.save, lambda: change(note, "b"), note.delete):
            with recorded(Note):
                write()
    told = {(it.identity, it.reason, it.metadata["request"]) for it in history_of(note)}
    assert told == {("anna", "r", 1)}


def test_a_block_says_who_answers_for_all_that_its_document_does() -> None:
    note = Note(text="a").save()
    with DocumentTrack(note, "anna"):
        note.update(text="b")
        note.modify(push__tags="x")
        note.modify({"text": "b"}, push__tags="y")
        change(note, "c")
    note.update(text="d")
    identities = [revision.identity for revision in history_of(note)]
    assert identities == [None, "anna", "anna", "anna", "anna", None]


def change(note: Any, text: str) -> Any:
    note.text = text
    return note.save()


def test_a_parent_is_recorded_even_if_the_cascade_fails() -> None:
    parent = Note(text="a", owner=Note(text="a").save()).save()
    parent.owner.text = "x" * 21
    with recorded(Note), pytest.raises(ValidationError):
        parent.text = "b"
        parent.save(cascade=True)
    assert operations(parent) == ["create", "update"]


def test_what_clean_changes_is_recorded() -> None:
    note = change(Note(text="a ").save(), "b ")
    assert [history_of(note).state(number)["text"] for number in (1, 2)] == ["a", "b"]


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))]
)
def test_a_copy_is_a_writer_of_its_own(copied: Callable[[Any], Any]) -> None:
    note = change(Note(text="a").save(), "b")
    twin = copied(note)
    for each, text in [(twin, "c"), (note, "d"), (twin, "e")]:
        with recorded(Note):
            change(each, text)
    assert numbers(Note)[note.pk] == [1, 2, 3, 4, 5]


def test_a_new_object_under_a_stored_key_is_an_update() -> None:
    note = Note(text="a", tags=["x"]).save()
    with recorded(Note):
        other = Note(pk=note.pk, text="b").save()
    assert operations(note) == ["create", "update"]
    revert(other, revision=1).save()
    assert raw(other) == {"_id": note.pk, "text": "a", "tags": ["x"]}


def test_a_reverted_document_is_stored_and_recorded_as_such() -> None:
    for signal in (signals.pre_save, signals.post_save):
        signal.connect(track_changes, sender=Note)
    note = change(Note(text="a", tags=["x"]).save(), "b")
    revert(note, revision=1).save()
    assert raw(note) == {"_id": note.pk, **history_of(note).state(3)}
    with recorded(Note):
        change(note, "c")
    assert operations(note) == ["create", "update", "revert", "update"]


COSTS: dict[str, tuple[Callable[[Any, Any], Any], list[str], list[str]]] = {
    "create": (lambda model, _: model(text="a").save(), ["insert"], ["insert", "insert"]),
    "create with a key": (
        lambda model, _: model(pk="0" * 24, text="a").save(),
        ["findAndModify", "insert"],
        ["findAndModify", "aggregate", "insert", "insert"],
    ),
    "replace": (
        lambda model, note: model(pk=note.pk, text="b").save(),
        ["findAndModify"],
        ["findAndModify", "aggregate", "insert"],
    ),
    "save where the history is known": (
        lambda _, note: change(note, "b"),
        ["update"],
        ["findAndModify", "insert"],
    ),
    "load": (lambda model, note: model.objects.get(pk=note.pk), ["find"], ["find"]),
    "load many": (lambda model, _: list(model.objects), ["find"], ["find"]),
    "load and save": (
        lambda model, note: change(model.objects.get(pk=note.pk), "b"),
        ["find", "update"],
        ["find", "aggregate", "findAndModify", "insert"],
    ),
    "load and save unchanged": (
        lambda model, note: model.objects.get(pk=note.pk).save(),
        ["find"],
        ["find"],
    ),
    "save unchanged": (lambda _, note: note.save(), [], []),
    "count": (lambda model, _: model.objects(text="a").count(), ["aggregate"], ["aggregate"]),
    "update": (
        lambda _, note: note.update(text="b"),
        ["update"],
        ["findAndModify", "insert"],
    ),
    "update by an operator": (
        lambda _, note: note.update(unset__text=1, push__tags="b"),
        ["update"],
        ["findAndModify", "find", "insert"],
    ),
    "update of a loaded document": (
        lambda model, note: model.objects.get(pk=note.pk).update(text="b"),
        ["find", "update"],
        ["find", "aggregate", "findAndModify", "insert"],
    ),
    "modify the document": (
        lambda _, note: note.modify(text="b"),
        ["findAndModify"],
        ["findAndModify", "insert"],
    ),
    "update by its key": (
        lambda model, note: model.objects(pk=note.pk).update(text="b"),
        ["update"],
        ["aggregate", "findAndModify", "insert"],
    ),
    "modify": (
        lambda model, note: model.objects(pk=note.pk).modify(text="b"),
        ["findAndModify"],
        ["aggregate", "findAndModify", "insert"],
    ),
    "update many": (
        lambda model, _: model.objects.update(text="b"),
        ["update"],
        ["find", "aggregate", "update", "find", "insert"],
    ),
    "update none": (
        lambda model, _: model.objects(text="z").update(text="b"),
        ["update"],
        ["find", "update"],
    ),
    "insert many": (
        lambda model, _: model.objects.insert([model(), model()], load_bulk=False),
        ["insert"],
        ["insert", "insert"],
    ),
    "delete": (
        lambda _, note: note.delete(),
        ["delete"],
        ["findAndModify", "insert"],
    ),
    "delete by its key": (
        lambda model, note: model.objects(pk=note.pk).delete(),
        ["delete"],
        ["aggregate", "findAndModify", "insert"],
    ),
    "delete many": (
        lambda model, _: model.objects.delete(),
        ["delete"],
        ["find", "aggregate", "delete", "insert"],
    ),
}
"""What sends which commands: of a class that is not tracked, and of one that is."""


@pytest.mark.parametrize("what", COSTS)
def test_round_trips_are_exact(commands: Any, what: str) -> None:
    act, *sent = COSTS[what]
    for model, expected in zip((Unrecorded, Note), sent, strict=True):
        note = model(text="a", tags=["x"]).save()
        model.objects.insert([model(text="a") for _ in range(20)])
        commands.clear()
        act(model, note)
        assert list(commands.names) == expected


def test_where_nothing_is_recorded_a_write_costs_what_it_did(commands: Any) -> None:
    note = Note(text="a").save()
    for text in "bc":
        commands.clear()
        with untracked():
            change(note, text)
            Note.objects.update(tags=["x"])
        assert list(commands.names) == ["update", "update"]


def test_a_save_costs_one_round_trip_more_however_often_it_is_repeated(commands: Any) -> None:
    Note(text="a").save()
    note = change(Note.objects.get(), "b")
    for text in "cde":
        commands.clear()
        change(note, text)
        assert list(commands.names) == ["findAndModify", "insert"]


def put_back(error: HistoryNotRecordedError, database: Any) -> None:
    database["history"].insert_many(error.records)


def test_a_creation_that_could_not_be_recorded_is_no_second_document_when_saved_again(
    database: Any,
) -> None:
    note = Note(text="a", tags=["x"])
    with refusing(database), pytest.raises(HistoryNotRecordedError) as caught:
        note.save()
    assert raw(note)["text"] == "a"
    put_back(caught.value, database)
    database["automatic_notes"].update_one({}, {"$set": {"of another application": 1}})
    change(note, "b")
    assert raw(note) == {"_id": note.pk, "text": "b", "tags": ["x"], "of another application": 1}
    assert Note.objects.count() == 1
    assert operations(note) == ["create", "update"]


REFUSED: dict[str, Callable[[Note], Any]] = {
    "save": lambda note: change(note, "b"),
    "update": lambda note: note.update(text="b"),
    "modify": lambda _: Note.objects.modify(text="b"),
    "replace": lambda note: Note(pk=note.pk, text="b").save(),
    "delete": lambda note: note.delete(),
    "delete by a query": lambda _: Note.objects(text__exists=True).delete(),
    "insert": lambda _: Note.objects.insert([Note(text="new") for _ in range(3)]),
    "create": lambda _: Note.objects.create(text="new"),
    "upsert": lambda _: Note.objects(text="new").upsert_one(tags=["y"]),
}


@pytest.mark.parametrize("write", REFUSED)
def test_what_was_written_but_not_recorded_can_be_recorded_later(database: Any, write: str) -> None:
    note = Note(text="a", tags=["x"]).save()
    with recorded(Note):
        with refusing(database), pytest.raises(HistoryNotRecordedError, match="written") as caught:
            REFUSED[write](note)
        put_back(caught.value, database)


def test_a_write_that_nobody_may_sign_is_not_done() -> None:
    note = Note(text="a", tags=["x"]).save()
    with DocumentTrack(note, lambda: {1}):
        for write in (lambda: change(note, "b"), lambda: note.update(text="b"), note.delete):
            with recorded(Note), pytest.raises(ValueError, match="identity"):
                write()
    assert raw(note) == {"_id": note.pk, "text": "a", "tags": ["x"]}


def test_an_object_follows_the_rules_of_today(database: Any) -> None:
    """What it knows of its history is of no use once the class is tracked in another way."""

    class Ruled(me.Document):
        meta = {"collection": "ruled", "auto_create_index": False}
        text = me.StringField()
        token = me.StringField()

    track_history(Ruled)
    document = Ruled(text="a", token="open").save()
    untrack_history(Ruled)
    track_history(Ruled, exclude=["token"])
    document.text, document.token = "b", "closed"
    document.save()
    untrack_history(Ruled)
    assert history_of(document)[2].patches == (("change", ["text"], ("a", "b")),)
