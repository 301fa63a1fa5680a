"""Records that could not be written are written later, by their error."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import mongoengine as me
import pytest
from pymongo.collection import Collection
from pymongo.errors import AutoReconnect
from support.changes import automatic, tracked_otherwise, watch
from support.unanswered import unanswered

from mongoengine_history import (
    DocumentTrack,
    HistoryNotRecordedError,
    OptionsError,
    changeset,
    history_of,
    untracked,
)
from mongoengine_history.record import doubt
from mongoengine_history.record.indexes import OWNER


class Item(me.Document):
    meta = {"collection": "late_items", "auto_create_index": False}
    price = me.IntField(default=0)
    stock = me.IntField(default=0)
    tags = me.ListField(me.StringField())


class Watched(me.Document):
    meta = {"collection": "late_watched", "auto_create_index": False}
    price = me.IntField(default=0)
    stock = me.IntField(default=0)


tracking = automatic(Item)


@pytest.fixture
def item(database: Any) -> Item:
    return Item(tags=["a", "b"]).save()


def unwritten(write: Any) -> HistoryNotRecordedError:
    """Let a write of *ada*'s be done whose records cannot be written."""
    with (
        changeset("ada"),
        unanswered("insert_many", among="history", done=False),
        pytest.raises(HistoryNotRecordedError) as caught,
    ):
        write()
    error: HistoryNotRecordedError = pickle.loads(pickle.dumps(caught.value))
    return error


def proven(document: Any) -> list[tuple[str, Any]]:
    """Check that each state can be read and the newest is stored; return who did what."""
    timeline = history_of(document)
    stored = me.get_db()[document._get_collection_name()].find_one({"_id": document.pk})
    states = [timeline.state(revision.number) for revision in timeline]
    assert {"_id": document.pk, **states[-1]} == stored
    return [(revision.operation, revision.identity) for revision in timeline]


def edit(item: Item) -> None:
    item.price = 1
    item.tags.insert(0, "new")
    item.save()


def test_they_get_the_number_that_they_should_have_had(item: Item) -> None:
    error = unwritten(lambda: edit(item))
    error.record()
    assert proven(item) == [("create", None), ("update", "ada")]
    assert me.get_db().history.find_one({"revision": 2})["_id"] == error.records[0]["_id"]


def test_another_class_of_the_same_name_is_not_taken_for_it(item: Item) -> None:
    error = unwritten(lambda: edit(item))
    others: list[Any] = [me.Document, me.EmbeddedDocument]
    kept = [type("Item", (it,), {"meta": {"auto_create_index": False}}) for it in others]
    error.record()
    assert proven(item)[-1] == ("update", "ada")
    del kept


def test_or_the_next_one_where_somebody_was_faster(item: Item) -> None:
    other = Item.objects.get()
    error = unwritten(lambda: edit(item))
    other.stock = 7
    other.save()
    error.record()
    assert proven(item) == [("create", None), ("update", None), ("update", "ada")]
    assert history_of(item).state(-1)["tags"] == ["new", "a", "b"]


@pytest.mark.parametrize("values", [{"price": 9}, {"tags": ["c"]}, {"tags": []}])
def test_what_was_written_over_them_stays_the_newest(item: Item, values: dict[str, Any]) -> None:
    error = unwritten(lambda: edit(item))
    Item.objects.update(**values)
    error.record()
    told = proven(item)
    assert told[1:] == [("update", None), ("update", "ada"), ("external", None)]


def test_they_are_written_once(item: Item) -> None:
    error = unwritten(lambda: edit(item))
    copy = pickle.loads(pickle.dumps(error))
    item.stock = 1
    item.save()
    for each in (error, error, copy):
        each.record()
    assert [identity for _, identity in proven(item)] == [None, None, "ada"]


def test_a_part_that_is_there_is_completed(item: Item) -> None:
    error = unwritten(lambda: edit(item))
    me.get_db().history.insert_one(error.records[0])
    error.record()
    assert proven(item) == [("create", None), ("update", "ada")]


