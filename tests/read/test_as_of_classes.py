"""Which classes, collections and keys have a past, and which documents belong to it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import mongoengine as me
import pytest
from bson import DBRef, Int64, ObjectId
from mongoengine import signals
from mongoengine.context_managers import switch_collection, switch_db
from support.changes import edited, watched
from support.moments import moment_after, now
from support.rooms import Car, Guest, Room, Van, Vehicle, names, seats

from mongoengine_history import DocumentTrack, OptionsError, as_of, track_changes

connected = watched(Room, Guest, Vehicle, Car, Van)


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
    before = moment_after(edited(vehicle))
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
        moment = moment_after(edited(other(name="b", seats=2)))
        assert {room.name: room.seats for room in as_of(other, moment)} == {"a": 2, "b": 2}
    with switch_collection(Room, "closed_rooms") as closed:
        moment = moment_after(edited(closed(name="a", seats=3)))
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
