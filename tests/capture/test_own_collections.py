"""Classes that say themselves where they lie, and how their collection is dropped."""

from __future__ import annotations

from typing import Any

import mongoengine as me
import pytest

from mongoengine_history import history_of, track_history, untrack_history

TENANT = {"now": "first"}


class Tenanted(me.Document):
    meta = {"collection": "tenanted", "auto_create_index": False}
    n = me.IntField()

    @classmethod
    def _get_collection(cls) -> Any:
        return me.get_db()[f"{TENANT['now']}_{cls._get_collection_name()}"]


class Ledger(me.Document):
    meta = {"collection": "ledgers", "auto_create_index": False, "allow_inheritance": True}
    n = me.IntField()


class Elsewhere(Ledger):
    @classmethod
    def _get_collection(cls) -> Any:
        return me.get_db()["elsewhere"]


class Careful(me.Document):
    meta = {"collection": "careful", "auto_create_index": False}
    n = me.IntField()

    @classmethod
    def _get_db(cls, alias: str | None = None) -> Any:
        return super()._get_db()

    @classmethod
    def _get_collection(cls, *, fresh: bool = False) -> Any:
        return super()._get_collection()

    @classmethod
    def drop_collection(cls, sure: bool = False) -> Any:
        return super().drop_collection() if sure else "kept"


class Static(me.Document):
    meta = {"collection": "statics", "auto_create_index": False}
    n = me.IntField()

    @staticmethod
    def _get_collection() -> Any:
        return me.get_db()["statics"]

    @staticmethod
    def drop_collection(word: str) -> Any:
        super(Static, Static).drop_collection()
        return word


@pytest.fixture(autouse=True)
def tracked(database: Any) -> Any:
    models = (Tenanted, Ledger, Careful, Static)
    for model in models:
        track_history(model)
    yield
    for model in models:
        untrack_history(model)


def test_no_tenant_gets_the_collection_of_another_one(database: Any) -> None:
    written = []
    for tenant in ("first", "second"):
        TENANT["now"] = tenant
        written.append(Tenanted(n=1).save())
        assert Tenanted.objects.get() == written[-1]
        assert [it.operation for it in history_of(written[-1])] == ["create"]
    assert Tenanted.__dict__.get("_collection") is None
    TENANT["now"] = "first"
    assert Tenanted.objects.get() == written[0]


def test_what_a_subclass_writes_elsewhere_is_recorded(database: Any) -> None:
    class Later(Ledger):
        @classmethod
        def _get_collection(cls) -> Any:
            return me.get_db()["later"]

    for model in (Elsewhere, Later):
        document = model(n=1).save()
        model.objects.update(n=2)
        assert [it.operation for it in history_of(document)] == ["create", "update"]
    assert database["elsewhere"].count_documents({}) == database["later"].count_documents({}) == 1


def test_a_collection_that_is_not_dropped_keeps_its_documents() -> None:
    document = Careful(n=1).save()
    assert Careful.drop_collection() == "kept"
    assert Careful.objects.count() == 1
    assert Careful.drop_collection(True) is None
    assert Careful.objects.count() == 0
    assert [it.operation for it in history_of(document)] == ["create", "delete"]
    assert Careful._get_collection(fresh=True).name == "careful"
    assert Careful._get_db("other").name == Careful._get_db().name


def test_a_static_method_that_drops_is_recorded() -> None:
    document = Static(n=1).save()
    assert Static.drop_collection("gone") == "gone"
    assert [it.operation for it in history_of(document)] == ["create", "delete"]


def test_nothing_stays_of_a_class_that_is_untracked() -> None:
    untrack_history(Ledger)
    try:
        assert Elsewhere(n=1).save()
        assert type(Elsewhere._get_collection()).__name__ == "Collection"
        assert "__init_subclass__" not in Ledger.__dict__
    finally:
        track_history(Ledger)
