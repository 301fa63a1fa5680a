"""What is gone of a class and can be brought back."""

from __future__ import annotations

from typing import Any

import mongoengine as me
import pytest
from mongoengine import Document
from support.changes import automatic

from mongoengine_history import OptionsError, changeset, deleted, record_event, restore, untracked


class Bin(Document):
    meta = {"collection": "emptied_bins", "allow_inheritance": True, "auto_create_index": False}
    name = me.StringField()


class RedBin(Bin):
    lid = me.StringField()


tracking = automatic(Bin)


@pytest.fixture
def bins(database: Any) -> list[Bin]:
    return [(RedBin if number % 2 else Bin)(name=str(number)).save() for number in range(4)]


def names(model: Any) -> list[str]:
    return sorted(restore(model, it.document_id).name for it in deleted(model))


def test_each_is_told_with_who_deleted_it(bins: list[Bin]) -> None:
    assert list(deleted(Bin)) == []
    with changeset("ada", reason="full"):
        bins[0].delete()
        bins[1].delete()
    found = list(deleted(Bin))
    assert {it.document_id for it in found} == {bins[0].pk, bins[1].pk}
    assert {it.document_type for it in found} == {"emptied_bins"}
    assert {(it.revision.operation, it.revision.identity, it.revision.reason) for it in found} == {
        ("delete", "ada", "full")
    }


def test_a_subclass_has_its_own(bins: list[Bin]) -> None:
    Bin.objects.delete()
    assert names(Bin) == ["0", "1", "2", "3"]
    assert names(RedBin) == ["1", "3"]


def test_what_was_deleted_past_the_history_is_among_them(bins: list[Bin]) -> None:
    with untracked():
        bins[0].delete()
    assert [it.revision.operation for it in deleted(Bin)] == ["create"]
    assert names(Bin) == ["0"]


def test_what_came_back_is_not(bins: list[Bin]) -> None:
    bins[0].delete()
    record_event("missed", bins[0])
    assert [it.revision.operation for it in deleted(Bin)] == ["event"]
    restore(Bin, bins[0].pk).save()
    assert list(deleted(Bin)) == []


def test_a_class_is_wanted() -> None:
    with pytest.raises(OptionsError):
        deleted(Bin())  # type: ignore[arg-type]
