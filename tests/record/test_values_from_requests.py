"""What a request says is a value: no key, identity or number of it is read as a query."""

from __future__ import annotations

import re
from contextlib import nullcontext
from typing import Any

import mongoengine as me
import pytest
from bson import Regex
from support.changes import edited, watched

from mongoengine_history import (
    History,
    OptionsError,
    Version,
    history_of,
    restore,
    revert,
    revert_changeset,
    undo,
)


class Page(me.Document):
    meta = {
        "collection": "pages",
        "auto_create_index": False,
        "history": {"version_every": 1},
    }
    slug = me.StringField(primary_key=True)
    text = me.StringField()


class Bill(me.Document):
    meta = {"collection": "bills", "auto_create_index": False}
    number = me.IntField(primary_key=True)


connected = watched(Page, Bill)

OPERATORS = [
    {"$ne": None},
    {"$gt": ""},
    {"$exists": True},
    {"$in": ["a", "b", 1, 2]},
    {"$eq": "a"},
    re.compile("."),
    Regex("^a"),
    ["a", "b"],
    [{"$ne": None}],
]

UNENCODABLE = ["\ud800", 2**64, Exception, {"a": {"\x00": 1}}, {1, 2}]


@pytest.fixture
def pages(connected: None) -> None:
    for slug in "ab":
        edited(Page(slug=slug), "ada", text="x")
    for number in (1, 2):
        edited(Bill(number=number), {"name": "ada"})


def refused_for(model: Any) -> Any:
    return pytest.raises(OptionsError) if model is Bill else nullcontext()


def everything() -> int:
    return me.get_db().history.count_documents({})


@pytest.mark.parametrize("value", OPERATORS, ids=repr)
@pytest.mark.parametrize("model", [Page, Bill])
class TestAKey:
    """It finds nothing, or is refused where no value of its kind can be a key."""

    def test_it_finds_nothing(self, pages: None, model: Any, value: Any) -> None:
        with refused_for(model):
            assert History.objects.of(model, value).count() == 0
            assert list(History.objects.of(model, value)) == []
        with refused_for(model):
            assert Version.objects.of(model, value).count() == 0
        with refused_for(model):
            assert len(history_of(model, value)) == 0
        with pytest.raises((LookupError, OptionsError)):
            restore(model, value)

    def test_it_deletes_nothing(self, pages: None, model: Any, value: Any) -> None:
        before = everything()
        for each in (History, Version):
            with refused_for(model):
                assert each.objects.of(model, value).delete() == 0
        assert everything() == before


@pytest.mark.parametrize("value", OPERATORS, ids=repr)
def test_a_document_may_hold_such_a_key_in_memory(pages: None, value: Any) -> None:
    assert History.objects.of(Page(slug=value)).count() == 0


@pytest.mark.parametrize("value", OPERATORS, ids=repr)
def test_an_identity_finds_what_it_answers_for_itself(pages: None, value: Any) -> None:
    assert History.objects.by(value).count() == 0
    assert Version.objects.by(value).count() == 0
    assert History.objects.by(value).delete() == 0
    edited(Page(slug="c"), value)
    assert [record.document_id for record in History.objects.by(value)] == ["c"]


@pytest.mark.parametrize("name", ["document_id", "identity", "data", "data__new", "metadata__user"])
@pytest.mark.parametrize("value", OPERATORS, ids=repr)
def test_equality_in_a_query_takes_values(pages: None, name: str, value: Any) -> None:
    for equal in (name, f"{name}__exact"):
        assert History.objects(**{equal: value}).count() == 0
        assert History.objects(**{equal: value}).delete() == 0
    assert History.objects.count() == 4


def test_operators_are_said_by_name(pages: None) -> None:
    assert History.objects(document_id__in=["a", 2]).count() == 2
    assert History.objects(document_id__ne="a").count() == 3
    assert History.objects(identity__name="ada").count() == 2
    assert History.objects(identity={"name": "ada"}).count() == 2
    assert History.objects(__raw__={"document_id": {"$ne": "a"}}).count() == 3


@pytest.mark.parametrize("value", UNENCODABLE, ids=repr)
def test_what_cannot_be_stored_is_refused(pages: None, value: Any) -> None:
    asks = (History.objects.of, Version.objects.of, history_of, restore)
    for ask in asks:
        with pytest.raises(OptionsError):
            ask(Page, value)
    for questions in (History.objects, Version.objects):
        with pytest.raises(OptionsError):
            questions.by(value)


def test_what_no_record_could_carry_is_refused(pages: None) -> None:
    deep: Any = "a"
    for _ in range(200):
        deep = {"a": deep}
    for value in (deep, "a" * 2_000_000):
        with pytest.raises(OptionsError):
            History.objects.of(Page, value)
        with pytest.raises(OptionsError):
            History.objects.by(value)


@pytest.mark.parametrize("value", [*OPERATORS, None, "a", "5" * 24], ids=repr)
def test_the_id_of_a_changeset_is_an_id(pages: None, value: Any) -> None:
    with pytest.raises(OptionsError):
        revert_changeset(value)


@pytest.mark.parametrize("number", [2**63, 10**30, -(10**30)])
def test_a_number_that_no_revision_can_have_is_refused(pages: None, number: int) -> None:
    page = Page.objects.get(slug="a")
    timeline = history_of(Page, "a")
    asks = (timeline.__getitem__, timeline.state, timeline.at, timeline.compare)
    for ask in asks:
        with pytest.raises(OptionsError):
            ask(number)
    with pytest.raises(OptionsError):
        undo(page, number)
    with pytest.raises(OptionsError):
        revert(page, revision=number)
