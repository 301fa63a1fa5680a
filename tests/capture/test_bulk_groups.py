"""``bulk_write`` is done in groups: as untracked, recorded exactly, in few round trips."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bson
import mongoengine as me
import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st
from pymongo import DeleteMany, DeleteOne, InsertOne, ReplaceOne, UpdateMany, UpdateOne
from pymongo.collection import Collection
from pymongo.errors import AutoReconnect, BulkWriteError
from support.strategies import examples
from support.twins import IDS, Twins, contents, outcome, raws
from support.unanswered import unanswered

from mongoengine_history import (
    DocumentDidNotExistError,
    changeset,
    history_of,
    revert_changeset,
    track_history,
    untrack_history,
)

TWINS = Twins()
filled = TWINS.unknown_and_known()
tracking = TWINS.recording()

KEYS = [*IDS, ObjectId("f" * 24)]
"""Five are there, of two nobody knows."""


def set_to(value: Any) -> dict[str, Any]:
    return {"$set": {"name": value}}


values = st.integers(0, 6)
queries = st.sampled_from(KEYS).map(lambda it: {"_id": it})
pinned = st.builds(lambda query, number: {**query, "number": number}, queries, values)
either = st.one_of(queries, pinned)
updates = st.one_of(
    st.builds(lambda it: {"$inc": {"number": it}}, values),
    st.builds(lambda it: {"$set": {"code": it}}, values),
    st.builds(lambda it: {"$push": {"tags": it}}, values),
    st.builds(lambda it: [{"$set": {"name": it}}], values),
    st.just({"$unset": {"facts": 1}}),
)
requests = st.lists(
    st.one_of(
        st.builds(UpdateOne, either, updates, st.booleans()),
        st.builds(UpdateMany, queries, updates, st.booleans()),
        st.builds(ReplaceOne, either, st.builds(lambda it: {"code": it}, values), st.booleans()),
        st.builds(DeleteOne, either),
        st.builds(DeleteMany, queries),
        st.builds(lambda query, it: InsertOne({**query, "code": it}), queries, values),
        st.builds(lambda it: UpdateMany({"number": {"$gt": it}}, {"$inc": {"number": 1}}), values),
    ),
    min_size=2,
    max_size=12,
)

TOLD = ("nInserted", "nUpserted", "nMatched", "nRemoved", "upserted")


def written(collection: Any, asked: list[Any], **options: Any) -> Any:
    """Write, and tell all that is said of it."""
    try:
        details = collection.bulk_write(asked, **options).bulk_api_result
        return {name: details[name] for name in TOLD}
    except BulkWriteError as error:
        details = error.details
        errors = [(it["index"], it["code"], it["op"]) for it in details["writeErrors"]]
        return {name: details[name] for name in TOLD}, errors


@pytest.mark.parametrize("known", [True, False])
@given(asked=requests)
@examples(50)
def test_it_does_what_it_does_untracked(database: Any, known: bool, asked: list[Any]) -> None:
    for model in (TWINS.plain, TWINS.tracked):
        database[model._get_collection_name()].delete_many({})
    database.history.delete_many({})
    TWINS.fill(known=known)
    told = [
        outcome(lambda model: written(model._get_collection(), asked), model)
        for model in (TWINS.plain, TWINS.tracked)
    ]
    assert told[0] == told[1]
    assert contents(TWINS.tracked) == contents(TWINS.plain)
    stored = raws(TWINS.tracked)
    for key in KEYS:
        timeline = history_of(TWINS.tracked, key)
        if len(timeline):
            raw = bson.decode(stored[key]) if key in stored else {}
            raw.pop("_id", None)
            assert last(key)[1] == raw


def requests_to(*names: str) -> list[Any]:
    asked = []
    for number, name in enumerate(names):
        key = {"_id": KEYS[number]}
        asked.append(
            {
                "update": UpdateOne(key, set_to(number)),
                "upsert": UpdateOne(key, set_to(number), upsert=True),
                "replace": ReplaceOne(key, {"name": number}),
                "delete": DeleteOne(key),
                "insert": InsertOne(dict(key)),
            }[name]
        )
    return asked


def test_a_group_takes_as_many_round_trips_as_one_query(filled: None, commands: Any) -> None:
    collection = TWINS.tracked._get_collection()
    collection.bulk_write(requests_to("update", "update"))
    commands.clear()
    collection.bulk_write([UpdateOne({"_id": it}, {"$inc": {"number": 1}}) for it in IDS[:5]])
    assert len(commands.names) <= 9
    assert commands.names.count("update") == 2  # the write, and that of nothing
    assert commands.names.count("insert") == 1


def test_each_name_and_reason_is_recorded_and_taken_back(filled: None) -> None:
    collection = TWINS.tracked._get_collection()
    before = [*collection.find()]
    asked = [DeleteOne({"_id": IDS[0]}), UpdateOne({"_id": IDS[1]}, {"$set": {"code": 1}})]
    handed = UpdateOne({"_id": IDS[2]}, {"$set": {"code": 2}})  # a unique value, as the one before
    with changeset("alice") as block:
        collection.bulk_write([*asked, handed, InsertOne({"_id": KEYS[-1], "code": 3})])
    assert history_of(TWINS.tracked, IDS[1])[-1].identity == "alice"
    revert_changeset(block.id)
    assert sorted(collection.find(), key=lambda it: it["_id"]) == before


def meanwhile(monkeypatch: pytest.MonkeyPatch, do: Callable[[Any], Any]) -> None:
    """Let another writer be faster than the next group: after it was read, before it is written."""
    ever, open_ones = Collection.bulk_write, [do]

    def late(self: Any, *args: Any, **kwargs: Any) -> Any:
        if open_ones and type(self) is Collection:
            open_ones.pop()(TWINS.tracked._get_collection())
        return ever(self, *args, **kwargs)

    monkeypatch.setattr(Collection, "bulk_write", late)


def last(key: Any) -> tuple[str, Any]:
    """Tell the newest operation, and the state that it led to."""
    timeline = history_of(TWINS.tracked, key)
    try:
        return timeline[-1].operation, timeline.state(len(timeline))
    except DocumentDidNotExistError:
        return timeline[-1].operation, {}


@pytest.mark.parametrize("ordered", [True, False])
def test_a_document_that_another_makes_before_an_upsert_is_theirs(
    filled: None, monkeypatch: pytest.MonkeyPatch, ordered: bool
) -> None:
    new = KEYS[5]
    meanwhile(monkeypatch, lambda it: it.insert_one({"_id": new, "name": "theirs", "number": 7}))
    asked = [
        UpdateOne({"_id": IDS[0]}, set_to("first")),
        UpdateOne({"_id": new}, set_to("ours"), upsert=True),
        UpdateOne({"_id": IDS[1]}, set_to("second")),
    ]
    result = TWINS.tracked._get_collection().bulk_write(asked, ordered=ordered)
    assert (result.matched_count, result.modified_count, result.upserted_count) == (3, 3, 0)
    assert [it.operation for it in history_of(TWINS.tracked, new)] == ["create", "update"]
    assert last(new) == ("update", {"name": "ours", "number": 7})
    assert last(IDS[1])[1]["name"] == "second"


def test_a_document_that_another_makes_is_not_met_by_what_found_none(
    filled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = KEYS[5]
    meanwhile(monkeypatch, lambda it: it.insert_one({"_id": new, "name": "theirs"}))
    asked = [UpdateOne({"_id": new}, set_to("ours")), UpdateOne({"_id": IDS[0]}, set_to("first"))]
    assert TWINS.tracked._get_collection().bulk_write(asked).matched_count == 1
    assert last(new) == ("create", {"name": "theirs"})


def test_what_others_write_to_other_names_or_delete_stays_theirs(
    filled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def others(collection: Any) -> None:
        collection.update_one({"_id": IDS[0]}, {"$set": {"number": 99}})
        collection.delete_one({"_id": IDS[1]})
        collection.delete_one({"_id": IDS[2]})

    meanwhile(monkeypatch, others)
    asked = [
        UpdateOne({"_id": IDS[0]}, set_to("ours")),
        UpdateOne({"_id": IDS[1]}, set_to("ours")),
        UpdateOne({"_id": IDS[2]}, set_to("made"), upsert=True),
        UpdateOne({"_id": IDS[3]}, {"$set": {"number": 5}}),
    ]
    result = TWINS.tracked._get_collection().bulk_write(asked)
    assert result.upserted_ids == {2: IDS[2]}
    assert "number" not in str(history_of(TWINS.tracked, IDS[0])[-1])
    assert last(IDS[0])[1]["number"] == 99
    assert last(IDS[1])[0] == "delete"
    assert [it.operation for it in history_of(TWINS.tracked, IDS[2])][-2:] == ["delete", "create"]
    assert last(IDS[2])[1] == {"name": "made"}


def test_a_deletion_by_another_is_recorded_once(
    filled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile(monkeypatch, lambda it: it.delete_one({"_id": IDS[1]}))
    result = TWINS.tracked._get_collection().bulk_write(requests_to("delete", "delete"))
    assert result.deleted_count == 1
    for key in IDS[:2]:
        assert [it.operation for it in history_of(TWINS.tracked, key)].count("delete") == 1


def test_a_group_without_an_answer_is_found_out(filled: None) -> None:
    collection = TWINS.tracked._get_collection()
    asked = [*requests_to("update", "delete", "replace"), InsertOne({"_id": KEYS[-1]})]
    collection.update_many({}, {"$set": {"name": "known"}})
    with unanswered("bulk_write", among="twin"), pytest.raises(AutoReconnect):
        collection.bulk_write(asked)
    assert last(IDS[0])[1]["name"] == 0
    assert last(IDS[1]) == ("delete", {})
    assert last(IDS[2])[1] == {"name": 2}
    assert last(KEYS[-1])[1] == {}


def test_a_group_that_fails_in_a_transaction_tells_why_and_leaves_nothing(filled: None) -> None:
    asked = [*requests_to("update"), UpdateOne({"_id": IDS[1]}, {"$set": {"code": 3}})]
    told = []
    for model in (TWINS.plain, TWINS.tracked):
        collection = model._get_collection()
        with collection.database.client.start_session() as session, session.start_transaction():
            told.append(written(collection, asked, session=session))
            session.abort_transaction()
    assert told[0] == told[1]
    assert told[1][1][0][:2] == (1, 11000)
    assert "update" not in [it.operation for it in history_of(TWINS.tracked, IDS[0])]
    assert contents(TWINS.plain) == contents(TWINS.tracked)


class Coded(me.Document):
    meta = {"collection": "coded", "auto_create_index": False}
    code = me.StringField(primary_key=True)
    n = me.IntField()


def test_keys_that_a_collation_takes_for_one_are_not_mixed_up(database: Any) -> None:
    database.drop_collection("coded")
    database.create_collection("coded", collation={"locale": "en", "strength": 2})
    track_history(Coded)
    try:
        Coded(code="a", n=0).save()
        asked = [UpdateOne({"_id": it}, {"$inc": {"n": 1}}) for it in ("a", "A")]
        assert Coded._get_collection().bulk_write(asked).modified_count == 2
        assert [history_of(Coded, "a").state(it)["n"] for it in (1, 2, 3)] == [0, 1, 2]
    finally:
        untrack_history(Coded)
