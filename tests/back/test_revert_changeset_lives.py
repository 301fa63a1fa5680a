"""A law: whatever a changeset did, step by step, is taken back and done again, heard or not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mongoengine as me
import pytest
from hypothesis import example, given, note
from hypothesis import strategies as st
from mongoengine import CASCADE, DENY, NULLIFY, Document, signals
from support.changes import tracked
from support.strategies import examples

from mongoengine_history import changeset, revert_changeset


class Room(Document):
    meta = {"collection": "rl_rooms"}
    key = me.IntField(primary_key=True)
    door = me.IntField(unique=True, sparse=True)
    size = me.IntField()


class Chair(Document):
    meta = {"collection": "rl_chairs"}
    key = me.IntField(primary_key=True)
    room = me.ReferenceField(Room, reverse_delete_rule=DENY)
    size = me.ListField(me.IntField())


class Lamp(Document):
    meta = {"collection": "rl_lamps"}
    key = me.IntField(primary_key=True)
    room = me.ReferenceField(Room, reverse_delete_rule=NULLIFY)
    size = me.IntField()


class Spider(Document):
    meta = {"collection": "rl_spiders"}
    key = me.IntField(primary_key=True)
    room = me.ReferenceField(Room, reverse_delete_rule=CASCADE)
    size = me.IntField()


MODELS = (Room, Chair, Lamp, Spider)

KEYS = st.integers(0, 2)

STEPS = st.one_of(
    st.tuples(st.just("put"), st.sampled_from(MODELS[1:]), KEYS, KEYS),
    st.tuples(st.just("door"), st.just(Room), KEYS, st.integers(0, 3)),
    st.tuples(st.just("size"), st.sampled_from(MODELS), KEYS, KEYS),
    st.tuples(st.just("all"), st.sampled_from(MODELS), KEYS, KEYS),
    st.tuples(st.just("go"), st.sampled_from(MODELS), KEYS, KEYS),
)


@pytest.fixture(autouse=True)
def tracking(database: Any) -> Iterator[None]:
    with tracked(*MODELS):
        for model in MODELS:
            model.ensure_indexes()
        yield


def do(name: str, model: Any, key: int, value: int) -> None:
    """Do a step, if the rules of the application allow it."""
    document = model.objects(key=key).first() or model(key=key)
    is_list = model is Chair
    try:
        if name == "go" and document.size is not None and not document._created:
            document.delete()
        elif name == "all":
            model.objects.update(set__size=[value] if is_list else value)
        elif name == "size":
            document.size = [*document.size, value] if is_list else value
            document.save()
        elif name == "door":
            document.door = value
            document.save()
        elif name == "put":
            document.room = Room.objects(key=value).first()
            document.save()
    except (me.NotUniqueError, me.OperationError):
        pass


def stored() -> list[Any]:
    return [[*model._get_collection().find(sort=[("_id", 1)])] for model in MODELS]


def heard(sender: Any, document: Any, **_: Any) -> None:
    """By hearing signals the application makes documents go one by one."""


CASCADED: Any = {  # a delete rule takes away what has a step of its own
    "before": [("size", Room, 0, 0), ("put", Spider, 0, 0)],
    "steps": [("go", Room, 0, 0), ("put", Spider, 0, 0)],
}


@example(**CASCADED, is_heard=False, in_parts=False)
@example(**CASCADED, is_heard=False, in_parts=True)
@given(
    before=st.lists(STEPS, max_size=8),
    steps=st.lists(STEPS, min_size=1, max_size=14),
    is_heard=st.booleans(),
    in_parts=st.booleans(),
)
@examples(50)
def test_whatever_a_changeset_did_is_taken_back_and_done_again(
    database: Any, before: list[Any], steps: list[Any], is_heard: bool, in_parts: bool
) -> None:
    for model in MODELS:
        model._get_collection().delete_many({})
    for step in before:
        do(*step)
    old = stored()
    with changeset() as done:
        for step in steps:
            do(*step)
    new = stored()
    if old == new:
        return
    signal = (signals.post_save, signals.post_delete) if is_heard else ()
    for each in signal:
        each.connect(heard)
    note(str(revert_changeset(done, dry_run=True)))
    with pytest.MonkeyPatch.context() as patch:
        if in_parts:
            patch.setattr("mongoengine_history.back.revert_changeset.can_transact", lambda _: False)
        own = revert_changeset(done)
        assert stored() == old
        for each in signal:
            each.disconnect(heard)
        revert_changeset(own)
        assert stored() == new
