"""A version that a query write keeps is what the revisions lead to, whatever is stored."""

from __future__ import annotations

from typing import Any

import mongoengine as me
import pytest
from support.changes import automatic, tracked_otherwise

from mongoengine_history import History, Version, history_of, untracked
from mongoengine_history.state.merge import list_hash


class Shelf(me.Document):
    meta = {"collection": "shelves", "auto_create_index": False}
    count = me.IntField(default=0)
    other = me.IntField(default=0)
    names = me.ListField(me.StringField())


tracking = automatic(Shelf)


@pytest.fixture(params=[1, 2, 3], autouse=True)
def often(request: Any, database: Any) -> Any:
    with tracked_otherwise(Shelf, version_every=request.param):
        yield


DRIFT: list[dict[str, Any]] = [{"set__names": ["x"]}, {"set__other": 50}, {"unset__other": 1}]


@pytest.mark.parametrize("drift", DRIFT)
def test_drift_is_in_no_version(drift: dict[str, Any]) -> None:
    shelf = Shelf(names=["a"]).save()
    shelf.names.append("b")
    shelf.save()
    with untracked():
        Shelf.objects.update(**drift)
    for _ in range(4):
        Shelf.objects(count__gte=0).update(inc__count=1)
    timeline = history_of(shelf)
    for number in range(2, 7):
        state = {"count": max(number - 2, 0), "other": 0, "names": ["a", "b"]}
        assert timeline.state(number) == state
    for version in Version.objects.of(shelf):
        assert version.state == timeline.state(version.revision)


def test_a_list_that_is_not_the_one_that_was_drifts_no_further() -> None:
    shelf = Shelf(names=["a", "b", "c"]).save()
    with untracked():
        Shelf.objects.update(set__names=["x", "b", "c"])
    Shelf.objects(count=0).update(push__names="d")
    Shelf.objects(count=0).update(push__names="e")
    names = [history_of(shelf).state(number)["names"] for number in (1, 2, 3)]
    assert names == [["a", "b", "c"], ["x", "b", "c", "d"], ["x", "b", "c", "d", "e"]]


def test_documents_that_change_alike_keep_what_the_history_knows_of_their_own_lists() -> None:
    shelves = [Shelf(names=[name]).save() for name in "aba"]
    Shelf.objects.update(inc__count=1)
    records = [History.objects.of(it).order_by("-revision").first() for it in shelves]
    hashes = [it.to_mongo()["lists"]["names"] for it in records]
    assert hashes == [list_hash([name]) for name in "aba"]


def test_where_revisions_are_lost_a_version_is_a_new_beginning(database: Any) -> None:
    shelf = Shelf(names=["a"]).save()
    Shelf.objects(count=0).update(set__other=1)
    database.history.delete_many({"revision": {"$in": [0, 1]}})
    for _ in range(3):
        Shelf.objects(other=1).update(inc__count=1)
    assert history_of(shelf).state(-1) == {"count": 3, "other": 1, "names": ["a"]}
