"""No secret of a class is in the history, whatever was written, read, or went wrong."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import bson
import mongoengine as me
import pytest
from mongoengine import Document, signals
from mongoengine.errors import ValidationError
from pymongo import InsertOne, UpdateMany
from pymongo.errors import PyMongoError

from mongoengine_history import (
    DocumentTrack,
    History,
    HistoryError,
    HistoryNotRecordedError,
    UndoConflictError,
    as_of,
    backfill,
    changeset,
    history_of,
    load_history,
    parts,
    restore,
    revert,
    revert_changeset,
    track_changes,
    track_history,
    undo,
    untrack_history,
    untracked,
)
from mongoengine_history.values import WIRE

SECRET = b"SECRET"
RULES: dict[str, Any] = {"exclude": ["password", "deep.a.*"], "mask": ["token", "lines.*.card"]}
KEY = b"a key of thirty-two bytes or so."


class Line(me.EmbeddedDocument):
    sku = me.StringField()
    card = me.StringField(db_field="c")


class Holder(me.DynamicDocument):
    """Has values that nobody may learn from its history."""

    meta = {"collection": "hv_holder", "auto_create_index": False}
    name = me.StringField()
    password = me.StringField(db_field="pw")
    token = me.StringField()
    lines = me.EmbeddedDocumentListField(Line)
    deep = me.DictField()
    friend = me.ReferenceField("self", reverse_delete_rule=me.NULLIFY)


class Watched(Document):
    """The same, watched by blocks only."""

    meta = {"collection": "hv_watched", "auto_create_index": False, "history": RULES}
    name = me.StringField()
    password = me.StringField(db_field="pw")
    token = me.StringField()
    lines = me.EmbeddedDocumentListField(Line)
    deep = me.DictField()


class Strong(Document):
    meta = {"collection": "hv_strong", "auto_create_index": False}
    name = me.StringField()
    password = me.StringField(required=True)


def secret(number: int) -> str:
    return f"SECRET {number}"


def filled(model: Any, number: int = 0, **others: Any) -> Any:
    lines = [Line(sku=f"sku {it}", card=secret(number + it)) for it in range(3)]
    deep = {"a": {"x": secret(number), "y": [secret(number)]}, "b": 1}
    values = {"password": secret(number), "token": secret(number), "lines": lines, "deep": deep}
    return model(name=f"name {number}", **{**values, **others})


def check() -> None:
    """Look at the bytes of all that the history has."""
    for alias in ("default", "other"):
        raw = bson.CodecOptions(document_class=bson.raw_bson.RawBSONDocument)
        for record in me.get_db(alias).get_collection("history", raw).find():
            assert SECRET not in bytes(record.raw), bson.decode(record.raw, WIRE)


@pytest.fixture(params=[{}, {"fingerprint_key": KEY}, {"version_every": 1}, {"version_every": 2}])
def holder(request: pytest.FixtureRequest, database: Any) -> Iterator[Any]:
    track_history(Holder, **RULES, **request.param)
    yield Holder
    untrack_history(Holder)
    check()


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Store nearly every value in parts."""
    monkeypatch.setattr(parts, "LARGEST", 60)


def edit(document: Any, number: int) -> None:
    document.password = document.token = secret(number)
    document.lines[1].card = secret(number)
    document.lines.insert(0, Line(sku=f"new {number}", card=secret(number + 1)))
    document.deep["a"]["x"] = secret(number)
    document.name += "!"


def test_saves_hold_none(holder: Any) -> None:
    document = filled(holder).save()
    for number in range(10, 60, 10):
        edit(document, number)
        document.save()
        check()
    document.lines.pop()
    document.save(force_insert=False)
    document.delete()
    filled(holder, 70, id=document.pk).save()
    filled(holder, 80, id=document.pk).save()
    assert len(history_of(document)) == 10


def test_values_in_parts_hold_none(holder: Any, small_parts: None) -> None:
    document = filled(holder).save()
    edit(document, 10)
    document.save()
    holder.objects.update(set__deep={"a": {"x": secret(3)}, "c": "x" * 100})
    document.delete()
    assert me.get_db()["history"].count_documents({"bytes": {"$exists": True}})


def test_blocks_hold_none(holder: Any) -> None:
    document = filled(holder)
    with DocumentTrack(document, "ann"):
        document.save()
        edit(document, 10)
        document.save()


def test_a_class_that_is_only_watched_holds_none(database: Any) -> None:
    signals.post_save.connect(track_changes, sender=Watched)
    signals.post_delete.connect(track_changes, sender=Watched)
    document = filled(Watched).save()
    with DocumentTrack(document):
        edit(document, 10)
        document.save()
        edit(document, 20)
        document.save()
    revert(document, revision=1).save()
    undo(document, -1).save()
    with DocumentTrack(document):
        document.delete()
    restored = restore(Watched, document.pk).save()
    assert (restored.password, restored.token) == (None, None)
    check()
    assert len(history_of(document)) == 6


def test_queries_hold_none(holder: Any) -> None:
    with untracked():
        holder.objects.insert([filled(holder, number) for number in range(0, 40, 10)])
    every = holder.objects
    every.update(set__password=secret(1), set__token=secret(2))
    every.update(set__lines__0__card=secret(3))
    every.update(push__lines=Line(sku="q", card=secret(4)))
    every(lines__card=secret(3)).update(set__lines__S__card=secret(5))
    every.update(__raw__=[{"$set": {"token": {"$concat": ["$token", "+"]}, "deep.a.x": "SECRET"}}])
    every(name="name 0").update_one(set__deep__a__y=[secret(6)], unset__password=1)
    every(name="name 10").modify(new=True, set__token=secret(7), set__name="name")
    every(name="none").upsert_one(set__token=secret(8), set__password=secret(9))
    every(name="none").modify(upsert=True, set__token=secret(8))
    every.insert([filled(holder, 50), filled(holder, 60)])
    holder._get_collection().bulk_write(
        [
            InsertOne(
                {"name": "b", "pw": secret(1), "token": secret(1), "lines": [{"c": secret(1)}]}
            ),
            UpdateMany({}, {"$set": {"token": secret(2), "pw": secret(2)}}),
        ]
    )
    check()
    every(name="b").delete()
    every(name="name").modify(remove=True)
    holder.drop_collection()


