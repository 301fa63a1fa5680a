"""A record that another program has edited: each read gives a value or says what is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any

import mongoengine as me
import pytest
from bson import Decimal128, Int64, MaxKey, ObjectId, Regex, Timestamp
from hypothesis import assume, given, note
from hypothesis import strategies as st
from pymongo.errors import WriteError
from support.changes import automatic
from support.strategies import examples

from mongoengine_history import (
    History,
    HistoryError,
    HistoryNotRecordedError,
    Version,
    as_of,
    changeset,
    history_of,
    load_history,
    restore,
    revert,
    revert_changeset,
    undo,
)
from mongoengine_history.record import complete

LONGEST = 2.0
"""Seconds that a read may take."""


class Sheet(me.DynamicDocument):
    meta = {"collection": "malformed_sheets", "history": {"version_every": 3}}
    key = me.IntField(primary_key=True)
    n = me.IntField()


tracking = automatic(Sheet)

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-2, 12),
    st.integers(1, 10**9),
    st.floats(),
    st.sampled_from(["", "x", "create", "delete", "a\x00b", "new", b"x", [], {}, [1], ["x"]]),
    st.sampled_from([{"old": 1}, {"items": []}, {"items": [{}]}, {"x": b"y"}, Int64(2**63 - 1)]),
    st.sampled_from([ObjectId(), Decimal128("2"), Decimal128("NaN"), MaxKey(), Regex("x")]),
    st.sampled_from([Timestamp(1, 1), datetime(2020, 1, 1), datetime(1, 1, 1)]),
)


def nested(depth: int) -> Any:
    return {"deep": nested(depth - 1)} if depth else 1


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody wait for records that are on their way."""
    monkeypatch.setattr(complete, "READS", 1)


@pytest.fixture
def history(database: Any, tracking: None) -> dict[str, Any]:
    """That of a sheet among others: versions, lists, parts, a changeset, a deletion."""
    database.malformed_sheets.insert_one({"_id": 1, "n": 0, "tags": ["a", "b"], "grid": [[1], [2]]})
    for key in (0, 2):
        Sheet(key=key, n=0).save()
    sheet = Sheet.objects.get(key=1)
    for number in range(1, 8):
        sheet.n = number
        sheet.tags = ["new", *sheet.tags]
        if number == 2:
            sheet.facts = {"a": {"b": 1}, "c": 2}
        if number == 3:
            sheet.facts = {"x": 1, "a": {"b": 2}}
            sheet.grid = [[1, 2], [2]]
        if number == 4:
            sheet.big = nested(101)
        with changeset("ann", reason="why", request=number) as unit:
            sheet.save()
    return {
        "records": list(database.history.find({"document_id": 1}, sort=[("_id", 1)])),
        "others": list(database.history.find({"document_id": {"$ne": 1}})),
        "unit": unit.id,
    }


