"""A whole class as it stood at a moment: who is among them, as what, and at what cost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import mongoengine as me
import pytest
from bson import DBRef, Int64, ObjectId
from mongoengine import signals
from mongoengine.context_managers import switch_collection, switch_db
from pymongo import MongoClient
from support.stories_1_1 import Recipe, walk
from support.wheel_1_1 import Elsewhere, fetch

from mongoengine_history import (
    DocumentTrack,
    IncompleteRevisionError,
    OptionsError,
    StateMismatchError,
    Version,
    as_of,
    history_of,
    past,
    restore,
    track_changes,
)

LONG_AGO = datetime(2001, 1, 1)
EVERY = [0, 1, 2, 3, 100]


class Room(me.Document):
    meta = {"collection": "rooms", "auto_create_index": False}
    name = me.StringField(primary_key=True)
    seats = me.IntField(default=1)
    tags = me.ListField(me.StringField())


class Guest(me.Document):
    """Its key tells when it was made."""

    meta = {"collection": "guests", "auto_create_index": False}
    name = me.StringField()


class Vehicle(me.Document):
    meta = {"collection": "vehicles", "allow_inheritance": True, "auto_create_index": False}
    name = me.StringField()


class Car(Vehicle):
    doors = me.IntField()


class Van(Car):
    load = me.IntField()


@pytest.fixture(autouse=True)
def connected(database: Any) -> None:
    for cls in (Room, Guest, Vehicle, Car, Van):
        signals.post_save.connect(track_changes, sender=cls)
        signals.post_delete.connect(track_changes, sender=cls)


@pytest.fixture(scope="module")
def released(
    request: pytest.FixtureRequest, client: MongoClient, mongodb_uri: str
) -> Iterator[Elsewhere]:
    """The process of 1.1."""
    folder = fetch(request.config.cache.mkdir("mongoengine-history-1.1"))
    name = me.get_db().name
    with Elsewhere("support.stories_1_1", mongodb_uri, name, wheel=folder) as process:
        yield process


@pytest.fixture(params=EVERY)
def every(request: pytest.FixtureRequest, monkeypatch: Any) -> int:
    """Keeps a version of rooms with every so many revisions."""
    monkeypatch.setitem(Room._meta, "history", {"version_every": request.param})
    return request.param


def now() -> datetime:
    """Name a moment that lies after all that was done and before all that comes."""
    time.sleep(0.001)
    moment = datetime.now()
    time.sleep(0.001)
    return moment


def edited(document: Any, **values: Any) -> datetime:
    """Save some values as one revision; return a moment after it."""
    with DocumentTrack(document, "ann"):
        for name, value in values.items():
            setattr(document, name, value)
        document.save()
    return now()


def deleted(document: Any) -> datetime:
    with DocumentTrack(document, "ann"):
        document.delete()
    return now()


def seats(when: datetime) -> dict[str, int]:
    return {room.name: room.seats for room in as_of(Room, when)}


def names(model: type[me.Document], when: datetime) -> list[str]:
    return sorted(document.name for document in as_of(model, when))


def test_each_document_is_as_it_was(every: int) -> None:
    first, second = Room(name="a"), Room(name="b", seats=10)
    moments = [now(), edited(first), edited(second)]
    for number in range(2, 6):
        moments.append(edited(first, seats=number))
        moments.append(edited(second, seats=10 * number))
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
            moments.append(edited(room, seats=5))
    moments += [deleted(rooms[name]) for name in "adf"]
    for name in "ad":
        rooms[name] = restore(Room, name)
        moments.append(edited(rooms[name], tags=["restored", name]))
    moments.append(edited(Room(name="f", seats=77)))
    for number in range(4):
        moments += [edited(rooms[name], tags=[*rooms[name].tags, str(number)]) for name in "abg"]
    Room.objects(name="g").update(set__seats=1000)
    moments.append(deleted(rooms["b"]))
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
    after = edited(room, seats=4)
    for moment in (LONG_AGO, before):
        [found] = as_of(Room, moment)
        assert (found.seats, found.tags) == (3, ["x"])
    assert seats(after) == {"a": 4}


def test_before_its_creation_there_is_no_document(every: int) -> None:
    before = now()
    room = Room(name="a", seats=3)
    after = edited(room)
    assert seats(LONG_AGO) == seats(before) == {}
    edited(room, seats=4)
    assert seats(before) == {}
    assert seats(after) == {"a": 3}


def test_deleted_documents_are_among_them_if_they_were_there(every: int) -> None:
    recorded, older, unrecorded = Room(name="a"), Room(name="b").save(), Room(name="c")
    there = max(edited(recorded), edited(unrecorded))
    Room.objects(name="c").delete()
    gone = max(deleted(recorded), deleted(older))
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
    moments = [now(), edited(label), deleted(label), edited(restore(Label, "a"))]
    assert [names(Label, moment) for moment in moments] == [[], ["a"], [], ["a"]]


def test_without_the_indexes_of_the_history_it_is_slower_but_right(database: Any) -> None:
    """As after an upgrade, before anything is recorded, or when somebody dropped them."""
    room = Room(name="a")
    moments = [now(), edited(room), edited(room, seats=2), deleted(room)]
    for moment, expected in zip(moments, [{}, {"a": 1}, {"a": 2}, {}], strict=True):
        database.history.drop_indexes()
        assert seats(moment) == expected


def test_inside_a_transaction_it_sees_what_that_has_written(client: MongoClient) -> None:
    if not hasattr(MongoClient, "_get_bound_session"):
        pytest.skip("PyMongo binds sessions from 4.17 on")
    room = Room(name="a")
    before = edited(room)
    Room(name="b").save()
    with client.start_session() as session, session.bind(end_session=False):
        session.start_transaction()
        within = edited(room, seats=2)
        edited(Room(name="c"))
        assert seats(before) == {"a": 1, "b": 1}
        assert seats(within) == {"a": 2, "b": 1}
        assert seats(now()) == {"a": 2, "b": 1, "c": 1}
        session.abort_transaction()
    assert seats(now()) == {"a": 1, "b": 1}


def test_drift_is_not_in_the_past_of_a_recorded_document() -> None:
    room = Room(name="a").save()
    after = edited(room, seats=2)
    Room.objects.update(set__seats=99)
    assert seats(after) == {"a": 2}
    assert seats(now()) == {"a": 2}


def test_naive_times_are_local_and_aware_ones_what_they_say() -> None:
    room = Room(name="a")
    first = edited(room)
    edited(room, seats=2)
    assert seats(first) == seats(first.astimezone(timezone.utc)) == {"a": 1}
    assert seats(first.astimezone(timezone(timedelta(hours=5, minutes=45)))) == {"a": 1}


@pytest.mark.parametrize("when", ["2020-01-01", 5, None, datetime(2020, 1, 1).date()])
def test_what_is_no_moment_is_refused_before_anything_is_read(when: Any) -> None:
    with pytest.raises(OptionsError):
        as_of(Room, when)


@pytest.mark.parametrize("model", [None, dict, "rooms", me.EmbeddedDocument, Room(name="a")])
def test_what_is_no_class_is_refused_before_anything_is_read(model: Any) -> None:
    with pytest.raises(OptionsError):
        as_of(model, datetime.now())


def test_an_abstract_class_is_refused() -> None:
    class Base(me.Document):
        meta = {"abstract": True}

    with pytest.raises(OptionsError):
        as_of(Base, datetime.now())


def test_documents_are_new_and_nothing_is_written(commands: Any) -> None:
    room = Room(name="a", seats=2)
    moment = edited(room)
    commands.clear()
    [found] = as_of(Room, moment)
    assert set(commands.names) <= {"find", "aggregate"}
    assert found is not room
    found.seats = 7
    found.save()
    assert Room.objects.get().seats == 7


def test_a_class_without_documents_has_none() -> None:
    assert list(as_of(Room, datetime.now())) == []


@pytest.mark.parametrize("is_recorded", [True, False])
def test_a_base_class_gives_its_subclasses_and_a_subclass_only_its_own(is_recorded: bool) -> None:
    for vehicle in (Vehicle(name="v"), Car(name="c", doors=3), Van(name="n", load=5)):
        if is_recorded:
            edited(vehicle)
        else:
            vehicle.save()
    moment = now()
    Vehicle._get_collection().update_many({}, {"$set": {"name": "later"}})
    kinds = [(Vehicle, [Car, Van, Vehicle]), (Car, [Car, Van]), (Van, [Van])]
    for asked, given in kinds:
        found = sorted(as_of(asked, moment), key=lambda vehicle: type(vehicle).__name__)
        assert [type(vehicle) for vehicle in found] == given
    [van] = as_of(Van, moment)
    assert (van.load, van.name) == (5, "n" if is_recorded else "later")


def test_the_class_that_a_document_had_then_counts() -> None:
    vehicle = Vehicle(name="v")
    before = edited(vehicle)
    vehicle._get_collection().update_one({}, {"$set": {"_cls": "Vehicle.Car", "doors": 5}})
    car = Car.objects.get()
    with DocumentTrack(car):
        car._mark_as_changed("_cls")
        car._mark_as_changed("doors")
        car.name = "c"
        car.save()
    assert (names(Car, before), names(Vehicle, before)) == ([], ["v"])


def test_other_collections_of_the_database_are_left_alone() -> None:
    edited(Room(name="same"))
    edited(Guest(name="same"))
    assert len(list(as_of(Room, datetime.now()))) == 1
    assert len(list(as_of(Guest, datetime.now()))) == 1


def test_switched_classes_have_a_past_of_their_own() -> None:
    edited(Room(name="a", seats=1))
    with switch_db(Room, "other") as other:
        edited(other(name="a", seats=2))
        moment = edited(other(name="b", seats=2))
        assert {room.name: room.seats for room in as_of(other, moment)} == {"a": 2, "b": 2}
    with switch_collection(Room, "closed_rooms") as closed:
        moment = edited(closed(name="a", seats=3))
        assert {room.name: room.seats for room in as_of(closed, moment)} == {"a": 3}
    assert seats(moment) == {"a": 1}


@pytest.mark.parametrize(
    "keys",
    [
        [1, 2, 3],
        [1, 1.5, Int64(2**40), -3],
        ["a", "", "a.b", "$x"],
        [{"a": 1}, {"a": 1, "b": 2}, {"b": 2, "a": 1}, {}],
        [None, True, False],
        [b"x", DBRef("c", 1), datetime(2020, 1, 1)],
        [1, "1", ObjectId("1" * 24), {"1": 1}, True],
    ],
)
@pytest.mark.parametrize("version_every", [0, 1, 3])
def test_keys_may_be_any_bson(keys: list[Any], version_every: int) -> None:
    class Keyed(me.Document):
        meta = {
            "collection": "keyed",
            "auto_create_index": False,
            "history": {"version_every": version_every},
        }
        key = me.DynamicField(primary_key=True)
        text = me.StringField()

    signals.post_save.connect(track_changes, sender=Keyed)
    Keyed._get_collection().insert_many({"_id": key, "text": "0"} for key in keys)
    documents = list(Keyed.objects.as_pymongo())
    before = now()
    for number in (1, 2):
        for document in documents:
            keyed = Keyed._from_son({**document, "text": str(number - 1)})
            if keyed.pk is not None:  # MongoEngine takes it for a document without a key
                edited(keyed, text=str(number))
    after = now()
    count = len([key for key in keys if key is not None])
    shown = [it.text for it in as_of(Keyed, before) if it.pk is not None]
    assert shown == ["0"] * count
    assert [it.text for it in as_of(Keyed, after) if it.pk is not None] == ["2"] * count


class TestBatches:
    @pytest.fixture(autouse=True)
    def small_batches(self, monkeypatch: Any) -> None:
        monkeypatch.setattr(past, "BATCH", 3)

    @pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 6, 7])
    def test_every_document_is_given_once(self, every: int, count: int) -> None:
        for number in range(count):
            edited(Room(name=f"created {number}", seats=number))
            Room(name=f"unrecorded {number}", seats=number).save()
            edited(Room(name=f"older {number}", seats=number).save(), tags=["x"])
            room = Room(name=f"deleted {number}", seats=number)
            edited(room)
        moment = now()
        for number in range(count):
            deleted(Room.objects.get(name=f"deleted {number}"))
            edited(Room(name=f"later {number}"))
        found = [(room.name, room.seats) for room in as_of(Room, moment)]
        kinds = ("created", "unrecorded", "older", "deleted")
        assert sorted(found) == sorted(
            (f"{kind} {number}", number) for kind in kinds for number in range(count)
        )

    def test_one_recorded_for_the_first_time_meanwhile_is_given_once(self, every: int) -> None:
        """It has no history when the reading begins, and has one when its turn comes."""
        for number in range(5):
            edited(Room(name=f"a{number}"))
        late = Room(name="late", seats=1).save()
        moment = now()
        reading = as_of(Room, moment)
        found = [next(reading)]
        edited(late, seats=2)
        edited(Room(name="new"))
        found += reading
        assert sorted((room.name, room.seats) for room in found) == [
            *((f"a{number}", 1) for number in range(5)),
            ("late", 1),
        ]

    def test_one_written_meanwhile_is_as_it_was(self, every: int) -> None:
        rooms = [Room(name=f"a{number}") for number in range(8)]
        for room in rooms:
            edited(room)
        moment = now()
        found = []
        for room in as_of(Room, moment):
            found.append((room.name, room.seats))
            edited(rooms[7], seats=rooms[7].seats + 1)
        assert sorted(found) == [(f"a{number}", 1) for number in range(8)]

    def test_reading_begins_when_it_is_asked_for(self, commands: Any) -> None:
        for number in range(8):
            edited(Room(name=f"a{number}"))
        commands.clear()
        reading = as_of(Room, now())
        assert commands.names == []
        next(reading)
        some = len(commands.names)
        list(reading)
        assert some < len(commands.names)


class TestCost:
    """What is true of 300 documents in batches of 100 is true of any in batches of 500."""

    @pytest.fixture(autouse=True)
    def smaller_batches(self, monkeypatch: Any) -> None:
        monkeypatch.setattr(past, "BATCH", 100)

    @pytest.mark.parametrize("version_every", [1, 3, 100])
    def test_round_trips_grow_with_batches_and_not_with_documents(
        self, monkeypatch: Any, commands: Any, version_every: int
    ) -> None:
        """Created ones, older ones, and some that were never recorded."""
        monkeypatch.setitem(Room._meta, "history", {"version_every": version_every})
        rooms = [Room(name=f"a{number:04}", seats=number) for number in range(300)]
        for room in rooms[:100]:
            with DocumentTrack(room):
                room.save()
        Room.objects.insert(rooms[100:])
        for room in rooms[50:200]:
            with DocumentTrack(room):
                room.seats += 1
                room.save()
        moment = now()
        commands.clear()
        assert len(list(as_of(Room, moment))) == 300
        assert len(commands.names) <= 30, commands.names

    def test_documents_without_history_cost_no_round_trip_each(self, commands: Any) -> None:
        Room.objects.insert([Room(name=f"a{number:04}") for number in range(300)])
        commands.clear()
        assert len(list(as_of(Room, now()))) == 300
        assert len(commands.names) <= 20, commands.names

    def test_documents_born_later_cost_no_round_trip_each(self, commands: Any) -> None:
        Guest.objects.insert([Guest(name=str(number)) for number in range(150)])
        for guest in Guest.objects:
            with DocumentTrack(guest):
                guest.name += "!"
                guest.save()
        commands.clear()
        assert list(as_of(Guest, LONG_AGO)) == []
        assert len(commands.names) <= 20, commands.names

    @pytest.mark.parametrize("version_every", [1, 100])
    def test_documents_created_later_cost_no_round_trip_each(
        self, monkeypatch: Any, commands: Any, version_every: int
    ) -> None:
        """Their keys do not tell, but their first revision does."""
        monkeypatch.setitem(Room._meta, "history", {"version_every": version_every})
        before = now()
        for number in range(150):
            with DocumentTrack(room := Room(name=str(number))):
                room.save()
        commands.clear()
        assert list(as_of(Room, before)) == []
        assert len(commands.names) <= 20, commands.names

    @pytest.mark.parametrize("version_every", [1, 100])
    def test_documents_that_are_older_than_their_history_cost_no_round_trip_each(
        self, monkeypatch: Any, commands: Any, version_every: int
    ) -> None:
        monkeypatch.setitem(Room._meta, "history", {"version_every": version_every})
        Room.objects.insert([Room(name=str(number)) for number in range(150)])
        before = now()
        for room in Room.objects:
            with DocumentTrack(room):
                room.seats = 2
                room.save()
        commands.clear()
        assert {room.seats for room in as_of(Room, before)} == {1}
        assert len(commands.names) <= 20, commands.names


class TestWhatCannotBeRebuilt:
    def test_an_incomplete_revision_is_named_by_its_document(self, database: Any) -> None:
        edited(Room(name="fine"))
        broken = Room(name="broken")
        edited(broken)
        edited(broken, seats=2, tags=["x"])
        moment = edited(broken, seats=3)
        database.history.delete_one({"document_id": "broken", "revision": 2, "position": 1})
        with pytest.raises(IncompleteRevisionError) as caught:
            list(as_of(Room, moment))
        assert (caught.value.document_id, caught.value.number) == ("broken", 2)

    def test_a_state_that_todays_class_cannot_hold_is_named_by_its_document(self) -> None:
        class Old(me.Document):
            meta = {"collection": "rooms", "auto_create_index": False}
            name = me.StringField(primary_key=True)
            gone = me.IntField()

        signals.post_save.connect(track_changes, sender=Old)
        moment = edited(Old(name="a", gone=1))
        with pytest.raises(StateMismatchError) as caught:
            list(as_of(Room, moment))
        assert (caught.value.document_id, caught.value.keys) == ("a", ["gone"])

    def test_versions_that_are_gone_are_missed_by_nobody(self, every: int) -> None:
        room = Room(name="a")
        moments = [edited(room, seats=number) for number in range(7)]
        Version.objects.delete()
        assert [seats(moment) for moment in moments] == [{"a": number} for number in range(7)]

    @pytest.mark.parametrize("then", EVERY)
    def test_an_option_that_was_another_one_then_changes_nothing(
        self, every: int, monkeypatch: Any, then: int
    ) -> None:
        moments = [now()]
        moments += [edited(Room(name="a"))]
        older = Room(name="b").save()
        for number in range(2, 6):
            moments.append(edited(Room.objects.get(name="a"), seats=number))
        moments.append(edited(older, seats=6))
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
