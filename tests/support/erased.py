"""Histories that are gone while objects still know them, and what must be true of them then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mongoengine as me
from pymongo import MongoClient
from support.changes import edited
from support.documents import fields_of, stored, without_id
from support.proofs import replayed

from mongoengine_history import (
    DocumentDidNotExistError,
    History,
    Timeline,
    Version,
    history_of,
    load_history,
    revert,
)


class Sheet(me.Document):
    meta = {
        "collection": "gone_sheets",
        "auto_create_index": False,
        "history": {"version_every": 4},
    }
    text = me.StringField()
    number = me.IntField()
    tags = me.ListField(me.StringField())
    facts = me.DictField()


def by_another_client(document: Any, uri: str) -> None:
    """As another process does it: by a connection of which nobody here knows."""
    with MongoClient(uri) as client:
        history = client[document._get_db().name]["history"]
        history.delete_many({"document_type": document._get_collection_name()})


def by_history(document: Any, _: str) -> None:
    History.objects.of(document).delete()
    Version.objects.of(document).delete()


def by_records_alone(document: Any, _: str) -> None:
    """Versions stay, as `History.objects` leaves them."""
    History.objects.of(document).delete()


def raw_deleted(document: Any, _: str) -> None:
    document._get_db()["history"].delete_many({"document_id": document.pk})


def collection_dropped(document: Any, _: str) -> None:
    document._get_db().drop_collection("history")


def database_dropped(document: Any, _: str) -> None:
    """The document, which is what a test suite stores again, is all that is left."""
    database = document._get_db()
    collection = database[document._get_collection_name()]
    documents = list(collection.find())
    database.client.drop_database(database.name)
    if documents:
        collection.insert_many(documents)


def all_but(number: int) -> Callable[[Any, str], None]:
    """Take a document and its history back to a revision, as a fail-over does."""

    def rolled_back(document: Any, _: str) -> None:
        state = history_of(document).state(number)
        document._get_db()[document._get_collection_name()].replace_one({"_id": document.pk}, state)
        newer = {"document_id": document.pk, "revision": {"$gt": number}}
        document._get_db()["history"].delete_many(newer)

    return rolled_back


ERASURES: dict[str, Callable[[Any, str], None]] = {
    "by History": by_history,
    "records alone": by_records_alone,
    "raw": raw_deleted,
    "collection dropped": collection_dropped,
    "database dropped": database_dropped,
    "another client": by_another_client,
    "rolled back to 1": all_but(1),
    "rolled back to 4": all_but(4),
}
"""How a history may be gone, wholly or in part, behind an object that knows three revisions."""


def known(model: type[Any], revisions: int = 5) -> Any:
    """Make an object that knows what it has recorded."""
    document = model()
    for number in range(1, revisions + 1):
        edited(document, f"who {number}", text=f"text {number}", number=number)
        document.tags.append(f"tag {number}")
        document.facts[f"k{number}"] = number
    return edited(document, "last", text="last")


def prove(model: type[Any], key: Any, states: dict[int, Any], newest: Any) -> Timeline:
    """
    Check that a history can be read in each way, and that it is true.

    Args:
        model: The class.
        key: The primary key.
        states: What was stored after the last revisions, and before the first one, by number.
        newest: What is stored now; None if nothing is.
    """
    timeline = history_of(model, key)
    numbers = [it.number for it in timeline]
    assert numbers == list(range(1, len(numbers) + 1))
    assert [it.number for it in reversed(timeline)] == numbers[::-1]
    assert [it.number for it in timeline[1:]] == numbers
    assert timeline[-1].number == len(timeline) == len(numbers)
    found = {number: state_of(timeline, number) for number in range(numbers[-1] + 1)}
    for number, state in states.items():
        assert found[number] == state, number
    assert found[numbers[-1]] == newest
    for number, state in enumerate(replayed(model, key)):
        assert fields_of(state) == (found[number] or {}), number
    no_probe_is_left(key)
    if newest is not None:
        document = model.objects.get(pk=key)
        assert load_history(document)
        assert timeline.blame()
        for number in [it for it in numbers if found[it] is not None]:
            assert without_id(stored(revert(document, revision=number).save())) == found[number]
    return timeline


def state_of(timeline: Timeline, number: int) -> Any:
    try:
        return fields_of(timeline.state(number))
    except DocumentDidNotExistError:
        return None


def no_probe_is_left(key: Any) -> None:
    """Each record of the history belongs to a revision that is whole."""
    for record in History._get_collection().find({"document_id": key}):
        assert "data" in record or "state" in record or "bytes" in record or "parts" in record


def now(document: Any) -> Any:
    found = stored(document)
    return found and without_id(found)
