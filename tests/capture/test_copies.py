"""Copies of what writes: they can be made, or not, as where nothing is recorded, and record."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import mongoengine as me
import pytest
from mongoengine import Document

from mongoengine_history import history_of, track_history


class Sketch(Document):
    text = me.StringField()


@track_history
class Drawing(Document):
    text = me.StringField()


COPIES: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda it: pickle.loads(pickle.dumps(it)),
}

COPIED: dict[str, Callable[[Any], Any]] = {
    "collection": lambda it: it._get_collection(),
    "collection with options": lambda it: it._get_collection().with_options(),
    "database": lambda it: it._get_db(),
    "class": lambda it: it,
    "manager": lambda it: it.objects,
    "queryset": lambda it: it.objects(text="a"),
    "queryset that was read": lambda it: read(it.objects(text="a")),
    "document": lambda it: it.objects.get(),
}


def read(queryset: Any) -> Any:
    list(queryset)
    return queryset


def made(how: str, what: str, model: Any) -> str:
    """Tell what a copy is, or why it cannot be made."""
    try:
        it = COPIES[how](COPIED[what](model))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return type(it).__name__.replace("Recording", "").replace("Drawing", "Sketch")


@pytest.fixture(autouse=True)
def stored(database: Any) -> None:
    for model in (Sketch, Drawing):
        model(text="a").save()


@pytest.mark.parametrize("what", COPIED)
@pytest.mark.parametrize("how", COPIES)
def test_what_can_be_copied_is_what_could_be_before(how: str, what: str) -> None:
    assert made(how, what, Drawing) == made(how, what, Sketch)


@pytest.mark.parametrize("what", ["manager", "queryset", "queryset that was read"])
@pytest.mark.parametrize("how", COPIES)
def test_a_copied_queryset_records(how: str, what: str) -> None:
    copied = COPIES[how](COPIED[what](Drawing))
    drawing = copied.first()
    copied.update(text="b")
    assert [it.operation for it in history_of(drawing)] == ["create", "update"]


@pytest.mark.parametrize("how", COPIES)
def test_a_copied_document_records(how: str) -> None:
    copied = COPIES[how](Drawing.objects.get())
    copied.text = "b"
    copied.save()
    assert [it.operation for it in history_of(copied)] == ["create", "update"]
