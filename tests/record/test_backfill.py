"""A version of each document that is there already, whatever is written later."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import bson
import mongoengine as me
import pytest
from bson import DBRef, Decimal128, Int64, ObjectId, Timestamp
from bson.raw_bson import RawBSONDocument
from hypothesis import given
from hypothesis import strategies as st
from mongoengine import Document, signals
from pymongo.errors import OperationFailure
from support.binding import binds, need_binding
from support.strategies import examples, states

from mongoengine_history import (
    DocumentTrack,
    History,
    OptionsError,
    RevisionNotFoundError,
    as_of,
    backfill,
    changeset,
    history_of,
    restore,
    revert,
    track_changes,
    track_history,
    untrack_history,
    untracked,
)
from mongoengine_history.record.backfill import _insert, _keep_here, _revision
from mongoengine_history.record.layout import LARGEST_VALUE, documents_of_version, state_of
from mongoengine_history.record.place import Place
from mongoengine_history.state.values import WIRE, encode

Model = type[Document]


class Old(me.DynamicDocument):
    meta = {"collection": "bf_old", "auto_create_index": False}
    key = me.DynamicField(primary_key=True)
    name = me.StringField()


class Kept(Document):
    meta = {"collection": "bf_base", "allow_inheritance": True, "auto_create_index": False}
    name = me.StringField()


class KeptSecret(Kept):
    meta = {"history": {"exclude": ["code"]}}
    code = me.StringField()


class KeptCard(Document):
    meta = {"collection": "bf_cards", "auto_create_index": False}
    name = me.StringField()
    number = me.StringField(required=True)
    code = me.StringField()


class Never(Document):
    meta = {"collection": "bf_never", "history": {"version_every": 0}}


class Told(Exception):  # noqa: N818  # it ends nothing
    """Stops it on its way."""


@pytest.fixture
def tracked(database: Any) -> Iterator[None]:
    track_history(Old), track_history(KeptCard, exclude="number", mask="code")
    yield
    untrack_history(Old), untrack_history(KeptCard)


def filled(model: Model, documents: list[Any]) -> None:
    model._get_db()[model._get_collection_name()].insert_many(documents)


def versions(model: Model) -> dict[bytes, list[dict[str, Any]]]:
    """All that is kept of each document, whole, by its key."""
    found: dict[bytes, list[dict[str, Any]]] = {}
    history = History._get_collection().with_options(codec_options=WIRE)
    mine = {"document_type": model._get_collection_name()}
    for document in history.find(mine).sort([("revision", 1), ("position", 1)]):
        found.setdefault(encode(document["document_id"]), []).append(document)
    return found


def raws(model: Model) -> dict[bytes, bytes]:
    """What is stored of each document but its key, to the byte."""
    codec = WIRE.with_options(document_class=RawBSONDocument)
    collection = model._get_db()[model._get_collection_name()].with_options(codec_options=codec)
    found = [bson.decode(it.raw, WIRE) for it in collection.find()]
    return {encode(it.pop("_id")): encode(it) for it in found}


def is_kept(model: Model) -> bool:
    """Whether each document has one version 0, and that is what is stored."""
    kept = versions(model)
    assert all(it["revision"] == 0 for found in kept.values() for it in found)
    return {key: encode(state_of(found)) for key, found in kept.items()} == raws(model)


KEYS = [
    *(None, True, 1, 2.5, Int64(2**40), Decimal128("0.1"), "", "a", "b", b"x", ObjectId()),
    *({}, {"a": 1, "b": [2]}, {"b": [2], "a": 1}, datetime(2020, 1, 1), Timestamp(1, 1)),
    *(uuid.UUID(int=1), DBRef("c", 1), -1, float("inf"), bson.MinKey(), bson.MaxKey()),
]
"""Primary keys of all types, in no order."""


@pytest.mark.parametrize("size", [1, 2, 3, 7, 10_000])
def test_each_document_gets_the_version_0_that_is_stored(
    tracked: None, monkeypatch: Any, size: int
) -> None:
    """Whatever the types of the keys are, and how many are gone through at once."""
    monkeypatch.setattr("mongoengine_history.record.backfill.CHUNK", size)
    filled(Old, [{"_id": key, "b": n, "a": {"y": [key], "x": n}} for n, key in enumerate(KEYS)])
    told: list[int] = []
    assert backfill(Old, told.append) == len(KEYS)
    assert told == [*range(size, len(KEYS), size), len(KEYS)]
    assert is_kept(Old)


def from_here(model: Model) -> None:
    _keep_here(Place(model), {})


@given(st.lists(states, min_size=1, max_size=5))
@examples(40)
def test_any_state_is_kept_to_the_byte(tracked: None, database: Any, drawn: Any) -> None:
    keys = [ObjectId() for _ in drawn]
    for keep in (backfill, from_here):
        database["bf_old"].delete_many({})
        database["history"].delete_many({})
        documents = [{"_id": key, **state} for key, state in zip(keys, drawn, strict=True)]
        codec = database.codec_options.with_options(document_class=dict)
        database["bf_old"].with_options(codec_options=codec).insert_many(documents)
        keep(Old)
        assert is_kept(Old)


def test_called_again_it_does_nothing(tracked: None, commands: Any) -> None:
    filled(Old, [{"_id": n} for n in range(5)])
    backfill(Old)
    known = versions(Old)
    Old._get_db()["bf_old"].update_many({}, {"$set": {"name": "drift"}})
    assert backfill(Old) == 5
    assert versions(Old) == known


@pytest.mark.parametrize("model", [Old, KeptCard])
def test_it_goes_on_where_it_was_stopped(tracked: None, monkeypatch: Any, model: Model) -> None:
    monkeypatch.setattr("mongoengine_history.record.backfill.CHUNK", 3)
    filled(model, [{"_id": ObjectId(f"{n:024x}"), "name": str(n)} for n in range(10)])

    def stop(done: int) -> None:
        if done == 6:
            raise Told

    with pytest.raises(Told):
        backfill(model, stop)
    assert len(versions(model)) == 6
    assert backfill(model) == 10
    assert is_kept(model)


@pytest.mark.parametrize("model", [Old, KeptCard])
def test_documents_that_have_a_history_are_left_alone(tracked: None, model: Model) -> None:
    filled(model, [{"_id": ObjectId(f"{n:024x}"), "name": "a"} for n in range(4)])
    by_save, by_query, by_1_1, _ = model.objects.order_by("pk")
    by_save.name = "b"
    by_save.save(validate=False)
    model.objects(pk=by_query.pk).update(name="b")
    created = datetime(2020, 1, 1)
    record = {"document_type": model._get_collection_name(), "document_id": by_1_1.pk}
    History._get_collection().insert_one({**record, "action": "change", "created_at": created})
    known = versions(model)
    assert backfill(model) == 4
    now = versions(model)
    assert {key: now[key] for key in known} == known
    assert len(now) == 4


@pytest.mark.parametrize("kind", ["save", "query", "save in a transaction", "block"])
def test_the_first_revision_takes_the_place_of_the_version(database: Any, kind: str) -> None:
    """It has the state that the write found, though the document was changed meanwhile."""
    if "transaction" in kind:
        need_binding()
    if kind == "block":
        signals.post_save.connect(track_changes, sender=Old)
    else:
        track_history(Old)
    try:
        filled(Old, [{"_id": 1, "name": "a"}, {"_id": 2, "name": "a"}])
        backfill(Old)
        database["bf_old"].update_many({}, {"$set": {"name": "drift"}})
        first = Old.objects.get(key=1)
        with changeset(atomic="transaction" in kind), DocumentTrack(first):
            if kind == "query":
                Old.objects(key=1).update(name="b")
            else:
                first.name = "b"
                first.save()
    finally:
        if kind != "block":
            untrack_history(Old)
    own = versions(Old)[encode(1)]
    assert [(it["revision"], it["position"]) for it in own] == [(0, -1), (1, 0)]
    timeline = history_of(Old, 1)
    assert (timeline.state(0), timeline.state(1)) == ({"name": "drift"}, {"name": "b"})
    assert history_of(Old, 2).state(0) == {"name": "a"}
    assert revert(first, revision=0).name == "drift"


def test_a_deletion_as_the_first_revision_keeps_the_state_it_found(tracked: None) -> None:
    filled(Old, [{"_id": n, "name": "a"} for n in (1, 2)])
    backfill(Old)
    Old.objects.get(key=1).delete()
    Old.objects(key=2).delete()
    for key in (1, 2):
        assert [it.operation for it in history_of(Old, key)] == ["delete"]
        assert history_of(Old, key).state(0) == {"name": "a"}
        assert restore(Old, key).name == "a"


def test_what_is_hidden_is_not_kept(tracked: None) -> None:
    filled(KeptCard, [{"_id": ObjectId(), "name": "a", "number": "4711", "code": "0815"}])
    backfill(KeptCard)
    raw = b"".join(encode(it) for found in versions(KeptCard).values() for it in found)
    assert b"4711" not in raw
    assert b"0815" not in raw
    card = KeptCard.objects.get()
    assert list(history_of(card).state(0)) == ["name", "code"]
    assert revert(card, revision=0).number == "4711"


def test_what_only_a_subclass_hides_is_not_kept_either(database: Any) -> None:
    """Though its base, or another one beside it, hides nothing."""
    Kept(name="a").save(), KeptSecret(name="b", code="4711").save()
    assert backfill(Kept) == 2
    found = [state_of(it) for it in versions(Kept).values()]
    assert sorted(found, key=len) == [
        {"_cls": "Kept", "name": "a"},
        {"_cls": "Kept.KeptSecret", "name": "b"},
    ]


def test_of_a_class_that_shares_its_collection_only_its_own_documents_count(
    database: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("mongoengine_history.record.backfill.CHUNK", 1)
    for name in "abcd":
        (KeptSecret if name in "bd" else Kept)(name=name).save()
    assert backfill(KeptSecret) == 2
    assert {state_of(it)["name"] for it in versions(Kept).values()} == {"b", "d"}
    assert (backfill(Kept), len(versions(Kept))) == (4, 4)


@pytest.mark.parametrize("size", [LARGEST_VALUE - 100, LARGEST_VALUE + 100, 16 * 1024 * 1024 - 60])
def test_large_documents_are_kept_in_parts_beside_small_ones(tracked: None, size: int) -> None:
    filled(Old, [{"_id": 1}, {"_id": 2, "name": "x" * size}, {"_id": 3}])
    backfill(Old)
    assert is_kept(Old)
    assert len(history_of(Old, 2).state(0)["name"]) == size
    backfill(Old)
    assert is_kept(Old)


def test_of_a_version_in_parts_nothing_stays_where_somebody_was_faster(
    tracked: None, monkeypatch: Any
) -> None:
    monkeypatch.setattr("mongoengine_history.record.layout.LARGEST_VALUE", 100)
    filled(Old, [{"_id": 1, "name": "x" * 250}])
    place = Place(Old)

    def kept(state: Any) -> list[dict[str, Any]]:
        owner = {"document_type": "bf_old", "document_id": 1}
        return documents_of_version(state, _revision(1), owner, 0)

    History._get_collection().insert_many(kept({"name": "x" * 120}))
    _insert(place, [kept({"name": "x" * 250})])
    assert history_of(Old, 1).state(0) == {"name": "x" * 120}


def deep(levels: int) -> Any:
    return {"a": deep(levels - 1)} if levels else 1


def test_deep_documents_are_kept(tracked: None) -> None:
    filled(Old, [{"_id": levels, "name": deep(levels)} for levels in (99, 101, 150, 175)])
    backfill(Old)
    assert is_kept(Old)


def test_it_is_seen_by_all_who_read(tracked: None) -> None:
    filled(Old, [{"_id": 1, "name": "a"}, {"_id": 2, "name": "b"}])
    before = datetime.now(timezone.utc) - timedelta(days=1)
    backfill(Old)
    with untracked():
        Old.objects(key=1).update(name="drift")
        Old.objects(key=2).delete()
    timeline = history_of(Old, 1)
    assert (len(timeline), list(timeline)) == (0, [])
    assert timeline.state(0) == {"name": "a"}
    assert timeline.at(0).name == "a"
    assert timeline.compare(0) == [("change", ["name"], ("a", "drift"))]
    for moment in (before, datetime.now(timezone.utc)):
        assert {it.key: it.name for it in as_of(Old, moment)} == {1: "a", 2: "b"}
        assert history_of(Old, 2).as_of(moment).name == "b"


def test_a_document_that_was_deleted_past_the_history_comes_back(tracked: None) -> None:
    filled(Old, [{"_id": 1, "b": 1, "a": {"y": 1, "x": 2}}])
    before = raws(Old)
    backfill(Old)
    with untracked():
        Old.objects.delete()
    assert history_of(Old, 1).state(0)["b"] == 1
    restore(Old, 1).save()
    assert raws(Old) == before
    assert [it.operation for it in history_of(Old, 1)] == ["restore"]
    assert encode(history_of(Old, 1).state(0)) == encode(history_of(Old, 1).state(1))


def test_a_document_that_was_changed_past_the_history_goes_back(tracked: None) -> None:
    filled(Old, [{"_id": 1, "name": "a", "b": 1}])
    before = raws(Old)
    backfill(Old)
    with untracked():
        Old.objects.update(name="drift", unset__b=1)
    document = Old.objects.get()
    assert revert(document).name == "drift"  # nothing was recorded that could be taken back
    with pytest.raises(RevisionNotFoundError):
        revert(document, revision=1)
    revert(document, revision=0).save()
    assert raws(Old) == before
    assert history_of(document).state(0) == {"name": "drift"}


def test_others_may_write_meanwhile(tracked: None, monkeypatch: Any) -> None:
    monkeypatch.setattr("mongoengine_history.record.backfill.CHUNK", 2)
    filled(Old, [{"_id": n, "name": "a"} for n in range(6)])

    def write(done: int) -> None:
        Old.objects(key=done).update(name="b")
        Old(key=100, name="new").save()

    assert backfill(Old, write) == 7
    kept = {key: [it["revision"] for it in found] for key, found in versions(Old).items()}
    assert kept[encode(2)] == kept[encode(4)] == [0, 1]
    assert kept[encode(100)] == [1]
    assert all(found == [0] for key, found in kept.items() if key in map(encode, (0, 1, 3, 5)))


@pytest.mark.parametrize("model", [Old, KeptCard])
def test_what_the_server_refuses_is_told(tracked: None, database: Any, model: Model) -> None:
    filled(model, [{"_id": ObjectId(), "name": "a"}])
    History.ensure_indexes()
    database.command("collMod", "history", validator={"document_type": {"$exists": False}})
    with pytest.raises(OperationFailure):
        backfill(model)
    database.command("collMod", "history", validator={})


@pytest.mark.parametrize("model", [Never, Told, "Old", None, me.Document])
def test_what_keeps_no_versions_is_refused(model: Any) -> None:
    with pytest.raises(OptionsError):
        backfill(model)


@binds
def test_inside_a_transaction_it_is_refused(tracked: None) -> None:
    filled(Old, [{"_id": 1}])
    with changeset(atomic=True), pytest.raises(OptionsError, match="transaction"):
        backfill(Old)
    assert versions(Old) == {}


def test_its_moment_is_that_of_the_call(tracked: None) -> None:
    filled(Old, [{"_id": 1}])
    first = time.time_ns() // 1000
    backfill(Old)
    version = versions(Old)[encode(1)][0]
    assert first <= version["stamp"] <= time.time_ns() // 1000
    assert isinstance(version["stamp"], int)
    assert abs(version["created_at"] - datetime.now()) < timedelta(minutes=1)
