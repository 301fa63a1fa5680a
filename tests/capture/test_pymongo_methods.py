"""Each method of PyMongo's collection that writes does the same to a tracked class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bson
import pytest
from bson import ObjectId
from bson.raw_bson import RawBSONDocument
from bson.son import SON
from pymongo import (
    DeleteOne,
    InsertOne,
    ReplaceOne,
    ReturnDocument,
    UpdateMany,
    UpdateOne,
    WriteConcern,
)
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError
from support.documents import fields_of
from support.twins import IDS, Act, Model, Twins, numbers, raws

from mongoengine_history import history_of

TWINS = Twins()
NEW = ObjectId("f" * 24)

COUNTS = ("nInserted", "nMatched", "nModified", "nRemoved")

Write = Callable[[Any], Any]


def raw(document: dict[str, Any]) -> RawBSONDocument:
    """Make bytes of a document; PyMongo does not tell their keys."""
    return RawBSONDocument(bson.encode(document))


def inserted(collection: Any) -> Any:
    """Insert a document, and tell what PyMongo made of it, too."""
    document = {"name": "new"}
    return collection.insert_one(document), document


class Thing:
    """What is no BSON, and has no address."""

    def __repr__(self) -> str:
        return "a thing"


def failure_of(write: Callable[[], Any]) -> Any:
    """Tell only the kind of an error: its words name the query that was sent, or are PyMongo's."""
    try:
        return write()
    except Exception as error:
        return type(error), getattr(error, "code", None)


def inserted_many(collection: Any, **options: Any) -> Any:
    documents = [{"code": 20}, SON(code=2), {"code": 21}]
    try:
        return collection.insert_many(documents, **options)
    except Exception as error:
        return repr(error.details["nInserted"]), documents


def inserted_again(collection: Any) -> Any:
    """Insert what is there already, and something new."""
    again = [collection.find_one({"_id": IDS[0]}), {"_id": NEW}]
    try:
        return collection.insert_many(again, ordered=False)
    except BulkWriteError as error:
        return error.details["nInserted"]


def bulk_failed(collection: Any, *, ordered: bool) -> Any:
    taken = UpdateOne({"number": 3}, {"$set": {"code": 2}})
    others = UpdateMany({"number": {"$gt": 0}}, {"$inc": {"number": 10}})
    try:
        return collection.bulk_write([InsertOne({"_id": NEW}), taken, others], ordered=ordered)
    except BulkWriteError as error:
        told = {name: error.details[name] for name in COUNTS}
        return told, error.details["writeErrors"]


