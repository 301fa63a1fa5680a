"""Where records lie: names of classes, collections and connections of the application's own."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import mongoengine as me
import pytest
from mongoengine.connection import ConnectionFailure

from mongoengine_history import (
    BaseHistory,
    History,
    OptionsError,
    Version,
    backfill,
    changeset,
    history_of,
    restore,
    revert_changeset,
    track_history,
    untrack_history,
)


class AuditHistory(BaseHistory):
    meta = {"collection": "audit", "db_alias": "other"}


class NearHistory(BaseHistory):
    meta = {"collection": "near"}


class Payment(me.Document):
    meta = {"collection": "payments", "auto_create_index": False}
    id = me.IntField(primary_key=True)
    amount = me.IntField()


@pytest.fixture(params=[NearHistory, AuditHistory])
def kept(request: Any, database: Any) -> Iterator[type[BaseHistory]]:
    track_history(Payment, history=request.param)
    yield request.param
    untrack_history(Payment)


def test_records_and_versions_lie_where_the_class_says(kept: type[BaseHistory]) -> None:
    payment = Payment(id=1, amount=1).save()
    Payment.objects.update(amount=2)
    Payment.objects.delete()
    restore(Payment, 1).save()
    assert [it.operation for it in history_of(payment)] == ["create", "update", "delete", "restore"]
    assert History.objects.count() == 0
    assert kept.objects.count() == kept.objects.of(payment).count() == 4
    assert History.objects.of(payment).count() == 4


def test_a_backfill_is_kept_there(kept: type[BaseHistory]) -> None:
    Payment._get_collection()._plain.insert_one({"_id": 1, "amount": 1})
    assert backfill(Payment) == 1
    assert Version.objects.of(Payment, 1).count() == 1
    assert Version.objects.count() == 0


def test_a_changeset_is_taken_back_from_there(kept: type[BaseHistory]) -> None:
    with changeset("import") as own:
        Payment(id=1, amount=1).save()
    revert_changeset(own)
    assert Payment.objects.count() == 0
    assert kept.objects(operation="delete").count() == 1


def test_a_class_in_the_collection_of_its_history_is_refused() -> None:
    class Chronicle(me.Document):
        meta = {"collection": "history", "auto_create_index": False, "db_alias": "nowhere"}

    with pytest.raises(OptionsError, match="history="):
        track_history(Chronicle)
    untrack_history(track_history(Chronicle, history=NearHistory))


@pytest.mark.parametrize("wrong", ["audit", BaseHistory, Payment, Version, NearHistory()])
def test_only_a_class_of_records_keeps_records(wrong: Any) -> None:
    with pytest.raises(OptionsError, match="BaseHistory"):
        track_history(Payment, history=wrong)


def registered(name: str) -> Any:
    return me.ReferenceField(name).document_type


def test_no_class_of_the_application_is_displaced() -> None:
    for own in (History, Version, BaseHistory):
        assert registered(own._class_name) is own or own is BaseHistory
        meta = {"auto_create_index": False, "db_alias": "nowhere"}
        named = type(own.__name__, (me.Document,), {"meta": meta})
        assert registered(own.__name__) is named
    assert pickle.loads(pickle.dumps(History(path="a"))).path == "a"


def test_without_a_default_connection_an_alias_says_where(
    kept: type[BaseHistory], monkeypatch: pytest.MonkeyPatch
) -> None:
    Payment(id=1, amount=1).save()
    there = "other" if kept is AuditHistory else "elsewhere"
    settings = dict(me.connection._connection_settings)
    settings["elsewhere"] = settings.pop("default")
    monkeypatch.setattr(me.connection, "_connection_settings", settings)
    monkeypatch.setattr(me.connection, "_connections", {})
    monkeypatch.setattr(me.connection, "_dbs", {})
    monkeypatch.setitem(Payment._meta, "db_alias", "elsewhere")
    for model in (Payment, History, kept):
        monkeypatch.setattr(model, "_collection", None)
    assert kept.objects.using(there).count() == 1
    assert History.objects.of(Payment, 1).count() == 1
    History.ensure_indexes("elsewhere")
    History.ensure_indexes()
    assert "history_stamp" in History.objects.using("elsewhere")._collection.index_information()
    with pytest.raises(ConnectionFailure):
        History.objects.count()
    for client in me.connection._connections.values():
        client.close()
