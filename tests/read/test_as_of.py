"""Each document of a class as it stood at a moment: who is among them, and as what."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import mongoengine as me
import pytest
from mongoengine import signals
from pymongo import MongoClient
from support.binding import binds
from support.changes import deleted, edited, watched
from support.moments import moment_after, now
from support.recipes import Recipe
from support.rooms import EVERY, LONG_AGO, Car, Guest, Room, Van, Vehicle, names, seats
from support.stories_1_1 import walk
from support.wheel_1_1 import Elsewhere

from mongoengine_history import (
    IncompleteRevisionError,
    Misfit,
    Version,
    as_of,
    history_of,
    restore,
    track_changes,
)

connected = watched(Room, Guest, Vehicle, Car, Van)


def test_each_document_is_as_it_was(every: int) -> None:
    first, second = Room(name="a"), Room(name="b", seats=10)
    moments = [now(), moment_after(edited(first)), moment_after(edited(second))]
    for number in range(2, 6):
        moments.append(moment_after(edited(first, seats=number)))
        moments.append(moment_after(edited(second, seats=10 * number)))
    assert [seats(moment) for moment in moments] == [
        {},
        {"a": 1},
        {"a": 1, "b": 10},
        {"a": 2, "b": 10},
        {"a": 2, "b": 20},
        {"a": 3, "b": 20},
        {"a": 3, "b": 30},
        {"a": 4, "b": 30},
        {"a": 4, "b": 40},
        {"a": 5, "b": 40},
        {"a": 5, "b": 50},
    ]


def test_it_is_as_the_timeline_of_each_document_tells(every: int) -> None:
    """Created, older, deleted, restored, created anew, untouched, and drifting documents."""
    moments = [now()]
    rooms = {name: Room(name=name, tags=[name]) for name in "abcdefg"}
    for name in "abc":
        rooms[name].save()
    rooms["untouched"] = Room(name="untouched").save()
    for name, room in rooms.items():
        if name != "untouched":
            moments.append(moment_after(edited(room, seats=5)))
    moments += [moment_after(deleted(rooms[name])) for name in "adf"]
    for name in "ad":
        rooms[name] = restore(Room, name)
        moments.append(moment_after(edited(rooms[name], tags=["restored", name])))
    moments.append(moment_after(edited(Room(name="f", seats=77))))
    for number in range(4):
        moments += [
            moment_after(edited(rooms[name], tags=[*rooms[name].tags, str(number)]))
            for name in "abg"
        ]
    Room.objects(name="g").update(set__seats=1000)
    moments.append(moment_after(deleted(rooms["b"])))
    for moment in moments:
        expected = {}
        for name in rooms:
            room = history_of(Room, name).as_of(moment)
            if room is not None:
                expected[name] = room.to_mongo()
        assert {room.name: room.to_mongo() for room in as_of(Room, moment)} == expected


def test_before_its_first_revision_a_document_is_as_that_one_found_it(every: int) -> None:
    room = Room(name="a", seats=3, tags=["x"]).save()
    before = now()
    after = moment_after(edited(room, seats=4))
    for moment in (LONG_AGO, before):
        [found] = as_of(Room, moment)
        assert (found.seats, found.tags) == (3, ["x"])
    assert seats(after) == {"a": 4}


def test_before_its_creation_there_is_no_document(every: int) -> None:
    before = now()
    room = Room(name="a", seats=3)
    after = moment_after(edited(room))
    assert seats(LONG_AGO) == seats(before) == {}
    edited(room, seats=4)
    assert seats(before) == {}
    assert seats(after) == {"a": 3}


def test_deleted_documents_are_among_them_if_they_were_there(every: int) -> None:
    recorded, older, unrecorded = Room(name="a"), Room(name="b").save(), Room(name="c")
    there = max(moment_after(edited(recorded)), moment_after(edited(unrecorded)))
    Room.objects(name="c").delete()
    gone = max(moment_after(deleted(recorded)), moment_after(deleted(older)))
    assert seats(there) == {"a": 1, "b": 1, "c": 1}
    assert seats(gone) == {"c": 1}  # nobody told the history
    assert list(Room.objects) == []


def test_a_document_without_history_is_as_it_is_stored() -> None:
    Room(name="a", seats=3, tags=["x"]).save()
    for moment in (LONG_AGO, now()):
        [room] = as_of(Room, moment)
        assert (room.seats, room.tags) == (3, ["x"])


def test_one_without_history_that_was_born_later_is_left_out() -> None:
    """Only a key that is an ObjectId tells, and only the second."""
    guest = Guest(name="a").save()
    born = guest.pk.generation_time
    assert names(Guest, born - timedelta(seconds=1)) == []
    assert names(Guest, born) == ["a"]
    edited(guest, name="b")
    assert names(Guest, born - timedelta(seconds=1)) == []
    assert names(Guest, datetime.now()) == ["b"]


def test_a_created_document_is_left_out_before_to_the_microsecond() -> None:
    guest = Guest(name="a")
    edited(guest)
    created = history_of(guest)[1].at
    assert names(Guest, created) == ["a"]
    assert names(Guest, created - timedelta(microseconds=1)) == []


@pytest.mark.parametrize("version_every", EVERY)
def test_a_document_of_nothing_but_its_key_comes_and_goes(version_every: int) -> None:
    class Label(me.Document):
        meta = {
            "collection": "labels",
            "auto_create_index": False,
            "history": {"version_every": version_every},
        }
        name = me.StringField(primary_key=True)

    signals.post_save.connect(track_changes, sender=Label)
    signals.post_delete.connect(track_changes, sender=Label)
    label = Label(name="a")
    moments = [
        now(),
        moment_after(edited(label)),
        moment_after(deleted(label)),
        moment_after(edited(restore(Label, "a"))),
    ]
    assert [names(Label, moment) for moment in moments] == [[], ["a"], [], ["a"]]


def test_without_the_indexes_of_the_history_it_is_slower_but_right(database: Any) -> None:
    """As after an upgrade, before anything is recorded, or when somebody dropped them."""
    room = Room(name="a")
    moments = [
        now(),
        moment_after(edited(room)),
        moment_after(edited(room, seats=2)),
        moment_after(deleted(room)),
    ]
    for moment, expected in zip(moments, [{}, {"a": 1}, {"a": 2}, {}], strict=True):
        database.history.drop_indexes()
        assert seats(moment) == expected


@binds
def test_inside_a_transaction_it_sees_what_that_has_written(client: MongoClient) -> None:
    room = Room(name="a")
    before = moment_after(edited(room))
    Room(name="b").save()
    with client.start_session() as session, session.bind(end_session=False):
        session.start_transaction()
        within = moment_after(edited(room, seats=2))
        edited(Room(name="c"))
        assert seats(before) == {"a": 1, "b": 1}
        assert seats(within) == {"a": 2, "b": 1}
        assert seats(now()) == {"a": 2, "b": 1, "c": 1}
        session.abort_transaction()
    assert seats(now()) == {"a": 1, "b": 1}


def test_drift_is_not_in_the_past_of_a_recorded_document() -> None:
    room = Room(name="a").save()
    after = moment_after(edited(room, seats=2))
    Room.objects.update(set__seats=99)
    assert seats(after) == {"a": 2}
    assert seats(now()) == {"a": 2}


def test_naive_times_are_local_and_aware_ones_what_they_say() -> None:
    room = Room(name="a")
    first = moment_after(edited(room))
    edited(room, seats=2)
    assert seats(first) == seats(first.astimezone(timezone.utc)) == {"a": 1}
    assert seats(first.astimezone(timezone(timedelta(hours=5, minutes=45)))) == {"a": 1}


def test_documents_are_new_and_nothing_is_written(commands: Any) -> None:
    room = Room(name="a", seats=2)
    moment = moment_after(edited(room))
    commands.clear()
    [found] = as_of(Room, moment)
    assert set(commands.names) <= {"find", "aggregate"}
    assert found is not room
    found.seats = 7
    found.save()
    assert Room.objects.get().seats == 7


class TestWhatCannotBeRebuilt:
    def test_an_incomplete_revision_is_named_by_its_document(self, database: Any) -> None:
        edited(Room(name="fine"))
        broken = Room(name="broken")
        edited(broken)
        edited(broken, seats=2, tags=["x"])
        moment = moment_after(edited(broken, seats=3))
        database.history.delete_one({"document_id": "broken", "revision": 2, "position": 1})
        rooms = {getattr(it, "document_id", None): it for it in as_of(Room, moment)}
        assert rooms[None].name == "fine"
        assert isinstance(rooms["broken"], Misfit)
        with pytest.raises(IncompleteRevisionError) as caught:
            print(rooms["broken"].name)
        assert (caught.value.document_id, caught.value.number) == ("broken", 2)
        assert not hasattr(rooms["broken"], "_data")

    def test_a_state_that_todays_class_cannot_hold_is_named_by_its_document(self) -> None:
        class Old(me.Document):
            meta = {"collection": "rooms", "auto_create_index": False}
            name = me.StringField(primary_key=True)
            lamp = me.StringField()

        class Lamp(me.EmbeddedDocument):
            watts = me.IntField()

        class New(me.Document):
            meta = {"collection": "rooms", "auto_create_index": False}
            name = me.StringField(primary_key=True)
            lamp = me.EmbeddedDocumentField(Lamp)

        signals.post_save.connect(track_changes, sender=Old)
        edited(Old(name="a", lamp="red"))
        moment = moment_after(edited(Old(name="b")))
        misfit, fine = sorted(as_of(New, moment), key=lambda it: isinstance(it, New))
        assert (misfit.document_id, misfit.error.keys, fine.name) == ("a", ["lamp"], "b")
        data = sorted((it["_id"], it.get("lamp")) for it in as_of(New, moment, as_data=True))
        assert data == [("a", "red"), ("b", None)]

    def test_versions_that_are_gone_are_missed_by_nobody(self, every: int) -> None:
        room = Room(name="a")
        moments = [moment_after(edited(room, seats=number)) for number in range(7)]
        Version.objects.delete()
        assert [seats(moment) for moment in moments] == [{"a": number} for number in range(7)]

    @pytest.mark.parametrize("then", EVERY)
    def test_an_option_that_was_another_one_then_changes_nothing(
        self, every: int, monkeypatch: Any, then: int
    ) -> None:
        moments = [now()]
        moments += [moment_after(edited(Room(name="a")))]
        older = Room(name="b").save()
        for number in range(2, 6):
            moments.append(moment_after(edited(Room.objects.get(name="a"), seats=number)))
        moments.append(moment_after(edited(older, seats=6)))
        shown = [history_of(Room, "a").as_of(moment) for moment in moments]
        monkeypatch.setitem(Room._meta, "history", {"version_every": then})
        for moment, room in zip(moments, shown, strict=True):
            expected = {"b": 6 if moment == moments[-1] else 1}
            expected |= {} if room is None else {"a": room.seats}
            assert seats(moment) == expected


class TestRecordsOf11:
    @pytest.mark.parametrize("version_every", [0, 1, 100])
    def test_they_are_unwound(
        self, released: Elsewhere, monkeypatch: Any, version_every: int
    ) -> None:
        """Of a document that has only those, of one that was continued, beside one with none."""
        monkeypatch.setitem(Recipe._meta, "history", {"version_every": version_every})
        only, continued, neither = (Recipe(title=title).save() for title in ("o", "c", "n"))
        moments = []
        for recipe in (only, continued):
            recipe.title = "A"
            recipe.tags = ["a", "b", "c"]
            recipe.save()
            moments += released.call("walk", recipe.pk, 1, 2)
        moments += [*walk(continued.pk, 3, 4), now()]
        for moment in moments:
            expected = {
                recipe.pk: history_of(recipe).as_of(moment).to_mongo()
                for recipe in (only, continued, neither)
            }
            assert {it.pk: it.to_mongo() for it in as_of(Recipe, moment)} == expected
        first = {it.pk: it.title for it in as_of(Recipe, moments[0])}
        assert first == {only.pk: "A", continued.pk: "A", neither.pk: "n"}
        last = {it.pk: it.title for it in as_of(Recipe, moments[-1])}
        assert last == {only.pk: "B", continued.pk: "C", neither.pk: "n"}
