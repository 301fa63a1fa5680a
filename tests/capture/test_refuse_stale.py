"""``refuse_stale``: a save overwrites nothing that its writer has not seen."""

from __future__ import annotations

from typing import Any

import pytest
from support.documents import fields_of, raw, without_id
from support.stale import Card, Edit, PlainCard, by_another, loaded, put, refused, told, tracked_by

from mongoengine_history import ABSENT, DocumentTrack, history_of

way = tracked_by(Card)

STORED: dict[str, Any] = {
    "text": "a",
    "c": 1,
    "tags": ["x", "y"],
    "facts": {"k": 1, "l": 2, "deep": {"k": 1}, "list": [1, {"k": 1}]},
    "lines": [{"sku": "s", "qty": 1}, {"sku": "t", "qty": 2}],
    "address": {"s": "street", "city": "city"},
}

FACTS = STORED["facts"]
TURNED = dict(reversed(FACTS.items()))


def item_of_list(card: Any) -> None:
    card.tags[0] = "b"


def item_of_embedded_list(card: Any) -> None:
    card.lines[0].qty = 5


def item_of_list_in_dict(card: Any) -> None:
    card.facts["list"][1]["k"] = 5


def key_taken_out(card: Any) -> None:
    del card.facts["k"]


STALE: dict[str, tuple[Edit, dict[str, Any], str, Any, Any]] = {
    "a scalar": (put(text="b"), {"$set": {"text": "z"}}, "text", "a", "z"),
    "a stored name": (put(count=2), {"$set": {"c": 9}}, "c", 1, 9),
    "another type": (put(text="b"), {"$set": {"text": 5}}, "text", "a", 5),
    "taken away": (put(text="b"), {"$unset": {"text": 1}}, "text", "a", ABSENT),
    "a default": (put(size=8), {"$set": {"size": 9}}, "size", 7, 9),
    "made": (put(other="b"), {"$set": {"other": "z"}}, "other", ABSENT, "z"),
    "made empty": (put(other="b"), {"$set": {"other": ""}}, "other", ABSENT, ""),
    "unset": (put(text=None), {"$set": {"text": "z"}}, "text", "a", "z"),
    "a key": (put(facts__k=5), {"$set": {"facts.k": 9}}, "facts.k", 1, 9),
    "a deep key": (put(facts__deep__k=5), {"$set": {"facts.deep.k": 9}}, "facts.deep.k", 1, 9),
    "a key taken out": (key_taken_out, {"$set": {"facts.k": 9}}, "facts.k", 1, 9),
    "a key made": (put(facts__n=5), {"$set": {"facts.n": 9}}, "facts.n", ABSENT, 9),
    "a key made null": (put(facts__n=5), {"$set": {"facts.n": None}}, "facts.n", ABSENT, None),
    "a key made a list": (put(facts__n=5), {"$set": {"facts.n": []}}, "facts.n", ABSENT, []),
    "a key gone": (put(facts__k=5), {"$unset": {"facts.k": 1}}, "facts.k", 1, ABSENT),
    "a key of another type": (put(facts__k=5), {"$set": {"facts.k": True}}, "facts.k", 1, True),
    "a key null": (put(facts__k=5), {"$set": {"facts.k": None}}, "facts.k", 1, None),
    "a key a dict": (put(facts__k=5), {"$set": {"facts.k": {"a": 1}}}, "facts.k", 1, {"a": 1}),
    "a dict gone": (put(facts__k=5), {"$unset": {"facts": 1}}, "facts.k", 1, ABSENT),
    "a dict": (put(facts={"k": 5}), {"$set": {"facts": {"k": 1}}}, "facts", FACTS, {"k": 1}),
    "a dict in another order": (
        *(put(facts={"k": 5}), {"$set": {"facts": TURNED}}),
        *("facts", FACTS, TURNED),
    ),
    "a list": (put(tags=["b"]), {"$push": {"tags": "z"}}, "tags", ["x", "y"], ["x", "y", "z"]),
    "an item": (item_of_list, {"$set": {"tags.1": "z"}}, "tags", ["x", "y"], ["x", "z"]),
    "an emptied list": (put(tags=[]), {"$pull": {"tags": "x"}}, "tags", ["x", "y"], ["y"]),
    "a list emptied": (put(tags=["b"]), {"$set": {"tags": []}}, "tags", ["x", "y"], []),
    "a list gone": (put(tags=["b"]), {"$unset": {"tags": 1}}, "tags", ["x", "y"], ABSENT),
    "a list of a dict": (
        *(item_of_list_in_dict, {"$push": {"facts.list": 2}}),
        *("facts.list", [1, {"k": 1}], [1, {"k": 1}, 2]),
    ),
    "an embedded list": (
        *(item_of_embedded_list, {"$set": {"lines.1.qty": 9}}),
        *("lines", STORED["lines"], [{"sku": "s", "qty": 1}, {"sku": "t", "qty": 9}]),
    ),
    "an embedded document": (
        *(put(address__street="b"), {"$set": {"address.s": "z"}}),
        *("address.s", "street", "z"),
    ),
    "an embedded document gone": (
        *(put(address__street="b"), {"$unset": {"address": 1}}),
        *("address.s", "street", ABSENT),
    ),
    "one of several": (put(text="b", count=2, other="c"), {"$set": {"c": 9}}, "c", 1, 9),
}
"""What is edited, what another one does, and where what was seen, and is found."""

