"""Calls in forms that are rare or wrong do, answer and raise what they do where nobody records."""

from __future__ import annotations

from typing import Any

import pytest
from bson import Timestamp
from pymongo import DeleteOne, InsertOne, UpdateOne, WriteConcern
from pymongo.errors import BulkWriteError
from support.saying import AFTER, NEW, filled_for, on, same
from support.twins import IDS, Act, Twins

from mongoengine_history import history_of

TWINS = Twins()

tracking = TWINS.recording()
filled = filled_for(TWINS)

SECOND = {"_id": IDS[1]}
SET = {"$set": {"name": "b"}}

REFUSED: dict[str, Act] = {
    "update_one nothing": lambda it: it.update_one(SECOND, None),
    "update_many nothing": lambda it: it.update_many(SECOND, None),
    "replace_one nothing": lambda it: it.replace_one(SECOND, None),
    "find_one_and_update nothing": lambda it: it.find_one_and_update(SECOND, None),
    "find_one_and_replace nothing": lambda it: it.find_one_and_replace(SECOND, None),
    "no update": lambda it: it.update_one(SECOND),
    "an unknown argument": lambda it: it.update_one(SECOND, SET, what=1),
    "one argument twice": lambda it: it.update_one(SECOND, SET, update=SET),
    "a name of the command": lambda it: it.find_one_and_update(SECOND, SET, name=1),
    "no filter": lambda it: it.update_one(None, SET),
    "no filter of a deletion": lambda it: it.delete_one(None),
    "a tuple for a pipeline": lambda it: it.update_one(SECOND, ({"$set": {"name": "b"}},)),
    "a tuple of filters": lambda it: it.update_one(SECOND, SET, array_filters=({"a": 1},)),
    "upsert in words": lambda it: it.update_one({"_id": NEW}, SET, upsert="no"),
    "after in words": lambda it: it.find_one_and_update(SECOND, SET, return_document="after"),
    "a replacement with operators": lambda it: it.replace_one(SECOND, SET),
    "what is no BSON, and no update": lambda it: it.update_one(SECOND, {"name": {1}}),
    "what is no BSON": lambda it: it.update_one(SECOND, {"$set": {"name": {1}}}),
    "what cannot be renamed": lambda it: it.update_many({"number": 2}, {"$rename": {"name": 5}}),
    "a number for a document": lambda it: it.insert_one(5),
    "a tuple of requests": lambda it: it.bulk_write((DeleteOne(SECOND),)),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_pymongo_refuses_is_refused_as_ever(filled: None, case: str) -> None:
    same(TWINS, on(REFUSED[case]))


DONE: dict[str, Act] = {
    "the same key": lambda it: it.update_one(SECOND, {"$set": {"_id": IDS[1], "name": "b"}}),
    "foreign digits": lambda it: it.update_one(SECOND, {"$unset": {"tags.٢": 1}}),
    "the command's word for after": lambda it: it.find_one_and_update(SECOND, SET, new=True),
    "the command's word for some": lambda it: it.find_one_and_update(
        SECOND, SET, fields={"name": 1}
    ),
}


@pytest.mark.parametrize("case", DONE)
def test_rare_forms_are_done_told_and_recorded_as_ever(filled: None, case: str) -> None:
    same(TWINS, on(DONE[case]))


NULL: dict[str, Act] = {
    "one": lambda it: it.update_one({"_id": None}, {"$inc": {"number": 1}}, upsert=True),
    "many": lambda it: it.update_many({"_id": None}, {"$inc": {"number": 1}}, upsert=True),
    "a bulk": lambda it: it.bulk_write(
        [UpdateOne({"_id": None}, {"$push": {"tags": "x"}}, upsert=True)]
    ),
}


@pytest.mark.parametrize("case", NULL)
def test_a_key_may_be_null(filled: None, case: str, database: Any) -> None:
    same(TWINS, on(NULL[case]), is_recorded=False)
    assert database.history.count_documents({"document_id": None, "operation": "create"}) == 1


def test_another_order_of_fields_counts_as_modified_and_is_no_revision(filled: None) -> None:
    def turned(collection: Any) -> Any:
        fields = reversed([*collection.find_one(SECOND, {"_id": 0}).items()])
        return collection.replace_one(SECOND, dict(fields))

    same(TWINS, on(turned), is_recorded=False)
    assert len(history_of(TWINS.tracked, IDS[1])) <= 1


TIMED: dict[str, Act] = {
    "insert_one": lambda it: it.insert_one({"_id": NEW, "time": Timestamp(0, 0)}),
    "insert_many": lambda it: it.insert_many([{"_id": NEW, "time": Timestamp(0, 0)}]),
    "replace_one": lambda it: it.replace_one({"_id": IDS[1]}, {"time": Timestamp(0, 0)}),
    "after": lambda it: it.find_one_and_replace(
        {"_id": IDS[1]}, {"time": Timestamp(0, 0)}, **AFTER
    ),
}


@pytest.mark.parametrize("case", TIMED)
def test_the_time_that_the_server_puts_in_is_recorded(filled: None, case: str) -> None:
    collection = TWINS.tracked._get_collection()
    told = TIMED[case](collection)
    (stored,) = collection.find({"time": {"$exists": True}})
    assert stored["time"] != Timestamp(0, 0)
    assert {"_id": stored["_id"], **history_of(TWINS.tracked, stored["_id"]).state(-1)} == stored
    assert case != "after" or told == stored


def bulk(collection: Any) -> Any:
    unmet = collection.with_options(write_concern=WriteConcern(w=40, wtimeout=50))
    requests = [InsertOne({"_id": NEW}), UpdateOne(SECOND, SET), DeleteOne({"_id": IDS[2]})]
    with pytest.raises(BulkWriteError) as caught:
        unmet.bulk_write(requests)
    told = caught.value.details
    assert {it["code"] for it in told["writeConcernErrors"]} == {100}
    return {name: told[name] for name in told if name.startswith("n")}


def test_a_bulk_whose_write_concern_is_not_met_is_done_to_its_end(filled: None) -> None:
    same(TWINS, on(bulk))


def test_what_was_inserted_before_a_document_that_cannot_be_is_recorded(
    filled: None, database: Any
) -> None:
    large = [{"_id": number, "name": "x" * 12_000_000} for number in range(5)]
    collection = TWINS.tracked._get_collection()
    with pytest.raises(Exception, match="cannot encode"):
        collection.insert_many([*large, {"_id": 9, "name": {1}}])
    stored = [it["_id"] for it in collection.find({"_id": {"$lt": 9}}, {"_id": 1})]
    assert stored
    assert {*stored} <= {*database.history.distinct("document_id")}
