"""A strict class refuses what cannot be recorded, before it is written, and nothing else."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import mongoengine as me
import pytest
from bson import ObjectId
from mongoengine import Document, get_db
from pymongo import DeleteMany, InsertOne, UpdateMany
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import OperationFailure
from support.refusing import refusing
from support.twins import Act, Model, Twins, raws

from mongoengine_history import (
    History,
    HistoryNotRecordedError,
    OptionsError,
    WriteRefusedError,
    changeset,
    history_of,
    track_history,
    untrack_history,
    untracked,
)

Write = Callable[[Model], Any]
COUNT = "function() { emit(this.name, 1) }", "function(key, values) { return Array.sum(values) }"


class Page(Document):
    meta = {"collection": "pages", "auto_create_index": False}
    name = me.StringField()
    number = me.IntField()


def name_of(model: Model) -> str:
    return model._get_collection_name()


def collection(model: Model) -> Collection[Any]:
    return model._get_collection()


def counted(model: Model, output: Any) -> None:
    with suppress(KeyError):  # MongoEngine looks for values, also in the documents of the class
        list(model.objects.map_reduce(*COUNT, output))


def command(*given: Any, **arguments: Any) -> Write:
    """A command through the database that the class gives; ``…`` is the name of its collection."""

    def write(model: Model) -> Any:
        name = name_of(model)
        first = given[0]
        if isinstance(first, dict):
            return model._get_db().command({k: name if v is ... else v for k, v in first.items()})
        own = {k: name if v is ... else v for k, v in arguments.items()}
        return model._get_db().command(first, *[name if v is ... else v for v in given[1:]], **own)

    return write


CHANGE: dict[str, Any] = {"updates": [{"q": {}, "u": {"$set": {"number": 9}}, "multi": True}]}
MERGE = [{"$set": {"number": 9}}, {"$merge": "pages"}]
MERGE_COMMAND: dict[str, Any] = {"pipeline": MERGE, "cursor": {}}
REMOVAL: dict[str, Any] = {"query": {}, "remove": True}

WRITES: dict[str, Write] = {
    "mapReduce into": lambda it: counted(it, name_of(it)),
    "mapReduce merge": lambda it: counted(it, {"merge": name_of(it)}),
    "mapReduce reduce": lambda it: counted(it, {"reduce": name_of(it), "db": get_db().name}),
    "mapReduce by alias": lambda it: counted(it, {"merge": name_of(it), "db_alias": "default"}),
    "aggregate $out": lambda it: it.objects.aggregate([{"$limit": 1}, {"$out": name_of(it)}]),
    "aggregate $out elsewhere by name": lambda it: it.objects.aggregate(
        [{"$limit": 1}, {"$out": {"db": get_db().name, "coll": name_of(it)}}]
    ),
    "aggregate $merge": lambda it: it.objects(number=1).aggregate(MERGE),
    "aggregate $merge into": lambda it: collection(it).aggregate(
        [{"$set": {"number": 9}}, {"$merge": {"into": name_of(it)}}]
    ),
    "aggregate raw": lambda it: collection(it).aggregate_raw_batches(
        [{"$set": {"number": 9}}, {"$merge": {"into": {"db": get_db().name, "coll": "pages"}}}]
    ),
    "aggregate of a database": lambda it: it._get_db().aggregate(
        [{"$documents": [{"_id": 1}]}, {"$merge": name_of(it)}]
    ),
    "aggregate command": command("aggregate", ..., **MERGE_COMMAND),
    "rename": lambda it: collection(it).rename("renamed", dropTarget=True),
    "drop": lambda it: it._get_db().drop_collection(name_of(it)),
    "drop of a collection": lambda it: it._get_db().drop_collection(collection(it)),
    "drop command": command("drop", ...),
    "insert": command("insert", ..., documents=[{"name": "new"}]),
    "update": command({"update": ..., **CHANGE}),
    "update by name": command("update", value=..., **CHANGE),
    "update with options": lambda it: (
        it._get_db().with_options().command("update", "pages", **CHANGE)
    ),
    "update beneath": lambda it: collection(it).database.command("update", "pages", **CHANGE),
    "delete": command("delete", ..., deletes=[{"q": {}, "limit": 0}]),
    "findAndModify": command("findAndModify", ..., **REMOVAL),
    "findandmodify": command("findandmodify", ..., **REMOVAL),
    "mapreduce": command("mapreduce", ..., map=COUNT[0], reduce=COUNT[1], out="pages"),
}
"""What writes past the records, by the method or command and what it is asked for."""

if hasattr(Database, "cursor_command"):  # PyMongo 4.5 or later
    WRITES["aggregate with a cursor"] = lambda it: it._get_db().cursor_command(
        "aggregate", name_of(it), **MERGE_COMMAND
    )

ANYTHING: dict[str, Write] = {
    "eval": lambda it: it.objects.exec_js("return 1"),
    "$eval": command("$eval", "return 1"),
    "applyOps": command("applyOps", []),
    "dropDatabase": command("dropDatabase"),
}
"""What may write to any collection."""

OTHERS: dict[str, Write] = {
    "mapReduce": lambda it: counted(it, "inline"),
    "mapReduce into another": lambda it: counted(it, "others"),
    "mapReduce elsewhere": lambda it: counted(it, {"replace": "pages", "db_alias": "other"}),
    "aggregate": lambda it: list(it.objects.aggregate([{"$limit": 1}])),
    "aggregate $out": lambda it: it.objects.aggregate([{"$out": "others"}]),
    "aggregate $out elsewhere": lambda it: it.objects.aggregate(
        [{"$out": {"db": get_db("other").name, "coll": "pages"}}]
    ),
    "aggregate $merge": lambda it: it.objects.aggregate([{"$merge": "others"}]),
    "aggregate of a database": lambda it: it._get_db().aggregate([{"$documents": [{"a": 1}]}]),
    "insert": command("insert", "others", documents=[{"name": "new"}]),
    "drop": lambda it: it._get_db().drop_collection("others"),
    "read": command("find", ...),
    "count": command({"count": ...}),
    "ping": command("ping"),
}
"""What writes elsewhere, or nothing."""


@pytest.fixture
def pages(database: Any) -> Iterator[Model]:
    """A strict class with documents that have a history."""
    track_history(Page, strict=True)
    Page.objects.insert([Page(name=name, number=number) for number, name in enumerate("abc")])
    yield Page
    untrack_history(Page)


@pytest.mark.parametrize("name", [*WRITES, *ANYTHING])
def test_what_cannot_be_recorded_is_refused_before_it_is_written(
    pages: Model, commands: Any, name: str
) -> None:
    before, known = raws(pages), History.objects.count()
    commands.clear()
    with pytest.raises(WriteRefusedError, match="strict") as caught:
        (WRITES | ANYTHING)[name](pages)
    assert set(commands.names) <= {"find"}
    assert (caught.value.document_type, caught.value.method) == ("pages", name.partition(" ")[0])
    assert raws(pages) == before
    assert History.objects.count() == known


@pytest.mark.parametrize("name", OTHERS)
def test_what_writes_elsewhere_is_not(pages: Model, name: str) -> None:
    before = raws(pages)
    OTHERS[name](pages)
    assert raws(pages) == before


@pytest.mark.parametrize("name", WRITES)
def test_who_says_that_it_shall_not_be_recorded_may(pages: Model, name: str) -> None:
    before, known = raws(pages), History.objects.count()
    with untracked():
        WRITES[name](pages)
    assert raws(pages) != before
    assert History.objects.count() == known


@pytest.mark.parametrize("name", WRITES)
def test_a_class_that_is_not_strict_refuses_nothing(database: Any, name: str) -> None:
    track_history(Page)
    Page.objects.insert([Page(name=name, number=number) for number, name in enumerate("abc")])
    before = raws(Page)
    try:
        WRITES[name](Page)
        assert raws(Page) != before
    finally:
        untrack_history(Page)


def test_code_on_the_server_is_refused_by_a_server_that_is_asked(pages: Model) -> None:
    with untracked(), pytest.raises(OperationFailure):
        pages.objects.exec_js("return 1")


def test_a_database_taken_before_knows_what_is_said_later(pages: Model) -> None:
    database = pages._get_db()
    with untracked():
        database.command("update", "pages", **CHANGE)
        database.aggregate([{"$documents": [{"_id": 1}]}, {"$merge": "pages"}])
    with pytest.raises(WriteRefusedError):
        database.command("update", "pages", **CHANGE)


TWINS = Twins()
NEW = ObjectId("f" * 24)
RECORDED: dict[str, Act] = {
    "create": lambda it: it(name="new").save(),
    "save": lambda it: (one := it.objects.first(), setattr(one, "name", "b"), one.save()),
    "update of a document": lambda it: it.objects.first().update(name="b"),
    "modify of a document": lambda it: it.objects.first().modify(inc__number=1),
    "delete of a document": lambda it: it.objects.first().delete(),
    "insert": lambda it: it.objects.insert([it(number=20), it(number=21)]),
    "update": lambda it: it.objects(number__gt=2).update(inc__number=1, full_result=True),
    "update_one": lambda it: it.objects.update_one(name="b"),
    "upsert_one": lambda it: it.objects(name="new").upsert_one(number=7),
    "modify": lambda it: it.objects.order_by("number").modify(name="b", new=True),
    "modify and remove": lambda it: it.objects.order_by("number").modify(remove=True),
    "delete": lambda it: it.objects(number__lt=3).delete(),
    "pipeline": lambda it: collection(it).update_many({}, [{"$set": {"number": 7}}]),
    "replace": lambda it: collection(it).replace_one({"number": 1}, {"name": "b"}),
    "drop": lambda it: collection(it).drop(),
    "drop_collection": lambda it: it.drop_collection(),
}


@pytest.fixture(scope="module")
def tracking() -> Iterator[None]:
    with TWINS.tracking(strict=True):
        yield


@pytest.mark.parametrize("name", RECORDED)
def test_what_can_be_recorded_is_done_and_recorded(
    database: Any, tracking: None, name: str
) -> None:
    TWINS.fill(known=True)
    TWINS.both(RECORDED[name])


def test_writes_of_several_kinds_are_done_and_recorded(database: Any, tracking: None) -> None:
    TWINS.fill(known=True)
    several = [InsertOne({"_id": NEW}), UpdateMany({}, {"$inc": {"number": 1}}), DeleteMany({})]
    collection(TWINS.tracked).bulk_write(several)
    assert raws(TWINS.tracked) == {}
    assert [it.operation for it in history_of(TWINS.tracked, NEW)] == ["create", "update", "delete"]


def test_an_empty_collection_may_be_dropped(pages: Model) -> None:
    pages.objects.delete()
    pages._get_db().drop_collection("pages")
    assert "pages" not in get_db().list_collection_names()


@pytest.fixture
def refused(database: Any) -> Iterator[None]:
    """MongoDB refuses every record."""
    History.ensure_indexes()
    History(document_type="made").save()
    with refusing(database):
        yield


def writes_of_all_kinds() -> None:
    page = Page(name="a", number=1).save()
    page.name = "b"
    page.save()
    Page.objects.update(inc__number=1)
    Page.objects.insert([Page(name="c"), Page(name="d")])
    Page.objects(name="c").delete()
    page.delete()


def test_on_error_log_goes_on_and_the_log_has_what_is_missing(
    refused: None, caplog: Any, database: Any
) -> None:
    track_history(Page, on_error="log")
    try:
        with changeset("ann"), caplog.at_level(logging.ERROR, "mongoengine_history"):
            writes_of_all_kinds()
    finally:
        untrack_history(Page)
    assert list(Page.objects.scalar("name")) == ["d"]
    assert len(caplog.records) == 6
    missing = [it for entry in caplog.records for it in entry.records if "operation" in it]
    assert [it["operation"] for it in missing] == [
        *("create", "update", "update", "create", "create", "delete", "delete"),
    ]
    assert {it["identity"] for it in missing} == {"ann"}
    assert [list(entry.error.records) for entry in caplog.records] == [
        entry.records for entry in caplog.records
    ]
    assert History.objects(document_type="pages").count() == 0


def test_what_was_logged_can_be_inserted_later(refused: None, caplog: Any, database: Any) -> None:
    track_history(Page, on_error="log")
    try:
        page = Page(name="a").save()
        database.command("collMod", "history", validator={})
        History._get_collection().insert_many(caplog.records[0].records)
        page.name = "b"
        page.save()
    finally:
        untrack_history(Page)
    assert [it.operation for it in history_of(page)] == ["create", "update"]
    assert history_of(page).state(2) == {"name": "b"}


def test_on_error_raise_raises_after_the_write(refused: None) -> None:
    track_history(Page)
    try:
        with pytest.raises(HistoryNotRecordedError) as caught:
            Page(name="a").save()
    finally:
        untrack_history(Page)
    assert (
        Page.objects.get().pk == caught.value.document_id == caught.value.records[0]["document_id"]
    )


def test_a_strict_class_cannot_go_on_without_records() -> None:
    with pytest.raises(OptionsError) as caught:
        track_history(Page, strict=True, on_error="log")
    assert caught.value.name == "on_error"
    with pytest.raises(OptionsError):  # it is not tracked
        untrack_history(Page)
