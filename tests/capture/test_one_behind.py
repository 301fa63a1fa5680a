"""Batches of one write: one is recorded while the next is written, and none is lost."""

from __future__ import annotations

import concurrent.futures.thread
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from itertools import count
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

from mongoengine_history import HistoryNotRecordedError, changeset, history_of, revision_recorded
from mongoengine_history.capture import queries
from mongoengine_history.capture.one_behind import OneBehind
from mongoengine_history.record import append_many


class Bead(Document):
    meta = {"collection": "beads", "auto_create_index": False}
    text = me.StringField()


tracking = automatic(Bead)


WRITES: dict[str, Callable[[], Any]] = {
    "update": lambda: Bead.objects.update(text="b"),
    "delete": lambda: Bead.objects.delete(),  # noqa: PLW0108  # there is no connection yet
}


def batches_of(size: int, monkeypatch: Any) -> None:
    for module in (queries, append_many):
        monkeypatch.setattr(module, "MOST", size)


@pytest.fixture(autouse=True)
def beads(database: Any, monkeypatch: Any) -> None:
    """Store six documents, which are written in batches of two."""
    Bead.objects.insert([Bead(text="a") for _ in range(6)])
    batches_of(2, monkeypatch)


def slowed(monkeypatch: Any, act: Callable[[], object], *names: str) -> None:
    """Do something before each batch is recorded."""
    for name in names or ("updated", "deleted", "several"):
        record = getattr(append_many.Bulk, name)

        def slow(self: Any, *arguments: Any, record: Any = record) -> Any:
            act()
            return record(self, *arguments)

        monkeypatch.setattr(append_many.Bulk, name, slow)


def comes_true(is_true: Callable[[], bool]) -> bool:
    end = time.monotonic() + 2
    while not is_true() and time.monotonic() < end:
        time.sleep(0.001)
    return is_true()


def written() -> int:
    """Count the documents that were written, which nobody records then."""
    return 6 - Bead.objects(text="a").count() or Bead.objects(text="b").count()


@pytest.mark.parametrize("write", WRITES)
def test_the_next_batch_is_written_while_one_is_recorded(monkeypatch: Any, write: str) -> None:
    counts = iter([4, 6, 6])  # when each of the three is recorded, at least
    behind: list[bool] = []

    def next_is_written() -> None:
        count = next(counts)
        behind.append(comes_true(lambda: written() >= count))

    slowed(monkeypatch, next_is_written)
    with recorded(Bead):
        WRITES[write]()
    assert behind == [True] * 3


@pytest.mark.parametrize("write", WRITES)
def test_a_batch_that_could_not_be_recorded_is_told_with_the_one_that_was_written_meanwhile(
    database: Any, write: str
) -> None:
    with recorded(Bead):
        with refusing(database), pytest.raises(HistoryNotRecordedError) as caught:
            WRITES[write]()
        assert len(caught.value.records) == written()
        assert written() in {2, 4}
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
        WRITES["delete"]()
    found = me.get_db()["history"].find({"operation": {"$ne": "create"}, "position": 0})
    assert [(it["identity"], it["reason"]) for it in found] == [("ada", "tidy")] * 12


@contextmanager
def heard() -> Iterator[None]:
    with revision_recorded.connected_to(lambda *_, **__: None, sender=Bead):
        yield


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize(
    "block", [pytest.param(lambda: changeset(atomic=True), marks=binds), heard]
)
def test_all_is_done_by_the_caller_where_something_belongs_to_its_thread(
    monkeypatch: Any, block: Any, write: str
) -> None:
    threads = set[int]()
    slowed(monkeypatch, lambda: threads.add(threading.get_ident()), "_insert")
    with recorded(Bead), block():
        WRITES[write]()
    assert threads == {threading.get_ident()}


@pytest.mark.parametrize("write", WRITES)
def test_all_is_recorded_where_no_thread_can_begin(monkeypatch: Any, write: str) -> None:
    monkeypatch.setattr(concurrent.futures.thread, "_shutdown", True)  # as at the end of a process
    with recorded(Bead):
        WRITES[write]()


@pytest.mark.parametrize("write", WRITES)
def test_a_class_that_logs_what_could_not_be_recorded_is_written_on(
    database: Any, write: str
) -> None:
    with tracked_otherwise(Bead, on_error="log"), refusing(database):
        WRITES[write]()
    assert written() == 6


def interrupt(monkeypatch: Any) -> None:
    """Let a signal end what waits, the first time."""
    result = Future.result

    def interrupted(*_: Any) -> None:
        monkeypatch.setattr(Future, "result", result)
        raise KeyboardInterrupt

    monkeypatch.setattr(Future, "result", interrupted)


@pytest.mark.parametrize("write", WRITES)
def test_a_signal_that_ends_the_waiting_loses_no_batch_that_is_written(
    monkeypatch: Any, write: str
) -> None:
    with recorded(Bead):
        interrupt(monkeypatch)
        with pytest.raises(KeyboardInterrupt):
            WRITES[write]()
        assert written() == 4


def test_what_was_begun_is_done_before_a_signal_goes_on(
    database: Any, monkeypatch: Any, caplog: Any
) -> None:
    batches_of(6, monkeypatch)
    slowed(monkeypatch, lambda: time.sleep(0.1))
    interrupt(monkeypatch)
    with recorded(Bead):
        with refusing(database), pytest.raises(KeyboardInterrupt):
            Bead.objects.update(text="b")
        (told,) = (each.error for each in caplog.records if hasattr(each, "error"))
        assert len(told.records) == Bead.objects(text="b").count() == 6
        told.record()


def test_what_is_done_here_is_behind_what_was_begun_after_a_signal_too(monkeypatch: Any) -> None:
    done: list[str] = []
    with OneBehind() as behind:
        behind.do(lambda: time.sleep(0.1) or done.append("begun"))
        interrupt(monkeypatch)
        with pytest.raises(KeyboardInterrupt):
            behind.do_here(lambda: done.append("here"))
    assert done == ["begun", "here"]


@pytest.mark.parametrize("size", [2, 4], ids=["in another thread", "here"])
@pytest.mark.parametrize("is_refused", [False, True], ids=["is written", "fails half-way"])
def test_a_batch_that_is_written_is_recorded_although_the_one_before_it_was_not(
    database: Any, monkeypatch: Any, size: int, *, is_refused: bool
) -> None:
    def lost() -> None:
        if next(calls) == 0:
            raise RuntimeError("of the first one")

    calls = count()
    batches_of(size, monkeypatch)
    last = Bead.objects.order_by("id")[size + 1].pk if is_refused else None
    database.command("collMod", "beads", validator={"_id": {"$ne": last}})
    slowed(monkeypatch, lost, "updated")
    with pytest.raises(RuntimeError, match="of the first one"):
        Bead.objects.update(text="b")
    found = [history_of(it)[-1].operation for it in Bead.objects(text="b").order_by("id")]
    assert found == ["external"] * size + ["update"] * (2 - is_refused)
