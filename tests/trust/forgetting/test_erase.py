"""`erase` and `anonymise`: a person is gone from histories, and what remains is still proven."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mongoengine as me
import pytest
from bson import ObjectId
from hypothesis import given
from pymongo.database import Database
from support.changes import automatic, tracked_otherwise
from support.diaries import PATHS, Diary, filled, found, scripts
from support.strategies import examples
from support.unanswered import unanswered

from mongoengine_history import (
    History,
    OptionsError,
    Version,
    anonymise,
    changeset,
    erase,
    flush_spool,
    history_of,
    record_event,
    restore,
    revert,
    spool,
    undo,
    verify,
)
from mongoengine_history.state.mask import BLANK

MARKS = {mark for marks, _ in PATHS.values() for mark in marks}


class Pass(me.Document):
    meta = {"collection": "passes", "auto_create_index": False, "allow_inheritance": True}
    holder = me.StringField(required=True)


class DayPass(Pass):
    day = me.IntField()


tracking = automatic(Diary, Pass)


@given(script=scripts, later=scripts)
@examples(40)
def test_no_value_is_left(script: Any, later: Any, database: Database[Any]) -> None:
    database.history.delete_many({})
    database.diaries.delete_many({})
    with tracked_otherwise(Diary, version_every=3):
        diary = filled().save()
        for step in script:
            step(diary)
            diary.save()
        number = len(history_of(diary))
        was = [history_of(diary).state(it) for it in range(1, number + 1)]
        receipt = erase(diary)
        assert not found(*MARKS)
        assert receipt.revision == number + 1
        for at, state in enumerate(was, 1):
            assert history_of(diary).state(at) == dict.fromkeys(state, BLANK)
        assert verify(diary).ok
        assert erase(diary).documents == 0
        live = diary.to_mongo().to_dict()
        assert revert(diary, revision=number).to_mongo().to_dict() == live
        for step in later:
            step(diary)
            diary.save()
        assert verify(diary).ok, verify(diary).findings
        assert history_of(diary).compare(-1) == []


def test_a_deleted_document_can_be_forgotten(database: Database[Any]) -> None:
    diary = filled().save()
    with changeset("ann", reason="she asked for it"):
        diary.delete()
    receipt = erase(Diary, diary.pk)
    assert (receipt.revisions, receipt.revision) == ("1-2", 3)
    assert not found(*MARKS)
    told = [(it.operation, it.identity, it.reason) for it in history_of(diary)]
    assert told == [
        ("create", None, None),
        ("delete", "ann", "she asked for it"),
        ("redact", None, None),
    ]
    assert verify(Diary).ok
    assert restore(Diary, diary.pk).to_mongo().to_dict() == {
        "_id": diary.pk,
        "tags": [],
        "e": [],
    } | {"facts": {}}


def test_who_and_why_go_if_asked_for(database: Database[Any]) -> None:
    with changeset("ann", reason="ann called", phone=123):
        diary = filled().save()
    with changeset("dpo", reason="art. 17"):
        redact = erase(diary, context=True)
    first, second = history_of(diary)
    assert (first.identity, first.reason, first.metadata) == (None, None, {})
    assert (second.identity, second.reason) == ("dpo", "art. 17")
    assert redact.values == 2 + len(diary.to_mongo())
    assert not list(History.objects.by("ann"))
    with changeset("dpo"):
        erase(diary, context=True)
    assert len(history_of(diary)) == 2
    assert verify(diary).ok


def test_the_class_stays_known(database: Database[Any]) -> None:
    day = DayPass(holder="ann", day=1).save()
    day.delete()
    erase(DayPass, day.pk)
    assert len(history_of(DayPass, day.pk)) == 3
    assert not history_of(Pass, ObjectId())
    assert history_of(DayPass, day.pk).state(1)["_cls"] == "Pass.DayPass"
    with pytest.raises(me.ValidationError, match="holder"):
        restore(Pass, day.pk).save()
    assert verify(Pass).ok


def test_undo_over_what_is_erased_keeps_what_is_there(database: Database[Any]) -> None:
    diary = filled().save()
    diary.mail = "b"
    diary.save()
    erase(diary)
    undo(diary, 2).save()
    assert Diary.objects.get().mail == "b"
    assert verify(diary).ok


def saved_by(who: object, diary: Diary, name: str, **said: Any) -> Diary:
    with changeset(who, **said):
        diary.name = name
        return diary.save()


def test_an_identity_is_another_one_everywhere(database: Database[Any]) -> None:
    with tracked_otherwise(Diary, version_every=2):
        first, second, other = (
            saved_by("ann", filled(), "a"),
            saved_by("ann", filled(), "b"),
            filled().save(),
        )
        saved_by("bob", first, "c", on_behalf_of="ann", page="/")
        saved_by("ann", first, "d")
        record_event("login", identity="ann")
        told: list[Any] = []
        with changeset("dpo"):
            total = anonymise("ann", "user 7", progress=told.append)
        assert (total.documents, total.what) == (3, "an identity")
        assert {it.document_id for it in told} >= {first.pk, second.pk}
        assert not list(History.objects.by("ann"))
        assert not found("ann")
        assert {it.document_id for it in History.objects.by("user 7")} >= {first.pk, second.pk}
        assert history_of(first)[2].metadata == {"on_behalf_of": "user 7", "page": "/"}
        assert Version.objects(document_id=first.pk).first().identity == "bob"
        assert len(history_of(other)) == 1
        assert verify(Diary).ok
        assert anonymise("ann").documents == 0
        assert saved_by("bob", first, "e")
        assert verify(Diary).ok


def test_it_may_become_nobody_and_be_asked_for_by_itself(database: Database[Any]) -> None:
    diary = saved_by("ann", filled(), "a")
    with changeset("ann"):
        assert anonymise("ann").values == 1
    assert [it.identity for it in history_of(diary)] == [None, None]
    assert not found("ann")
    assert verify(diary).ok


def test_who_an_anonymous_one_is_cannot_be_changed(database: Database[Any]) -> None:
    diary = saved_by("ann", filled(), "a")
    anonymise("ann", "user 7")
    database.history.update_many({"identity": "user 7"}, {"$set": {"identity": "eve"}})
    assert [it.kind for it in verify(diary).findings] == ["altered"]


def test_identities_in_a_spool(database: Database[Any], tmp_path: Path) -> None:
    with tracked_otherwise(Diary, on_error=spool(tmp_path / "spool")):
        diary = filled().save()
        with unanswered("insert_many", among="history", done=False):
            saved_by("ann", diary, "b")
        anonymise("ann", "user 7")
        assert flush_spool(tmp_path / "spool").recorded == 1
        assert [it.identity for it in history_of(diary)] == [None, "user 7"]


@pytest.mark.parametrize("bad", [(None,), (object(),), ("ann", object())])
def test_what_is_no_identity_is_refused(database: Database[Any], bad: Any) -> None:
    saved_by("ann", filled(), "a")
    with pytest.raises(OptionsError):
        anonymise(*bad)
    assert found("ann")


def test_records_of_a_collection_without_a_class_are_refused(database: Database[Any]) -> None:
    saved_by("ann", filled(), "a")
    database.history.update_many({}, {"$set": {"document_type": "elsewhere"}})
    with pytest.raises(OptionsError, match="elsewhere"):
        anonymise("ann")
