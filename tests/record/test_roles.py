"""Who may only find and insert in the history writes documents, and records are kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mongoengine as me
import pytest
from pymongo import MongoClient
from support.binding import binds
from support.changes import automatic
from support.passwords import asking_for_passwords

from mongoengine_history import (
    IndexesMissingError,
    OptionsError,
    backfill,
    changeset,
    history_of,
)
from mongoengine_history.record.indexes import INDEXES
from mongoengine_history.record.place import indexed


class Chest(me.Document):
    meta = {"collection": "parcels", "auto_create_index": False, "db_alias": "limited"}
    id = me.IntField(primary_key=True)
    n = me.IntField()


tracking = automatic(Chest)


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with asking_for_passwords(tmp_path_factory.mktemp("roles")) as port:
        yield port


@pytest.fixture
def root(port: int) -> Iterator[MongoClient[Any]]:
    with MongoClient("127.0.0.1", port, username="root", password="x", directConnection=True) as it:
        it.drop_database("limited")
        it.limited.command("dropAllUsersFromDatabase")
        it.limited.command("dropAllRolesFromDatabase")
        both = ["find", "insert"]
        of_documents = {"db": "limited", "collection": "parcels"}
        of_history = {"db": "limited", "collection": "history"}
        privileges = [
            {"resource": of_documents, "actions": [*both, "update", "remove"]},
            {"resource": of_history, "actions": both},
        ]
        it.limited.command("createRole", "app", roles=[], privileges=privileges)
        it.limited.command("createUser", "app", pwd="p", roles=["app"])
        yield it


@pytest.fixture
def limited(root: MongoClient[Any], port: int) -> Iterator[MongoClient[Any]]:
    uri = f"mongodb://app:p@127.0.0.1:{port}/limited?directConnection=true&authSource=limited"
    client = me.connect("limited", alias="limited", host=uri, uuidRepresentation="standard")
    yield client
    me.disconnect("limited")


def test_it_writes_and_records(root: MongoClient[Any], limited: MongoClient[Any]) -> None:
    root.limited.history.create_indexes(INDEXES)
    chest = Chest(id=1, n=1).save()
    chest.n = 2
    chest.save()
    Chest.objects.update(n=3)
    Chest.objects.delete()
    assert [it.operation for it in history_of(chest)] == ["create", "update", "update", "delete"]


def test_it_is_told_where_the_indexes_are_missing(
    root: MongoClient[Any], limited: MongoClient[Any]
) -> None:
    root.limited.create_collection("history")
    indexed.clear()
    with pytest.raises(IndexesMissingError, match="right"):
        Chest(id=1, n=1).save()


def test_it_is_told_where_there_is_no_history_at_all(
    root: MongoClient[Any], limited: MongoClient[Any]
) -> None:
    """To insert is to make a collection, which would have no index that numbers revisions."""
    for _ in range(2):
        indexed.clear()
        with pytest.raises(IndexesMissingError, match=r"ensure_indexes"):
            Chest(id=1, n=1).save()
    assert root.limited.list_collection_names() == []
    root.limited.history.create_indexes(INDEXES)
    assert len(history_of(Chest(id=1, n=1).save())) == 1


@binds
def test_a_server_without_transactions_says_so_when_the_block_begins(
    root: MongoClient[Any], limited: MongoClient[Any]
) -> None:
    with pytest.raises(OptionsError, match="replica set"), changeset(atomic="limited"):
        Chest(id=1, n=1).save()
    assert not root.limited.parcels.count_documents({})


def test_a_version_that_was_kept_early_is_in_nobodys_way(
    root: MongoClient[Any], limited: MongoClient[Any]
) -> None:
    """It cannot be taken away, so it stays."""
    root.limited.history.create_indexes(INDEXES)
    for number in range(3):
        root.limited.parcels.insert_one({"_id": number, "n": 1})
    assert backfill(Chest) == 3
    chest = Chest.objects.get(pk=0)
    chest.n = 2
    chest.save()
    Chest.objects(pk=1).update(n=2)
    Chest._get_collection().update_many({"_id": 2}, {"$set": {"n": 2}})
    for number in range(3):
        timeline = history_of(Chest, number)
        assert [it.operation for it in timeline] == ["update"]
        assert (timeline.state(0), timeline.state(1)) == ({"n": 1}, {"n": 2})
