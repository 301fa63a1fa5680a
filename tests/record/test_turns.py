"""Objects of one document in one process share what they know of its history."""

from __future__ import annotations

import threading
from typing import Any

import mongoengine as me
import pytest
from mongoengine import signals
from pymongo import MongoClient
from support.binding import binds

from mongoengine_history import DocumentTrack, History, history_of, track_changes
from mongoengine_history.record.head import LONGEST_TURN, Head, Turn
from mongoengine_history.record.revisions import Revisions


class Sheet(me.Document):
    meta = {"collection": "sheets", "auto_create_index": False}
    cells = me.DictField()


@pytest.fixture(autouse=True)
def connected(database: Any) -> None:
    signals.post_save.connect(track_changes, sender=Sheet)
    DocumentTrack(Sheet())


def write(sheet: Sheet, key: str, value: int) -> None:
    with DocumentTrack(sheet):
        sheet.cells[key] = value
        sheet.save()


def two_objects() -> tuple[Sheet, Sheet]:
    """Two objects of one document, both of which have saved it."""
    Sheet(cells={"x": 0}).save()
    first, second = Sheet.objects.get(), Sheet.objects.get()
    write(first, "a", 0)
    write(second, "b", 0)
    return first, second


def numbers() -> list[int]:
    return sorted(History.objects.distinct("revision"))


def test_who_follows_another_object_knows_its_number(commands: Any) -> None:
    first, second = two_objects()
    commands.clear()
    for number in range(1, 4):
        write(first, "a", number)
        write(second, "b", number)
    assert commands.names == ["findAndModify", "insert"] * 6
    assert numbers() == list(range(1, 9))


def test_threads_that_save_one_document_meet_no_conflict(commands: Any) -> None:
    sheets = [*two_objects(), Sheet.objects.get(), Sheet.objects.get()]
    for sheet in sheets:
        write(sheet, "c", id(sheet))
    commands.clear()

    def work(sheet: Sheet) -> None:
        for number in range(10):
            write(sheet, f"w{id(sheet)}", number)

    threads = [threading.Thread(target=work, args=(sheet,)) for sheet in sheets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(commands.names) == ["findAndModify"] * 40 + ["insert"] * 40
    assert numbers() == list(range(1, len(numbers()) + 1))


@binds
def test_nobody_learns_of_a_number_that_may_be_undone(client: MongoClient) -> None:
    first, second = two_objects()
    with client.start_session() as session, session.bind(end_session=False):
        session.start_transaction()
        write(first, "a", 1)
        session.abort_transaction()
    write(second, "b", 1)
    assert numbers() == [1, 2, 3]


def test_what_was_learned_before_the_last_look_does_not_count(database: Any) -> None:
    """A history that somebody deleted begins with 1 again, whatever other objects remember."""
    first, second = two_objects()
    History.objects(document_id=first.pk).delete()
    third = Sheet.objects.get()
    write(third, "c", 1)
    write(third, "c", 2)
    write(second, "b", 1)
    assert numbers() == [1, 2, 3]
    assert history_of(third).state(3)["cells"] == {"x": 0, "a": 0, "b": 1, "c": 2}


def test_a_turn_that_is_never_passed_on_is_not_waited_for(monkeypatch: Any) -> None:
    """A lock that was held while the process forked stays locked for ever in the child."""
    monkeypatch.setattr("mongoengine_history.record.head.LONGEST_TURN", 0.01)
    first, _ = two_objects()
    with Revisions.of(first).turn.taken():
        write(first, "a", 1)
        write(first, "a", 2)
    assert numbers() == [1, 2, 3, 4]
    assert LONGEST_TURN == 1


def test_the_latest_of_two_heads_is_the_one_learned_last() -> None:
    turn = Turn()
    old, new = Head(7), Head(5)
    turn.head = new
    assert turn.latest(old).number == 5
    turn.head = old
    assert turn.latest(new).number == 5
