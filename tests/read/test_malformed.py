"""A record that another program has written, or a hand: what is wrong with it is said."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import mongoengine as me
import pytest
from bson import Decimal128, Int64
from support.changes import automatic, numbers, tracked

from mongoengine_history import (
    HistoryError,
    IncompleteRevisionError,
    MalformedRecordError,
    Misfit,
    PatchError,
    as_of,
    changeset,
    history_of,
    load_history,
    restore,
    revert,
    revert_changeset,
    undo,
)


class Card(me.DynamicDocument):
    meta = {"collection": "malformed_cards", "history": {"version_every": 0}}
    key = me.IntField(primary_key=True)
    text = me.StringField()


tracking = automatic(Card)


@pytest.fixture
def card(database: Any) -> Card:
    """Three revisions, and another card beside it."""
    card = Card(key=1, text="1").save()
    for text in "23":
        card.text = text
        card.save()
    Card(key=2, text="1").save()
    return card


@pytest.fixture
def edit(database: Any, card: Card) -> Callable[..., Any]:
    """Edits the record of revision 2 as another program would; returns its key."""

    def edited(**values: Any) -> Any:
        query = {"document_id": 1, "revision": 2}
        record = database.history.find_one_and_update(query, {"$set": values})
        return record["_id"]

    return edited


def reads(card: Card) -> list[Callable[[], Any]]:
    timeline = history_of(card)
    return [
        lambda: list(timeline),
        lambda: list(reversed(timeline)),
        lambda: timeline[2],
        lambda: timeline[1:],
        lambda: timeline.state(2),
        lambda: timeline.at(2),
        lambda: timeline.compare(1, 2),
        timeline.blame,
        lambda: revert(card, revision=2),
        lambda: undo(card, 2),
    ]


WRONG = {
    "stamp": [None, "x", 1.5, -1, Int64(2**63 - 1)],
    "operation": [None, 7, {"x": 1}],
    "size": [None, "1", 0, [1]],
    "action": [None, "move", {"x": 1}],
    "keys": [None, "text", [], [1.5], [0], [-1], ["a\x00b"], {"0": "text"}],
    "data": [None, "x", {}, {"old": 1}, {"items": []}],
    "metadata": ["x", [1]],
    "reason": [1],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
def test_it_is_named_with_what_is_wrong(card: Card, edit: Any, name: str, value: Any) -> None:
    key = edit(**{name: value})
    with pytest.raises(MalformedRecordError) as caught:
        list(history_of(card))
    error = pickle.loads(pickle.dumps(caught.value))  # our own
    assert (error.document_id, error.number, error.record) == (1, 2, key)
    assert name in error.problem
    assert str(key) in str(error)


@pytest.mark.parametrize("name", ["stamp", "operation", "size", "action", "keys", "data"])
def test_a_field_that_is_missing_is_named(database: Any, card: Card, edit: Any, name: str) -> None:
    key = edit(x=1)
    database.history.update_one({"_id": key}, {"$unset": {name: 1}})
    with pytest.raises(MalformedRecordError, match=name) as caught:
        history_of(card)[2]
    assert caught.value.record == key


def test_every_read_that_needs_it_says_so(card: Card, edit: Any) -> None:
    key = edit(keys=None)
    for read in (*reads(card), lambda: load_history(card)):
        with pytest.raises(MalformedRecordError) as caught:
            read()
        assert (caught.value.number, caught.value.record) == (2, key)


def test_what_lies_around_it_can_be_read(card: Card, edit: Any) -> None:
    edit(data=None)
    timeline = history_of(card)
    assert (len(timeline), timeline[1].number, timeline[-1].number) == (3, 1, 3)
    assert (numbers(timeline[3:]), timeline.state(1)) == ([3], {"text": "1"})
    assert timeline.blame("text").number == 3


def test_of_a_class_the_document_is_named(card: Card, edit: Any) -> None:
    key = edit(operation=None)
    found = as_of(Card, datetime.now(timezone.utc))
    [misfit] = [it for it in found if isinstance(it, Misfit)]
    assert isinstance(misfit.error, MalformedRecordError)
    assert (misfit.error.document_id, misfit.error.record) == (1, key)


class Deck(me.Document):
    meta = {"collection": "malformed_decks"}
    key = me.IntField(primary_key=True)
    text = me.StringField()


@pytest.mark.parametrize("right", [2, 3])
@pytest.mark.parametrize(
    "number",
    [Decimal128("1.5"), [1.5], Decimal128("2.5"), [2.5], True, None, [], "2", 2.5, math.nan],
)
def test_of_a_class_with_a_number_of_another_type_each_is_read_as_alone(
    database: Any, number: Any, right: int
) -> None:
    def told(it: Any) -> tuple[Any, Any]:
        return (it.document_id, type(it.error)) if isinstance(it, Misfit) else (it.key, it.text)

    def alone(when: datetime) -> Any:
        try:
            return history_of(Deck, 1).at(when).text
        except HistoryError as error:
            return type(error)

    with tracked(Deck):
        for text in "123":
            for key in (1, 2):
                Deck(key=key, text=text).save()
        mine = {"document_type": "malformed_decks", "document_id": 1}
        database.history.update_one({**mine, "revision": right}, {"$set": {"revision": number}})
        for stamp in database.history.distinct("stamp", mine):
            when = datetime.fromtimestamp(stamp / 1e6, timezone.utc)
            assert dict(map(told, as_of(Deck, when)))[1] == alone(when)
        assert dict(map(told, as_of(Deck, datetime.now(timezone.utc))))[2] == "3"


def test_a_changeset_is_not_begun_to_be_taken_back(database: Any, card: Card) -> None:
    with changeset() as unit:
        Card.objects.update(text="x")
    for name in ("stamp", "keys", "document_type"):
        query = {"document_id": 2, "changeset": unit.id}
        record = database.history.find_one_and_update(query, {"$set": {name: 1.5}})
        with pytest.raises(MalformedRecordError) as caught:
            revert_changeset(unit)
        assert caught.value.record == record["_id"]
        database.history.replace_one({"_id": record["_id"]}, record)
    assert {it.text for it in Card.objects} == {"x"}


def test_a_version_is_named_too(database: Any) -> None:
    version = {"document_type": "malformed_cards", "document_id": 3, "revision": 0, "stamp": 1}
    database.history.insert_one({**version, "position": -1, "size": 1})
    with pytest.raises(MalformedRecordError, match="state"):
        restore(Card, 3)


@pytest.mark.parametrize("number", [Int64(2**63 - 1), 10**9, 4.5])
def test_a_number_that_no_revision_has(database: Any, card: Card, number: Any) -> None:
    """Nobody counts on from it."""
    forged = {**database.history.find_one({"document_id": 1, "revision": 3}), "_id": 0}
    database.history.insert_one({**forged, "revision": number})
    timeline = history_of(card)
    assert numbers(timeline[1:4]) == [1, 2, 3]
    with pytest.raises(MalformedRecordError) as caught:
        list(timeline)
    assert (caught.value.number, caught.value.record) == (number, 0)
    card = Card.objects.get(key=1)
    card.text = "4"
    card.save()
    newest = database.history.find_one({"data.new": "4"})["revision"]
    assert timeline[newest].patches == (("change", ["text"], ("3", "4")),)


def test_a_number_far_ahead_is_not_counted_up_to(card: Card, edit: Any) -> None:
    edit(revision=50_000_000)
    timeline = history_of(card)
    assert (len(timeline), timeline[-1].number) == (50_000_000, 50_000_000)
    for index in (slice(1, None), slice(None, None, -1), slice(1, None, 1000)):
        with pytest.raises(IncompleteRevisionError):
            timeline[index]
    card = Card.objects.get(key=1)
    card.text = "4"
    card.save()
    assert timeline[-1].number == 50_000_001


@pytest.mark.parametrize(
    "values",
    [
        {"stamp": None},
        {"stamp": "x"},
        {"stamp": Int64(2**63 - 1)},
        {"lists": "x"},
        {"size": "x"},
        {"lists": {"a": 1}},
        {"operation": {}},
        {"position": "x"},
        {"position": 5},
    ],
)
@pytest.mark.parametrize("how", ["loaded", "known", "query"])
def test_a_newest_record_keeps_nobody_from_saving(
    database: Any, card: Card, values: Any, how: str
) -> None:
    database.history.update_one({"document_id": 1, "revision": 3}, {"$set": values})
    if how == "query":
        Card.objects.update(text="4")
    else:
        saved = card if how == "known" else Card.objects.get(key=1)
        saved.text = "4"
        saved.save()
    [newest] = database.history.find({"document_id": 1, "data.new": "4"})
    revision = history_of(card)[newest["revision"]]
    assert revision.patches == (("change", ["text"], ("3", "4")),)
    assert how != "query" or numbers(history_of(Card, 2)) == [1, 2]


def test_a_record_of_1_1_is_named(database: Any, tracking: None) -> None:
    database.malformed_cards.insert_one({"_id": 3, "text": "2"})
    card = Card.objects.get(key=3)
    clock = datetime(2020, 1, 1)  # as 1.1 wrote it
    record = {"document_type": "malformed_cards", "document_id": 3, "created_at": clock}
    key = database.history.insert_one({**record, "action": "change", "path": "text"}).inserted_id
    for read in (lambda: load_history(card), lambda: revert(card)):
        with pytest.raises(MalformedRecordError, match="data") as caught:
            read()
        assert (caught.value.document_id, caught.value.record) == (3, key)


def test_a_patch_for_a_dict_fits_no_list_in_a_list(database: Any) -> None:
    card = Card(key=3, grid=[["a"], ["b"]]).save()
    card.text = "x"
    card.save()
    data = {"items": [{"key": "x", "value": 1}]}
    values = {"action": "remove", "keys": ["grid", 0], "data": data}
    database.history.update_one({"document_id": 3, "revision": 2}, {"$set": values})
    with pytest.raises(PatchError):
        history_of(card).state(2)
