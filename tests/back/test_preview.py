"""What saving will record, said before: the same as what it records then."""

from __future__ import annotations

from typing import Any

import mongoengine as me
import pytest
from support.changes import automatic

from mongoengine_history import (
    OptionsError,
    changeset,
    history_of,
    preview,
    restore,
    revert,
    undo,
)


class Parcel(me.Document):
    name = me.StringField()
    weight = me.IntField()
    tags = me.ListField(me.StringField())
    code = me.StringField()
    meta = {"history": {"mask": ["code"]}}


recording = automatic(Parcel)


@pytest.fixture
def parcel(database: Any, recording: None) -> Parcel:
    made = Parcel(name="a", weight=1, tags=["x"], code="first").save()
    made.modify(name="b", tags=["x", "y"])
    made.modify(weight=2, code="second")
    return made


@pytest.mark.parametrize(
    "back",
    [lambda it: revert(it, revision=1), lambda it: undo(it, 2), lambda it: undo(it, 3)],
)
def test_it_is_what_is_recorded_then(parcel: Parcel, back: Any) -> None:
    back(parcel)
    with changeset("ann", reason="wrong"):
        said = preview(parcel)
        assert len(history_of(parcel)) == 3
        parcel.save()
    done = history_of(parcel)[-1]
    assert [*map(repr, said.patches)] == [*map(repr, done.patches)]
    names = ("number", "operation", "identity", "reason")
    assert [getattr(said, it) for it in names] == [getattr(done, it) for it in names]


def test_a_restoration_is_foretold_as_a_whole(parcel: Parcel) -> None:
    parcel.delete()
    again = restore(Parcel, parcel.pk)
    said = preview(again)
    again.save()
    assert (said.number, said.operation) == (5, "restore")
    assert [*map(repr, said.patches)] == [*map(repr, history_of(again)[-1].patches)]


def test_what_is_masked_is_not_told(parcel: Parcel) -> None:
    Parcel.objects.update(set__code="third")
    assert "third" not in repr(preview(revert(parcel, revision=1)))
    assert "second" not in repr(preview(undo(parcel, 2)))


def test_nothing_to_save_changes_nothing(parcel: Parcel) -> None:
    assert preview(parcel).patches == ()
    assert preview(revert(parcel, revision=3)).patches == ()


def test_another_write_since_shows_in_its_number(parcel: Parcel) -> None:
    revert(parcel, revision=1)
    assert preview(parcel).number == 4
    Parcel.objects.update(inc__weight=1)
    assert preview(parcel).number == 5


def test_only_documents_have_one() -> None:
    with pytest.raises(OptionsError, match="one of its documents"):
        preview(Parcel)
