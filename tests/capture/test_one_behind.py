"""Batches of one write by a query: one is recorded while the next is written, and none is lost."""

from __future__ import annotations

import concurrent.futures.thread
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import mongoengine as me
import pytest
from mongoengine import Document
from mongoengine.errors import OperationError
from pymongo.errors import OperationFailure
from support.binding import binds
from support.changes import automatic, tracked_otherwise
from support.refusing import refusing
from support.twins import recorded

from mongoengine_history import HistoryNotRecordedError, changeset, revision_recorded
from mongoengine_history.capture import queries
from mongoengine_history.record import append_many


class Bead(Document):
    meta = {"collection": "beads", "auto_create_index": False}
    text = me.StringField()


tracking = automatic(Bead)

WRITES: dict[str, Callable[[], Any]] = {
    "update": lambda: Bead.objects.update(text="b"),
    "delete": lambda: Bead.objects.delete(),  # noqa: PLW0108  # there is no connection yet
}


@pytest.fixture(autouse=True)
def beads(database: Any, monkeypatch: Any) -> None:
    """Store five documents, which are written in batches of two."""
    Bead.objects.insert([Bead(text="a") for _ in range(5)])
    for module in (queries, append_many):
        monkeypatch.setattr(module, "MOST", 2)


def slowed(monkeypatch: Any, name: str, act: Callable[[], object]) -> None:
    """Do something before each batch is recorded."""
    record = getattr(append_many.Bulk, name)

    def slow(self: Any, *arguments: Any) -> None:
        act()
        record(self, *arguments)

    monkeypatch.setattr(append_many.Bulk, name, slow)


@pytest.mark.parametrize(("write", "name"), [("update", "updated"), ("delete", "deleted")])
def test_the_next_batch_is_written_while_one_is_recorded(
    monkeypatch: Any, commands: Any, write: str, name: str
) -> None:
    def next_is_written() -> None:
        assert waiting.wait(2) or commands.names.count(write) == 3

    waiting, begin = threading.Event(), queries.QueryWrite._write

    def written(self: Any, batch: Any) -> Any:
        answer = begin(self, batch)
        if commands.names.count(write) > 1:
            waiting.set()
        return answer

    monkeypatch.setattr(queries.QueryWrite, "_write", written)
    slowed(monkeypatch, name, next_is_written)
    commands.clear()
    with recorded(Bead):
        WRITES[write]()


@pytest.mark.parametrize("write", WRITES)
def test_a_batch_that_could_not_be_recorded_is_told_with_the_one_that_was_written_meanwhile(
    database: Any, write: str
) -> None:
    with recorded(Bead):
        with refusing(database), pytest.raises(HistoryNotRecordedError) as caught:
            WRITES[write]()
        assert len(caught.value.records) in {2, 4}
        assert Bead.objects(text="a").count() == 5 - len(caught.value.records)
        caught.value.record()


def test_a_read_that_fails_hides_no_batch_that_could_not_be_recorded(
    database: Any, monkeypatch: Any, caplog: Any
) -> None:
    batches = append_many.Bulk.batches

    def failing(self: Any, *arguments: Any, **options: Any) -> Iterator[Any]:
        yield next(batches(self, *arguments, **options))
        raise OperationFailure("away")

    monkeypatch.setattr(append_many.Bulk, "batches", failing)
    with recorded(Bead):
        with refusing(database), pytest.raises(OperationError, match="away"):
            Bead.objects.update(text="b")
        (told,) = (each.error for each in caplog.records if hasattr(each, "error"))
        assert len(told.records) == Bead.objects(text="b").count() == 2
        told.record()


def test_who_and_why_are_those_of_the_block(monkeypatch: Any) -> None:
    with changeset("ada", reason="tidy"):
        Bead.objects.update(text="b")
    found = me.get_db()["history"].find({"operation": "update", "position": 0})
    assert [(it["identity"], it["reason"]) for it in found] == [("ada", "tidy")] * 5


@contextmanager
def heard() -> Iterator[None]:
    with revision_recorded.connected_to(lambda *_, **__: None, sender=Bead):
        yield


@pytest.mark.parametrize(
    "block", [pytest.param(lambda: changeset(atomic=True), marks=binds), heard]
)
def test_all_is_done_by_the_caller_where_something_belongs_to_its_thread(
    monkeypatch: Any, block: Any
) -> None:
    threads = set[int]()
    slowed(monkeypatch, "updated", lambda: threads.add(threading.get_ident()))
    with recorded(Bead), block():
        Bead.objects.update(text="b")
    assert threads == {threading.get_ident()}


def test_all_is_recorded_where_no_thread_can_begin(monkeypatch: Any) -> None:
    monkeypatch.setattr(concurrent.futures.thread, "_shutdown", True)  # as at the end of a process
    with recorded(Bead):
        Bead.objects.update(text="b")


def test_a_class_that_logs_what_could_not_be_recorded_is_written_on(database: Any) -> None:
    with tracked_otherwise(Bead, on_error="log"), refusing(database):
        Bead.objects.update(text="b")
    assert Bead.objects(text="b").count() == 5
