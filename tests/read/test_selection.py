"""Some revisions of a document: whatever is asked for, they are those that a reader would pick."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import mongoengine as me
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mongoengine import Document
from support.changes import automatic
from support.strategies import examples

from mongoengine_history import OptionsError, Revision, changeset, history_of, record_event

NAMES = ("title", "price", "tags")


class Good(Document):
    meta = {"collection": "picked_goods", "auto_create_index": False}
    title = me.StringField(db_field="t")
    price = me.IntField()
    tags = me.ListField(me.IntField())


tracking = automatic(Good)


@pytest.fixture(autouse=True)
def stored(database: Any) -> None:
    """All is stored in a database of its own."""


def good(steps: list[tuple[str, str | None]]) -> Good:
    """Make one that somebody changes, step by step."""
    made = Good(title="0", price=0, tags=[0]).save()
    for number, (name, who) in enumerate(steps, 1):
        with changeset(who):
            values = {"title": str(number), "price": number, "tags": [number] * 3}
            made.update(**{name: values[name]})
    return made


def touched(revision: Revision, name: str) -> bool:
    stored_name = "t" if name == "title" else name
    return any(it["keys"][0] == stored_name for it in revision.to_dict()["changes"])


STEPS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(["ada", "bob", None])))


@examples(40)
@given(STEPS, st.sampled_from([None, *NAMES]), st.sampled_from([None, "ada"]), st.integers(1, 4))
def test_those_that_are_asked_for_come_in_either_order_and_in_pages(
    database: Any, steps: Any, name: str | None, who: str | None, size: int
) -> None:
    timeline = history_of(good(steps))
    everything = list(timeline)
    middle = everything[len(everything) // 2].at
    wanted = [
        it
        for it in everything
        if (name is None or touched(it, name))
        and (who is None or it.identity == who)
        and it.at >= middle
        and it.operation == "update"
    ]
    found = timeline.filter(by=who, touching=name, between=(middle, None), operation="update")
    assert list(found) == wanted
    assert list(reversed(found)) == wanted[::-1]
    pages, before = [], None
    while page := found.page(before=before, size=size):
        pages += page
        before = page[-1].number
    assert pages == wanted[::-1]


def test_a_page_of_all_is_the_newest_first() -> None:
    timeline = history_of(good([("price", None)] * 9))
    assert [it.number for it in timeline.page(size=4)] == [10, 9, 8, 7]
    assert [it.number for it in timeline.page(before=3)] == [2, 1]
    assert timeline.page(before=1) == []


def test_a_page_takes_as_many_round_trips_whatever_the_length(commands: Any) -> None:
    sent = []
    for count in (1, 60):
        timeline = history_of(good([("price", None)] * count))
        commands.clear()
        timeline.page(size=5)
        sent.append(commands.names)
    assert sent == [["find", "find"]] * 2


def test_operations_may_be_several_and_events_are_told() -> None:
    made = good([("price", "ada")])
    record_event("exported", made)
    made.delete()
    found = history_of(made).filter(operation=["event", "delete"])
    assert [it.operation for it in found] == ["event", "delete"]


def test_what_belongs_to_a_moment_is_within_both_ends() -> None:
    made = good([("price", "ada")] * 2)
    timeline = history_of(made)
    at = timeline[2].at
    assert [it.number for it in timeline.filter(between=(at, at))] == [2]
    late = datetime.now(timezone.utc) + timedelta(days=1)
    assert list(timeline.filter(between=(late, None))) == []
    assert len(list(timeline.filter(between=(None, late)))) == 3


@pytest.mark.parametrize(
    "asked",
    [
        {"touching": "nowhere"},
        {"touching": 3},
        {"between": datetime(2026, 1, 1)},
        {"between": ("a", None)},
        {"between": (None, None, None)},
        {"operation": 3},
        {"operation": {"$ne": "x"}},
        {"by": object()},
        {"by": Good()},
    ],
)
def test_what_cannot_be_asked_for_is_refused(asked: Any) -> None:
    with pytest.raises(OptionsError):
        history_of(good([])).filter(**asked)


@pytest.mark.parametrize("wrong", [{"size": 0}, {"size": 1_001}, {"size": "5"}, {"before": "x"}])
def test_pages_have_sizes(wrong: Any) -> None:
    with pytest.raises(OptionsError, match=next(iter(wrong))):
        history_of(good([])).page(**wrong)
