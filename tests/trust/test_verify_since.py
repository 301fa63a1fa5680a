"""`verify` since a checkpoint: only what was recorded later is gone through."""

from __future__ import annotations

from typing import Any

import mongoengine as me
import pytest
from bson import Int64
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from mongoengine import Document
from support.changes import automatic, tracked
from support.stored_history import alter, history

from mongoengine_history import (
    BaseHistory,
    Checkpoint,
    OptionsError,
    checkpoint,
    record_event,
    verify,
)
from mongoengine_history.trust import verify as verifying


class Ledger(Document):
    meta = {"collection": "checked_ledgers", "auto_create_index": False}
    owner = me.StringField()
    total = me.IntField(default=0)


tracking = automatic(Ledger)


class Elsewhere(BaseHistory):
    meta = {"collection": "elsewhere_kept", "auto_create_index": False}


class Account(Document):
    meta = {"collection": "checked_accounts", "auto_create_index": False}
    total = me.IntField(default=0)


@pytest.fixture(autouse=True)
def since_it_was_made(at_once: None, monkeypatch: Any) -> None:
    monkeypatch.setattr(verifying, "SKEW", 0)


def ledger() -> Ledger:
    made = Ledger(owner="ada").save()
    for number in range(1, 6):
        made.total = number
        made.save()
    return made


def test_since_a_checkpoint_only_what_came_later_is_gone_through() -> None:
    made = [ledger() for _ in range(3)]
    for it in made:
        it.total = 77
        it.save()
    point = checkpoint(Ledger)
    for it in made[:2]:
        it.total = 78
        it.save()
    Ledger(owner="new").save()
    found = verify(Ledger, since=point)
    assert (found.all, found.documents, found.revisions) == ((), 3, 3)
    alter({"revision": 3, "document_id": made[0].pk, "position": 0}, {"$set": {"reason": "x"}})
    assert verify(Ledger, since=str(point)).ok  # which was said to be right then
    newest = {"revision": 8, "document_id": made[1].pk, "position": 0}
    alter(newest, {"$set": {"reason": "x"}})
    found = verify(Ledger, since=point)
    assert {(it.document_id, it.revision, it.kind) for it in found.findings} == {
        (made[1].pk, 8, "altered")
    }


def test_since_a_checkpoint_what_is_gone_is_named() -> None:
    made = [ledger() for _ in range(3)]
    point = checkpoint(Ledger)
    history().delete_many({"document_id": made[0].pk})
    history().delete_many({"document_id": made[1].pk, "revision": 6})
    found = {(it.document_id, it.kind) for it in verify(Ledger, since=point).findings}
    assert found == {(made[0].pk, "missing"), (made[1].pk, "missing")}


def test_what_bears_an_earlier_moment_is_gone_through_as_well() -> None:
    made = [ledger() for _ in range(3)]
    point = checkpoint(Ledger)
    for it in made:
        it.total = 77
        it.save()
    for it in made[:2]:  # by somebody whose clock is slow, or who hides it
        alter({"revision": 7, "document_id": it.pk}, {"$set": {"stamp": Int64(1)}})
    found = verify(Ledger, since=point)
    assert {(it.document_id, it.revision, it.kind) for it in found.findings} == {
        (it.pk, 7, "altered") for it in made[:2]
    }
    assert found.documents == 3


def test_what_was_recorded_shortly_before_is_gone_through_as_well(monkeypatch: Any) -> None:
    monkeypatch.setattr(verifying, "SKEW", 60_000_000)
    made = ledger()
    found = verify(Ledger, since=checkpoint(Ledger))
    assert found.ok
    assert (found.documents, found.revisions) == (1, 6)
    assert made.pk


def test_all_classes_are_verified_since_a_checkpoint_of_all() -> None:
    with tracked(Account, history=Elsewhere):
        Account().save()
        made = ledger()
        point = checkpoint()
        before = verify(since=point)
        assert before.findings == ()
        assert "Account" in before.unchecked
        made.total = 77
        made.save()
        record_event("login")
        found = verify(since=point)
        assert (found.findings, found.documents) == ((), 2)
        assert "Account" in found.unchecked
        assert not found.ok
        alter({"revision": 7, "document_id": made.pk}, {"$set": {"reason": "x"}})
        assert [(it.document_id, it.kind) for it in verify(since=point).findings] == [
            (made.pk, "altered")
        ]


def test_the_checkpoint_is_opened_by_its_key_and_read_where_it_was_kept() -> None:
    made, apart = ledger(), Ledger._get_collection().database["leaves_apart"]
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    point = checkpoint(Ledger, key=key.private_bytes_raw(), to=apart)
    assert verify(Ledger, since=point.signed_by(public)).ok
    history().delete_many({"document_id": made.pk})
    found = verify(Ledger, since=point.signed_by(public)).findings
    assert [(it.document_id, it.kind) for it in found] == [(made.pk, "missing")]
    again = Checkpoint(str(point), apart).signed_by(public)
    assert verify(Ledger, since=again).findings == found
    with pytest.raises(OptionsError, match="not signed by that key"):
        point.signed_by(bytes(32))
    with pytest.raises(OptionsError, match="leaves"):
        Checkpoint(str(point), "apart")  # type: ignore[arg-type]
