"""Whoever listens hears of each revision once, after the fact, and can do no harm."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any
from uuid import uuid4

import mongoengine as me
import pytest
from bson import ObjectId
from pymongo.collection import Collection
from support.binding import binds
from support.changes import automatic, tracked_otherwise
from support.unanswered import unanswered

from mongoengine_history import (
    DocumentTrack,
    HistoryNotRecordedError,
    changeset,
    history_of,
    record_event,
    recording_failed,
    revert_changeset,
    revision_recorded,
)


class Bell(me.Document):
    meta = {"collection": "signal_bells", "auto_create_index": False}
    tone = me.StringField()
    made = me.DateTimeField()
    known = me.UUIDField()
    times = me.IntField(default=0)


class Diary(me.Document):
    meta = {"collection": "signal_diaries", "auto_create_index": False}
    line = me.StringField()


tracking = automatic(Bell, Diary)


@pytest.fixture
def heard(database: Any) -> Iterator[list[Any]]:
    """All revisions that are told of, in the order in which that happens."""
    told: list[Any] = []

    def hear(sender: Any, **facts: Any) -> None:
        told.append((sender, facts["document_type"], facts["document_id"], facts["revision"]))

    with revision_recorded.connected_to(hear):
        yield told


def rang(told: list[Any], bell: Any) -> list[Any]:
    return [revision for *_, key, revision in told if key == bell.pk]


def test_each_revision_is_told_of_as_the_history_has_it(heard: list[Any]) -> None:
    made = datetime(2026, 1, 2, tzinfo=timezone.utc).replace(tzinfo=None)
    with changeset("ada", reason="why"):
        bell = Bell(tone="a", made=made).save()
    bell.tone = "b"
    bell.save()
    bell.update(inc__times=1)
    record_event("rung", bell)
    bell.delete()
    assert {it[:2] for it in heard} == {(Bell, "signal_bells")}
    assert rang(heard, bell) == list(history_of(bell))
    assert [it.operation for it in history_of(bell)] == [
        *("create", "update", "update", "event", "delete"),
    ]


def test_so_is_each_of_many(heard: list[Any]) -> None:
    bells = Bell.objects.insert([Bell(tone=str(number)) for number in range(3)])
    with changeset() as block:
        Bell.objects.update(set__tone="x")
    revert_changeset(block.id)
    Bell.objects(pk=bells[0].pk).delete()
    for bell in bells:
        assert rang(heard, bell) == list(history_of(bell))


def test_it_is_heard_once_where_a_number_was_taken(
    heard: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    bells = Bell.objects.insert([Bell(tone=str(number)) for number in range(3)])
    ever = Collection.insert_many

    def raced(self: Any, *args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(Collection, "insert_many", ever)
        bells[1].update(inc__times=1)
        return ever(self, *args, **kwargs)

    monkeypatch.setattr(Collection, "insert_many", raced)
    Bell.objects.update(set__tone="x")
    assert [len(history_of(bell)) for bell in bells] == [2, 3, 2]
    for bell in bells:
        assert rang(heard, bell) == list(history_of(bell))


def test_what_is_recorded_later_is_heard_then(heard: list[Any]) -> None:
    bells = Bell.objects.insert([Bell(tone=str(number)) for number in range(3)])
    with unanswered("insert_many", among="history", done=False):
        with pytest.raises(HistoryNotRecordedError) as caught:
            Bell.objects.update(set__tone="x", set__times=7)
    me.get_db().history.insert_one(caught.value.records[0])
    assert len(heard) == 3
    for _ in range(2):
        caught.value.record()
    for bell in bells:
        assert rang(heard, bell) == list(history_of(bell))


def test_values_are_those_that_the_application_reads(heard: list[Any]) -> None:
    known = uuid4()
    Bell(known=known, pk=ObjectId()).save(force_insert=True)
    assert dict(heard[0][3].patches[0][2])["known"] == known


def test_who_listens_to_one_class_hears_of_that(heard: list[Any]) -> None:
    told = []

    def hear(sender: Any, **facts: Any) -> None:
        told.append(facts["revision"])

    with revision_recorded.connected_to(hear, sender=Diary):
        Bell().save()
        Diary().save()
    assert len(told) == 1
    assert len(heard) == 2


def test_what_a_receiver_raises_is_logged_and_the_next_one_called(
    database: Any, caplog: Any
) -> None:
    told = []

    def fail(sender: Any, **facts: Any) -> None:
        raise RuntimeError("deaf")

    def hear(sender: Any, **facts: Any) -> None:
        told.append(facts["revision"])

    with revision_recorded.connected_to(fail), revision_recorded.connected_to(hear):
        bell = Bell(tone="a").save()
        Bell.objects.update(set__tone="b")
    assert len(history_of(bell)) == len(told) == 2
    assert "deaf" in caplog.text


@pytest.mark.parametrize("is_watched", [True, False])
def test_what_a_receiver_writes_is_recorded_as_its_own(database: Any, is_watched: bool) -> None:
    other = Bell(tone="other").save()

    def write(sender: Any, **facts: Any) -> None:
        if facts["document_id"] != other.pk and sender is Bell:
            Bell.objects(pk=other.pk).update_one(inc__times=1)
            Diary(line=facts["revision"].operation).save()

    bell = Bell(tone="a")
    with revision_recorded.connected_to(write), changeset("ada"):
        if is_watched:
            with DocumentTrack(bell, "bob"):
                bell.save()
        else:
            bell.save()
    assert [it.identity for it in history_of(other)] == [None, "ada"]
    assert [it.identity for it in history_of(bell)] == ["bob" if is_watched else "ada"]
    assert [it.identity for it in history_of(Diary.objects.get())] == ["ada"]


@binds
def test_in_a_transaction_it_is_heard_before_the_commit(heard: list[Any]) -> None:
    with pytest.raises(ZeroDivisionError), changeset(atomic=True):
        Bell().save()
        raise ZeroDivisionError
    assert len(heard) == 1
    assert Bell.objects.count() == 0


@pytest.mark.parametrize("on_error", ["raise", "log", lambda error: None])
def test_what_cannot_be_recorded_is_told_whatever_happens_then(
    database: Any, on_error: Any
) -> None:
    told = []

    def hear(sender: Any, error: Any) -> None:
        told.append((sender, error.document_ids, len(error.records)))

    bells = [Bell(pk=ObjectId()) for _ in range(3)]
    with (
        tracked_otherwise(Bell, on_error=on_error),
        recording_failed.connected_to(hear),
        unanswered("insert_many", among="history", done=False),
    ):
        for write in (
            lambda: bells[0].save(force_insert=True),
            lambda: Bell.objects.insert([Bell(), Bell()]),
        ):
            try:
                write()
            except HistoryNotRecordedError:
                assert on_error == "raise"
    assert [(it[0], len(it[1]), it[2]) for it in told] == [(Bell, 1, 1), (Bell, 2, 2)]


def test_nobody_who_listens_costs_nothing_and_one_who_does_no_round_trip(
    database: Any, commands: Any
) -> None:
    bell = Bell(tone="a").save()
    sent = []
    for listening in (False, True):
        bell.tone = str(listening)
        with revision_recorded.connected_to(print) if listening else changeset():
            commands.clear()
            bell.save()
            sent.append(commands.names)
    assert sent[0] == sent[1]
