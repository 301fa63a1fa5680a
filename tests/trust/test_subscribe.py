"""A consumer gets each revision at least once, in order, and goes on where it stopped."""

from __future__ import annotations

from itertools import islice
from threading import Thread
from typing import Any
from uuid import uuid4

import mongoengine as me
import pytest
from bson import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from pymongo.errors import OperationFailure
from support.binding import binds
from support.changes import automatic, tracked_otherwise
from support.strategies import examples
from support.unanswered import unanswered

from mongoengine_history import (
    BaseHistory,
    HistoryNotRecordedError,
    OptionsError,
    changeset,
    history_of,
    record_event,
    subscribe,
    unsubscribe,
)
from mongoengine_history.record.committed import has_reached
from mongoengine_history.record.place import Place
from mongoengine_history.state.moments import SKEW
from mongoengine_history.trust.feed import oldest_needed


class Song(me.Document):
    meta = {"collection": "feed_songs", "auto_create_index": False, "allow_inheritance": True}
    title = me.StringField()
    tags = me.ListField(me.StringField())
    known = me.UUIDField()


class Hymn(Song):
    verses = me.IntField()


class Record(me.Document):
    meta = {"collection": "feed_records", "auto_create_index": False}
    songs = me.IntField(default=0)


class Thing(me.Document):
    meta = {"collection": "feed_things", "auto_create_index": False}
    key = me.DynamicField(primary_key=True)
    text = me.StringField()


class ApartHistory(BaseHistory):
    meta = {"collection": "feed_apart"}


class Secret(me.Document):
    meta = {
        "collection": "feed_secrets",
        "auto_create_index": False,
        "history": {"history": ApartHistory},
    }
    text = me.StringField()


tracking = automatic(Song, Record, Secret, Thing)


@pytest.fixture
def name(database: Any) -> str:
    return str(uuid4())


def told(name: str, *models: Any, **options: Any) -> list[tuple[str, Any, int, str]]:
    """What a consumer gets now: each revision by its document, its number and operation."""
    feed = subscribe(name, *models, **{"wait": 0, **options})
    return [
        (it.document_type, it.document_id, it.revision.number, it.revision.operation) for it in feed
    ]


def test_it_gets_what_is_recorded_from_then_on_and_goes_on_where_it_stopped(name: str) -> None:
    song = Song(title="a").save()
    assert told(name) == []
    song.update(set__title="b")
    record = Record().save()
    first = ("feed_songs", song.pk, 2, "update")
    assert told(name) == [first, ("feed_records", record.pk, 1, "create")]
    assert told(name) == []
    song.delete()
    assert told(name) == [("feed_songs", song.pk, 3, "delete")]


def test_a_revision_is_as_the_timeline_has_it(name: str) -> None:
    told(name)
    song = Song(title="a", tags=["x"] * 3, known=uuid4()).save()
    song.title, song.tags = "b", ["y"]
    with changeset("ada", reason="why", channel="api"):
        song.save()
    got = [it.revision for it in subscribe(name, Song, wait=0)]
    assert got == list(history_of(song))


def test_all_from_the_beginning_one_document_after_another(name: str) -> None:
    songs = [Song(title=str(number)).save() for number in range(3)]
    Song.objects.update(set__title="x")
    login = record_event("login")
    assert login.number == 1
    got = told(name, from_beginning=True)
    expected = [("feed_songs", song.pk, number) for song in songs for number in (1, 2)]
    assert [it[:3] for it in got if it[0]] == expected
    assert [it[3] for it in got if not it[0]] == ["event"]
    Record().save()
    Song().save()
    later = ["feed_records", "feed_songs"]
    assert [it[0] for it in told(name, from_beginning=True)] == later


def test_a_token_tells_how_far_the_server_has_gone(database: Any) -> None:
    Song(title="a").save()
    with database.history.watch() as changes:
        Song(title="b").save()
        first = changes.next()
    then, token = first["clusterTime"], first["_id"]
    assert has_reached(token, then)
    assert not has_reached(token, Timestamp(then.time, then.inc + 1))
    assert has_reached({"_data": "of another kind"}, then)


