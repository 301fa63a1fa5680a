"""Taking one revision back: what comes back, and what stays."""

from __future__ import annotations

from typing import Any

import mongoengine as me
import pytest
from bson import ObjectId
from mongoengine import signals
from pymongo import MongoClient
from support.binding import binds
from support.changes import agrees, deleted, edited, told, watched
from support.documents import Address, Line, raw, stored
from support.papers import Letter

from mongoengine_history import (
    Conflict,
    DocumentTrack,
    UndoConflictError,
    history_of,
    restore,
    revert,
    track_changes,
    undo,
)

connected = watched(Letter)


def test_the_revision_is_taken_back_and_later_ones_are_kept() -> None:
    letter = Letter(title="a", pages=1, tags=["x"])
    edited(letter)
    edited(letter, title="b", tags=["x", "y"])
    edited(letter, pages=2)
    assert undo(letter, 2) is letter
    assert (letter.title, letter.tags, letter.pages) == ("a", ["x"], 2)
    letter.save()
    assert (raw(letter)["title"], raw(letter)["tags"], raw(letter)["p"]) == ("a", ["x"], 2)
    assert agrees(letter)


def test_memory_changes_and_the_store_does_not_until_it_is_saved() -> None:
    letter = Letter(title="a").save()
    edited(letter, title="b")
    undo(letter, 1)
    assert (letter.title, raw(letter)["title"], len(history_of(letter))) == ("a", "b", 1)


def test_it_is_recorded_as_undo_by_whoever_the_block_says() -> None:
    letter = Letter(title="a").save()
    edited(letter, "ann", title="b")
    with DocumentTrack(letter, "ben", reason="wrong"):
        undo(letter, 1).save()
    undo(letter, 2)
    with DocumentTrack(letter, "cleo"):
        letter.save()
    undo(letter, 3).save()
    assert told(letter) == [("update", "ann"), ("undo", "ben"), ("undo", "cleo"), ("undo", None)]
    assert history_of(letter)[2].reason == "wrong"


def test_without_a_connected_handler_it_is_stored_but_not_recorded() -> None:
    letter = Letter(title="a").save()
    edited(letter, title="b")
    signals.post_save.disconnect(track_changes, sender=Letter)
    undo(letter, 1).save()
    assert raw(letter)["title"] == "a"
    assert len(history_of(letter)) == 1


def test_undoing_an_undo_does_it_again() -> None:
    letter = Letter(title="a", tags=["a", "b", "c"], facts={"x": {"y": 1, "z": 2}}).save()
    before = stored(letter)
    edited(letter, title=None, tags=["c", "a"], facts={"x": {"y": 2}, "n": 1})
    after = stored(letter)
    for number in range(1, 6):
        undo(letter, number).save()
        assert stored(letter) == (before if number % 2 else after)
    assert [operation for operation, _ in told(letter)] == ["update", *["undo"] * 5]


def test_undoing_the_newest_is_reverting_by_one() -> None:
    letter = Letter(title="a", address=Address(street="s", zip="1"), lines=[Line(sku="1")]).save()
    before = stored(letter)
    with DocumentTrack(letter):
        letter.address.city = "c"
        letter.lines.insert(0, Line(sku="0"))
        letter.title = None
        letter.save()
    undo(letter, 1).save()
    assert stored(letter) == before
    assert list(raw(letter)["address"]) == ["s", "zip"]


def test_negative_numbers_count_from_the_newest() -> None:
    letter = Letter(title="a", pages=1).save()
    edited(letter, title="b")
    edited(letter, pages=2)
    assert undo(letter, -1).pages == 1
    assert undo(letter, -2).title == "a"


def test_dict_keys_are_values_of_their_own() -> None:
    letter = Letter(facts={"a": 1, "b": {"c": 1, "d": 1}}).save()
    with DocumentTrack(letter):
        letter.facts["a"] = 2
        letter.facts["b"]["c"] = 2
        letter.facts["new"] = 2
        letter.save()
    with DocumentTrack(letter):
        letter.facts["b"]["d"] = 3
        letter.facts["other"] = 3
        letter.save()
    undo(letter, 1).save()
    assert raw(letter)["facts"] == {"a": 1, "b": {"c": 1, "d": 3}, "other": 3}
    assert agrees(letter)


def test_fields_of_an_embedded_document_are_values_of_their_own() -> None:
    letter = Letter(address=Address(street="s", city="c")).save()
    with DocumentTrack(letter):
        letter.address.street = "t"
        letter.save()
        letter.address.city = "d"
        letter.save()
    undo(letter, 1).save()
    assert raw(letter)["address"] == {"s": "s", "city": "d"}


