"""What is forgotten of many documents: of each of them, in order, and wherever it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mongoengine as me
import pytest
from bson import Binary, Decimal128, ObjectId
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from mongoengine import Document
from pymongo.database import Database
from support.changes import automatic, tracked_otherwise
from support.unanswered import unanswered

from mongoengine_history import (
    OptionsError,
    anonymise,
    changeset,
    flush_spool,
    history_of,
    hold,
    prune,
    record_event,
    redact,
    release,
    spool,
    verify,
)
from mongoengine_history.state.mask import BLANK


class Patient(Document):
    meta = {"collection": "patients", "auto_create_index": False}
    id = me.DynamicField(primary_key=True)
    name = me.StringField()


tracking = automatic(Patient)

KEYS = [7, "b", 2.5, ObjectId(), Binary(b"x"), {"a": 1}, True, "a", -3, Decimal128("1")]


class StopError(Exception):
    """Somebody has broken it off."""


@pytest.mark.parametrize("formerly", [(), ("earlier_patients",)])
@pytest.mark.parametrize("done", [1, 5, 9])
def test_a_sweep_goes_on_behind_whatever_key(
    database: Database[Any], done: int, formerly: tuple[str, ...]
) -> None:
    for key in KEYS:
        Patient(id=key, name="MARK").save()
    if formerly:
        texts, name = {"document_id": {"$type": "string"}}, {"document_type": formerly[0]}
        database.history.update_many(texts, {"$set": name})
    told: list[Any] = []

    def tell(receipt: Any) -> None:
        told.append(receipt.document_id)
        if len(told) == done:
            raise StopError

    with tracked_otherwise(Patient, formerly=formerly):
        with pytest.raises(StopError):
            redact(Patient, "name", progress=tell)
        redact(Patient, "name", resume=told[-1], progress=tell)
        assert len(told) == len(KEYS)
        assert redact(Patient, "name").documents == 0


@pytest.mark.parametrize("forget", [lambda: redact(Patient, "name"), lambda: anonymise("ann")])
def test_one_that_is_held_keeps_no_other_from_being_forgotten(
    database: Database[Any], forget: Any
) -> None:
    with changeset("ann"):
        patients = [Patient(id=number, name="MARK").save() for number in range(3)]
    hold(patients[1], "case 7")
    with pytest.raises(OptionsError) as caught:
        forget()
    assert caught.value.value == [1]
    assert [history_of(it)[-1].operation for it in patients] == ["redact", "event", "redact"]
    release(patients[1])
    assert forget().documents == 1


def test_what_only_waits_in_a_spool_is_forgotten(database: Database[Any], tmp_path: Path) -> None:
    with tracked_otherwise(Patient, on_error=spool(tmp_path / "spool")):
        with unanswered("insert_many", among="history", done=False):
            patient = Patient(id=1, name="MARK").save()
        assert redact(Patient, "name").values == 1
        assert flush_spool(tmp_path / "spool").recorded == 1
        assert history_of(patient).state(1)["name"] == BLANK


def found(what: bytes, database: Database[Any]) -> list[Any]:
    raw = CodecOptions(document_class=RawBSONDocument)
    names = set(database.list_collection_names()) - {"patients"}
    every = (it for name in names for it in database.get_collection(name, raw).find())
    return [it for it in every if what in it.raw]


def test_somebody_is_gone_from_all_that_is_said(database: Database[Any]) -> None:
    with changeset("bob", approved_by="ann"):
        named = Patient(id=1).save()
    with changeset("bob", actors=[{"id": "ann", "role": "nurse"}, "ann"]):
        deep = Patient(id=2).save()
    pruned = Patient(id=3, name="a").save()
    pruned.update(name="b")
    with changeset("ann"):
        prune(Patient, keep=1)
    record_event("refused", who="ann")
    hold(named, "case")
    release(named)
    assert anonymise("ann", "user 7").documents == 5
    assert found(b"ann\0", database) == []
    assert history_of(deep)[1].metadata == {"actors": [{"id": "user 7", "role": "nurse"}, "user 7"]}
    assert not verify().findings
    assert anonymise("ann").documents == 0


def test_what_receipts_count_names_nobody(database: Database[Any]) -> None:
    with changeset(4):
        patient = Patient(id=1, name="MARK").save()
        for number in range(3):
            patient.update(name=f"MARK {number}")
    redact(Patient, "name", pk=1)
    erased = history_of(patient)[-1].metadata["erased"]
    anonymise(4)
    assert history_of(patient)[5].metadata["erased"] == erased
    assert verify(patient).ok
