"""`redact`: values at a path go from all that is kept, and whoever saves later goes on."""

from __future__ import annotations

import base64
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymongo.collection import Collection
from pymongo.database import Database
from support.binding import binds
from support.changes import automatic, tracked_otherwise
from support.diaries import PATHS, Diary, filled, found, marked, scripts
from support.strategies import examples
from support.unanswered import unanswered

from mongoengine_history import (
    OptionsError,
    changeset,
    flush_spool,
    history_of,
    load_history,
    redact,
    revert_changeset,
    spool,
    untracked,
    verify,
)
from mongoengine_history.record import layout
from mongoengine_history.state.mask import BLANK
from mongoengine_history.state.merge import list_hash

tracking = automatic(Diary)


def test_the_receipt_says_what_how_many_when_and_by_whom(database: Database[Any]) -> None:
    diary = filled().save()
    diary.mail = marked("MAIL")
    diary.save()
    with changeset("ann", reason="art. 17", ticket=7):
        receipt = redact(Diary, "mail", pk=diary.pk)
    revision = history_of(diary)[-1]
    assert (receipt.what, receipt.values, receipt.revisions) == ("path mail", 3, "1-2")
    assert (receipt.document_type, receipt.document_id) == ("diaries", diary.pk)
    assert (receipt.revision, receipt.at) == (revision.number, revision.at)
    assert (receipt.identity, receipt.reason) == ("ann", "art. 17")
    assert (revision.operation, revision.identity, revision.reason) == ("redact", "ann", "art. 17")
    assert revision.metadata["ticket"] == 7
    assert revision.metadata["erased"] == {"what": "path mail", "values": 3, "revisions": "1-2"}
    assert history_of(diary).state(1)["m"] == BLANK
    assert load_history(diary, until=receipt.at)


def test_salts_that_would_prove_a_guess_are_gone(database: Database[Any]) -> None:
    diary = filled().save()
    redact(Diary, "mail", pk=diary.pk)
    first = database.history.find_one({"revision": 1, "position": 0})
    [index] = first["digests"]
    assert "salt" not in first
    assert index not in first["salts"]
    assert len(first["salts"]) == 1 + len(diary.to_mongo())  # and who, why, what else; no key


def test_no_hash_of_a_list_would_prove_a_guess(database: Database[Any]) -> None:
    diary = filled().save()
    hashes = [list_hash([*diary.tags]), list_hash(diary.to_mongo()["e"])]
    assert [*database.history.find_one({"revision": 1})["lists"].values()] == hashes
    redact(Diary, "entries.card", pk=diary.pk)
    assert [*database.history.find_one({"revision": 1})["lists"].values()] == hashes[:1]
    redact(Diary, "tags", pk=diary.pk)
    assert not any(it.get("lists") for it in database.history.find())


def test_a_remembered_state_does_not_bring_it_back(database: Database[Any]) -> None:
    with tracked_otherwise(Diary, version_every=1):
        diary, copy = filled().save(), Diary.objects.get()
        redact(Diary, "mail", pk=diary.pk)
        diary.name = "b"
        diary.save()
        copy.tags = []
        copy.save()
        Diary.objects.update(name="c")
        assert not found("MAIL")
        assert verify(diary).ok


def test_what_is_still_stored_is_no_old_value_of_a_later_change(database: Database[Any]) -> None:
    diary = filled().save()
    redact(Diary, "mail", pk=diary.pk)
    diary.mail = "new"
    diary.save()
    assert history_of(diary)[-1].patches == (("change", ["m"], (BLANK, "new")),)
    diary.mail = "newer"
    diary.save()
    assert history_of(diary)[-1].patches == (("change", ["m"], ("new", "newer")),)
    Diary.objects.delete()
    assert not found("MAIL")


def test_drift_is_told_without_it(database: Database[Any]) -> None:
    diary = filled().save()
    redact(Diary, "room.door", pk=diary.pk)
    with untracked():
        Diary.objects.update(name="by hand")
    assert history_of(diary).compare(-1) == [("change", ["name"], ("a", "by hand"))]
    assert [it.kind for it in verify(diary).findings] == ["drift"]


def test_a_whole_class(database: Database[Any]) -> None:
    diaries = [filled().save() for _ in range(3)]
    bare = Diary(name="b").save()
    diaries[0].delete()
    told: list[Any] = []
    total = redact(Diary, "mail", progress=told.append)
    assert (total.documents, total.values, total.revision) == (3, 4, None)
    assert {it.document_id for it in told} == {it.pk for it in diaries}
    assert not found("MAIL")
    assert len(history_of(bare)) == 1
    assert verify(Diary).ok
    assert redact(Diary, "mail").documents == 0


def test_it_goes_on_behind_a_document(database: Database[Any]) -> None:
    first, second = sorted((filled().save() for _ in range(2)), key=lambda it: it.pk)
    assert redact(Diary, "mail", resume=first.pk).documents == 1
    assert history_of(first)[-1].operation == "create"
    assert history_of(second)[-1].operation == "redact"


