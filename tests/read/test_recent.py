"""What was recorded last, of whatever documents; and all of one changeset."""

from __future__ import annotations

from typing import Any

import mongoengine as me
import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st
from mongoengine import Document
from support.changes import automatic
from support.strategies import examples

from mongoengine_history import OptionsError, changeset, changeset_of, recent, record_event


class Cup(Document):
    meta = {"collection": "recent_cups", "auto_create_index": False}
    size = me.IntField(db_field="s")
    text = me.StringField()
    parts = me.DictField()


class Jug(Document):
    meta = {"collection": "recent_jugs", "auto_create_index": False}
    key = me.DynamicField(primary_key=True)
    size = me.IntField()


tracking = automatic(Cup, Jug)


@pytest.fixture(autouse=True)
def stored(database: Any) -> None:
    """All is stored in a database of its own."""


def told(found: Any) -> list[tuple[str, int]]:
    return [(it.document_type.removeprefix("recent_"), it.revision.number) for it in found]


def test_the_newest_come_first_whose_they_are() -> None:
    cup, jug = Cup(size=1).save(), Jug(key={"a": 1}, size=1).save()
    cup.update(size=2)
    record_event("login")
    page = recent().page()
    assert told(page) == [("", 1), ("cups", 2), ("jugs", 1), ("cups", 1)]
    assert [it.document_id for it in page][1:] == [cup.pk, jug.key, cup.pk]
    assert told(recent()) == told(page)
    assert told(recent(Jug)) == [("jugs", 1)]


@examples(30)
@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["ada", None]))), st.integers(1, 3))
def test_pages_have_each_once(database: Any, steps: list[Any], size: int) -> None:
    database["history"].delete_many({})
    cups = [Cup(size=-1, text="a").save() for _ in range(3)]
    wanted = [("cups", 1)] * 3
    numbers = [1, 1, 1]
    for count, (which, who) in enumerate(steps):
        numbers[which] += 1
        with changeset(who):
            cups[which].update(size=count, text=str(count))
        wanted.append(("cups", numbers[which]))
    for asked in ({}, {"touching": "size"}, {"by": "ada"}):
        found, before = [], None
        while page := recent(Cup).filter(**asked).page(before=before, size=size):
            found += page
            before = str(page[-1].record) if len(page) % 2 else page[-1].record
        kept = wanted
        if "by" in asked:
            kept = [it for it, (_, who) in zip(wanted[3:], steps, strict=True) if who == "ada"]
        assert told(found) == kept[::-1]


@pytest.mark.parametrize("size", [1, 2, 50])
def test_records_of_several_writers_may_lie_among_each_other(database: Any, size: int) -> None:
    cups = [Cup(parts={"a": 1, "b": 1}).save() for _ in range(3)]
    for cup in cups:
        cup.update(parts={"a": 2, "b": 2})
    kept = database["history"]
    records = list(kept.find({"revision": 2}, sort=[("position", 1), ("document_id", 1)]))
    assert len(records) == 6
    kept.delete_many({"revision": 2})
    kept.insert_many([{**it, "_id": ObjectId()} for it in records])
    everything = recent(Cup).filter(touching="parts")
    pages, before = [], None
    while page := everything.page(before=before, size=size):
        pages += [(it.document_id, it.revision.number) for it in page]
        before = page[-1].record
    assert pages == [(it.document_id, it.revision.number) for it in everything]
    assert pages == [(it.pk, number) for number in (2, 1) for it in reversed(cups)]


def test_what_has_no_id_of_a_record_is_none(database: Any) -> None:
    cup = Cup(parts={"a": 1, "b": 1}).save()
    cup.update(parts={"a": 2, "b": 2})
    foreign = database["history"].find_one({"revision": 2})
    database["history"].insert_one({**foreign, "_id": "x", "revision": 3, "size": 1})
    assert told(recent(Cup)) == told(recent(Cup).filter(touching="parts"))
    assert told(recent(Cup)) == [("cups", 2), ("cups", 1)]


def test_a_page_takes_two_round_trips(commands: Any) -> None:
    for number in range(5):
        Cup(size=number).save()
    commands.clear()
    assert len(recent().page(size=3)) == 3
    assert commands.names == ["find", "find"]


def test_names_of_attributes_are_known_of_one_class() -> None:
    Cup(size=1).save()
    assert told(recent(Cup).filter(touching="size")) == [("cups", 1)]
    assert told(recent().filter(touching="s")) == [("cups", 1)]
    with pytest.raises(OptionsError):
        recent(Cup).filter(touching="nowhere")


def test_a_changeset_is_told_in_the_order_of_writing() -> None:
    with changeset("ada") as block:
        cup, jug = Cup(size=1).save(), Jug(key=1).save()
        cup.update(size=2)
    Cup(size=3).save()
    for wanted in (block.id, str(block.id)):
        assert told(changeset_of(wanted)) == [("cups", 1), ("jugs", 1), ("cups", 2)]
    assert told(changeset_of(block.id, Jug)) == [("jugs", 1)]
    assert list(changeset_of(ObjectId())) == []
    assert jug.pk == 1


@pytest.mark.parametrize("wrong", [None, 3, "x", b"x" * 12, {"$ne": None}])
def test_what_is_no_id_of_a_changeset_is_refused(wrong: Any) -> None:
    with pytest.raises(OptionsError, match="changeset"):
        changeset_of(wrong)
    if wrong is not None:  # which is the first page
        with pytest.raises(OptionsError, match="before"):
            recent(Cup).page(before=wrong)


def test_a_deletion_of_long_ago_is_found_without_a_look_at_what_came_since(commands: Any) -> None:
    cup = Cup(text="gone").save()
    cup.delete()
    Cup.objects.insert([Cup(text="later") for _ in range(200)])
    commands.clear()
    (found,) = recent(Cup).filter(operation="delete").page(size=1)
    assert found.document_id == cup.pk
    asked = {it: commands.sent[0][it] for it in ("find", "filter", "sort", "projection")}
    told = me.get_db().command("explain", asked, verbosity="executionStats")["executionStats"]
    assert told["totalDocsExamined"] == 1
