"""A class at a moment before it was changed gives what the timeline of each document gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mongoengine as me
import pytest
from support.changes import tracked
from support.moments import now

from mongoengine_history import (
    HistoryWarning,
    Misfit,
    StateMismatchError,
    as_of,
    history_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


def of_sheets(name: str, **options: Any) -> type[me.Document]:
    meta = {"collection": "leaves", "auto_create_index": False, **options}
    made: type[me.Document] = type(name, (me.Document,), {"text": me.StringField(), "meta": meta})
    return made


Plain = of_sheets("PlainLeaf")
Renamed = of_sheets("RenamedLeaf", allow_inheritance=True)
Leaf = of_sheets("Leaf", allow_inheritance=True)


@pytest.fixture(autouse=True)
def tracking(database: Any) -> Iterator[None]:
    with tracked(Plain, Renamed, Leaf):
        yield


@pytest.mark.parametrize("old", [Plain, Renamed])
def test_of_all_is_given_what_is_given_of_one(old: Any) -> None:
    key = old(text="1").save().pk
    when = now()
    Leaf._get_collection().update_many({}, {"$set": {"_cls": "Leaf"}})
    leaf = Leaf.objects.get(pk=key)
    leaf.text = "2"
    leaf.save()
    [found] = as_of(Leaf, when)
    if old is Plain:
        assert found.text == history_of(leaf).as_of(when).text == "1"
    else:  # of which nobody says that it was renamed
        assert isinstance(found, Misfit)
        for look in (lambda: history_of(leaf).as_of(when), lambda: found.text):
            with pytest.raises(StateMismatchError) as caught:
                look()
            assert caught.value.keys == ["_cls"]
    [data] = as_of(Leaf, when, as_data=True)
    assert (data["_id"], data["text"]) == (key, "1")


def test_documents_of_another_class_are_still_left_out() -> None:
    Renamed(text="1").save()
    assert list(as_of(Leaf, now())) == []


def test_a_field_that_is_gone_is_left_out_and_told(database: Any) -> None:
    key = database.leaves.insert_one({"text": "1", "note": "x"}).inserted_id
    with pytest.warns(HistoryWarning, match="note"):
        [found] = as_of(Plain, now())
    assert (found.pk, found.text) == (key, "1")
    [data] = as_of(Plain, now(), as_data=True)
    assert data == {"_id": key, "text": "1", "note": "x"}
