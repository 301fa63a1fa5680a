"""Indexes that are gone, that have a like, or that are others: all goes on, and says the same."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import uuid4

import mongoengine as me
import pytest
from mongoengine import Document
from pymongo.collection import Collection
from support.binding import binds
from support.changes import automatic
from support.stored_history import history

from mongoengine_history import (
    History,
    IndexesMissingError,
    as_of,
    changeset,
    changeset_of,
    checkpoint,
    deleted,
    history_of,
    prune,
    recent,
    reconcile,
    subscribe,
    verify,
)
from mongoengine_history.record.indexes import HINT

NAME = "history_revision"


class Seal(Document):
    meta = {"collection": "seals", "auto_create_index": False}
    key = me.IntField(primary_key=True)
    text = me.StringField()


tracking = automatic(Seal)


def drop_all(kept: Collection[Any]) -> None:
    kept.drop_indexes()


def add_a_like(kept: Collection[Any]) -> None:
    kept.create_index(HINT, name="by hand")


def replace_by_others(kept: Collection[Any]) -> None:
    kept.drop_indexes()
    kept.create_index(HINT[:3], name=NAME)


def told(*models: type[Document]) -> list[tuple[Any, int]]:
    found = subscribe(uuid4().hex, *models, from_beginning=True, wait=0)
    return [(it.document_id, it.revision.number) for it in islice(found, 5)]


CHANGES = pytest.mark.parametrize("change", [drop_all, add_a_like, replace_by_others])

READS: list[Callable[[Any], Any]] = [
    lambda _: [it.number for it in history_of(Seal, 2)],
    lambda _: history_of(Seal, 2).state(1),
    lambda _: verify(Seal).all,
    lambda _: checkpoint().root,
    lambda _: sorted(it.pk for it in as_of(Seal, datetime.now())),
    lambda _: [it.document_id for it in deleted(Seal)],
    lambda _: [it.document_id for it in recent(Seal).filter(touching="text")],
    lambda own: [it.document_id for it in changeset_of(own)],
    lambda _: reconcile(Seal).looked,
    lambda _: told(Seal),
    lambda _: told(),
]


@pytest.fixture
def written(database: Any) -> Any:
    with changeset("ada") as own:
        for key in (3, 1, 2):
            Seal(key=key, text="a").save()
    Seal.objects.get(pk=1).delete()
    Seal.objects.get(pk=3).update(text="b")
    return own.id


@pytest.fixture(autouse=True)
def as_ever(database: Any) -> Any:
    yield
    history().drop_indexes()
    History.ensure_indexes()


@CHANGES
@pytest.mark.parametrize("read", READS)
def test_reads_say_the_same(
    written: Any, read: Callable[[Any], Any], change: Callable[[Collection[Any]], None]
) -> None:
    usual = read(written)
    change(history())
    assert read(written) == usual


@CHANGES
def test_writes_go_on(written: Any, change: Callable[[Collection[Any]], None]) -> None:
    change(history())
    assert Seal.objects.update(text="c") == 2
    change(history())
    Seal.objects.get(pk=2).modify(text="d")
    change(history())
    Seal.objects.get(pk=2).update(text="e")
    assert [it.number for it in history_of(Seal, 2)] == [1, 2, 3, 4]
    change(history())
    assert prune(Seal, keep=1).shortened == 3
    assert [it.number for it in history_of(Seal, 2)] == [4]
    assert verify(Seal).ok


@binds
@pytest.mark.parametrize(
    "way", [lambda: Seal.objects.get(pk=2).update(text="e"), lambda: len(history_of(Seal, 2))]
)
def test_a_transaction_says_that_they_are_gone_and_the_next_one_has_them(
    written: Any, way: Callable[[], Any]
) -> None:
    history().drop_indexes()
    with pytest.raises(IndexesMissingError, match="ensure_indexes"), changeset(atomic=True):
        way()
    with changeset(atomic=True):
        Seal.objects.get(pk=2).update(text="f")
    assert history_of(Seal, 2).state(-1) == {"text": "f"}


def test_a_list_of_names_is_no_name(written: Any) -> None:
    foreign = {"document_type": ["x", "y"], "document_id": 1, "revision": 1, "position": 0}
    usual = told()
    history().insert_one(foreign)
    assert told() == usual