def test_as_long_as_they_cannot_be_written_the_error_says_so_again(item: Item) -> None:
    error = unwritten(lambda: edit(item))
    with unanswered("insert_many", among="history", done=False):
        with pytest.raises(HistoryNotRecordedError) as caught:
            error.record()
    caught.value.record()
    assert proven(item) == [("create", None), ("update", "ada")]


def test_a_history_may_begin_with_them(database: Any) -> None:
    key = database.late_items.insert_one({"price": 3, "tags": ["x"]}).inserted_id
    item = Item.objects.get(pk=key)
    unwritten(lambda: edit(item)).record()
    assert proven(item) == [("update", "ada")]
    assert history_of(item).state(0) == {"price": 3, "tags": ["x"]}


def test_those_of_many_documents(database: Any) -> None:
    items = [Item(price=number) for number in range(3)]
    error = unwritten(lambda: Item.objects.insert(items))
    assert len(error.document_ids) == 3
    error.record()
    for item in Item.objects:
        assert proven(item) == [("create", "ada")]
    error = unwritten(lambda: Item.objects.update(inc__stock=1))
    Item.objects(price=1).update(set__stock=5)
    error.record()
    assert [len(proven(item)) for item in Item.objects.order_by("price")] == [2, 4, 2]


def test_a_deletion(item: Item) -> None:
    unwritten(item.delete).record()
    assert [it.operation for it in history_of(item)] == ["create", "delete"]


def test_the_log_has_the_error_where_the_class_goes_on(database: Any, caplog: Any) -> None:
    item = Item().save()
    with (
        tracked_otherwise(Item, on_error="log"),
        unanswered("insert_many", among="history", done=False),
        caplog.at_level(logging.ERROR, "mongoengine_history"),
    ):
        edit(item)
    (entry,) = caplog.records
    entry.error.record()
    assert len(proven(item)) == 2


@pytest.mark.parametrize("kind", [Item, Watched])
def test_the_document_counts_as_saved(database: Any, kind: Any) -> None:
    watch(Watched)
    document = kind()
    with DocumentTrack(document):
        document.save()
        document.price = 1
        unwritten(document.save)
        assert document._get_changed_fields() == []
        kind.objects.update(set__price=2)
        document.stock = 7
        document.save()
    assert kind.objects.get().price == 2


def test_so_does_a_new_one(database: Any) -> None:
    for kind in (Item, Watched):
        watch(kind)
        document = kind(price=1)
        with DocumentTrack(document):
            unwritten(document.save)
            document.save()
        assert kind.objects.count() == 1


def test_a_process_that_does_not_know_the_class_is_told_what_to_do(item: Item) -> None:
    error = unwritten(lambda: edit(item))
    error.document_class = "NotImported"
    with pytest.raises(OptionsError, match="import the module"):
        error.record()


def test_what_was_read_in_vain_is_read_then(item: Item) -> None:
    with (
        changeset("ada"),
        unanswered("find_one", among="late_items"),
        pytest.raises(HistoryNotRecordedError) as caught,
    ):
        item.update(inc__price=1)
    assert caught.value.records == []
    assert isinstance(caught.value.__cause__, AutoReconnect)
    caught.value.record()
    assert proven(item) == [("create", None), ("external", None)]
    assert history_of(item)[2].metadata["in_doubt"]["identity"] == "ada"


def test_in_another_process_what_was_read_in_vain_is_read_too(item: Item) -> None:
    with unanswered("find_one", among="late_items"):
        with pytest.raises(HistoryNotRecordedError) as caught:
            item.update(inc__price=1)
    doubt._doubts.clear()  # which another process has not
    caught.value.record()
    assert proven(item) == [("create", None), ("external", None)]


def test_without_an_answer_the_error_says_so_again_for_all(database: Any) -> None:
    items = [Item(price=number) for number in range(3)]
    error = unwritten(lambda: Item.objects.insert(items))
    with unanswered("find_one", among="history"), pytest.raises(HistoryNotRecordedError) as caught:
        error.record()
    assert caught.value.document_ids == error.document_ids
    assert "3 documents were" in str(caught.value)
    caught.value.record()
    assert [proven(item) for item in Item.objects] == [[("create", "ada")]] * 3


