"""What only looks as if it were pruned or erased is found, and what really is, is right."""

from __future__ import annotations

from typing import Any

import mongoengine as me
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mongoengine import Document
from pymongo.collection import Collection
from pymongo.database import Database
from support.changes import automatic, tracked_otherwise
from support.strategies import examples

from mongoengine_history import changeset, erase, prune, redact, verify
from mongoengine_history.record.chain import digests, salts_of
from mongoengine_history.record.layout import revision_of
from mongoengine_history.trust import verify as verifying


class Lease(Document):
    meta = {"collection": "leases", "auto_create_index": False}
    tenant = me.StringField()
    rent = me.IntField()


tracking = automatic(Lease)

IDENTITY, TENANT = 0, 3
"""Values of a revision, as a chain counts them."""


@pytest.fixture(autouse=True)
def at_once(database: Any, monkeypatch: Any) -> None:
    """Nobody writes meanwhile, so nothing has to be waited for."""
    monkeypatch.setattr(verifying, "PAUSES", (0.0,))


def history() -> Collection[Any]:
    return Lease._get_collection().database["history"]


def lease(revisions: int = 6) -> Lease:
    with changeset("ada"):
        made = Lease(tenant="bob", rent=0).save()
        for number in range(1, revisions):
            made.rent = number
            made.save()
    return made


def marked(number: int) -> None:
    """Forge a mark of retention with all that whoever may write to the history can know."""
    before = history().find_one({"revision": number - 1, "position": 0})
    mark = {"before": before["checksum"], "by": None, "reason": None, "revisions": number - 1}
    history().update_one({"revision": number, "position": 0}, {"$set": {"pruned": mark}})


def replaced(number: int, index: int, fields: dict[str, Any]) -> None:
    """Put another value in the place of one, as if that had been erased."""
    records = list(history().find({"revision": number, "position": {"$gte": 0}}))
    found = digests(revision_of(records), records[0])
    salts = enumerate(salts_of(records[0], len(found)))
    left = {str(it): salt for it, salt in salts if it != index}
    erased = {"digests": {str(index): found[index]}, "salts": left, **fields}
    history().update_one({"_id": records[0]["_id"]}, {"$set": erased, "$unset": {"salt": 1}})


def kinds(document: Lease) -> list[tuple[int, str]]:
    return [(it.revision, it.kind) for it in verify(document).findings]


def test_what_stands_before_a_forged_mark_is_found() -> None:
    made = lease()
    history().update_one({"revision": 2}, {"$set": {"identity": "eve"}})
    marked(4)
    assert kinds(made) == [(2, "altered")]


def test_a_mark_tells_the_revision_before_it() -> None:
    made = lease()
    marked(4)
    assert verify(made).ok
    history().update_one({"revision": 3}, {"$unset": {"checksum": 1, "salt": 1}})
    assert (4, "altered") in kinds(made)


@pytest.mark.parametrize("receipts", [0, 1])
@pytest.mark.parametrize("is_pruned", [False, True])
@pytest.mark.parametrize(
    ("index", "fields"), [(IDENTITY, {"identity": "eve"}), (TENANT, {"data.new": 77})]
)
def test_a_value_that_only_looks_erased_is_found(
    is_pruned: bool, receipts: int, index: int, fields: Any
) -> None:
    made = lease()
    for _ in range(receipts):
        redact(Lease, "tenant", pk=made.pk)
    if is_pruned:
        prune(Lease, keep=4)
        assert verify(made).ok
    replaced(5, index, fields)
    assert kinds(made)[-1][1] == "altered"


def test_a_value_behind_a_forged_mark_is_found() -> None:
    made = lease()
    marked(2)
    history().delete_many({"revision": 1})
    assert verify(made).ok  # what the mark says nobody can refute
    replaced(3, IDENTITY, {"identity": "eve"})
    assert kinds(made) == [(6, "altered")]


def test_what_was_not_erased_cannot_be_kept_from_being_recorded() -> None:
    made = lease(2)
    history().update_one({"revision": 2}, {"$set": {"redacted": [["tenant"]]}})
    assert kinds(made) == [(2, "altered")]


@given(steps=st.lists(st.sampled_from(["save", "prune", "tenant", "rent"]), max_size=9))
@examples(40)
def test_histories_that_are_pruned_and_redacted_in_turn_are_right(
    steps: list[str], database: Database[Any]
) -> None:
    history().delete_many({})
    made = lease(3)
    for index, step in enumerate(steps):
        if step == "save":
            made.rent, made.tenant = 100 + index, f"tenant {index}"
            made.save()
        elif step == "prune":
            prune(Lease, keep=3)
        else:
            redact(Lease, step, pk=made.pk)
        assert list(verify(made)) == []


def test_a_chain_that_was_taken_away_is_told() -> None:
    made = lease()
    history().update_many({}, {"$unset": {"checksum": 1, "salt": 1}})
    assert [it.kind for it in verify(made)] == ["not chained"]


def test_a_chain_that_was_written_anew_without_the_key_is_told() -> None:
    made = lease()  # as if by somebody who has no key
    with tracked_otherwise(Lease, checksum_key=b"the key of these checksums"):
        assert [it.kind for it in verify(made)] == ["not chained"]
        made.rent = 99
        made.save()
        assert [(it.revision, it.kind) for it in verify(made)] == [(7, "not chained")]


def test_the_identity_of_a_full_state_is_that_of_its_revision() -> None:
    with tracked_otherwise(Lease, version_every=2):
        made = lease()
        history().update_one({"revision": 4, "position": -1}, {"$set": {"identity": "eve"}})
        assert kinds(made) == [(4, "version")]


def test_the_full_state_of_a_receipt_that_stays_needs_no_identity() -> None:
    with tracked_otherwise(Lease, version_every=1):
        made = lease(2)
        with changeset("dpo"):
            redact(Lease, "tenant", pk=made.pk)
        erase(made, context=True)
        assert list(verify(made)) == []
