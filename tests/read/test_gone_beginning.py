"""The oldest revisions are gone: no moment gets a state that it had not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import mongoengine as me
import pytest
from mongoengine import Document

from mongoengine_history import (
    History,
    Misfit,
    RevisionPrunedError,
    as_of,
    backfill,
    history_of,
    prune,
    revert,
    track_history,
    untrack_history,
)
from mongoengine_history.record import states


class Leaf(Document):
    meta = {"collection": "leaves_gone", "auto_create_index": False}
    number = me.IntField()
    tags = me.ListField(me.StringField())


@pytest.fixture
def leaf(database: Any) -> Iterator[Any]:
    """A document that was there before it was tracked, so that there is a version 0."""
    leaf = Leaf(number=0, tags=["a"]).save()
    track_history(Leaf, version_every=4)
    for number in range(1, 4):
        leaf.number = number
        leaf.save()
    yield leaf
    untrack_history(Leaf)


def moment() -> datetime:
    time.sleep(0.002)
    now = datetime.now()
    time.sleep(0.002)
    return now


def test_the_state_before_all_is_not_given_for_a_moment_after_it(leaf: Any) -> None:
    when = moment()
    leaf.number = 4
    leaf.save()
    History.objects.between(until=when).delete()
    for read in (
        lambda: history_of(leaf).as_of(when),
        lambda: history_of(leaf).state(0),
        lambda: revert(Leaf.objects.get(), when),
    ):
        with pytest.raises(RevisionPrunedError) as caught:
            read()
        assert caught.value.oldest == 4
    [found] = as_of(Leaf, when)
    assert isinstance(found, Misfit)
    assert isinstance(found.error, RevisionPrunedError)


def test_what_was_only_kept_is_read_as_it_was(database: Any) -> None:
    leaf = Leaf(number=1).save()
    assert backfill(Leaf) == 1
    assert history_of(leaf).state(0) == {"number": 1, "tags": []}
    assert [it.number for it in as_of(Leaf, datetime.now())] == [1]


@pytest.mark.parametrize("number", [5, 6])
def test_a_version_may_go_while_it_is_read(
    leaf: Any, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    for each in range(4, 7):
        leaf.number = each
        leaf.save()
    own, calls = states._version_near, iter([True])

    def pruned_behind(*args: Any) -> Any:
        found = own(*args)
        if next(calls, False):
            prune(Leaf, keep=2)
        return found

    before = history_of(leaf).state(number)
    monkeypatch.setattr(states, "_version_near", pruned_behind)
    assert history_of(leaf).state(number) == before
