"""A history that is gone, while objects still know what it was: it begins anew, and can be read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.binding import binds
from support.changes import edited, numbers
from support.documents import fields_of, raw
from support.erased import ERASURES, Sheet, all_but, by_history, known, now, prove, raw_deleted
from support.stale import tracked_by

from mongoengine_history import (
    DocumentTrack,
    History,
    RevisionPrunedError,
    Version,
    changeset,
    history_of,
    restore,
    revert,
    undo,
)
from mongoengine_history.record.head import Turn

way = tracked_by(Sheet, ways=["watched", "automatic"])


@pytest.fixture(autouse=True)
def dropped(database: Any) -> Iterator[None]:
    """Tests drop the history; others find it as they know it."""
    History.ensure_indexes()
    yield
    History.ensure_indexes()


@pytest.fixture
def warnings(caplog: Any) -> Callable[[], list[str]]:
    """Return what the library has warned of since."""
    caplog.set_level(logging.WARNING, "mongoengine_history")

    def said() -> list[str]:
        found = [it.getMessage() for it in caplog.records if it.name == "mongoengine_history"]
        caplog.clear()
        return found

    return said


def save(sheet: Any) -> None:
    edited(sheet, "after", text="after", tags=[*sheet.tags, "after"], facts={**sheet.facts, "a": 1})


def save_a_scalar(sheet: Any) -> None:
    edited(sheet, "after", number=99)


def save_a_key(sheet: Any) -> None:
    with DocumentTrack(sheet, "after"):
        sheet.facts["k1"] = "after"
        sheet.save()


def delete(sheet: Any) -> None:
    with DocumentTrack(sheet, "after"):
        sheet.delete()


def update(sheet: Any) -> None:
    with DocumentTrack(sheet, "after"):
        sheet.update(set__text="after", push__tags="after")


def modify(sheet: Any) -> None:
    with DocumentTrack(sheet, "after"):
        sheet.modify(set__text="after", push__tags="after")


SAVES = {it.__name__: it for it in (save, save_a_scalar, save_a_key, delete)}

ONLY_AUTOMATIC = {it.__name__: it for it in (update, modify)}


def erased(document: Any, how: str, uri: str) -> int:
    """Let a history be gone, and return the number that it ends with then."""
    ERASURES[how](document, uri)
    return len(history_of(document))


@pytest.mark.parametrize("how", ERASURES)
@pytest.mark.parametrize("what", [*SAVES, *ONLY_AUTOMATIC])
def test_the_next_write_of_an_object_that_knew_it_begins_anew(
    way: str, mongodb_uri: str, warnings: Any, how: str, what: str
) -> None:
    if what in ONLY_AUTOMATIC and way == "watched":
        return
    sheet = known(Sheet)
    last = erased(sheet, how, mongodb_uri)
    before = now(sheet)
    {**SAVES, **ONLY_AUTOMATIC}[what](sheet)
    [warning] = warnings()
    assert "gone_sheets" in warning
    assert repr(sheet.pk) in warning
    timeline = prove(Sheet, sheet.pk, {last: before}, now(sheet))
    assert timeline[last + 1].identity == "after"


@pytest.mark.parametrize("how", ERASURES)
def test_it_goes_on_from_there_for_all_objects(mongodb_uri: str, warnings: Any, how: str) -> None:
    sheet = known(Sheet)
    other = Sheet.objects.get()
    edited(other, "other", number=7)
    last = erased(sheet, how, mongodb_uri)
    states = {last: now(sheet)}
    for number in range(1, 11):
        each = [sheet, other, Sheet.objects.get()][number % 3]
        edited(each, number=100 + number, tags=[*each.tags, str(number)])
        states[last + number] = now(sheet)
    assert len(warnings()) == 1
    prove(Sheet, sheet.pk, states, now(sheet))
    assert warnings() == []


@pytest.mark.parametrize("how", ["by History", "raw", "collection dropped", "rolled back to 4"])
@pytest.mark.parametrize("back", ["revert", "undo", "restore"])
def test_what_was_led_back_before_is_saved_after_it(
    mongodb_uri: str, warnings: Any, how: str, back: str
) -> None:
    sheet = known(Sheet)
    if back == "restore":
        with DocumentTrack(sheet):
            sheet.delete()
        led = restore(Sheet, sheet.pk)
        if how.startswith("rolled"):
            return
    else:
        led = revert(sheet, revision=3) if back == "revert" else undo(sheet, 6)
    wanted = led.to_mongo()
    last = erased(sheet, how, mongodb_uri)
    before = now(sheet)
    led.save()
    assert len(warnings()) == 1
    assert how.startswith("rolled") or raw(sheet) == wanted
    timeline = prove(Sheet, sheet.pk, {last: before}, now(sheet))
    assert timeline[last + 1].operation == back


@pytest.mark.parametrize("how", ERASURES)
def test_a_document_that_was_deleted_may_be_made_anew(mongodb_uri: str, how: str) -> None:
    sheet = known(Sheet)
    with DocumentTrack(sheet):
        sheet.delete()
    if not how.startswith("rolled"):
        ERASURES[how](sheet, mongodb_uri)
    for document in (sheet, Sheet(pk=sheet.pk, text="again")):
        edited(document, number=1)
        edited(document, number=2)
    last = len(history_of(sheet))
    assert history_of(sheet)[last - 3].operation in {"create", "update"}
    prove(Sheet, sheet.pk, {}, now(sheet))


@pytest.mark.parametrize("how", ["by History", "rolled back to 1", "rolled back to 4"])
def test_another_process_may_have_gone_on_to_the_same_number(
    mongodb_uri: str, monkeypatch: Any, how: str
) -> None:
    """What an object knows of the lost revision of that number is not true of the new one."""
    monkeypatch.setattr("mongoengine_history.record.revisions.turn_at", lambda _: Turn())
    for more in range(1, 4):
        sheet = known(Sheet, 5 + more)
        newest = len(history_of(sheet))
        last = erased(sheet, how, mongodb_uri)
        other = Sheet.objects.get(pk=sheet.pk)
        states = {last: now(sheet)}
        for number in range(last + 1, newest + 1):
            edited(
                other, "other", facts={str(number): number}, tags=[str(number)], text=str(number)
            )
            states[number] = now(sheet)
        for _ in range(3):
            newest += 1
            edited(sheet, "own", number=1000 + newest)
            states[newest] = now(sheet)
        prove(Sheet, sheet.pk, states, now(sheet))


def test_a_history_that_was_emptied_while_the_document_was_written_to_drifts() -> None:
    """Its records are gone, and the document is not: the history can be read all the same."""
    sheet = known(Sheet)
    newer = {"document_id": sheet.pk, "revision": {"$gt": 2}}
    History._get_collection().delete_many(newer)
    edited(sheet, "after", number=99, tags=["after"])
    timeline = history_of(sheet)
    assert numbers(timeline) == [1, 2, 3]
    assert numbers(reversed(timeline)) == [3, 2, 1]
    state = timeline.state(3)
    assert (state["number"], state["tags"]) == (99, ["after"])
    revert(sheet, revision=2).save()
    assert timeline.compare(-1) == []


def test_a_version_that_is_left_alone_is_no_part_of_the_new_history() -> None:
    sheet = known(Sheet, 9)
    kept = [it.revision for it in Version.objects.of(sheet)]
    assert kept == [4, 8]
    History.objects.of(sheet).delete()
    states = {0: now(sheet)}
    for number in range(1, 10):
        edited(sheet, number=100 + number, tags=[str(number)])
        states[number] = now(sheet)
        found = {it: fields_of(history_of(sheet).state(it)) for it in states}
        assert found == states
    prove(Sheet, sheet.pk, states, now(sheet))


def test_many_documents_of_one_collection_begin_anew_one_by_one(warnings: Any) -> None:
    sheets = [known(Sheet, 2) for _ in range(3)]
    raw_deleted(sheets[1], "")
    for sheet in sheets:
        save(sheet)
    assert len(warnings()) == 1
    assert [numbers(history_of(it)) for it in sheets] == [[1, 2, 3, 4], [1], [1, 2, 3, 4]]


@binds
def test_inside_a_transaction_it_begins_anew_as_well(client: Any) -> None:
    sheet = known(Sheet)
    by_history(sheet, "")
    before = now(sheet)
    with changeset(atomic=True):
        save(sheet)
        save_a_scalar(sheet)
    prove(Sheet, sheet.pk, {0: before}, now(sheet))


@pytest.mark.parametrize("fixture", ["together", "apart"])
def test_who_knows_a_history_that_is_there_pays_nothing_for_it(
    commands: Any, warnings: Any, monkeypatch: Any, fixture: str
) -> None:
    if fixture == "apart":
        monkeypatch.setattr("mongoengine_history.record.revisions.turn_at", lambda _: Turn())
    sheet = known(Sheet, 2)
    for number in range(3):
        commands.clear()
        edited(sheet, number=100 + number)
        assert list(commands.names) == ["findAndModify", "insert"]
    all_but(1)(sheet, "")
    commands.clear()
    edited(sheet, number=200)
    assert list(commands.names).count("findAndModify") == 1
    assert len(commands.names) <= 6
    assert len(warnings()) == 1
    for number in range(3):
        commands.clear()
        edited(sheet, number=300 + number)
    assert list(commands.names) == ["findAndModify", "insert"]
    assert warnings() == []


def test_before_a_purge_nothing_comes_back_and_the_errors_say_so(database: Any) -> None:
    sheet = Sheet()
    for number in range(6):
        edited(sheet, number=number)
    moment = history_of(sheet)[2].at
    History.objects.of(sheet).filter(revision__lte=3).delete()
    timeline, left = history_of(sheet), "begins with revision 4"
    reads: list[Callable[[], Any]] = [
        lambda: revert(sheet, moment),
        lambda: timeline.as_of(moment),
        lambda: timeline[:],
        lambda: timeline[2:],
    ]
    for read in reads:
        with pytest.raises(RevisionPrunedError, match=left) as caught:
            read()
        assert caught.value.oldest == 4
    for number in (1, 3):
        with pytest.raises(RevisionPrunedError, match=left):
            revert(sheet, revision=number)
    assert numbers(timeline) == numbers(timeline[4:]) == [4, 5, 6]
    assert numbers(reversed(timeline)) == [6, 5, 4]
    assert [it.number for it in timeline[4:]] == numbers(timeline[4:])
