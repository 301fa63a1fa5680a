"""A write that was done, but of which too few servers know: it is recorded as what it was."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import mongoengine as me
import pytest
from pymongo import WriteConcern
from pymongo.collection import Collection
from pymongo.errors import WriteConcernError
from support.changes import automatic, tracked_otherwise

from mongoengine_history import changeset, history_of, redact, untracked
from mongoengine_history.record import doubt, drift

UNMET = {"w": 40, "wtimeout": 50}


class Locker(me.Document):
    meta = {
        "collection": "lockers",
        "auto_create_index": False,
        "history": {"mask": ["pin", "inside.pin"], "exclude": ["note"]},
    }
    name = me.StringField(primary_key=True)
    count = me.IntField(default=0)
    tags = me.ListField(me.StringField())
    pin = me.StringField()
    note = me.StringField()
    inside = me.DictField()


tracking = automatic(Locker)


@pytest.fixture
def locker(database: Any, monkeypatch: Any) -> Locker:
    monkeypatch.setattr(drift, "PAUSE", 0)
    return Locker(name="a", pin="1", note="n", inside={"a": 1, "pin": "2"}).save()


def unmet(write: Callable[..., Any], **what: Any) -> None:
    with pytest.raises((me.errors.OperationError, WriteConcernError)):
        write(**what, write_concern=UNMET)


def overtaken_by(
    write: Callable[[], Any], method: str = "find_one_and_update", *, before: bool = False
) -> None:
    """Let somebody *write* between the next write of one document and its record, or *before*."""
    ever, patch = getattr(Collection, method), pytest.MonkeyPatch()

    def overtaken(*args: Any, **options: Any) -> Any:
        patch.undo()
        if before:
            write()
        try:
            return ever(*args, **options)
        finally:
            if not before:
                write()

    patch.setattr(Collection, method, overtaken)


def told(locker: Locker) -> list[Any]:
    return [(it.operation, it.identity, [*it.patches]) for it in history_of(locker)[2:]]


def test_what_others_have_overwritten_is_told_and_theirs_is_nobody_elses(
    locker: Locker, caplog: Any
) -> None:
    def also() -> None:
        with changeset("bob"):
            unmet(Locker.objects(pk="a").update_one, set__tags=["bob"])

    with caplog.at_level(logging.WARNING, "mongoengine_history"), changeset("ada"):
        overtaken_by(also)
        unmet(Locker.objects(pk="a").update_one, set__tags=["ada"])
    assert told(locker) == [("update", "bob", [("add", ["tags"], [(0, "bob")])])]
    assert "'a' was written is not known" in caplog.text


def test_amid_what_others_have_written_only_ones_own_is_recorded(locker: Locker) -> None:
    def also() -> None:
        with changeset("bob"):
            Locker.objects(pk="a").update_one(set__inside__b=5)

    with changeset("ada"):
        overtaken_by(also)
        unmet(Locker.objects(pk="a").update_one, set__inside__a=7)
    by_bob, by_ada = told(locker)
    assert by_bob[1:] == ("bob", [("add", ["inside"], [("b", 5)])])
    assert by_ada[1:] == ("ada", [("change", ["inside", "a"], (1, 7))])
    assert history_of(locker).compare(-1) == []


@pytest.mark.parametrize(
    ("what", "path"),
    [
        ({"set__inside__a": 7}, ["inside", "a"]),
        ({"inc__count": 1}, ["count"]),
        ({"set__pin": "9"}, ["pin"]),
        ({"set__inside__pin": "9"}, ["inside", "pin"]),
    ],
)
def test_hidden_values_beside_it_are_no_change(
    locker: Locker, what: dict[str, Any], path: list[str]
) -> None:
    unmet(Locker.objects(pk="a").update_one, **what)
    ((operation, _, patches),) = told(locker)
    assert operation == "update"
    assert [it[:2] for it in patches] == [("change", path)]
    assert "'9'" not in repr(patches)


@pytest.mark.parametrize("what", [{"set__tags": ["ada"]}, {"set__pin": "9"}, {"inc__count": 1}])
def test_a_write_that_was_not_done_is_not_recorded(locker: Locker, what: dict[str, Any]) -> None:
    unmet(Locker.objects(pk="a", count=5).update_one, **what)
    assert told(locker) == []


def test_nor_one_of_which_others_have_left_nothing(locker: Locker, caplog: Any) -> None:
    with caplog.at_level(logging.WARNING, "mongoengine_history"):
        overtaken_by(Locker.objects(pk="a").delete)
        unmet(Locker.objects(pk="a").update_one, set__tags=["ada"])
    assert [it[0] for it in told(locker)] == ["delete"]
    assert "'a' was written is not known" in caplog.text


def test_the_last_value_may_be_taken_away(locker: Locker) -> None:
    Locker._get_collection().insert_one({"_id": "b", "count": 1})
    unmet(Locker.objects(pk="b").update_one, unset__count=1)
    assert history_of(Locker, "b").state(-1) == {}


def test_a_deletion_is_one(locker: Locker) -> None:
    unmet(Locker.objects(pk="a").delete)
    assert [it.operation for it in history_of(Locker, "a")] == ["create", "delete"]


def test_of_a_deletion_others_have_made_it_again(locker: Locker, caplog: Any) -> None:
    overtaken_by(lambda: Locker(name="a", count=3).save(), "find_one_and_delete")
    with caplog.at_level(logging.WARNING, "mongoengine_history"):
        unmet(Locker.objects(pk="a").delete)
    assert [it.operation for it in history_of(Locker, "a")] == ["create", "create"]
    assert history_of(Locker, "a").state(-1)["count"] == 3
    assert "'a' was written is not known" in caplog.text


def test_it_is_no_doubt(locker: Locker) -> None:
    locker.count = 5
    unmet(locker.save)
    unmet(Locker(name="b").save, force_insert=True)
    unmet(Locker.objects(count=5).update, set__count=6)
    assert not doubt._doubts
    assert [it.operation for it in history_of(Locker, "a")] == ["create", "update", "update"]
    assert [it.operation for it in history_of(Locker, "b")] == ["create"]
    assert history_of(Locker, "a").compare(-1) == history_of(Locker, "b").compare(-1) == []


def test_before_the_first_revision_it_is_told(locker: Locker, caplog: Any) -> None:
    with untracked():
        other = Locker(name="b").save()
    other.count = 5
    with caplog.at_level(logging.WARNING, "mongoengine_history"):
        unmet(other.save)
    assert "'b' was written is not known" in caplog.text


def test_where_nobody_knows_what_was_there_it_is_told(database: Any, caplog: Any) -> None:
    with tracked_otherwise(Locker, version_every=0), caplog.at_level(logging.WARNING):
        with untracked():
            Locker(name="b").save()
        Locker.objects(pk="b").update_one(set__count=1)
        unmet(Locker.objects(pk="b").update_one, set__count=2)
    assert "'b' was written is not known" in caplog.text


OTHERS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"$set": {"tags.0": "ada"}}, {"$push": {"tags": "bob"}}),
    ({"$set": {"tags.0": "ada"}}, {"$set": {"tags": ["ada"]}}),
    ({"$set": {"inside.l.0": 2}}, {"$push": {"inside.l": 3}}),
    ({"$set": {"count": 2}}, {"$set": {"count": 2}}),
    ({"$unset": {"inside.a": 1}}, {"$set": {"inside": 3}}),
    ({"$unset": {"inside.a": 1}}, {"$unset": {"inside": 1}}),
    ({"$unset": {"tags.0": 1}}, {"$unset": {"tags": 1}}),
    ({"$inc": {"count": 1}}, {"$inc": {"count": 1}}),
]


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize(("own", "others"), OTHERS)
def test_whatever_others_write_meanwhile_is_told_once_and_the_newest(
    locker: Locker, own: dict[str, Any], others: dict[str, Any], before: bool
) -> None:
    collection = Locker._get_collection()
    collection.update_one(
        {"_id": "a"}, {"$set": {"tags": ["x", "y"], "inside": {"a": 1, "l": [1]}}}
    )

    def also() -> None:
        with changeset("bob"):
            collection.update_one({"_id": "a"}, others)

    overtaken_by(also, before=before)
    with changeset("ada"), pytest.raises(WriteConcernError):
        collection.with_options(write_concern=WriteConcern(**UNMET)).update_one({"_id": "a"}, own)
    timeline = history_of(locker)
    assert timeline.compare(-1) == []
    assert [it.identity for it in timeline].count("bob") <= 1
    for each in timeline[2:]:
        assert timeline.state(each.number) != timeline.state(each.number - 1)


def test_what_others_have_deleted_before_was_not_deleted_again(locker: Locker) -> None:
    overtaken_by(Locker.objects(pk="a").delete, "find_one_and_delete", before=True)
    unmet(Locker.objects(pk="a").delete)
    assert [it.operation for it in history_of(Locker, "a")] == ["create", "delete"]


@pytest.mark.parametrize("own", [{"$inc": {"inside.b": 1}}, [{"$set": {"tags": ["new"]}}]])
def test_what_was_erased_does_not_come_back(locker: Locker, own: Any) -> None:
    redact(Locker, "inside.a", pk="a")
    unmet = Locker._get_collection().with_options(write_concern=WriteConcern(**UNMET))
    with pytest.raises(WriteConcernError):
        unmet.update_one({"_id": "a"}, own)
    assert history_of(locker).state(-1)["inside"]["a"] != 1
