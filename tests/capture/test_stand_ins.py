"""Where a collection only stands in for PyMongo's, all works as before: unrecorded, one warning."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import mongoengine
import mongomock
import pytest
from bson import ObjectId
from mongoengine import Document, StringField, signals
from pymongo.database import Database

from mongoengine_history import (
    DocumentTrack,
    History,
    HistoryWarning,
    OptionsError,
    as_of,
    backfill,
    changeset,
    history_of,
    load_history,
    restore,
    revert,
    revert_changeset,
    set_identity_provider,
    track_changes,
    track_history,
    undo,
    untrack_history,
    untracked,
)
from mongoengine_history.documents import stand_in


class Note(Document):
    meta = {"db_alias": "mocked", "collection": "note"}
    text = StringField()


class Tracked(Document):
    meta = {"db_alias": "mocked", "collection": "tracked"}
    text = StringField()


@pytest.fixture(autouse=True)
def mocked(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A connection of mongomock, of which nobody was warned yet."""
    monkeypatch.setattr(stand_in, "_warned", set())
    kind = {"mongo_client_class": mongomock.MongoClient, "uuidRepresentation": "standard"}
    mongoengine.connect("mocked", alias="mocked", host="mongodb://localhost", **kind)
    Note._collection = Tracked._collection = None
    track_history(Tracked)
    yield
    untrack_history(Tracked)
    mongoengine.disconnect("mocked")


@pytest.fixture
def mocked_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default connection is that of mongomock, as in most unit tests."""
    monkeypatch.setitem(
        mongoengine.connection._dbs, "default", mongoengine.connection.get_db("mocked")
    )
    monkeypatch.setitem(
        mongoengine.connection._connections, "default", mongoengine.get_connection("mocked")
    )


def write() -> Tracked:
    note = Tracked(text="a").save()
    note.text = "b"
    note.save()
    note.update(text="c")
    note.modify(text="d")
    Tracked.objects(text="d").update(text="e")
    Tracked.objects.insert([Tracked(text="f")])
    Tracked.objects(text="f").delete()
    return note


def test_writes_are_not_recorded_of_which_one_warning_tells() -> None:
    with pytest.warns(HistoryWarning) as told:
        note = write()
    assert len(told) == 1
    assert "mongomock.collection.Collection only stands in for PyMongo" in str(told[0].message)
    assert "real MongoDB" in str(told[0].message)
    assert note.reload().text == "e"
    assert not History.objects.of(note)
    assert not History.objects


def test_later_writes_warn_no_more() -> None:
    with pytest.warns(HistoryWarning):
        write()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write().delete()
        Tracked.drop_collection()


def test_who_records_nothing_is_not_warned() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Note(text="a").save()
        with untracked():
            write()


def test_dropping_the_collection_is_a_write() -> None:
    with pytest.warns(HistoryWarning):
        Tracked.drop_collection()


@pytest.mark.usefixtures("mocked_by_default")
@pytest.mark.filterwarnings("ignore::mongoengine_history.HistoryWarning")
def test_a_changeset_is_as_ever() -> None:
    set_identity_provider(lambda: "bob")
    try:
        with changeset("ada", reason="why", day=1) as unit:
            note = write()
    finally:
        set_identity_provider(None)
    assert (unit.identity, unit.reason, unit.metadata) == ("ada", "why", {"day": 1})
    assert note.reload().text == "e"
    with pytest.raises(OptionsError, match="it is no BSON value"):
        changeset({1})


@pytest.mark.usefixtures("mocked_by_default")
def test_an_atomic_changeset_is_no_transaction() -> None:
    with pytest.warns(HistoryWarning, match="no transaction") as told, changeset(atomic=True):
        note = Note(text="a").save()
    assert len(told) == 1
    assert note.reload().text == "a"


def test_a_watched_document_is_saved_and_deleted() -> None:
    signals.post_save.connect(track_changes, sender=Note)
    signals.post_delete.connect(track_changes, sender=Note)
    note = Note(text="a")
    with DocumentTrack(note, "ada", refuse_stale=True):
        with pytest.warns(HistoryWarning):
            note.save()
        note.text = "b"
        note.save()
        assert note.reload().text == "b"
        note.delete()
    assert not Note.objects
    assert not History.objects


def test_a_deletion_that_is_asked_for_late_is_not_recorded_either() -> None:
    note = Note(text="a").save()
    with DocumentTrack(note):
        signals.post_delete.connect(track_changes, sender=Note)
        with pytest.warns(HistoryWarning):
            note.delete()
    assert not Note.objects


@pytest.mark.filterwarnings("ignore::mongoengine_history.HistoryWarning")
@pytest.mark.parametrize(
    "ask",
    [
        history_of,
        load_history,
        revert,
        lambda note: undo(note, 1),
        lambda note: restore(type(note), note.pk),
        lambda note: as_of(type(note), datetime.now()),
        lambda note: backfill(type(note)),
    ],
)
@pytest.mark.parametrize("model", [Note, Tracked])
def test_who_asks_for_a_history_is_told_that_there_is_none(
    ask: Callable[[Any], object], model: type[Document]
) -> None:
    note = model(text="a").save()
    with pytest.raises(OptionsError, match="has no history; use a real MongoDB"):
        ask(note)


def test_a_changeset_is_looked_for_elsewhere() -> None:
    with pytest.raises(OptionsError, match="no revision belongs to such a changeset"):
        revert_changeset(ObjectId())
