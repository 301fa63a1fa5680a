"""Blocks of a class that nobody records, and what was made before it was tracked."""

from __future__ import annotations

import warnings
from typing import Any

import mongoengine as me
import pytest
from mongoengine import signals
from support.changes import watch

from mongoengine_history import (
    DocumentTrack,
    HistoryWarning,
    history_of,
    track_changes,
    track_history,
    untrack_history,
    untracked,
)
from mongoengine_history.capture import document_track


class Leaf(me.Document):
    meta = {"collection": "leaves", "auto_create_index": False}
    text = me.StringField()
    number = me.IntField(default=0)


class Branch(me.Document):
    meta = {"collection": "branches", "auto_create_index": False, "allow_inheritance": True}
    text = me.StringField()


class Twig(Branch):
    number = me.IntField(default=0)


@pytest.fixture(autouse=True)
def nobody_was_warned(database: Any) -> None:
    document_track._warned.clear()


def told(document: Any) -> list[str]:
    return [revision.operation for revision in history_of(type(document), document.pk)]


def test_a_save_in_a_block_that_nobody_records_is_warned_of_once() -> None:
    leaf = Leaf(text="a")
    with DocumentTrack(leaf):
        with pytest.warns(HistoryWarning, match="@track_history") as caught:
            leaf.save()
        leaf.text = "b"
        leaf.save()
    other = Leaf()
    with DocumentTrack(other):
        other.save()
    assert [it.filename for it in caught] == [__file__]


@pytest.mark.parametrize("how", ["connected", "a handler", "deletions", "tracked", "untracked"])
def test_who_is_recorded_or_wants_none_of_it_is_not_warned(how: str) -> None:
    if how == "connected":
        watch(Leaf)
    elif how == "a handler":
        signals.post_save.connect(mine, sender=Leaf)
    elif how == "deletions":
        signals.post_delete.connect(track_changes, sender=Leaf)
    elif how == "tracked":
        track_history(Leaf)
    leaf = Leaf(text="a")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if how == "untracked":
            with untracked(), DocumentTrack(leaf):
                leaf.save()
        else:
            with DocumentTrack(leaf):
                leaf.save()
    if how == "tracked":
        untrack_history(Leaf)


def mine(sender: Any, document: Any, **said: Any) -> None:
    """Record, as a handler of the application does."""
    track_changes(sender, document, **said)


def test_who_only_refuses_stale_copies_is_not_warned() -> None:
    leaf = Leaf(text="a").save()
    with DocumentTrack(leaf, refuse_stale=True):
        leaf.text = "b"
        leaf.save()


def test_what_was_taken_before_the_class_was_tracked_records() -> None:
    queryset, collection = Leaf.objects, Leaf._get_collection()
    limited = Leaf.objects(number__gte=0)
    other = collection.with_options()
    track_history(Leaf)
    leaf = Leaf(text="a").save()
    queryset.update(inc__number=1)
    limited.update(inc__number=1)
    collection.update_one({"_id": leaf.pk}, {"$inc": {"number": 1}})
    other.update_one({"_id": leaf.pk}, {"$inc": {"number": 1}})  # PyMongo's own: nobody sees it
    queryset.filter(id=leaf.id).delete()
    assert told(leaf) == ["create", "update", "update", "update", "delete"]
    untrack_history(Leaf)
    collection.insert_one({"text": "b"})
    assert Leaf.objects(text="b").count() == 1
    assert not told(Leaf.objects.get(text="b"))


def test_nothing_else_records_then() -> None:
    base, twigs = Branch.objects, Twig.objects
    twig = Twig(number=1).save()
    track_history(Twig)
    twigs.update(inc__number=1)
    assert told(twig) == ["update"]
    base.update(set__text="a")
    assert told(twig) == ["update"]
    untrack_history(Twig)


def angry(*_: Any, **__: Any) -> None:
    raise RuntimeError


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("how", ["a block", "no end", "tracked"])
def test_a_deletion_is_recorded_whatever_other_receivers_raise(first: bool, how: str) -> None:
    receivers = [angry, track_changes] if first else [track_changes, angry]
    signals.post_save.connect(track_changes, sender=Leaf)
    for receiver in receivers:
        signals.post_delete.connect(receiver, sender=Leaf)
    if how == "tracked":
        track_history(Leaf)
    leaf = Leaf(text="a")
    block = DocumentTrack(leaf)
    leaf.save()
    with pytest.raises(RuntimeError):
        leaf.delete()
    if how == "a block":
        block.__exit__()
    if how == "tracked":
        untrack_history(Leaf)
    assert told(leaf) == ["create", "delete"]