def test_large_values_in_parts(database: Database[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "LARGEST_VALUE", 200)
    monkeypatch.setattr("mongoengine_history.record.rewriting.LARGEST_VALUE", 200)
    with tracked_otherwise(Diary, version_every=2):
        diary = filled().save()
        diary.mail, diary.tags = marked("MAIL") * 50, [marked("TAGS") for _ in range(30)]
        diary.save()
        assert database.history.count_documents({"part_of": {"$exists": True}}) > 6
        for path in ("mail", "tags", "entries", "room", "facts"):
            redact(Diary, path, pk=diary.pk)
            assert not found(*PATHS[path][0])
            assert verify(diary).ok
        assert history_of(diary).state(2)["name"] == "a"


def test_what_waits_in_a_spool(database: Database[Any], tmp_path: Path) -> None:
    file = tmp_path / "history.spool"
    with tracked_otherwise(Diary, on_error=spool(file)):
        diary, other = filled().save(), filled().save()
        with unanswered("insert_many", among="history", done=False):
            diary.mail, diary.name = marked("MAIL"), "b"
            diary.save()
            other.mail = "other"
            other.save()
        redact(Diary, "mail", pk=diary.pk)
        texts = [base64.b64decode(line.split()[1]) for line in file.read_bytes().splitlines()]
        assert [b"MAIL" in text for text in texts] == [False, True]
        assert flush_spool(file).recorded == 2
        assert history_of(diary).state(-1)["name"] == "b"
        redact(Diary, "mail", pk=other.pk)
        assert not found("MAIL")
        assert verify(Diary).ok


def test_records_of_1_1(database: Database[Any]) -> None:
    diary = Diary(name="a", mail=marked("MAIL"))
    with untracked():
        diary.save()
    old = {
        "document_type": "diaries",
        "document_id": diary.pk,
        "created_at": datetime.now(),
    }
    data = {"old": marked("MAIL"), "new": diary.mail}
    database.history.insert_one({**old, "action": "change", "path": "m", "data": data})
    added = {"items": [{"key": "m", "value": marked("MAIL")}]}
    database.history.insert_one({**old, "action": "add", "path": "", "data": added})
    redact(Diary, "mail", pk=diary.pk)
    assert not found("MAIL")
    assert len(load_history(diary)) == 2


@pytest.mark.parametrize(
    "path", ["", "nothing", "mail.x.", "tags.0", "id", "_cls", 5, ["m", 0], []]
)
def test_what_is_no_path_is_refused(database: Database[Any], path: Any) -> None:
    diary = filled().save()
    with pytest.raises(OptionsError):
        redact(Diary, path, pk=diary.pk)
    assert len(history_of(diary)) == 1


def test_a_list_of_stored_keys_is_exact(database: Database[Any]) -> None:
    diary = filled().save()
    assert redact(Diary, ["mail"], pk=diary.pk).documents == 0
    assert redact(Diary, ["facts", "a", "pin"], pk=diary.pk).values == 1
    assert not found("PIN")


def test_a_changeset_can_be_taken_back_over_it(database: Database[Any]) -> None:
    diary = filled().save()
    with changeset("ann") as block:
        diary.mail, diary.name = "new", "b"
        diary.save()
    redact(Diary, "mail", pk=diary.pk)
    revert_changeset(block.id)
    stored = Diary.objects.get()
    assert (stored.name, stored.mail) == ("a", "new")
    assert verify(diary).ok


class BrokenOffError(Exception):
    pass


@given(script=scripts, path=st.sampled_from([*PATHS]), step=st.integers(1, 12))
@examples(40)
def test_it_can_be_broken_off_anywhere_and_asked_for_again(
    script: Any, path: str, step: int, database: Database[Any]
) -> None:
    database.history.delete_many({})
    database.diaries.delete_many({})
    diary = filled().save()
    for each in script:
        each(diary)
        diary.save()
    was = [history_of(diary).state(it) for it in range(1, len(history_of(diary)) + 1)]
    count = 0

    def breaking(kept: Any) -> Any:
        def write(self: Any, requests: Any, **options: Any) -> Any:
            nonlocal count
            for request in requests:
                count += 1
                if count >= step:
                    raise BrokenOffError
                kept(self, [request], **options)

        return write

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Collection, "bulk_write", breaking(Collection.bulk_write))
        with suppress(BrokenOffError):
            redact(Diary, path, pk=diary.pk)
    for number, state in enumerate(was, 1):
        assert [*history_of(diary).state(number)] == [*state]
    assert not [
        it for it in verify(diary).findings if it.kind != "altered" or "left" not in it.what
    ]
    diary.name = "later"
    diary.save()
    redact(Diary, path, pk=diary.pk)
    assert not found(*PATHS[path][0])
    assert verify(diary).ok


def test_what_is_left_of_a_value_is_proven(database: Database[Any]) -> None:
    diary = filled().save()
    redact(Diary, "room.door", pk=diary.pk)
    query = {"revision": 1, "position": 0}
    items = database.history.find_one(query)["data"]["items"]
    room = next(it for it in items if it["key"] == "room")
    room["value"]["street"] = "forged"
    database.history.update_one(query, {"$set": {"data.items": items}})
    told = [it.what for it in verify(diary).findings if it.kind == "altered"]
    assert told == ["what is left of erased values is not what its redaction says"]


@binds
def test_a_transaction_is_refused(database: Database[Any]) -> None:
    diary = filled().save()
    with changeset(atomic=True), pytest.raises(OptionsError):
        redact(Diary, "mail", pk=diary.pk)
