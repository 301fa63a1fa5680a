"""Retention: what remains of a history is what it was, whatever went and wherever it stopped."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import mongoengine as me
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mongoengine import Document
from pymongo.collection import Collection
from support.strategies import examples

from mongoengine_history import (
    DocumentDidNotExistError,
    History,
    OptionsError,
    RevisionPrunedError,
    as_of,
    changeset,
    history_of,
    hold,
    load_history,
    prune,
    revert,
    track_history,
    undo,
    untrack_history,
    verify,
)

EVENT = {"document_type": "", "metadata.kind": "prune"}


class Sheet(Document):
    meta = {"collection": "pruned_sheets", "auto_create_index": False}
    number = me.IntField()
    tags = me.ListField(me.StringField())


@pytest.fixture(autouse=True)
def tracking(database: Any) -> Iterator[None]:
    track_history(Sheet, version_every=4)
    yield
    untrack_history(Sheet)


def made(steps: str) -> Any:
    """Make a document and write to it: ``n`` a number, ``t`` a list, ``d`` deletes, or makes."""
    sheet = Sheet(number=0, tags=["0"]).save()
    for index, step in enumerate(steps):
        if step == "d" and Sheet.objects(pk=sheet.pk):
            sheet.delete()
        elif step == "n":
            sheet.number = index + 1
            sheet.save(force_insert=not Sheet.objects(pk=sheet.pk))
        elif step == "t":
            sheet.tags.insert(0, str(index))
            sheet.save(force_insert=not Sheet.objects(pk=sheet.pk))
    return sheet


def states(sheet: Any, first: int = 1) -> dict[int, Any]:
    found: dict[int, Any] = {}
    for number in range(first, len(history_of(sheet)) + 1):
        try:
            found[number] = history_of(sheet).state(number)
        except DocumentDidNotExistError:
            found[number] = None
    return found


def read(sheet: Any) -> list[Any]:
    """Read all that is left by each reader."""
    return [
        [(it.number, it.patches) for it in history_of(sheet)],
        [(it.number, it.patches) for it in reversed(history_of(sheet))][::-1],
        load_history(sheet),
        history_of(sheet).blame().keys(),
    ]


def prove(sheet: Any, before: dict[int, Any], moments: dict[int, Any], first: int) -> None:
    """Compare all that is left, from *first* on, with what was there."""
    assert states(sheet, first) == {it: before[it] for it in before if it >= first}
    assert [it.number for it in history_of(sheet)] == [it for it in before if it >= first]
    for number, state in before.items():
        if number < first:
            with pytest.raises(RevisionPrunedError) as caught:
                history_of(sheet)[number]
            assert caught.value.oldest == first
            continue
        then = [it for it in as_of(Sheet, moments[number], as_data=True) if it["_id"] == sheet.pk]
        assert [{k: v for k, v in it.items() if k != "_id"} for it in then] == (
            [] if state is None else [state]
        )
    assert list(verify(Sheet)) == []
    read(sheet)


@given(st.text("nntd", min_size=1, max_size=9), st.integers(1, 9))
@examples(40)
def test_each_state_that_is_kept_is_what_it_was(steps: str, keep: int) -> None:
    Sheet._get_db()[Sheet._get_collection_name()].delete_many({})
    History._get_collection().delete_many({})
    sheet = made(steps)
    before, moments = states(sheet), {it.number: it.at for it in history_of(sheet)}
    first = max(len(before) - keep + 1, 1)
    result = prune(Sheet, keep=keep)
    assert result.revisions == first - 1
    prove(sheet, before, moments, first)
    assert prune(Sheet, keep=keep).revisions == 0


class DiedError(Exception):
    """The process ends."""


@pytest.mark.parametrize("survives", range(6))
def test_after_a_crash_all_can_be_read_and_a_second_time_ends_it(
    monkeypatch: pytest.MonkeyPatch, survives: int
) -> None:
    sheet = made("ntntnt")
    before, moments = states(sheet), {it.number: it.at for it in history_of(sheet)}
    left = [survives]
    with monkeypatch.context() as patched:
        for name in ("bulk_write", "delete_many", "insert_many"):
            own = getattr(Collection, name)

            def dying(*args: Any, own: Any = own, **options: Any) -> Any:
                if not left[0]:
                    raise DiedError
                left[0] -= 1
                return own(*args, **options)

            patched.setattr(Collection, name, dying)
        with suppress(DiedError):
            prune(Sheet, keep=2)
    assert list(verify(Sheet)) == []
    assert states(sheet, 6) == {it: before[it] for it in (6, 7)}
    read(sheet)
    prune(Sheet, keep=2)
    prove(sheet, before, moments, 6)


@pytest.mark.parametrize("gone", range(1, 8))
def test_while_the_old_ones_go_all_can_be_read(
    database: Any, monkeypatch: pytest.MonkeyPatch, gone: int
) -> None:
    sheet = made("ntntnt")
    before, moments = states(sheet), {it.number: it.at for it in history_of(sheet)}
    monkeypatch.setattr("mongoengine_history.trust.cut.delete_before", lambda *_: None)
    prune(Sheet, keep=2)
    monkeypatch.undo()
    old = {"document_id": sheet.pk, "revision": {"$gte": 0, "$lt": 6}}
    some = database.history.find(old).sort([("revision", 1), ("position", 1)]).limit(gone)
    database.history.delete_many({"_id": {"$in": [it["_id"] for it in some]}})
    assert list(verify(Sheet)) == []
    assert states(sheet, 6) == {it: before[it] for it in (6, 7)}
    read(sheet)
    prune(Sheet, keep=2)
    prove(sheet, before, moments, 6)


def test_what_stood_at_a_moment_and_since_stays() -> None:
    sheet, other = made("nt"), made("n")
    time.sleep(0.002)
    moment = datetime.now()
    time.sleep(0.002)
    sheet.number = 9
    sheet.save()
    was = {it["_id"]: it for it in as_of(Sheet, moment, as_data=True)}
    assert prune(Sheet, older_than=moment).revisions == 3
    assert {it["_id"]: it for it in as_of(Sheet, moment, as_data=True)} == was
    assert [it.number for it in history_of(sheet)] == [3, 4]
    assert [it.number for it in history_of(other)] == [2]
    back = revert(Sheet.objects.get(pk=sheet.pk), moment)
    assert (back.number, back.tags) == (1, ["1", "0"])
    assert list(verify(Sheet)) == []


def test_the_oldest_that_is_left_can_be_undone() -> None:
    sheet = made("nt")
    prune(Sheet, keep=1)
    back = undo(Sheet.objects.get(pk=sheet.pk), 3).save()
    assert back.tags == ["0"]
    assert list(verify(Sheet)) == []


def test_what_ended_before_it_goes_as_a_whole(database: Any) -> None:
    ended, alive = made("nd"), made("n")
    time.sleep(0.002)
    result = prune(Sheet, older_than=timedelta(0))
    assert (result.removed, result.shortened, result.revisions) == (1, 1, 4)
    assert database.history.count_documents({"document_id": ended.pk}) == 0
    assert [it.number for it in history_of(alive)] == [2]
    assert list(verify(Sheet)) == []


def test_one_that_ended_stays_where_a_number_of_revisions_does() -> None:
    ended = made("nd")
    prune(Sheet, keep=1)
    assert [it.operation for it in history_of(ended)] == ["delete"]


def test_it_says_what_it_would_do_and_does_nothing(database: Any) -> None:
    made("ntnt")
    before = list(database.history.find())
    assert prune(Sheet, keep=2, dry_run=True).revisions == 3
    assert list(database.history.find()) == before


def test_it_leaves_a_record_of_itself(database: Any) -> None:
    sheet = made("nt")
    with changeset("keeper", reason="policy 7"):
        prune(Sheet, keep=1)
    mark = database.history.find_one({"document_id": sheet.pk, "position": 0})["pruned"]
    assert (mark["by"], mark["reason"], mark["revisions"]) == ("keeper", "policy 7", 2)
    [event] = database.history.find(EVENT)
    assert (event["identity"], event["metadata"]["revisions"]) == ("keeper", 2)
    prune(Sheet, keep=1)
    assert database.history.count_documents(EVENT) == 1


def test_others_records_stay(database: Any) -> None:
    class Other(Document):
        meta = {"collection": "pruned_others", "history": {}}
        number = me.IntField()

    track_history(Other)
    other = Other(pk=made("nt").pk, number=1).save()
    other.update(set__number=2)
    theirs = list(database.history.find({"document_type": "pruned_others"}))
    prune(Sheet, keep=1)
    assert list(database.history.find({"document_type": "pruned_others"})) == theirs
    untrack_history(Other)


def test_what_is_held_or_not_yet_consumed_stays(database: Any) -> None:
    free, kept = made("nt"), made("nt")
    hold(kept, "a case")
    assert prune(Sheet, keep=1).held == 1
    assert [it.number for it in history_of(kept)] == [1, 2, 3, 4]
    database.history.consumers.insert_one({"_id": "index", "stamp": 0})
    free.update(set__number=7)
    assert prune(Sheet, keep=1).revisions == 0


def test_the_class_says_what_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(Sheet._meta, "history", {"keep": 2})
    made("ntn")
    assert prune(Sheet).revisions == 2
    monkeypatch.setitem(Sheet._meta, "history", {"keep_for": timedelta(days=1)})
    assert prune(Sheet).revisions == 0


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"keep": 0},
        {"keep": True},
        {"older_than": timedelta(-1)},
        {"older_than": timedelta.max},
        {"keep": 1, "progress": 1},
    ],
)
def test_what_cannot_be_used_is_refused(said: Any) -> None:
    with pytest.raises(OptionsError):
        prune(Sheet, **said)


def test_it_is_resumed_behind_a_document(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mongoengine_history.trust.prune.SMALL", 2)
    for _ in range(3):
        made("n")
    seen: list[Any] = []
    prune(Sheet, keep=1, progress=seen.append, dry_run=True)
    assert [it.documents for it in seen] == [2, 3]
    assert prune(Sheet, keep=1, resume=seen[0].resume).documents == 1
