"""A client class of the application's own, whose databases and collections have own methods."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mongoengine as me
import pytest
from bson import ObjectId
from pymongo import InsertOne, MongoClient, UpdateOne, WriteConcern
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import AutoReconnect

from mongoengine_history import changeset, history_of, track_history, untrack_history
from mongoengine_history.errors import WriteRefusedError

ALIAS = "own_clients"

FIRST, SECOND = ObjectId("a" * 24), ObjectId("b" * 24)


class ForbiddenError(Exception):
    """What the application's collections raise."""


class Counting:
    """Counts what is called, beside PyMongo's own class."""

    calls: list[str] = []

    def find(self, *args: Any, **kwargs: Any) -> Any:
        self.calls.append("find")
        return super().find(*args, **kwargs)  # type: ignore[misc]


class OwnCollection(Counting, Collection[Any]):
    failures = 0

    def with_options(self, *args: Any, **options: Any) -> Any:
        it = super().with_options(*args, **options)
        said = (it.codec_options, it.read_preference, it.write_concern, it.read_concern)
        return OwnCollection(it.database, it.name, False, *said)

    def insert_one(self, document: Any, *args: Any, **kwargs: Any) -> Any:
        self.calls.append("insert_one")
        document["by_hand"] = True
        return super().insert_one(document, *args, **kwargs)

    def update_one(self, *args: Any, **kwargs: Any) -> Any:
        self.calls.append("update_one")
        result = super().update_one(*args, **kwargs)
        if OwnCollection.failures:
            OwnCollection.failures -= 1
            return self.update_one(*args, **kwargs)
        return result

    def delete_many(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        if not query:
            raise ForbiddenError
        return super().delete_many(query, *args, **kwargs)

    def find_one_and_update(self, *args: Any, **kwargs: Any) -> Any:
        raise ForbiddenError

    def insert_many(self, *args: Any, **kwargs: Any) -> Any:
        raise ForbiddenError

    def bump(self, query: Any, again: int = 0) -> Any:
        OwnCollection.failures = again
        return self.update_one(query, {"$inc": {"n": 1}})


class OwnDatabase(Database[Any]):
    def __getitem__(self, name: str) -> Any:
        return OwnCollection(self, name)

    def drop_collection(self, *args: Any, **kwargs: Any) -> Any:
        Counting.calls.append("drop_collection")
        return super().drop_collection(*args, **kwargs)

    def greet(self) -> str:
        return f"hello from {self.name}"


class OwnClient(MongoClient[Any]):
    def __getitem__(self, name: str) -> Any:
        return OwnDatabase(self, name)


class Bundle(me.DynamicDocument):
    meta = {"collection": "parcels", "db_alias": ALIAS, "auto_create_index": False}
    n = me.IntField()


@pytest.fixture(params=["tracked before", "tracked after"])
def collection(request: Any, mongodb_uri: str, database: Any) -> Iterator[Any]:
    me.connect(
        database.name,
        alias=ALIAS,
        host=mongodb_uri,
        mongo_client_class=OwnClient,
        uuidRepresentation="standard",
    )
    before = Bundle._get_collection() if request.param == "tracked after" else None
    track_history(Bundle)
    Counting.calls.clear()
    OwnCollection.failures = 0
    yield before if before is not None else Bundle._get_collection()
    untrack_history(Bundle)
    Bundle._collection = None
    me.disconnect(ALIAS)


def operations(key: Any) -> list[str]:
    return [it.operation for it in history_of(Bundle, key)]


def test_methods_of_its_own_write_and_are_recorded(collection: Any) -> None:
    bundle = Bundle(n=0).save()
    assert isinstance(collection, OwnCollection)
    assert type(collection).__name__ == "OwnCollection"
    assert collection.bump({"_id": bundle.pk}).modified_count == 1
    assert operations(bundle.pk) == ["create", "update"]


def test_what_it_tries_again_is_recorded_each_time(collection: Any) -> None:
    bundle = Bundle(n=0).save()
    collection.bump({"_id": bundle.pk}, again=2)
    assert [history_of(bundle).state(it)["n"] for it in range(1, 5)] == [0, 1, 2, 3]


def test_what_it_adds_is_recorded(collection: Any) -> None:
    key = collection.insert_one({"n": 1}).inserted_id
    assert history_of(Bundle, key).state(1) == {"n": 1, "by_hand": True}


def test_it_counts_what_the_application_calls_alone(collection: Any) -> None:
    collection.insert_one({"_id": FIRST, "n": 1})
    collection.update_one({"n": 1}, {"$rename": {"n": "m"}})
    collection.update_many({}, {"$set": {"n": 2}})
    collection.bulk_write(
        [InsertOne({"_id": SECOND}), UpdateOne({"_id": SECOND}, {"$set": {"n": 3}})]
    )
    list(collection.find())
    assert Counting.calls == ["insert_one", "update_one", "find"]
    assert operations(FIRST) == ["create", "update", "update"]
    assert operations(SECOND) == ["create", "update"]


def test_what_it_forbids_is_not_done(collection: Any) -> None:
    bundle = Bundle(n=0).save()
    for write in (
        lambda: collection.delete_many({}),
        lambda: collection.insert_many([{}]),
        Bundle.objects.delete,
        lambda: Bundle.objects.modify(n=1),
    ):
        with pytest.raises(ForbiddenError):
            write()
    assert Bundle.objects.get().n == 0
    assert operations(bundle.pk) == ["create"]


def test_saves_have_who_and_why_and_options_keep_the_class(collection: Any) -> None:
    with changeset("alice"):
        bundle = Bundle(n=0).save(write_concern={"w": 1})
        bundle.n = 1
        bundle.save()
        assert [it.identity for it in history_of(bundle)] == ["alice", "alice"]
    other = Bundle._get_collection().with_options(write_concern=WriteConcern(w=0))
    assert isinstance(other, OwnCollection)
    other.insert_one({"_id": FIRST})
    assert operations(FIRST) == ["create"]


def test_its_database_keeps_its_methods_and_is_asked_once(collection: Any) -> None:
    bundle = Bundle(n=0).save()
    assert Bundle._get_db().greet() == f"hello from {Bundle._get_db().name}"
    assert Bundle._get_db().with_options().name == Bundle._get_db().name
    Counting.calls.clear()
    Bundle.drop_collection()
    assert Counting.calls == ["drop_collection"]
    assert operations(bundle.pk) == ["create", "delete"]


def test_the_database_of_a_strict_class_keeps_its_methods(collection: Any) -> None:
    untrack_history(Bundle)
    track_history(Bundle, strict=True)
    Bundle(n=0).save()
    database = Bundle._get_db()
    assert database.greet() == f"hello from {database.name}"
    with pytest.raises(WriteRefusedError):
        database.drop_collection("parcels")
    with pytest.raises(WriteRefusedError):
        database.command({"delete": "parcels", "deletes": []})


def test_an_error_that_it_tries_again_after_leaves_nothing_out(
    collection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, ever = Bundle(n=0).save(), Collection.find_one_and_update
    broken = [AutoReconnect("connection closed")]

    def failing(self: Any, *args: Any, **kwargs: Any) -> Any:
        done = ever(self, *args, **kwargs)
        if broken:
            raise broken.pop()
        return done

    monkeypatch.setattr(Collection, "find_one_and_update", failing)
    for _ in range(2):
        try:
            collection.update_one({"_id": bundle.pk}, {"$inc": {"n": 1}})
        except AutoReconnect:
            continue
    assert Bundle.objects.get().n == 2
    assert history_of(bundle).state(-1)["n"] == 2