FINE: dict[str, tuple[Edit, dict[str, Any]]] = {
    "nothing": (put(text="b", tags=[], facts={}), {}),
    "another field": (put(text="b"), {"$set": {"c": 9, "tags": [], "more": 1}}),
    "another key": (put(facts__k=5), {"$set": {"facts.l": 9, "facts.new": 1}}),
    "a key taken out beside it": (key_taken_out, {"$unset": {"facts.l": 1}}),
    "a key beside a deep one": (put(facts__deep__k=5), {"$set": {"facts.deep.l": 9}}),
    "another list": (item_of_list, {"$push": {"facts.list": 2}}),
    "beside it in an embedded document": (put(address__city="b"), {"$set": {"address.s": "z"}}),
    "the same value": (put(text="b"), {"$set": {"text": "a"}}),
    "there and back": (put(facts__k=5), {"$set": {"facts.k": 1}}),
    "the order of fields": (put(text="b"), {"$rename": {"lines": "elsewhere"}}),
    "a default that is stored now": (put(size=8), {"$set": {"size": 7}}),
    "null instead of nothing": (put(other="b"), {"$set": {"other": None}}),
}
"""What is edited, and what another one does that is no reason to refuse it."""

EMPTY: dict[str, tuple[Edit, dict[str, Any]]] = {
    "text": (put(text="b"), {"text": None}),
    "tags": (put(tags=["b"]), {"tags": []}),
    "facts": (put(facts={"b": 1}), {"facts": {}}),
    "lines": (put(lines=[]), {"lines": [{}]}),
    "size": (put(size=8), {"size": None}),
}
"""What is edited, and values that look like nothing, or like a default."""


@pytest.mark.parametrize("case", STALE)
def test_what_another_writer_changed_since_is_not_overwritten(case: str) -> None:
    edit, change, path, was, found = STALE[case]
    card = loaded(Card, STORED)
    with DocumentTrack(card, "ann", refuse_stale=True):
        edit(card)
        by_another(card, change)
        error = refused(card)
    assert (error.document_id, error.path) == (card.pk, tuple(path.split(".")))
    assert (told(error.seen), told(error.found)) == (told(was), told(found))


@pytest.mark.parametrize("case", FINE)
def test_what_nobody_else_has_changed_is_written(way: str, case: str) -> None:
    edit, change = FINE[case]
    card, plain = loaded(Card, STORED), loaded(PlainCard, STORED)
    with DocumentTrack(card, "ann", refuse_stale=True):
        for each in (card, plain):
            edit(each)
            if change:
                by_another(each, change)
            each.save()
    assert fields_of(raw(card)) == fields_of(raw(plain))
    assert len(history_of(card)) == (way != "neither")


@pytest.mark.parametrize("name", EMPTY)
def test_what_memory_shows_as_nothing_or_as_a_default_may_be_stored_either_way(name: str) -> None:
    """So it is written over any of the two, also by the second save of a block."""
    edit, there = EMPTY[name]
    for state in ({}, there):
        card = loaded(Card, state)
        with DocumentTrack(card, refuse_stale=True):
            edit(card)
            card.save()
            card.text = "second"
            card.save()
        plain = loaded(PlainCard, state)
        edit(plain)
        plain.save()
        plain.text = "second"
        plain.save()
        assert without_id(fields_of(raw(card))) == without_id(fields_of(raw(plain)))


@pytest.mark.parametrize("case", STALE)
def test_a_refused_writer_loads_anew_and_edits_again(way: str, case: str) -> None:
    edit, change, *_ = STALE[case]
    card, plain = loaded(Card, STORED), loaded(PlainCard, STORED)
    by_another(plain, change)
    plain.reload()
    with DocumentTrack(card, "ann", refuse_stale=True):
        edit(card)
        by_another(card, change)
        refused(card)
        card.reload()
        for each in (card, plain):
            try:
                edit(each)
            except (AttributeError, KeyError, TypeError):  # what it edits is gone
                return
            each.save()
    assert fields_of(raw(card)) == fields_of(raw(plain))
    if way != "neither":
        assert [it.identity for it in history_of(card)] == ["ann"]
        assert history_of(card).compare(-1) == []
