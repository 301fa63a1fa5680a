"""What a block, a class and a connection may come to between two writes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mongoengine as me
import pytest
from support.changes import watched
from support.documents import raw

from mongoengine_history import (
    DocumentTrack,
    StaleDocumentError,
    history_of,
    track_history,
    untrack_history,
)


class Roll(me.Document):
    meta = {"collection": "rolls", "auto_create_index": False}
    text = me.StringField()
    facts = me.DictField()


class Named(me.Document):
    meta = {"collection": "named_rolls", "auto_create_index": False}
    name = me.StringField(primary_key=True)
    text = me.StringField()


connected = watched(Roll, Named, deletions=False)

ENOUGH = "x" * 500_000  # bytes, of a document that is read before it is written


@pytest.fixture
def tracked(database: Any) -> Iterator[None]:
    track_history(Roll)
    track_history(Named)
    yield
    untrack_history(Roll)
    untrack_history(Named)


def proven(document: Any) -> list[str]:
    """Check that the newest state is what is stored; return the operations."""
    timeline = history_of(document)
    assert {"_id": document.pk, **timeline.state(-1)} == raw(document)
    return [revision.operation for revision in timeline]


def test_a_document_that_grew_is_read_from_then_on(tracked: None, commands: Any) -> None:
    roll = Roll(text="a").save()
    sent = []
    for letter in "bcd":
        commands.clear()
        roll.text = letter + ENOUGH
        roll.save()
        sent.append(commands.names)
    assert sent == [["findAndModify", "insert"], *[["find", "update", "insert"]] * 2]
    assert proven(roll) == ["create", *["update"] * 3]


def test_a_document_is_recorded_after_its_connection_was_closed(
    mongodb_uri: str, database: Any
) -> None:
    def connect() -> None:
        own = {"appname": "a client of its own", "uuidRepresentation": "standard"}
        me.connect(database.name, "again", host=mongodb_uri, **own)

    class Far(me.Document):
        meta = {"collection": "far_rolls", "db_alias": "again", "auto_create_index": False}
        text = me.StringField()

    connect()
    track_history(Far)
    roll = Far(text="a").save()
    me.disconnect("again")
    Far._collection = None
    connect()
    roll.text = "b"
    roll.save()
    assert proven(roll) == ["create", "update"]
    untrack_history(Far)
    me.disconnect("again")


def test_a_block_goes_on_after_its_class_was_tracked_for_a_while(database: Any) -> None:
    roll = Roll(text="a")
    with DocumentTrack(roll):
        roll.save()
        track_history(Roll)
        roll.text = "b"
        roll.save()
        untrack_history(Roll)
        roll.text = "c"
        roll.save()
    assert proven(roll) == ["create", "update", "update"]
    assert not [name for name in roll.__dict__ if name.startswith("_save")]


def test_a_key_may_be_equal_to_another_by_the_rule_of_its_collection(
    tracked: None, database: Any
) -> None:
    database.create_collection("named_rolls", collation={"locale": "en", "strength": 2})
    Named(name="abc", text="a").save()
    collection = Named._get_collection()
    collection.update_one({"_id": "ABC"}, {"$set": {"text": "b"}})
    collection.find_one_and_update({"_id": "Abc"}, {"$set": {"text": "c"}}, {"text": 1})
    assert database.history.distinct("document_id") == ["abc"]
    assert proven(Named.objects.get()) == ["create", "update", "update"]


@pytest.mark.parametrize("depth", [40, 150])
def test_what_lies_deep_is_compared_where_stale_copies_are_refused(
    connected: None, depth: int
) -> None:
    roll = Roll(facts=nested(depth, 1)).save()
    with DocumentTrack(roll, refuse_stale=True):
        for value in (2, 3):
            innermost(roll.facts)["leaf"] = value
            roll.save()
        name = "facts" + ".a" * depth + ".leaf"
        raw_collection(roll).update_one({"_id": roll.pk}, {"$set": {name: 9}})
        innermost(roll.facts)["leaf"] = 4
        with pytest.raises(StaleDocumentError):
            roll.save()
    assert innermost(raw(roll)["facts"])["leaf"] == 9


def nested(depth: int, value: int) -> dict[str, Any]:
    """Put a value at the bottom of dicts."""
    made: dict[str, Any] = {"leaf": value}
    for _ in range(depth):
        made = {"a": made}
    return made


def innermost(facts: Any) -> Any:
    while "a" in facts:
        facts = facts["a"]
    return facts


def raw_collection(document: Any) -> Any:
    return document._get_db()[document._get_collection_name()]


def test_fields_that_an_operator_makes_are_told_in_the_order_of_the_server(tracked: None) -> None:
    roll = Roll(text="a").save()
    names = [f"n{number}" for number in range(12)]
    Roll.objects(pk=roll.pk).update(__raw__={"$inc": dict.fromkeys(names, 1)})
    stored = [name for name in raw(roll) if name in names]
    ((_, _, added),) = history_of(roll)[-1].patches
    assert [name for name, _ in added] == stored
