"""`verify`: a right history is right, each planted fault is named, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

import mongoengine as me
import pytest
from bson import Int64, ObjectId
from hypothesis import given
from hypothesis import strategies as st
from mongoengine import Document
from pymongo.database import Database
from support.changes import automatic, tracked, tracked_otherwise
from support.stored_history import alter, history
from support.strategies import examples

from mongoengine_history import (
    HistoryError,
    OptionsError,
    changeset,
    record_event,
    revert,
    track_history,
    undo,
    untrack_history,
    verify,
)
from mongoengine_history.trust import verify as verifying


class Account(Document):
    meta = {"collection": "accounts", "auto_create_index": False}
    owner = me.StringField()
    total = me.IntField(default=0)
    notes = me.DictField()
    lines = me.ListField(me.IntField())


pytestmark = pytest.mark.usefixtures("at_once")

tracking = automatic(Account)

KEY, OLD_KEY = b"the key of these checksums", b"the key of earlier ones"


def account() -> Account:
    """Make one whose history has a version with each second revision."""
    with tracked_otherwise(Account, version_every=2), changeset("ada", reason="why", ip="::1"):
        made = Account(owner="ada", lines=[1, 2], notes={"a": 1, "b": 2}).save()
        for number in range(1, 6):
            made.total, made.notes["a"] = number, -number
            made.lines.append(number)
            made.save()
    return made


THIRD = {"revision": 3, "position": 0}


def moved(number: int) -> None:
    """Let a history begin with a revision of another document."""
    other = Account(owner="bob").save()
    history().delete_many({"document_id": other.pk})
    alter({"revision": 1}, {"$set": {"document_id": other.pk}})


def swapped(field: str) -> None:
    numbers = {3: 99, 4: 3, 99: 4}
    for number, other in numbers.items():
        history().update_many({"revision": number}, {"$set": {"revision": other}})


def copied() -> None:
    """Insert a revision behind the last one."""
    found = history().find({"revision": 6, "position": {"$gte": 0}})
    history().insert_many([{**it, "_id": ObjectId(), "revision": 7} for it in found])


PLANTED: dict[str, tuple[Callable[[], object], set[tuple[int, str]]]] = {
    "identity": (lambda: alter(THIRD, {"$set": {"identity": "eve"}}), {(3, "altered")}),
    "nobody": (lambda: alter(THIRD, {"$unset": {"identity": 1}}), {(3, "altered")}),
    "reason": (lambda: alter(THIRD, {"$set": {"reason": "so"}}), {(3, "altered")}),
    "metadata": (lambda: alter(THIRD, {"$set": {"metadata.ip": "::2"}}), {(3, "altered")}),
    "operation": (lambda: alter(THIRD, {"$set": {"operation": "x"}}), {(3, "altered")}),
    "changeset": (lambda: alter(THIRD, {"$set": {"changeset": ObjectId()}}), {(3, "altered")}),
    "stamp": (lambda: alter(THIRD, {"$inc": {"stamp": 1}}), {(3, "altered")}),
    "created_at": (
        lambda: alter(THIRD, [{"$set": {"created_at": {"$add": ["$created_at", 1]}}}]),  # type: ignore[arg-type]
        {(3, "altered")},
    ),
    "action": (lambda: alter(THIRD, {"$set": {"action": "x"}}), {(3, "malformed")}),
    "path": (lambda: alter(THIRD, {"$set": {"path": "owner"}}), {(3, "altered")}),
    "keys": (lambda: alter(THIRD, {"$set": {"keys": ["x"], "path": "x"}}), {(3, "altered")}),
    "old value": (lambda: alter(THIRD, {"$set": {"data.old": 77}}), {(3, "altered")}),
    "type": (lambda: alter(THIRD, {"$set": {"data.new": Int64(2)}}), {(3, "altered")}),
    "salt": (lambda: alter(THIRD, {"$set": {"salt": bytes(16)}}), {(3, "altered")}),
    "checksum": (
        lambda: alter(THIRD, {"$set": {"checksum": bytes(32)}}),
        {(3, "altered"), (4, "altered")},
    ),
    "no checksum": (
        lambda: alter(THIRD, {"$unset": {"checksum": 1, "salt": 1}}),
        {(3, "unchained"), (4, "altered")},
    ),
    "lists": (lambda: alter(THIRD, {"$set": {"lists.lines": bytes(8)}}), {(3, "replay")}),
    "second record": (
        lambda: alter({"revision": 3, "position": 1}, {"$set": {"identity": "eve"}}),
        {(3, "altered")},
    ),
    "record removed": (
        lambda: history().delete_one({"revision": 3, "position": 1}),
        {(3, "missing")},
    ),
    "record inserted": (
        lambda: history().insert_one({**history().find_one(THIRD), "_id": 1, "position": 9}),
        {(3, "missing")},
    ),
    "position removed": (
        lambda: alter({"revision": 3, "position": 1}, {"$unset": {"position": 1}}),
        {(3, "missing")},
    ),
    "first position removed": (
        lambda: alter(THIRD, {"$unset": {"position": 1}}),
        {(3, "missing")},
    ),
    "revision removed": (lambda: history().delete_many({"revision": 3}), {(3, "missing")}),
    "beginning gone": (
        lambda: history().delete_many({"revision": {"$lt": 3}}),
        {(1, "missing")},
    ),
    "tail cut": (lambda: history().delete_many({"revision": {"$gt": 5}}), {(5, "drift")}),
    "revision inserted": (copied, {(7, "altered")}),
    "version altered": (
        lambda: alter({"revision": 4, "position": -1}, {"$set": {"state.total": 77}}),
        {(4, "version")},
    ),
    "version of another time": (
        lambda: alter({"revision": 4, "position": -1}, {"$inc": {"stamp": 1}}),
        {(4, "version")},
    ),
    "no stamp": (lambda: alter(THIRD, {"$unset": {"stamp": 1}}), {(3, "malformed")}),
}  # fmt: skip


@pytest.mark.parametrize("fault", PLANTED)
def test_each_planted_fault_is_named(fault: str) -> None:
    made, other = account(), account()
    assert verify(Account).ok
    history().update_many({"document_id": other.pk}, {"$inc": {"revision": 100}})
    plant, named = PLANTED[fault]
    plant()
    history().update_many({"document_id": other.pk}, {"$inc": {"revision": -100}})
    found = verify(Account)
    assert {(it.revision, it.kind) for it in found.findings} >= named
    assert {it.document_id for it in found.findings} == {made.pk}
    assert [it.revision for it in verify(other).all] == []
    assert not verify(made).ok


def test_revisions_in_another_order_are_found() -> None:
    account()
    swapped("revision")
    kinds = [(it.revision, it.kind) for it in verify(Account).findings]
    assert {(3, "altered"), (4, "altered")} <= {*kinds}


def test_a_history_under_another_key_is_found() -> None:
    made, other = account(), Account().save()
    history().delete_many({"document_id": other.pk})
    history().update_many({"document_id": made.pk}, {"$set": {"document_id": other.pk}})
    found = {(it.document_id, it.revision, it.kind) for it in verify(Account).findings}
    assert {(other.pk, number, "altered") for number in range(1, 7)} <= found


def test_every_fault_is_named_not_the_first() -> None:
    account()
    for number in (2, 4, 6):
        alter({"revision": number, "position": 0}, {"$set": {"reason": "so"}})
    assert {it.revision for it in verify(Account).findings} == {2, 4, 6}


def test_what_a_finding_says() -> None:
    made = account()
    alter(THIRD, {"$set": {"reason": "secret"}})
    finding, *_ = verify(made).findings
    assert (finding.document_type, finding.document_id) == ("accounts", made.pk)
    assert "secret" not in "".join(map(str, verify(made)))
    assert str(finding).startswith(f"accounts {made.pk!r}, revision 3: altered: ")


writes = st.sampled_from(["total", "owner", "note", "line", "query", "delete", "undo", "revert"])


@given(st.lists(writes, max_size=12))
@examples(40)
def test_what_is_recorded_verifies(database: Database[Any], script: list[str]) -> None:
    database.history.delete_many({})
    database.accounts.delete_many({})
    for step, name in enumerate(script):
        one = Account.objects.first() or Account(owner="new").save()
        if name == "query":
            Account.objects.update(inc__total=1)
        elif name == "delete":
            one.delete()
        elif name == "undo":
            _leave(lambda one=one: undo(one, -1).save())
        elif name == "revert":
            _leave(lambda one=one: revert(one).save())
        else:
            values: dict[str, Any] = {
                "total": step,
                "owner": f"o{step}",
                "notes": {f"k{step % 3}": step},
                "lines": [step, *one.lines],
            }
            field = {"note": "notes", "line": "lines"}.get(name, name)
            setattr(one, field, values[field])
            one.save()
    found = verify(Account)
    assert (found.ok, found.all) == (True, ())
    assert found.revisions == len(database.history.distinct("_id", {"position": 0}))


def _leave(call: Callable[[], object]) -> None:
    with suppress(HistoryError):  # where there is nothing to take back
        call()


class TestKeys:
    """Checksums that need a key."""

    def test_each_of_them_may_have_made_one(self) -> None:
        made = Account(total=1).save()
        for key in (OLD_KEY, KEY):
            with tracked_otherwise(Account, checksum_key=key):
                made.total += 1
                made.save()
        with tracked_otherwise(Account, checksum_key=KEY):
            assert [it.revision for it in verify(made).findings] == [2]
            assert verify(made, keys=[OLD_KEY]).ok

    def test_who_has_none_cannot_go_on(self) -> None:
        made = Account(total=1).save()
        with tracked_otherwise(Account, checksum_key=KEY):
            made.total = 2
            made.save()
        made.total = 3
        made.save()
        with tracked_otherwise(Account, checksum_key=KEY):
            [finding] = verify(made).findings
        assert (finding.revision, finding.kind) == (3, "altered")
        assert "without the key" in finding.what


class TestWhatIsOlder:
    """Histories from before there were checksums, and what nobody has recorded."""

    def test_it_is_not_chained_until(self) -> None:
        made = account()
        history().update_many({"revision": {"$lt": 4}}, {"$unset": {"checksum": 1, "salt": 1}})
        [first, *_] = [*history().find({"revision": 4, "position": 0})]
        assert first["checksum"]
        found = verify(made)
        assert [(it.revision, it.kind) for it in found.findings] == [(4, "altered")]

    def test_a_chain_begins_anywhere(self) -> None:
        made = account()
        history().update_many({}, {"$unset": {"checksum": 1, "salt": 1}})
        again = Account.objects.get()
        again.total = 99
        again.save()
        found = verify(made)
        assert found.ok
        [note] = found.notes
        assert (note.revision, note.kind, note.is_fault) == (7, "not chained", False)
        assert "until revision 7" in note.what

    def test_what_was_recorded_by_nobody_is_drift(self) -> None:
        made = account()
        accounts = made._get_collection().database["accounts"]
        accounts.update_one({}, {"$set": {"total": 99}})
        assert [(it.revision, it.kind) for it in verify(made).findings] == [(6, "drift")]
        accounts.delete_one({})
        assert [(it.revision, it.kind) for it in verify(Account).findings] == [(6, "drift")]


def test_a_value_in_clear_that_the_class_hides_by_now_is_found() -> None:
    made = account()
    untrack_history(Account)
    try:
        track_history(Account, mask=["owner"], exclude=["notes.b"])
        found = {(it.revision, it.kind) for it in verify(made).findings}
    finally:
        untrack_history(Account)
        track_history(Account)
    assert (1, "in clear") in found
    assert {kind for _, kind in found} == {"in clear", "drift"}


def test_what_is_hidden_from_the_beginning_is_right() -> None:
    with tracked_otherwise(Account, mask=["owner"], exclude=["notes.b"], version_every=2):
        made = Account(owner="ada", notes={"a": 1, "b": 2}).save()
        for number in range(5):
            made.owner, made.notes = f"{number}", {"a": number, "b": number}
            made.save()
        assert verify(made).all == ()


class TestSweeps:
    """Through a class, or through all."""

    @pytest.fixture(autouse=True)
    def few_at_once(self, monkeypatch: Any) -> None:
        monkeypatch.setattr(verifying, "SMALL", 2)

    def test_it_tells_where_it_is_and_goes_on_there(self) -> None:
        made = [Account(total=number).save() for number in range(5)]
        told: list[tuple[int, int, object]] = []
        assert verify(
            Account, progress=lambda it: told.append((it.documents, it.revisions, it.resume))
        ).ok
        assert told[:2] == [(2, 2, made[1].pk), (4, 4, made[3].pk)]
        rest = verify(Account, resume=made[3].pk)
        assert (rest.ok, rest.documents) == (True, 1)

    def test_it_goes_through_all_that_is_tracked(self) -> None:
        account()
        alter(THIRD, {"$set": {"reason": "so"}})
        found = verify()
        assert {it.document_type for it in found.findings} == {"accounts"}
        assert "Account" not in found.unchecked

    def test_events_of_no_document_are_among_it(self) -> None:
        record_event("export", rows=3)
        assert not [it for it in verify().all if it.document_type == ""]
        alter({"document_type": "", "position": 0}, {"$set": {"metadata.rows": 4}})
        assert [it.kind for it in verify().findings if it.document_type == ""] == ["altered"]

    def test_a_class_without_a_connection_is_told(self) -> None:
        class Elsewhere(Document):
            meta = {"db_alias": "not registered", "auto_create_index": False}

        with tracked(Elsewhere):
            found = verify()
            assert "Elsewhere" in [*found.findings, *found.unchecked]
            assert not found.ok

    def test_it_streams(self) -> None:
        for _ in range(4):
            account()
        history().update_many(THIRD, {"$set": {"reason": "so"}})
        report = verify(Account)
        assert next(iter(report)).revision == 3
        assert report.documents < 3
        assert len({it.document_id for it in report.findings}) == 4

    @pytest.mark.parametrize(
        "call",
        [
            lambda: verify(5),  # type: ignore[arg-type]
            lambda: verify(Account, progress=5),  # type: ignore[arg-type]
            lambda: verify(Account, since="no checkpoint"),
            lambda: verify(Account, since=datetime.now()),  # type: ignore[arg-type]
            lambda: verify(since="example.com/2026-01-01T00:00:00Z\n0\n"),
            lambda: verify(Account()),  # not saved
            lambda: verify(resume=ObjectId()),
            lambda: verify(Account(), resume=ObjectId()),
            lambda: verify(Account, keys=["a text"]),  # type: ignore[list-item]
            lambda: verify(Account, keys=b"one key, not some"),  # type: ignore[arg-type]
        ],
    )
    def test_what_cannot_be_used_is_refused(self, call: Callable[[], object]) -> None:
        with pytest.raises(OptionsError):
            call()