RECORDED: dict[str, dict[str, Write]] = {
    "insert_one": {
        "without a key": inserted,
        "with a key": lambda it: it.insert_one({"_id": NEW, "name": "new"}),
        "by name": lambda it: it.insert_one(document={"a": 1}, comment="told"),
        "bytes": lambda it: it.insert_one(raw({"_id": NEW, "a": [1.0]})) and None,
        "a taken key": lambda it: it.insert_one({"_id": IDS[0]}),
        "a taken value": lambda it: it.insert_one({"_id": NEW, "code": 2}),
        "no document": lambda it: it.insert_one([]),
        "what is no BSON": lambda it: it.insert_one({"_id": NEW, "a": Thing()}),
    },
    "insert_many": {
        "some": lambda it: it.insert_many([{"a": 1}, {"_id": NEW}, SON(a=2)]),
        "bytes": lambda it: it.insert_many([raw({"_id": NEW}), raw({"a": 1})]) and None,
        "what comes once": lambda it: it.insert_many({"a": n} for n in range(3)),
        "a taken value": inserted_many,
        "a taken value among others": lambda it: inserted_many(it, ordered=False),
        "what is there": inserted_again,
        "what is there alone": lambda it: failure_of(lambda: it.insert_one(it.find_one())),
        "none": lambda it: it.insert_many([]),
        "what is no list": lambda it: failure_of(lambda: it.insert_many({"a": 1})),
        "what is no document": lambda it: failure_of(lambda: it.insert_many([{"a": 1}, 7])),
        "what is no BSON": lambda it: it.insert_many([{"_id": NEW}, {"a": Thing()}]),
    },
    "update_one": {
        "set": lambda it: it.update_one({"number": 2}, {"$set": {"name": "b"}}),
        "key": lambda it: it.update_one({"_id": IDS[1]}, {"$set": {"name": "b"}}),
        "all": lambda it: it.update_one({}, {"$inc": {"number": 1}}),
        "upsert": lambda it: it.update_one({"name": "new"}, {"$set": {"a": 1}}, upsert=True),
        "upsert by place": lambda it: it.update_one({"name": "new"}, {"$set": {"a": 1}}, True),
        "no match": lambda it: it.update_one({"number": 99}, {"$set": {"name": "b"}}),
        "no operator": lambda it: it.update_one({}, {"name": "b"}),
        "no query": lambda it: it.update_one(None, {"$set": {"name": "b"}}),
    },
    "update_many": {
        "all": lambda it: it.update_many({}, {"$inc": {"number": 1}}),
        "pipeline": lambda it: it.update_many({}, [{"$set": {"total": {"$sum": "$lines.qty"}}}]),
        "hint": lambda it: it.update_many({"number": 1}, {"$inc": {"number": 1}}, hint="_id_"),
        "wrong hint": lambda it: failure_of(
            lambda: it.update_many({}, {"$inc": {"number": 1}}, hint="no such index")
        ),
        "collation": lambda it: it.update_many(
            {"name": "NAME 1"}, {"$inc": {"number": 1}}, collation={"locale": "en", "strength": 2}
        ),
        "variables": lambda it: it.update_many(
            {"$expr": {"$eq": ["$number", "$$two"]}}, {"$set": {"name": "b"}}, let={"two": 2}
        ),
        "upsert": lambda it: it.update_many({"name": "new"}, {"$set": {"a": 1}}, upsert=True),
        "no operator": lambda it: it.update_many({}, {"name": "b"}),
    },
    "replace_one": {
        "stored": lambda it: it.replace_one({"number": 2}, {"name": "b"}),
        "upsert": lambda it: it.replace_one({"name": "new"}, {"a": 1}, upsert=True),
        "upsert with a key": lambda it: it.replace_one({"_id": NEW}, {"a": 1}, upsert=True),
        "no match": lambda it: it.replace_one({"number": 99}, {"a": 1}),
        "another key": lambda it: it.replace_one({"number": 2}, {"_id": NEW}),
        "the same": lambda it: it.replace_one({"number": 2}, it.find_one({"number": 2})),
        "the same without a key": lambda it: it.replace_one(
            {"number": 2}, it.find_one({"number": 2}, {"_id": 0})
        ),
        "an operator": lambda it: it.replace_one({}, {"$set": {"name": "b"}}),
    },
    "delete_one": {
        "stored": lambda it: it.delete_one({"number": {"$gt": 2}}),
        "no match": lambda it: it.delete_one({"number": 99}),
        "wrong": lambda it: it.delete_one({"number": {"$no": 1}}),
    },
    "delete_many": {
        "some": lambda it: it.delete_many({"number": {"$gt": 2}}),
        "all": lambda it: it.delete_many({}),
        "no match": lambda it: it.delete_many({"number": 99}),
        "wrong": lambda it: it.delete_many({"number": {"$no": 1}}),
    },
    "find_one_and_update": {
        "before": lambda it: it.find_one_and_update({"number": 2}, {"$set": {"name": "b"}}),
        "after": lambda it: it.find_one_and_update(
            {}, {"$inc": {"number": 1}}, {"name": 1}, [("number", -1)], False, ReturnDocument.AFTER
        ),
        "upsert": lambda it: it.find_one_and_update(
            {"name": "new"}, {"$set": {"a": 1}}, upsert=True, return_document=ReturnDocument.AFTER
        ),
        "upsert before": lambda it: it.find_one_and_update(
            {"name": "new"}, {"$set": {"a": 1}}, upsert=True
        ),
        "no operator": lambda it: it.find_one_and_update({}, {"name": "b"}),
    },
    "find_one_and_replace": {
        "before": lambda it: it.find_one_and_replace({"number": 2}, {"name": "b"}),
        "after": lambda it: it.find_one_and_replace(
            {"number": 2}, {"name": "b"}, return_document=ReturnDocument.AFTER
        ),
        "upsert": lambda it: it.find_one_and_replace(
            {"_id": NEW}, {"a": 1}, upsert=True, return_document=ReturnDocument.AFTER
        ),
        "a taken value": lambda it: it.find_one_and_replace({"number": 2}, {"code": 1}),
    },
    "bulk_write": {
        "of all kinds": lambda it: it.bulk_write(
            [
                InsertOne({"_id": NEW}),
                UpdateOne({"number": 1}, {"$set": {"name": "b"}}),
                UpdateMany({"number": {"$gt": 3}}, {"$inc": {"number": 1}}),
                DeleteOne({"number": 2}),
                ReplaceOne({"number": 3}, {"a": 1}),
            ]
        ),
        "upsert": lambda it: it.bulk_write([UpdateOne({"a": 1}, {"$set": {"b": 2}}, upsert=True)]),
        "a taken value": lambda it: bulk_failed(it, ordered=True),
        "a taken value among others": lambda it: bulk_failed(it, ordered=False),
        "options": lambda it: it.bulk_write(
            [
                InsertOne({"_id": NEW}),
                UpdateOne({"$expr": {"$eq": ["$number", "$$two"]}}, {"$set": {"name": "b"}}),
                DeleteOne({"number": 1}),
            ],
            let={"two": 2},
            bypass_document_validation=True,
            comment="told",
        ),
        "none": lambda it: it.bulk_write([]),
        "no request": lambda it: it.bulk_write([InsertOne({"_id": NEW}), "no request"]),
    },
    "drop": {"all": lambda it: it.drop()},
    "find_one_and_delete": {
        "stored": lambda it: it.find_one_and_delete({}, sort=[("number", -1)]),
        "partly": lambda it: it.find_one_and_delete({"number": 2}, projection={"name": 1}),
        "no match": lambda it: it.find_one_and_delete({"number": 99}),
    },
}
"""The methods that write, each with what it can be asked for."""

