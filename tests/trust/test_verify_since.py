"""`verify` since a checkpoint: only what was recorded later is gone through."""

from __future__ import annotations

from typing import Any

import mongoengine as me
import pytest
from mongoengine import Document
from pymongo.collection import Collection
from support.changes import automatic

from mongoengine_history import checkpoint, verify
from mongoengine_history.trust import verify as verifying


class Ledger(Document):
    meta = {"collection": "checked_ledgers", "auto_create_index": False}
    owner = me.StringField()
    total = me.IntField(default=0)


tracking = automatic(Ledger)


@pytest.fixture(autouse=True)
def at_once(database: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(verifying, "PAUSES", (0.0, 0.0))


def ledger() -> Ledger:
    made = Ledger(owner="ada").save()
    for number in range(1, 6):
        made.total = number
        made.save()
    return made


def history() -> Collection[Any]:
    return Ledger._get_collection().database["history"]


def alter(found: dict[str, Any], update: dict[str, Any]) -> None:
    assert history().update_one(found, update).modified_count == 1


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
