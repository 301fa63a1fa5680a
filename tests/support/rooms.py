"""Documents of several classes, as a whole class of them stood at a moment."""

from __future__ import annotations

from datetime import datetime

import mongoengine as me

from mongoengine_history import as_of

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


def seats(when: datetime) -> dict[str, int]:
    return {room.name: room.seats for room in as_of(Room, when)}


def names(model: type[me.Document], when: datetime) -> list[str]:
    return sorted(document.name for document in as_of(model, when))
