"""`track_changes` called by hand in a block: what was written past the history is recorded."""

from __future__ import annotations

from typing import Any

import mongoengine as me
import pytest
from mongoengine import Document, signals
from support.changes import automatic
from support.documents import raw

from mongoengine_history import (
    DocumentTrack,
    HistoryWarning,
    changeset,
    history_of,
    revert,
    track_changes,
    untracked,
)


class Sheet(Document):
    meta = {"collection": "sheets_by_hand", "auto_create_index": False}
    n = me.IntField()
    text = me.StringField()


class Tracked(Document):
    meta = {"collection": "sheets_tracked", "auto_create_index": False}
    n = me.IntField()
    text = me.StringField()


tracking = automatic(Tracked)


@pytest.fixture(autouse=True)
def connected(database: Any) -> None:
    signals.post_save.connect(track_changes, sender=Sheet)


def made(model: Any = Sheet) -> Any:
    sheet = model(n=1)
    with DocumentTrack(sheet, "ann"):
        sheet.save()
    return sheet


def drift(sheet: Any, **values: Any) -> None:
    with untracked():
        type(sheet).objects(pk=sheet.pk).update(**values)


def told(sheet: Any) -> list[Any]:
    return [(it.operation, it.identity, *it.patches) for it in history_of(sheet)][1:]


@pytest.mark.parametrize(("field", "value"), [("n", 7), ("text", "b")])
def test_where_deletions_are_recorded_it_is_no_deletion(field: str, value: Any) -> None:
    signals.post_delete.connect(track_changes, sender=Sheet)
    sheet = made()
    with DocumentTrack(sheet, "ada"):
        Sheet.objects(pk=sheet.pk).update(**{field: value})
        track_changes(Sheet, sheet)
        sheet.delete()
    assert [(operation, who) for operation, who, *_ in told(sheet)] == [
        ("update", "ada"),
        ("delete", "ada"),
    ]


@pytest.mark.parametrize("model", [Sheet, Tracked])
@pytest.mark.parametrize("block", [lambda it: DocumentTrack(it, "bob"), lambda _: changeset("bob")])
def test_it_records_with_what_the_block_says(model: Any, block: Any) -> None:
    sheet = made(model)
    with block(sheet):
        drift(sheet, n=2, text="new")
        track_changes(model, sheet)
        track_changes(model, sheet)
    patches = [("change", ["n"], (1, 2)), ("add", [], [("text", "new")])]
    assert told(sheet) == [("update", "bob", *patches)]
    revert(sheet, revision=1).save()
    assert raw(sheet)["n"] == 1


def test_its_own_words_win() -> None:
    sheet = made()
    with DocumentTrack(sheet, "bob", reason="count", shelf=3):
        drift(sheet, n=2)
        track_changes(Sheet, document=sheet, identity="eve")
    [_, revision] = history_of(sheet)
    assert (revision.identity, revision.reason) == ("eve", "count")
    assert revision.metadata == {"shelf": 3}


def test_a_deletion_by_a_query_is_one() -> None:
    sheet = made()
    with changeset("bob"):
        Sheet.objects(pk=sheet.pk).delete()
        track_changes(Sheet, sheet)
    assert [it[:2] for it in told(sheet)] == [("delete", "bob")]


def test_unsaved_edits_are_not_stored_and_not_recorded() -> None:
    sheet = made()
    with DocumentTrack(sheet, "bob"):
        sheet.n = 7
        track_changes(Sheet, sheet)
        assert told(sheet) == []
        sheet.save()
    assert told(sheet) == [("update", "bob", ("change", ["n"], (1, 7)))]


def test_outside_of_a_block_nobody_asked_for_it() -> None:
    sheet = made()
    drift(sheet, n=2)
    track_changes(Sheet, sheet)
    with changeset("bob"), untracked():
        track_changes(Sheet, sheet)
    assert told(sheet) == []


def test_without_a_history_it_says_that_nobody_knows_what_was_before() -> None:
    sheet = Sheet(n=1).save()
    drift(sheet, n=2)
    with DocumentTrack(sheet, "bob"), pytest.warns(HistoryWarning, match="backfill"):
        track_changes(Sheet, sheet)
    assert not len(history_of(sheet))


def test_a_handler_of_a_signal_records_what_that_is_of() -> None:
    def handler(sender: Any, document: Any, **said: Any) -> None:
        track_changes(sender, document, **said)

    sheet = made()
    drift(sheet, text="drift")
    signals.post_save._clear_state()
    signals.pre_save.connect(handler, sender=Sheet)
    with DocumentTrack(sheet, "bob"):
        sheet.n = 2
        sheet.save()
    assert told(sheet) == [("update", "bob", ("change", ["n"], (1, 2)))]
