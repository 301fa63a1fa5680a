"""A held history stays whole until it is released."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mongoengine as me
import pytest
from mongoengine import Document
from pymongo import ReadPreference

from mongoengine_history import (
    OptionsError,
    erase,
    history_of,
    hold,
    prune,
    redact,
    release,
    track_history,
    untrack_history,
    verify,
)
from mongoengine_history.record.place import Place


class Deed(Document):
    meta = {"collection": "held_deeds", "auto_create_index": False}
    text = me.StringField()


@pytest.fixture
def deed(database: Any) -> Iterator[Any]:
    track_history(Deed)
    deed = Deed(text="1").save()
    deed.update(set__text="2")
    yield deed
    untrack_history(Deed)


def test_nothing_goes_until_it_is_released(deed: Any) -> None:
    hold(deed, "case 4711")
    assert prune(Deed, keep=1).revisions == 0
    for forget in (lambda: redact(Deed, "text", pk=deed.pk), lambda: erase(deed)):
        with pytest.raises(OptionsError, match="it is held; release it first"):
            forget()
    assert [it.number for it in history_of(deed)] == [1, 2, 3]
    assert release(deed)
    assert not release(deed)
    assert prune(Deed, keep=1).revisions == 3
    assert verify(Deed).ok


def test_the_history_tells_of_both(deed: Any) -> None:
    hold(deed, "case 4711")
    release(deed)
    held, released = list(history_of(deed))[2:]
    assert (held.metadata["kind"], held.reason) == ("hold", "case 4711")
    assert released.metadata["kind"] == "release"


def test_a_document_that_is_gone_is_held_as_well(deed: Any) -> None:
    deed.delete()
    hold(deed, "case 4711")
    assert prune(Deed, keep=1).held == 1


@pytest.mark.parametrize("reason", ["", None, 7])
def test_a_reason_is_a_text(deed: Any, reason: Any) -> None:
    with pytest.raises(OptionsError, match="reason"):
        hold(deed, reason)


def test_holds_are_read_where_the_history_is(database: Any) -> None:
    """A secondary may not know of one yet, whatever the connection reads by."""
    afar = database.with_options(read_preference=ReadPreference.SECONDARY)
    place = Place(Deed, afar["held_deeds"])
    assert place.beside(".holds").read_preference == ReadPreference.PRIMARY
