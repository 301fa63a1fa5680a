"""Documents without their class: read, and led back to the byte."""

from __future__ import annotations

from typing import Any

import mongoengine as me
import pytest
from support.changes import automatic
from support.documents import raw

from mongoengine_history import (
    BaseHistory,
    History,
    changeset,
    history_of,
    restore,
    revert,
    undo,
    verify,
)
from mongoengine_history.faces.classless import classless, unknown_of


class Leg(me.EmbeddedDocument):
    meta = {"allow_inheritance": True}
    length = me.IntField()


class Bench(me.Document):
    meta = {"allow_inheritance": True, "history": {"exclude": ["secret"]}}
    name = me.StringField(db_field="save")
    legs = me.EmbeddedDocumentListField(Leg)
    secret = me.StringField()


class Stool(me.Document):
    key = me.DictField(primary_key=True)
    height = me.FloatField()


recording = automatic(Bench, Stool)


@pytest.fixture
def bench(database: Any, recording: None) -> Bench:
    made = Bench(name="a", legs=[Leg(length=1)]).save()
    made.modify(name="b", legs=[])
    return made


def named(cls: type[me.Document], pk: Any) -> Any:
    return cls.objects.get(id=pk)


def test_any_stored_name_and_class_is_led_back_to_the_byte(bench: Bench) -> None:
    known = classless("bench")
    before = raw(bench)
    with changeset("ann", reason="wrong"):
        revert(named(known, bench.pk), revision=1).save()
    assert raw(bench)["legs"] == [{"_cls": "Leg", "length": 1}]
    assert raw(bench)["save"] == "a"
    undo(named(known, bench.pk), 3).save()
    assert raw(bench) == before
    told = [(it.operation, it.identity, it.reason) for it in history_of(bench)]
    assert told[2:] == [("revert", "ann", "wrong"), ("undo", None, None)]
    assert verify(Bench).ok


def test_what_is_deleted_comes_back_as_its_class_stored_it(bench: Bench) -> None:
    before = list(raw(bench).items())
    bench.delete()
    restore(classless("bench"), bench.pk).save()
    assert list(raw(bench).items()) == before
    assert Bench.objects.get().name == "b"


def test_all_forms_of_keys_name_a_document(database: Any, recording: None) -> None:
    stool = Stool(key={"a": [1]}, height=1.5).save()
    stool.modify(height=2.0)
    known = classless("stool")
    assert history_of(known, {"a": [1]}).state(1) == {"height": 1.5}


def test_there_is_one_class_for_a_collection(database: Any) -> None:
    assert classless("bench") is classless("bench")
    assert classless("bench") is not classless("bench", history="elsewhere")


def test_names_of_collections_may_have_dots(database: Any) -> None:
    database["parts.of.benches"].insert_one({"_id": 1, "n": 1})
    document = named(classless("parts.of.benches"), 1)
    assert len(history_of(document)) == 0


def test_a_history_elsewhere_is_found(database: Any) -> None:
    class Elsewhere(BaseHistory):
        meta = {"collection": "benches_history"}

    assert classless("bench", history="history")._get_collection_name() == "bench"
    known = classless("stool", history="benches_history")
    database["stool"].insert_one({"_id": 1, "n": 1})
    known.objects(id=1).update(__raw__={"$set": {"n": 2}})
    assert len(history_of(known, 1)) == 1
    assert (Elsewhere.objects.count(), History.objects.count()) == (1, 0)


def test_what_the_own_class_hides_is_named(bench: Bench) -> None:
    assert unknown_of(named(classless("bench"), bench.pk)) == []
    bench.modify(secret="x")
    assert unknown_of(named(classless("bench"), bench.pk)) == [("secret",)]
    bench.delete()
    assert unknown_of(classless("bench")(id=bench.pk)) == []


def test_a_class_that_this_process_does_not_know_is_no_hindrance(database: Any) -> None:
    stored = {"_id": 1, "_cls": "Nobody.Here", "save": 1, "pk": [{"_cls": "Other"}], "id": 5}
    database.get_collection("odd").insert_one(stored)
    known = classless("odd")
    known.objects(id=1).update(__raw__={"$set": {"save": 2}})
    revert(named(known, 1), revision=0).save()
    assert database.get_collection("odd").find_one() == stored
    assert history_of(known, 1).at(1).pk == 1
    assert [it.operation for it in history_of(known, 1)] == ["update", "revert"]