def test_a_list_is_one_value() -> None:
    """Undoing the first of two appends would have to guess where its item is now."""
    letter = Letter(tags=["a"], lines=[Line(sku="1", qty=1), Line(sku="2")]).save()
    edited(letter, tags=["a", "b"])
    edited(letter, tags=["a", "b", "c"])
    with pytest.raises(UndoConflictError) as caught:
        undo(letter, 1)
    assert caught.value.conflicts == [Conflict(("tags",), ["a", "b"], ["a", "b", "c"])]
    with DocumentTrack(letter):
        letter.lines[0].qty = 2
        letter.save()
        letter.lines[1].qty = 3
        letter.save()
    with pytest.raises(UndoConflictError) as caught:
        undo(letter, 3)
    assert caught.value.path == ("lines",)
    assert undo(letter, 4).lines[1].qty is None
    assert letter.lines[0].qty == 2


def test_a_list_below_dicts_is_one_value_too() -> None:
    letter = Letter(facts={"x": {"l": [1, [2, 3]], "k": 1}}).save()
    with DocumentTrack(letter):
        letter.facts["x"]["l"][1].append(4)
        letter.save()
        letter.facts["x"]["k"] = 2
        letter.save()
    undo(letter, 1).save()
    assert raw(letter)["facts"] == {"x": {"l": [1, [2, 3]], "k": 2}}
    with DocumentTrack(letter):
        letter.facts["x"]["l"].append(5)
        letter.save()
    with pytest.raises(UndoConflictError) as caught:
        undo(letter, 3)
    assert caught.value.path == ("facts", "x", "l")


def test_a_value_that_is_as_the_revision_left_it_again_is_no_conflict() -> None:
    letter = Letter(title="a").save()
    edited(letter, title="b")
    edited(letter, title="c")
    edited(letter, title="b")
    undo(letter, 1).save()
    assert raw(letter)["title"] == "a"


@pytest.mark.parametrize("version_every", [0, 1, 2, 100])
def test_it_does_not_depend_on_versions(monkeypatch: Any, version_every: int) -> None:
    monkeypatch.setitem(Letter._meta, "history", {"version_every": version_every})
    letter = Letter(title="0", pages=0).save()
    for number in range(1, 5):
        edited(letter, title=str(number))
        edited(letter, pages=number)
    undo(letter, 8).save()
    undo(letter, 7).save()
    assert (raw(letter)["title"], raw(letter)["p"]) == ("3", 3)
    revert(letter, revision=2).save()
    undo(letter, -1).save()
    assert (raw(letter)["title"], raw(letter)["p"]) == ("3", 3)
    assert agrees(letter)


def test_dynamic_fields_come_back_and_go() -> None:
    class Free(me.DynamicDocument):
        meta = {"collection": "free_letters", "auto_create_index": False}

    signals.post_save.connect(track_changes, sender=Free)
    free = Free(a=1, b={"x": 1}).save()
    edited(free, c=3, b=None)
    edited(free, d=4)
    undo(free, 1)
    assert not hasattr(free, "c")
    free.save()
    assert raw(free) == {"_id": free.pk, "a": 1, "b": {"x": 1}, "d": 4}


def test_a_switched_document_is_undone_where_it_lies() -> None:
    letter = Letter(pk=ObjectId(), title="a").switch_db("other").save()
    edited(letter, title="b")
    Letter(pk=letter.pk, title="here").save()
    undo(letter, 1).save()
    assert raw(letter)["title"] == "a"
    assert Letter.objects.get().title == "here"


@binds
def test_in_a_transaction_that_is_aborted_nothing_is_left_of_it(client: MongoClient) -> None:
    letter, gone = Letter(title="a").save(), Letter(title="x")
    edited(letter, title="b")
    edited(gone)
    deleted(gone)
    before = stored(letter)
    with client.start_session() as session, session.bind(end_session=False):
        session.start_transaction()
        undo(letter, 1).save()
        undo(gone, 2).save()
        again = Letter.objects.get(pk=gone.pk)
        edited(again, title="y")
        undo(again, -1).save()
        assert raw(letter)["title"] == "a"
        assert [operation for operation, _ in told(gone)][2:] == ["undo", "update", "undo"]
        session.abort_transaction()
    assert (stored(letter), raw(gone)) == (before, None)
    assert [len(history_of(it)) for it in (letter, gone)] == [1, 2]
    undo(Letter.objects.get(), 1).save()
    restore(Letter, gone.pk).save()
    assert (raw(letter)["title"], raw(gone)["title"]) == ("a", "x")
    assert agrees(letter)
    assert agrees(gone)
