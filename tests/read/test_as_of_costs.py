"""What it costs to read a class as it stood: batches, round trips, memory."""

from __future__ import annotations

from typing import Any

import pytest
from support.changes import deleted, edited, watched
from support.moments import now
from support.rooms import LONG_AGO, Car, Guest, Room, Van, Vehicle

from mongoengine_history import DocumentTrack, as_of
from mongoengine_history.read import as_of as past

connected = watched(Room, Guest, Vehicle, Car, Van)


class TestBatches:
    @pytest.fixture(autouse=True)
    def small_batches(self, monkeypatch: Any) -> None:
        monkeypatch.setattr(past, "SMALL", 3)

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
        monkeypatch.setattr(past, "SMALL", 100)

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
