"""A read that fails after a write: the error says that it is written, or the log does."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import mongoengine as me
import pytest
from pymongo.errors import AutoReconnect
from support.changes import tracked
from support.unanswered import unanswered

from mongoengine_history import HistoryNotRecordedError, history_of
from mongoengine_history.record import append_many, drift


class Part(me.Document):
    meta = {"collection": "parts", "auto_create_index": False}
    name = me.StringField(primary_key=True)
    count = me.IntField(default=0)


@pytest.fixture(autouse=True)
def prompt(monkeypatch: Any, database: Any) -> None:
    monkeypatch.setattr(drift, "PAUSE", 0)


def proven(*keys: str) -> list[list[str]]:
    """Check that histories lead to what is stored; return their operations."""
    told = []
    for key in keys:
        timeline = history_of(Part, key)
        stored = Part._get_collection().find_one({"_id": key})
        assert {"_id": key, **timeline.state(-1)} == stored
        told.append([revision.operation for revision in timeline])
    return told


#: What is written, the read that fails after it, and of which collections.
WRITES: dict[str, tuple[Callable[[], Any], str, str]] = {
    "what an operator makes": (lambda: Part(name="a").update(inc__count=1), "find_one", "parts"),
    "an upsert": (
        lambda: Part.objects(name="a", count=9).update(set__count=9, upsert=True),
        *("find_one", "parts"),
    ),
    "many": (lambda: second_read_of(lambda: Part.objects.update(inc__count=1)), "", ""),
    "heads of an insert": (lambda: Part.objects.insert([Part(name="c")]), "aggregate", "history"),
}


def second_read_of(write: Callable[[], Any]) -> None:
    """Let the read fail by which a query write is told from what was there."""
    ever = append_many.Bulk.stored

    def failing(self: Any, batch: Any, roots: Any = None) -> Any:
        if roots is not None:
            raise AutoReconnect("connection closed")
        return ever(self, batch, roots)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(append_many.Bulk, "stored", failing)
        write()


@pytest.fixture
def parts(database: Any) -> None:
    with tracked(Part, on_error="raise"):
        Part(name="a").save()
        Part(name="b").save()


def broken(case: str) -> None:
    write, method, among = WRITES[case]
    if method:
        with unanswered(method, among=among):
            write()
    else:
        write()


@pytest.mark.parametrize("case", ["what an operator makes", "many", "heads of an insert"])
def test_the_error_says_that_it_is_written_and_can_record_it(parts: None, case: str) -> None:
    with tracked(Part, on_error="raise"):
        with pytest.raises(HistoryNotRecordedError) as caught:
            broken(case)
        caught.value.record()
        assert proven("a", "b")[0][0] == "create"
        keys = {"what an operator makes": "a", "many": "ab", "heads of an insert": "c"}[case]
        new = [told[-1] for told in proven(*keys)]
        assert set(new) == {"create" if case == "heads of an insert" else "external"}


@pytest.mark.parametrize("case", ["what an operator makes", "many", "heads of an insert"])
def test_the_log_does_where_the_class_goes_on(parts: None, case: str, caplog: Any) -> None:
    with tracked(Part, on_error="log"), caplog.at_level(logging.ERROR, "mongoengine_history"):
        broken(case)
        assert [it.levelname for it in caplog.records if "history (" in it.message] == ["ERROR"]
        for entry in caplog.records:
            if entry.levelname == "ERROR":
                entry.error.record()
        for part in Part.objects:
            proven(part.name)


def test_where_the_class_goes_on_a_save_does_so_before_it_is_known(
    database: Any, caplog: Any
) -> None:
    with tracked(Part, on_error="log"):
        with unanswered("aggregate", among="history"):
            Part(name="a", count=1).save(force_insert=True)
        Part.objects(name="a").update(set__count=2)
        assert "ERROR" in {it.levelname for it in caplog.records}


def test_all_of_a_batch_is_told(database: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(append_many, "MOST", 2)
    with tracked(Part, on_error="raise"), unanswered("aggregate", among="history"):
        with pytest.raises(HistoryNotRecordedError) as caught:
            Part.objects.insert([Part(name=name) for name in "abcde"])
    assert sorted(caught.value.document_ids) == [*"abcde"]
    with tracked(Part, on_error="raise"):
        caught.value.record()
        assert proven(*"abcde") == [["create"]] * 5
