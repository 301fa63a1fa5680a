"""What a document as it was refers to: as it stood then, where that is asked for."""

from __future__ import annotations

import time
import warnings
from datetime import datetime, timezone
from typing import Any

import mongoengine as me
import pytest
from bson import DBRef
from mongoengine import Document, EmbeddedDocument
from support.changes import automatic

from mongoengine_history import HistoryWarning, as_of, history_of, untracked
from mongoengine_history.read.references import References


class Buyer(Document):
    meta = {"collection": "referred_buyers", "auto_create_index": False}
    name = me.StringField()


class Stranger(Document):
    meta = {"collection": "referred_strangers", "auto_create_index": False}
    name = me.StringField()


class Part(EmbeddedDocument):
    seller = me.ReferenceField(Buyer)


class Deal(Document):
    meta = {"collection": "referring_deals", "auto_create_index": False}
    text = me.StringField()
    buyer = me.ReferenceField(Buyer)
    linked = me.ReferenceField(Buyer, dbref=True)
    others = me.ListField(me.ReferenceField(Buyer))
    by_name = me.MapField(me.ReferenceField(Buyer))
    anything = me.GenericReferenceField()
    part = me.EmbeddedDocumentField(Part)
    lazy = me.LazyReferenceField(Buyer)
    stranger = me.ReferenceField(Stranger)


tracking = automatic(Buyer, Deal)


@pytest.fixture
def buyer(database: Any) -> Buyer:
    return Buyer(name="old").save()


def moment() -> datetime:
    now = datetime.now(timezone.utc)
    time.sleep(0.002)
    return now


def deal(buyer: Buyer) -> Deal:
    return Deal(
        buyer=buyer,
        linked=buyer,
        others=[buyer, buyer],
        by_name={"a": buyer},
        anything=buyer,
        part=Part(seller=buyer),
        lazy=buyer,
    ).save()


def names(found: Deal) -> list[str]:
    each = [found.buyer, found.linked, *found.others, found.by_name["a"], found.anything]
    return [it.name for it in (*each, found.part.seller)]


def test_they_are_as_of_then_wherever_they_stand(buyer: Buyer) -> None:
    made = deal(buyer)
    then = moment()
    buyer.update(name="new")
    timeline = history_of(made)
    [by_class] = as_of(Deal, then, references=True)
    for found in (timeline.at(1, references=True), timeline.as_of(then, references=True), by_class):
        assert found
        assert names(found) == ["old"] * 7
        assert found._get_changed_fields() == []
        assert found.lazy.fetch().name == "new"  # which the application loads by itself
    assert names(timeline.at(1)) == ["new"] * 7


def test_what_is_gone_since_comes_back(buyer: Buyer) -> None:
    made = deal(buyer)
    buyer.delete()
    assert names(history_of(made).at(1, references=True)) == ["old"] * 7


def test_each_is_read_once(buyer: Buyer, commands: Any) -> None:
    for _ in range(3):
        deal(buyer)
    then = moment()
    commands.clear()
    assert len(list(as_of(Deal, then))) == 3
    without = len(commands.names)
    commands.clear()
    assert [names(it) for it in as_of(Deal, then, references=True)] == [["old"] * 7] * 3  # type: ignore[arg-type]
    assert len(commands.names) - without <= 4  # of seven references each


def test_before_the_first_revision_it_is_the_moment_before(buyer: Buyer) -> None:
    with untracked():
        made = deal(buyer)
    buyer.update(name="new")
    made.update(text="a")
    assert names(history_of(made).at(0, references=True)) == ["new"] * 7


def test_of_one_without_a_history_it_is_said(buyer: Buyer) -> None:
    stranger = Stranger(name="old").save()
    made = Deal(stranger=stranger).save()
    stranger.update(name="new")
    with pytest.warns(HistoryWarning, match="Stranger.*is as it is today: it has no history"):
        found = history_of(made).at(1, references=True)
    assert found.stranger.name == "new"


def test_one_that_was_not_there_yet_stays_a_reference(buyer: Buyer) -> None:
    made = Deal(text="a").save()
    then = moment()
    later = Buyer(name="later").save()
    Deal._get_collection().update_one({"_id": made.pk}, {"$set": {"buyer": later.pk}})
    made.reload()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = history_of(made).as_of(then, references=True)
    assert found
    assert found.buyer is None


@pytest.mark.parametrize(
    "stored",
    [{"_cls": "NoSuchClass", "_ref": DBRef("x", 1)}, {"_cls": 5, "_ref": DBRef("x", 1)},
     {"_cls": "Buyer", "_ref": 7}, {"_cls": "Buyer"}, {"a": 1}],
)  # fmt: skip
def test_what_refers_to_nothing_stays_as_it_is_and_that_is_said(buyer: Buyer, stored: Any) -> None:
    made = deal(buyer).save()
    found = history_of(made).at(1)
    found._data["anything"] = stored
    with pytest.warns(HistoryWarning, match="names nothing that is known"):
        References(moment()).load(found)
    assert found._data["anything"] == stored
    assert found.buyer == buyer
