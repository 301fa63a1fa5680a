"""Numbers that are equal are one key to the server, whatever their types: one history, too."""

from __future__ import annotations

from datetime import datetime
from itertools import permutations
from typing import Any

import mongoengine as me
import pytest
from bson import Int64
from mongoengine import Document
from support.changes import automatic

from mongoengine_history import (
    as_of,
    changeset,
    history_of,
    prune,
    reconcile,
    revert_changeset,
    verify,
)


class Part(Document):
    meta = {"collection": "parts", "auto_create_index": False}
    key = me.DynamicField(primary_key=True)
    count = me.IntField()


tracking = automatic(Part)

pairs = pytest.mark.parametrize(("first", "then"), [*permutations([1, Int64(1), 1.0], 2)])


@pytest.fixture
def between(database: Any, first: Any, then: Any) -> datetime:
    """A document is deleted and made again; return the moment in between."""
    Part(key=2, count=1).save()
    Part(key=first, count=1).save().delete()
    moment = datetime.now()
    Part(key=then, count=5).save().update(count=6)
    return moment


@pairs
def test_as_of_a_moment_it_is_there_once_or_not_at_all(between: datetime) -> None:
    assert [it.pk for it in as_of(Part, between)] == [2]
    assert sorted((it.pk, it.count) for it in as_of(Part, datetime.now())) == [(1, 6), (2, 1)]


@pairs
def test_sweeps_go_through_it_once(database: Any, between: datetime, first: Any) -> None:
    assert reconcile(Part).looked == 2
    verification = verify(Part)
    assert (verification.ok, verification.documents) == (True, 2)
    database["parts"].update_one({"_id": 1}, {"$set": {"count": 7}})
    assert len(verify(Part).all) == 1
    assert len(reconcile(Part).recorded) == 1
    assert prune(Part, keep=1).shortened == 1
    assert history_of(Part, first).state(-1) == {"count": 7}
    assert verify(Part).ok


@pairs
def test_a_changeset_of_both_is_taken_back(database: Any, first: Any, then: Any) -> None:
    part = Part(key=first, count=1).save()
    with changeset("ada") as own:
        part.delete()
        Part(key=then, count=5).save()
    revert_changeset(own.id)
    assert Part._get_collection().find_one() == {"_id": 1, "count": 1}