def test_who_wrote_over_them_is_not_told_as_their_writer(item: Item) -> None:
    error = unwritten(lambda: edit(item))
    Item.objects.update(set__price=9)
    error.record()
    assert history_of(item)[-1].metadata == {}


def test_a_revision_of_several_records_is_written_once_too(item: Item) -> None:
    item.price, item.stock = 1, 2
    error = unwritten(item.save)
    for _ in range(2):
        error.record()
    assert proven(item) == [("create", None), ("update", "ada")]
    assert me.get_db().history.count_documents({"revision": 2}) == 2


@pytest.fixture
def every_second(database: Any) -> Iterator[None]:
    with tracked_otherwise(Item, version_every=2):
        yield


@pytest.mark.parametrize("arrived", [1, 2, 3])
def test_of_a_query_whole_revisions_are_kept_and_completed(
    every_second: None, arrived: int, monkeypatch: Any
) -> None:
    items = [Item(price=number).save() for number in range(2)]
    ever = Collection.insert_many

    def torn(self: Any, documents: Any, **kwargs: Any) -> Any:
        ever(self, [*documents][:arrived], **kwargs)
        raise AutoReconnect("connection closed")

    with monkeypatch.context() as patch, pytest.raises(HistoryNotRecordedError) as caught:
        patch.setattr(Collection, "insert_many", torn)
        Item.objects.update(inc__stock=1, set__tags=["z"])
    for _ in range(2):
        caught.value.record()
    assert [len(proven(item)) for item in items] == [2, 2]


def test_without_versions_the_state_before_is_found_by_what_is_stored(database: Any) -> None:
    key = database.late_items.insert_one({"price": 0, "stock": 0, "tags": ["x"]}).inserted_id
    item = Item.objects.get(pk=key)
    with tracked_otherwise(Item, version_every=0):
        item.update(inc__stock=1)
        unwritten(lambda: item.update(push__tags="y")).record()
        assert history_of(item)[2].patches == (("change", ["tags"], (["x"], ["x", "y"])),)


@pytest.mark.parametrize("every", [0, 1, 100])
@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_they_may_lie_before_and_after_what_is_there(
    database: Any, every: int, order: list[int]
) -> None:
    with untracked():
        item = Item(tags=["a", "b"]).save()

    def add(tag: str) -> None:
        item.tags.insert(0, tag)
        item.save()

    with tracked_otherwise(Item, version_every=every):
        missing = [unwritten(lambda: add("1"))]
        add("2")
        missing.append(unwritten(lambda: add("3")))
        for index in [*order, *order]:
            with suppress(HistoryNotRecordedError):  # where the later one has to be written first
                missing[index].record()
        timeline = history_of(item)
        assert [it.identity for it in timeline].count("ada") == 2
        assert timeline.state(-1)["tags"] == ["3", "2", "1", "a", "b"]
        if every:  # else numbers that are not in the order of the writes cannot be taken back
            assert timeline.state(0)["tags"] == ["1", "a", "b"]
            assert timeline.state(1)["tags"] == ["2", "1", "a", "b"]
            assert [timeline.state(it.number) for it in timeline]


@pytest.mark.parametrize("arrived", [True, False])
def test_where_what_came_before_is_gone_the_history_can_be_read(
    item: Item, arrived: bool, database: Any
) -> None:
    item.update(inc__stock=1)
    error = unwritten(lambda: edit(item))
    if arrived:
        database.history.insert_many(error.records)
    gone = database.history.find_one_and_delete({"revision": 2})
    if arrived:  # with the key by which an insert finds out that its head is gone
        database.history.insert_one({it: gone[it] for it in ("_id", *OWNER)})
    error.record()
    assert proven(item) == [("create", None), ("external", None)]
