"""What others do meanwhile: other writers, and those who write past the history."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import mongoengine as me
import pytest
from mongoengine import signals
from support.changes import edited, watched
from support.memos import Memo, changes

from mongoengine_history import (
    DocumentTrack,
    History,
    HistoryNotRecordedError,
    StateNotKeptError,
    Version,
    history_of,
    load_history,
    restore,
    revert,
    track_changes,
    undo,
)
from mongoengine_history.record.place import Place, indexed

connected = watched(Memo, deletions=False)


@pytest.mark.parametrize(
    ("filled", "empty"), [({"number": 5}, None), ({"items": [1]}, []), ({"facts": {"a": 1}}, {})]
)
def test_emptying_what_another_writer_filled_is_a_change(filled: Any, empty: Any) -> None:
    memo = Memo(text="a")
    edited(memo)
    [(name, value)] = filled.items()
    edited(memo, **{name: empty})
    Memo.objects(pk=memo.pk).update(**filled)
    memo.reload()
    edited(memo, **{name: empty})
    assert changes(memo)[-1] == [(name, value)]


def test_putting_an_old_value_over_anothers_is_a_change() -> None:
    Memo(text="a", other="u").save()
    first, second = Memo.objects.get(), Memo.objects.get()
    with DocumentTrack(first), DocumentTrack(second):
        second.text = "b"
        second.save()
        first.text = "x"
        first.text = "a"
        first.other = "v"
        first.save()
    assert changes(first) == [("a", "b"), ("b", "a"), ("u", "v")]
    assert revert(first, revision=2).text == "a"


def test_after_a_reload_in_a_block_only_own_changes_are_recorded() -> None:
    memo = Memo(text="a", number=1).save()
    with DocumentTrack(memo):
        memo.text = "b"
        memo.save()
        Memo.objects.update(text="c", number=2)
        memo.reload()
        memo.number = 1
        memo.save()
        memo.modify(text="d")
        memo.text = "b"
        memo.save()
    assert changes(memo) == [("a", "b"), (2, 1), ("d", "b")]


def test_an_edit_made_before_the_block_is_recorded_with_its_save() -> None:
    memo = Memo(text="a").save()
    for text in ("b", "c"):
        memo.text = text
        edited(memo)
    assert changes(memo) == [("a", "b"), ("b", "c")]


def test_an_edit_inside_made_before_the_block_is_recorded_too() -> None:
    memo = Memo(facts={"a": 1, "b": 1}).save()
    for number in (2, 3):
        memo.facts["a"] = number
        with DocumentTrack(memo):
            memo.facts["b"] = number
            memo.save()
    assert changes(memo) == [(1, 2), (1, 2), (2, 3), (2, 3)]


def test_putting_an_old_value_over_anothers_later_is_a_change_too() -> None:
    memo = Memo(text="a", number=1).save()
    edited(memo, number=2)
    Memo.objects.update(text="b")
    with DocumentTrack(memo):
        memo.text = "x"
        memo.text = "a"
        memo.number = 3
        memo.save()
    assert changes(memo) == [(1, 2), ("b", "a"), (2, 3)]


def test_a_primary_key_that_was_set_by_hand_names_the_stored_document() -> None:
    class Country(me.Document):
        meta = {"collection": "countries", "auto_create_index": False}
        code = me.StringField(primary_key=True)
        name = me.StringField()

    signals.post_save.connect(track_changes, sender=Country)
    Country(code="DE", name="Deutschland").save()
    country = Country(name="Germany")
    country.code = "DE"
    with DocumentTrack(country):
        country.save()
    assert changes(country) == [("Deutschland", "Germany")]


def test_a_history_that_was_deleted_leaves_nothing_behind(database: Any) -> None:
    memo = Memo(text="a" * 13_000_000).save()
    edited(memo, text="b" * 13_000_000)
    History.objects(document_id=memo.pk).delete()
    assert database.history.count_documents({}) == 0


def test_leftovers_of_records_deleted_past_the_library_are_replaced(database: Any) -> None:
    memo = Memo(text="a" * 13_000_000, other="old").save()
    edited(memo, text="b" * 13_000_000)
    database.history.delete_many({"action": {"$exists": True}})
    Memo.objects.update(other="new")
    memo = Memo.objects.get()
    edited(memo, text="c" * 13_000_000)
    assert History.objects.distinct("revision") == [1]
    assert revert(memo, revision=0).other == "new"
    assert revert(memo, revision=1).text == "c" * 13_000_000


def test_deleting_what_is_gone_is_no_deletion() -> None:
    signals.post_delete.connect(track_changes, sender=Memo)
    Memo(text="a").save()
    first, second = Memo.objects.get(), Memo.objects.get()
    with DocumentTrack(first), DocumentTrack(second):
        first.delete()
        second.delete()
    assert History.objects.count() == 1


def test_after_a_disconnect_no_deletion_is_recorded() -> None:
    signals.post_delete.connect(track_changes, sender=Memo)
    DocumentTrack(Memo(text="a").save())
    signals.post_delete.disconnect(track_changes, sender=Memo)
    memo = Memo(text="b").save()
    with DocumentTrack(memo):
        memo.delete()
    assert History.objects.count() == 0


@pytest.mark.filterwarnings("ignore::mongoengine_history.HistoryWarning")
def test_saves_while_disconnected_count_as_the_state_before() -> None:
    memo = Memo(text="a").save()
    with DocumentTrack(memo):
        signals.post_save.disconnect(track_changes, sender=Memo)
        memo.text = "b"
        memo.save()
        signals.post_save.connect(track_changes, sender=Memo)
        memo.text = "a"
        memo.save()
    assert changes(memo) == [("b", "a")]


def test_records_that_were_written_in_part_can_all_be_written_later(database: Any) -> None:
    memo = Memo(text="a", other="u").save()
    edited(memo, text="b")
    database.command("collMod", "history", validator={"path": {"$ne": "other"}})
    try:
        with pytest.raises(HistoryNotRecordedError) as caught:
            edited(memo, text="c", other="v")
    finally:
        database.command("collMod", "history", validator={})
    database.history.insert_many(caught.value.records)
    assert changes(memo) == [("a", "b"), ("b", "c"), ("u", "v")]


def test_where_another_kind_of_value_is_stored_now_the_whole_comes_back(database: Any) -> None:
    memo = Memo(facts={"a": {"x": 1, "y": 1}, "b": 1}).save()
    with DocumentTrack(memo):
        memo.facts["a"]["x"] = 2
        memo.save()
    for drift in ([1], 5):
        database.memos.update_one({}, {"$set": {"facts.a": drift, "facts.b": 2}})
        assert revert(memo).facts == {"a": {"x": 1, "y": 1}, "b": 2}


def test_indexes_of_the_application_on_the_same_keys_are_fine(database: Any) -> None:
    database.drop_collection("history")
    indexed.clear()
    database.history.create_index([("identity", 1), ("created_at", -1)])
    memo = Memo(text="a").save()
    edited(memo, text="b")
    assert "history_revision" in database.history.index_information()
    database.drop_collection("history")
    indexed.clear()
    Place(memo).ensure_indexes()


def test_the_ends_of_time_are_moments_too() -> None:
    memo = Memo(text="a").save()
    edited(memo, text="b")
    for since, until in [(datetime.min, datetime.max), (None, datetime.max)]:
        assert len(load_history(memo, since, until)) == 1
    assert revert(memo, datetime.min).text == "a"


def test_what_a_revert_overwrites_of_others_is_recorded() -> None:
    """It sends whole fields; another write between the revert and its save is taken back, too."""
    memo = Memo(facts={"a": 1, "b": 1}, text="a").save()
    edited(memo, facts={"a": 2, "b": 1})
    undone = undo(Memo.objects.get(), 1)
    other = Memo.objects.get()
    with DocumentTrack(other):
        other.facts["b"] = 2
        other.text = "b"
        other.save()
    undone.save()
    timeline = history_of(memo)
    assert (Memo.objects.get().facts, Memo.objects.get().text) == ({"a": 1, "b": 1}, "b")
    assert (timeline.state(3)["facts"], timeline.state(3)["text"]) == ({"a": 1, "b": 1}, "b")
    assert timeline.compare(3) == []


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_state_that_nothing_leads_to_is_not_made_up(number: int) -> None:
    """No version was kept, and the document was deleted behind the history's back."""

    class Loose(me.Document):
        meta = {
            "collection": "loose",
            "auto_create_index": False,
            "history": {"version_every": 0},
        }
        text = me.StringField()
        number = me.IntField()

    signals.post_save.connect(track_changes, sender=Loose)
    loose = Loose(text="a", number=1).save()
    edited(loose, number=2)
    edited(loose, number=3)
    assert history_of(loose).state(number)["text"] == "a"
    Loose.objects.delete()
    with pytest.raises(StateNotKeptError, match="keeps no version") as caught:
        history_of(loose).state(number)
    assert (caught.value.document_id, caught.value.number) == (loose.pk, number)
    with pytest.raises(StateNotKeptError):
        restore(Loose, loose.pk)


def test_versions_begin_with_what_is_stored_where_nothing_is_known() -> None:
    """Without versions before, replaying would start from a document that has the change."""
    meta = {"collection": "later", "auto_create_index": False}
    fields = {"tags": me.ListField(me.StringField()), "number": me.IntField()}
    before = type(
        "Later", (me.Document,), {"meta": {**meta, "history": {"version_every": 0}}, **fields}
    )
    after = type(
        "Later2", (me.Document,), {"meta": {**meta, "history": {"version_every": 3}}, **fields}
    )
    for cls in (before, after):
        signals.post_save.connect(track_changes, sender=cls)
    document = before(tags=["a"], number=0).save()
    edited(document, tags=["a", "b"])
    edited(document, number=1)
    document = after.objects.get()
    edited(document, tags=["a", "b", "c"])
    edited(document, tags=["b", "c"])
    [version] = Version.objects.of(document)
    assert (version.revision, version.state) == (3, {"tags": ["a", "b", "c"], "number": 1})
    tags = [history_of(document).state(number)["tags"] for number in range(5)]
    assert tags == [["a"], ["a", "b"], ["a", "b"], ["a", "b", "c"], ["b", "c"]]