@pytest.mark.parametrize("at_once", [1, 2, 500])
def test_a_crash_while_it_reads_from_the_beginning_repeats_one(
    name: str, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mongoengine_history.trust.subscribe.AT_ONCE", at_once)
    for key in (7, "7", 2.5, {"a": 1}, uuid4()):
        Thing(key=key).save()
        Thing.objects(pk=key).update(set__text="b")
    Song(title="a").save()
    everything = [it[:3] for it in told(f"{name}+", from_beginning=True)]
    assert len(everything) == 11
    got: list[Any] = []
    for _ in range(2 * len(everything)):
        if got and got[-1] == everything[-1]:
            break
        taken = first_of(2, subscribe(name, from_beginning=True, wait=0))
        got += [(it.document_type, it.document_id, it.revision.number) for it in taken]
    assert len(got) == 20
    assert [it for at, it in enumerate(got) if it not in got[:at]] == everything


def first_of(count: int, feed: Any) -> list[Any]:
    """Take some revisions, and crash."""
    taken = list(islice(feed, count))
    feed.close()
    return taken


def test_the_last_one_comes_again_unless_it_was_done(name: str) -> None:
    told(name)
    song = Song(title="a").save()
    song.update(set__title="b")
    first = first_of(1, subscribe(name, wait=0))[0]
    again = first_of(1, subscribe(name, wait=0))[0]
    assert first.revision == again.revision == history_of(song)[1]
    again.done()
    assert [it[2] for it in told(name)] == [2]


@binds
def test_its_place_is_part_of_the_transaction(name: str) -> None:
    told(name)
    Song(title="a").save()
    with pytest.raises(ZeroDivisionError):
        for it in subscribe(name, Song, wait=0):
            with changeset(atomic=True):
                Record(songs=1).save()
                it.done()
                raise ZeroDivisionError
    assert Record.objects.count() == 0
    for it in subscribe(name, Song, wait=0):
        with changeset(atomic=True):
            Record(songs=1).save()
            it.done()
    assert Record.objects.count() == 1
    assert told(name, Song) == []


@binds
def test_what_was_undone_never_comes(name: str) -> None:
    told(name)
    with pytest.raises(ZeroDivisionError), changeset(atomic=True):
        Song(title="a").save()
        raise ZeroDivisionError
    with changeset(atomic=True):
        songs = [Song(title="b").save(), Song(title="c").save()]
        songs[0].update(set__title="d")
    expected = [(songs[0].pk, 1), (songs[1].pk, 1), (songs[0].pk, 2)]
    assert [it[1:3] for it in told(name)] == expected


def test_classes_are_told_apart(name: str) -> None:
    for models in [(), (Song,), (Hymn,), (Record, Hymn)]:
        told(f"{name}{len(models)}{models[:1]}", *models)
    song, hymn, record = Song().save(), Hymn(verses=4).save(), Record().save()
    hymn.delete()
    got = {
        models: [it[1:3] for it in told(f"{name}{len(models)}{models[:1]}", *models)]
        for models in [(), (Song,), (Hymn,), (Record, Hymn)]
    }
    hymns = [(hymn.pk, 1), (hymn.pk, 2)]
    every = [(song.pk, 1), hymns[0], (record.pk, 1), hymns[1]]
    assert got[()] == every
    assert got[Song,] == [(song.pk, 1), *hymns]
    assert got[Hymn,] == hymns
    assert got[Record, Hymn] == [hymns[0], (record.pk, 1), hymns[1]]


def test_a_history_of_its_own_is_followed_by_itself(name: str) -> None:
    told(name, Secret)
    secret = Secret(text="a").save()
    assert [it[1] for it in told(name, Secret)] == [secret.pk]
    with pytest.raises(OptionsError, match="elsewhere"):
        subscribe(name, Song, Secret)


def test_a_large_revision_comes_whole(name: str) -> None:
    told(name)
    song = Song(title="x" * 9_000_000).save()
    song.title = "y" * 9_000_000
    song.save()
    got = [it.revision for it in subscribe(name, wait=0)]
    assert got == list(history_of(song))


def test_what_is_recorded_later_comes_when_it_is(name: str) -> None:
    told(name)
    song = Song(title="a").save()
    with unanswered("insert_many", among="history", done=False):
        with pytest.raises(HistoryNotRecordedError) as caught:
            song.update(set__title="b", set__tags=["z"])
    assert [it[2] for it in told(name)] == [1]
    me.get_db().history.insert_one(caught.value.records[0])  # its writer died
    assert told(name) == []
    caught.value.record()
    assert [it[2] for it in told(name)] == [2]


def test_it_waits_for_what_comes(name: str) -> None:
    feed = subscribe(name, Song)
    writer = Thread(target=lambda: Song(title="late").save())
    told(name, Song)
    writer.start()
    assert next(feed).revision.operation == "create"
    writer.join()


def test_pruning_is_told_what_the_slowest_one_needs(name: str, database: Any) -> None:
    place = Place(Song)
    assert oldest_needed(place) is None
    song = Song(title="a").save()
    at = place.history.find_one({"document_id": song.pk})["stamp"]
    feed = subscribe(f"{name}slow", from_beginning=True)
    next(feed)
    assert oldest_needed(place) == 0
    told(f"{name}slow", from_beginning=True)
    needed = oldest_needed(place)
    assert needed is not None
    assert at - SKEW <= needed
    assert unsubscribe(f"{name}slow")
    assert not unsubscribe(f"{name}slow")
    assert oldest_needed(place) is None


def test_who_has_lost_its_place_is_told_or_begins_again(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(name)
    song = Song(title="a").save()
    ever = type(Place(Song).history).watch

    def lost(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr("pymongo.collection.Collection.watch", ever)
        raise OperationFailure("resume point may no longer be in the oplog", 286)

    monkeypatch.setattr("pymongo.collection.Collection.watch", lost)
    with pytest.raises(OptionsError, match="unsubscribe"):
        told(name)
    monkeypatch.setattr("pymongo.collection.Collection.watch", lost)
    assert [it[1] for it in told(name, from_beginning=True)] == [song.pk]


@pytest.mark.parametrize(
    "call",
    [
        lambda: subscribe(""),
        lambda: subscribe(Song),  # type: ignore[arg-type]
        lambda: subscribe("x", "Song"),  # type: ignore[arg-type]
        lambda: subscribe("x", Song, using="default"),
        lambda: subscribe("x", wait=-1),
        lambda: subscribe("x", wait="1"),  # type: ignore[arg-type]
        lambda: unsubscribe(""),
    ],
)
def test_what_cannot_be_used_is_refused_at_once(database: Any, call: Any) -> None:
    with pytest.raises(OptionsError):
        call()


WRITES = st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["save", "many", "stop"])))


