"""A revision of which only some records have arrived is waited for, by all who read it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import mongoengine as me
import pytest
from pymongo.collection import Collection
from support.changes import automatic

from mongoengine_history import as_of, history_of, load_history, revert
from mongoengine_history.record import complete


class Parcel(me.Document):
    meta = {"collection": "parcels", "auto_create_index": False}
    name = me.StringField(primary_key=True)
    first = me.IntField(default=0)
    second = me.IntField(default=0)


tracking = automatic(Parcel)


@pytest.fixture
def parcel(monkeypatch: Any, database: Any) -> Parcel:
    """Store a document, and take the last record of its second revision away until it is missed."""
    parcel = Parcel(name="a").save()
    parcel.first = parcel.second = 1
    parcel.save()
    history: Collection[Any] = database["history"]
    late = history.find_one_and_delete({"revision": 2, "position": 1})
    arrives = SimpleNamespace(sleep=lambda _: history.insert_one(late))
    monkeypatch.setattr(complete, "time", arrives)  # and not of PyMongo's threads
    return parcel


WAYS: dict[str, Callable[[Parcel], Any]] = {
    "load_history": lambda it: len(load_history(it)) == 3,
    "load_history until": lambda it: len(load_history(it, until=datetime.now())) == 3,
    "history_of": lambda it: len(history_of(it)[2].patches) == 2,
    "state": lambda it: history_of(it).state(2) == {"first": 1, "second": 1},
    "as_of": lambda it: [each.second for each in as_of(Parcel, datetime.now())] == [1],
    "revert": lambda it: revert(it, revision=2).second == 1,
    "revert by one": lambda it: revert(it, revision=1).second == 0,
}


@pytest.mark.parametrize("way", WAYS)
def test_it_is_waited_for(parcel: Parcel, way: str) -> None:
    assert WAYS[way](parcel)