def test_delete_rules_hold_none(holder: Any) -> None:
    friend = filled(holder).save()
    filled(holder, 10, friend=friend).save()
    friend.delete()
    assert holder.objects.get().friend is None


def test_the_way_back_holds_none_and_keeps_what_is_live(holder: Any) -> None:
    document = filled(holder).save()
    with changeset("ann") as changes:
        edit(document, 10)
        document.save()
    document.token = secret(30)
    document.save()
    revert(document, revision=1).save()
    live = holder.objects.get(pk=document.pk)
    assert (live.name, live.password, live.token) == ("name 0", secret(10), secret(30))
    assert [(line.sku, line.card) for line in live.lines] == [
        *(("sku 0", secret(0)), ("sku 1", secret(10)), ("sku 2", secret(2))),
    ]
    assert live.deep["a"]["x"] == secret(10)
    undo(document, -1).save()
    assert document.reload().lines[0].card is None  # it was gone, and nobody knows it any more
    with pytest.raises(HistoryError):
        revert_changeset(changes)
    document.delete()
    restored = restore(holder, document.pk).save()
    assert (restored.password, restored.token, restored.lines[1].card) == (None, None, None)


def test_a_whole_changeset_comes_back_without_them(holder: Any) -> None:
    kept, gone = filled(holder).save(), filled(holder, 10).save()
    with changeset("ann") as changes:
        edit(kept, 20)
        kept.save()
        gone.delete()
        filled(holder, 30).save()
    revert_changeset(changes)
    assert sorted(holder.objects.scalar("name")) == ["name 0", "name 10"]
    assert holder.objects.get(name="name 0").token == secret(20)


def test_a_backfill_holds_none(holder: Any) -> None:
    with untracked():
        holder.objects.insert([filled(holder, number) for number in range(0, 50, 10)])
    if holder._history_options.version_every:
        backfill(holder)
    check()
    holder.objects.update(set__name="new")


def test_what_is_read_holds_none(holder: Any) -> None:
    document = filled(holder).save()
    edit(document, 10)
    document.save()
    timeline = history_of(document)
    read = [
        *(timeline.state(number) for number in (1, 2)),
        *(repr(revision) + str(revision) for revision in timeline),
        *(timeline.at(number).to_mongo() for number in (1, 2)),
        *(it.to_mongo() for it in as_of(holder, timeline[1].at)),
        *(timeline.compare(0, 2), timeline.compare(2), timeline.compare(2, None)),
        *(load_history(document), timeline.blame()),
    ]
    assert "SECRET" not in repr(read)


def test_a_required_value_that_is_gone_is_named(database: Any) -> None:
    track_history(Strong, exclude=["password"])
    try:
        document = Strong(name="a", password=secret(1)).save()
        document.delete()
        with pytest.raises(ValidationError, match="password"):
            restore(Strong, document.pk).save()
        check()
    finally:
        untrack_history(Strong)


def texts(error: BaseException | None) -> Iterator[str]:
    """All that an error and its causes of this library tell."""
    while error is not None:
        if isinstance(error, HistoryError):
            yield f"{error} {error!r} {vars(error)}"
        error = error.__cause__


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The history takes nothing."""
    me.get_db().command(
        "collMod", "history", validator={"nothing": {"$exists": True}}, validationLevel="strict"
    )
    yield
    me.get_db().command("collMod", "history", validator={})


def test_errors_hold_none(holder: Any) -> None:
    document = filled(holder).save()
    edit(document, 10)
    document.save()
    document.name = "later"
    document.token = secret(20)
    document.save()
    with pytest.raises(UndoConflictError) as caught:
        undo(document, 2)
    assert "SECRET" not in "".join(texts(caught.value))


def test_missing_records_hold_none(holder: Any, refused: None) -> None:
    with pytest.raises(HistoryNotRecordedError) as caught:
        filled(holder).save()
    assert "SECRET" not in "".join(texts(caught.value))
    with pytest.raises(HistoryNotRecordedError) as caught:
        holder.objects.update(set__token=secret(1), set__name="x")
    assert "SECRET" not in "".join(texts(caught.value))
    assert caught.value.records


def test_log_messages_hold_none(
    database: Any, refused: None, caplog: pytest.LogCaptureFixture
) -> None:
    track_history(Holder, **RULES, on_error="log")
    try:
        with caplog.at_level(logging.ERROR):
            document = filled(Holder).save()
            Holder.objects.update(set__token=secret(1), set__name="x")
        assert document.pk
        assert len(caplog.records) == 2
        assert "SECRET" not in "".join(f"{it.getMessage()} {vars(it)}" for it in caplog.records)
    finally:
        untrack_history(Holder)


def test_the_check_finds_a_secret(database: Any) -> None:
    """What all of this relies on."""
    track_history(Holder)
    try:
        filled(Holder).save()
        with pytest.raises(AssertionError, match="SECRET"):
            check()
    finally:
        untrack_history(Holder)
    assert not issubclass(HistoryError, PyMongoError)
    assert History.objects.count() == 1