@given(writes=WRITES, from_beginning=st.booleans())
@examples(50)
def test_each_revision_comes_at_least_once_and_in_order(
    database: Any, writes: list[Any], from_beginning: bool
) -> None:
    """Wherever the consumer stops, and whether it has done its last one."""
    for collection in ("feed_songs", "history", "history.consumers"):
        database[collection].delete_many({})
    songs = [Song(title="a").save() for _ in range(3)]
    got: list[tuple[Any, int]] = []
    if not from_beginning:
        told("law", wait=0)
    for number, (which, kind) in enumerate(writes):
        if kind == "save":
            songs[which].update(set__title=str(number))
        elif kind == "many":
            Song.objects.update(push__tags=str(number))
        else:
            feed = subscribe("law", from_beginning=from_beginning, wait=0)
            taken = first_of(which + 1, feed)
            got += [(it.document_id, it.revision.number) for it in taken]
    got += [it[1:3] for it in told("law", from_beginning=from_beginning)]
    first = 1 if from_beginning else 2
    for song in songs:
        own = list(dict.fromkeys(number for key, number in got if key == song.pk))
        assert own == list(range(first, len(history_of(song)) + 1))


def test_from_the_beginning_a_renamed_collection_has_one_order(database: Any, name: str) -> None:
    """Whichever of its names comes first, and whatever others lie between them."""
    records = [Record(songs=0).save() for _ in range(3)]
    for earlier in ("aaa", "zzz"):
        history = database["history"]
        history.update_many({"document_type": "feed_records"}, {"$set": {"document_type": earlier}})
        with tracked_otherwise(Record, formerly=("aaa", "zzz")):
            for it in records[1:]:
                it.songs += 1
                it.save()
            Song(title="between").save()
            for models in ((), (Record,)):
                consumer = f"{name} {earlier} {len(models)}"
                feed = subscribe(consumer, *models, from_beginning=True, wait=0)
                got = [(str(it.document_id), it.revision.number) for it in feed]
                assert sorted(set(got)) == sorted(got)
                for it in records:
                    own = [number for key, number in got if key == str(it.pk)]
                    assert own == [each.number for each in history_of(it)]