def paths(value: Any) -> Iterator[list[Any]]:
    """Ways to all that lies in a record."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in pairs:
        yield [key]
        if isinstance(inner, dict | list):
            yield from ([key, *rest] for rest in paths(inner) if len(rest) < 6)


@st.composite
def mutations(draw: Any) -> Callable[[list[dict[str, Any]]], dict[str, Any]]:
    which, where = draw(st.floats(0, 0.999)), draw(st.floats(0, 0.999))
    is_gone, value, is_shallow = draw(st.booleans()), draw(VALUES), draw(st.booleans())

    def mutated(records: list[dict[str, Any]]) -> dict[str, Any]:
        record = records[int(which * len(records))]
        ways = [it for it in paths(record) if len(it) == 1 or not is_shallow]
        *way, last = ways[int(where * len(ways))]
        node: Any = record
        for key in way:
            node = node[key]
        if is_gone:
            del node[last]
        else:
            node[last] = value
        note(f"{record.get('revision')}, {[*way, last]}: {'gone' if is_gone else value!r}")
        return record

    return mutated


def asked(read: Callable[[], Any]) -> Any:
    """Return what a read gives, or the error that says what is wrong."""
    start = time.monotonic()
    try:
        return read()
    except HistoryError as error:
        return error
    finally:
        assert time.monotonic() - start < LONGEST


def reads() -> Iterator[Callable[[], Any]]:
    now = datetime.now(timezone.utc)
    sheet, timeline = Sheet(key=1), history_of(Sheet, 1)
    yield from (lambda: len(timeline), lambda: [str(it) for it in timeline])
    yield from (lambda: list(reversed(timeline)), lambda: timeline.legacy)
    yield from (lambda: timeline[1:], lambda: timeline[::-2], lambda: timeline[2:5])
    yield from (timeline.blame, lambda: timeline.blame("n"), lambda: timeline.blame("x"))
    yield from (lambda: load_history(sheet), lambda: load_history(sheet, now))
    yield from (lambda: list(as_of(Sheet, now)), lambda: timeline.as_of(now))
    yield from (lambda: revert(sheet), lambda: revert(sheet, now))
    yield from (lambda: list(History.objects.of(sheet)), lambda: list(Version.objects.of(sheet)))
    for at in range(-1, 9):
        yield from (lambda n=at: timeline[n], lambda n=at: timeline.state(n))
        yield from (lambda n=at: timeline.at(n), lambda n=at: timeline.compare(n, None))
        yield from (lambda n=at: revert(sheet, revision=n), lambda n=at: undo(sheet, n))


@given(mutations(), st.booleans())
@examples(60)
def test_each_read_gives_a_value_or_says_what_is_wrong(
    database: Any, history: dict[str, Any], mutate: Any, is_deleted: bool
) -> None:
    edit(database, history, mutate)
    for read in reads():
        asked(read)
    if is_deleted:
        database.malformed_sheets.delete_one({"_id": 1})
        asked(lambda: restore(Sheet, 1))
    asked(lambda: revert_changeset(history["unit"]))


@given(mutations(), st.sampled_from(["loaded", "known", "query", "all", "gone"]))
@examples(60)
def test_a_save_is_refused_before_it_is_written_or_recorded(
    database: Any, history: dict[str, Any], mutate: Any, how: str
) -> None:
    sheet = reset(database, history)
    edit(database, history, mutate, known=sheet)
    before = [it["_id"] for it in database.history.find({}, {"_id": 1})]
    error = asked(lambda: write(how, sheet))
    stored = database.malformed_sheets.find_one({"_id": 1})
    is_written = (stored or {}).get("n") != 8
    if isinstance(error, HistoryError):
        assert is_written == isinstance(error, HistoryNotRecordedError), error
    else:
        assert is_written
        [number] = {
            it["revision"]
            for it in database.history.find({"document_id": 1, "position": 0})
            if it["_id"] not in before
        }
        assert history_of(Sheet, 1)[number].number == number
    if how == "all":
        assert {it["n"] for it in database.malformed_sheets.find({"_id": {"$ne": 1}})} == {99}
        assert [history_of(Sheet, key)[-1].patches[0][2] for key in (0, 2)] == [(0, 99)] * 2


def write(how: str, sheet: Sheet) -> None:
    if how == "query":
        Sheet.objects(n=8).update_one(n=99)
    elif how == "all":
        Sheet.objects.update(n=99)
    elif how == "gone":
        Sheet.objects(key=1).delete()
    else:
        saved = sheet if how == "known" else Sheet.objects.get(key=1)
        saved.n = 99
        saved.save()


def reset(database: Any, history: dict[str, Any]) -> Sheet:
    """Put the histories back; return an object that knows the newest revision."""
    database.history.delete_many({})
    database.history.insert_many([*history["records"], *history["others"]])
    for key in (0, 2):
        database.malformed_sheets.replace_one({"_id": key}, {"n": 0}, upsert=True)
    first = {"n": 7, "tags": ["new"]}
    database.malformed_sheets.replace_one({"_id": 1}, first, upsert=True)
    sheet = Sheet.objects.get(key=1)
    sheet.n = 8
    return sheet.save()


def edit(
    database: Any, history: dict[str, Any], mutate: Any, *, known: Sheet | None = None
) -> None:
    """Let another program edit one record of the first sheet."""
    if known is None:
        reset(database, history)
    records = list(database.history.find({"document_id": 1}))
    key = [record["_id"] for record in records]
    record = mutate(records)
    original = key[next(at for at, it in enumerate(records) if it is record)]
    database.history.delete_one({"_id": original})
    try:
        database.history.insert_one(record)
    except WriteError:  # the server takes no such key, or has it
        assume(False)