UNRECORDED: dict[str, Write] = {
    "aggregate": lambda it: list(it.aggregate([{"$set": {"name": "b"}}, {"$merge": it.name}])),
    "aggregate_raw_batches": lambda it: list(
        it.aggregate_raw_batches([{"$set": {"name": "b"}}, {"$merge": it.name}])
    ),
    "rename": lambda it: it.rename(f"{it.name}_renamed", dropTarget=True),
}
"""The methods that write past the history; MongoEngine calls none of them."""

#: The methods that write no document, and attributes. Some versions of PyMongo lack some of them.
HARMLESS = """
    codec_options count_documents create_index create_indexes create_search_index
    create_search_indexes database distinct drop_index drop_indexes drop_search_index
    estimated_document_count find find_one find_raw_batches full_name index_information list_indexes
    list_search_indexes name next options read_concern read_preference update_search_index
    watch with_options write_concern
"""

CASES = [
    pytest.param(write, id=f"{method}: {case}")
    for method, cases in RECORDED.items()
    for case, write in cases.items()
]


tracking = TWINS.recording()
filled = TWINS.unknown_and_known()


def through_the_class(write: Write, **options: Any) -> Act:
    return lambda model: write(model._get_collection().with_options(**options))


def test_each_method_is_known_to_write_or_not_to() -> None:
    """One that a new version of PyMongo brings is missing here, until somebody looks at it."""
    public = {name for name in dir(Collection) if not name.startswith("_")}
    groups = [RECORDED.keys(), UNRECORDED.keys(), set(HARMLESS.split())]
    assert public <= set().union(*groups)
    assert len(set().union(*groups)) == sum(map(len, groups))


@pytest.mark.parametrize("write", CASES)
def test_a_write_does_the_same_and_is_recorded(filled: None, write: Write) -> None:
    TWINS.both(through_the_class(write))


@pytest.mark.parametrize("method", UNRECORDED)
def test_what_goes_past_the_history_does_the_same(filled: None, method: str) -> None:
    known = numbers(TWINS.tracked)
    act = through_the_class(UNRECORDED[method])
    act(TWINS.plain)
    act(TWINS.tracked)
    assert raws(TWINS.tracked) == raws(TWINS.plain)
    assert numbers(TWINS.tracked) == known


@pytest.mark.parametrize("method", [it for it in RECORDED if it.endswith(("one", "many", "write"))])
def test_who_does_not_wait_for_the_server_gets_its_answer_and_a_record(
    filled: None, method: str
) -> None:
    write = next(iter(RECORDED[method].values()))
    told = TWINS.both(through_the_class(write, write_concern=WriteConcern(w=0)))
    assert "acknowledged: False" in told


def test_what_a_write_without_a_history_had_left_is_version_0(filled: None) -> None:
    model: Model = TWINS.tracked
    before = raws(model)[IDS[0]]
    model._get_collection().update_one({"_id": IDS[0]}, {"$unset": {"tags": 1, "lines": 1}})
    timeline = history_of(model, IDS[0])
    assert fields_of(timeline.state(len(timeline) - 1)) == fields_of(bson.decode(before))


def test_who_inserts_bytes_without_a_key_is_told_the_one_that_was_made(filled: None) -> None:
    """PyMongo tells none there, since the server makes it."""
    result = TWINS.tracked._get_collection().insert_one(raw({"a": 1}))
    assert history_of(TWINS.tracked, result.inserted_id).state(1) == {"a": 1}
