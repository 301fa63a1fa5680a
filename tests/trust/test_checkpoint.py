"""Checkpoints: what became of a history since is found and named, and nothing else is."""

from __future__ import annotations

import sys
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mongoengine as me
import pytest
from bson import ObjectId
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from mongoengine import Document
from pymongo.collection import Collection
from pymongo.database import Database
from support.changes import automatic, tracked, tracked_otherwise
from support.strategies import examples

from mongoengine_history import (
    BaseHistory,
    Checkpoint,
    Finding,
    OptionsError,
    changed_since,
    checkpoint,
)
from mongoengine_history.record import histories
from mongoengine_history.record.histories import Tip
from mongoengine_history.trust import leaves as keeping
from mongoengine_history.trust.checkpoint import leaf_of, tips_of
from mongoengine_history.trust.merkle import leaf_hash
from mongoengine_history.trust.note import is_signed, key_id, signed


class Deed(Document):
    meta = {"collection": "deeds", "auto_create_index": False}
    text = me.StringField()
    lines = me.ListField(me.IntField())


class Will(Document):
    meta = {"collection": "wills", "auto_create_index": False}
    key = me.DynamicField(primary_key=True)
    text = me.StringField()


tracking = automatic(Deed, Will)

KEY = bytes(range(32))
PUBLIC = Ed25519PrivateKey.from_private_bytes(KEY).public_key().public_bytes_raw()


@pytest.fixture(autouse=True)
def at_once(database: Any, monkeypatch: Any) -> None:
    """Nobody writes meanwhile, so nothing has to be waited for; and pages are small."""
    monkeypatch.setattr(histories, "ON_ITS_WAY", 0)
    monkeypatch.setattr(keeping, "PAGE", 4)
    monkeypatch.setattr(keeping, "PAGES_AT_ONCE", 2)


def deed(count: int) -> Deed:
    """Make one of so many revisions, of several records each."""
    made = Deed(text="1", lines=[1]).save()
    for number in range(2, count + 1):
        made.text = str(number)
        made.lines.append(number)
        made.save()
    return made


def history() -> Collection[Any]:
    return Deed._get_collection().database["history"]


def beside() -> Collection[Any]:
    return history().database["history_checkpoints"]


def told(found: Any) -> list[tuple[Any, int, str]]:
    return sorted((str(it.document_id), it.revision, it.kind) for it in found)


def whole(pk: Any, _: int) -> tuple[int, str]:
    history().delete_many({"document_id": pk})
    return 5, "missing"


def end(pk: Any, number: int) -> tuple[int, str]:
    history().delete_many({"document_id": pk, "revision": {"$gt": number}})
    return 5, "missing"


def beginning(pk: Any, number: int) -> tuple[int, str]:
    history().delete_many({"document_id": pk, "revision": {"$lte": number}})
    return 1, "missing"


def middle(pk: Any, _: int) -> tuple[int, str]:
    history().delete_many({"document_id": pk, "revision": 5})
    Deed.objects(pk=pk).update(text="five is gone, and six is here")
    return 5, "missing"


def written_anew(pk: Any, number: int) -> tuple[int, str]:
    end(pk, number)
    for text in range(number, 7):
        Deed.objects(pk=pk).update(text=f"anew {text}")
    return 5, "altered"


def moved(pk: Any, _: int) -> tuple[int, str]:
    history().update_many({"document_id": pk}, {"$set": {"document_id": f"not {pk}"}})
    return 5, "missing"


PLANTED: list[Callable[[Any, int], tuple[int, str]]] = [whole, end, beginning, written_anew, moved]


@examples(25)
@given(st.lists(st.tuples(st.sampled_from([None, *PLANTED]), st.integers(1, 4)), max_size=11))
def test_what_was_done_to_a_history_is_named_and_nothing_else(
    database: Database[Any], done: list[Any]
) -> None:
    history().delete_many({})
    beside().drop()
    deeds = [deed(5) for _ in done]
    made = checkpoint()
    assert (made.size, list(changed_since(made))) == (len(done), [])
    expected = []
    for it, (plant, number) in zip(deeds, done, strict=True):
        it.reload().update(text="later")
        if plant:
            expected.append((str(it.pk), *plant(it.pk, number)))
    deed(2)
    assert told(changed_since(made.text)) == sorted(expected)


def test_a_hole_is_named(database: Database[Any]) -> None:
    made, it = checkpoint(), deed(5)
    assert list(changed_since(made)) == []
    made = checkpoint()
    it.update(text="six")
    assert told(changed_since(made)) == []
    assert told([Finding("deeds", it.pk, *middle(it.pk, 0), "")]) == told(changed_since(made))


def test_two_histories_that_were_exchanged_are_both_named(database: Database[Any]) -> None:
    short, long = deed(3), deed(5)
    made = checkpoint()
    for old, new in [(short.pk, "x"), (long.pk, short.pk), ("x", long.pk)]:
        history().update_many({"document_id": old}, {"$set": {"document_id": new}})
    found = told(changed_since(made))
    assert found == sorted([(str(short.pk), 3, "altered"), (str(long.pk), 5, "missing")])
    assert "ends with revision 3" in next(
        it.what for it in changed_since(made, Deed) if it.revision == 5
    )


@pytest.mark.parametrize("key", [1, 2.5, "a.b", {"a": [1], "b": None}, b"\0", True])
def test_keys_may_be_of_any_type(database: Database[Any], key: Any) -> None:
    Will(key=key, text="x").save()
    made = checkpoint(Will)
    Will.objects(pk=key).update(text="y")
    assert [it[:3] for it in tips_of(made)] == [("wills", key, 1)]
    assert list(changed_since(made)) == []
    history().delete_many({"document_type": "wills"})
    assert told(changed_since(made)) == [(str(key), 1, "missing")]


def test_only_histories_of_some_classes_are_asked(database: Database[Any]) -> None:
    deed(1), Will(key=1).save()
    assert (checkpoint().size, checkpoint(Deed).size, checkpoint(Deed, Will).size) == (2, 1, 2)
    made = checkpoint()
    history().delete_many({})
    assert {it.document_type for it in changed_since(made, Will)} == {"wills"}
    assert len(list(changed_since(made))) == 2


class Registry(BaseHistory):
    meta = {"collection": "registry"}


def test_a_history_of_its_own(database: Database[Any]) -> None:
    with tracked_otherwise(Deed, history=Registry):
        it = deed(2)
        assert (checkpoint().size, (made := checkpoint(Deed)).size) == (0, 1)
        assert made.origin.startswith(f"{database.name}.registry/")
        database["registry"].delete_many({"revision": 2})
        assert told(changed_since(made, Deed)) == [(str(it.pk), 2, "missing")]
        with pytest.raises(OptionsError, match="several collections"):
            checkpoint(Deed, Will)


def test_a_collection_that_was_renamed(database: Database[Any]) -> None:
    it = deed(3)
    history().update_many({}, {"$set": {"document_type": "deeds_before"}})
    made = checkpoint()
    history().update_many({"revision": 3}, {"$set": {"document_type": "deeds_now"}})
    assert told(changed_since(made)) == [(str(it.pk), 3, "missing")]

    class Now(Document):
        meta = {"collection": "deeds_now", "auto_create_index": False}
        text = me.StringField()

    with tracked(Now, formerly=["deeds_before"]):
        assert told(changed_since(made)) == []
        history().delete_many({"revision": 2})
        history().update_many({"revision": 3}, {"$set": {"revision": 2}})
        assert told(changed_since(made, Now)) == [(str(it.pk), 3, "missing")]


def pruned(it: Deed, number: int) -> None:
    """Let a history begin with a later revision, as retention leaves it."""
    own = {"document_id": it.pk}
    history().update_one({**own, "revision": number, "position": 0}, {"$set": {"pruned": {}}})
    history().delete_many({**own, "revision": {"$lt": number}})


@pytest.mark.parametrize("number", [2, 3, 4])
def test_what_was_pruned_is_no_fault(database: Database[Any], number: int) -> None:
    it = deed(3)
    made = checkpoint()
    it.update(text="later")
    pruned(it, number)
    found = list(changed_since(made))
    assert told(found) == ([(str(it.pk), 3, "pruned")] if number > 3 else [])
    assert not any(it.is_fault for it in found)
    history().update_one({"revision": number}, {"$unset": {"pruned": 1}})
    assert {it.kind for it in changed_since(made)} == {"missing"}
    assert (str(it.pk), 1, "missing") in told(changed_since(made))


def test_while_it_is_pruned_it_is_no_fault_either(database: Database[Any]) -> None:
    it = deed(5)
    made = checkpoint()
    it.update(text="later")
    history().update_one({"revision": 6, "position": 0}, {"$set": {"pruned": {}}})
    for number in range(1, 6):
        assert not [it for it in changed_since(made) if it.is_fault]
        history().delete_many({"revision": number})
    assert told(changed_since(made)) == [(str(it.pk), 5, "pruned")]


def test_a_torn_revision_is_not_signed(database: Database[Any]) -> None:
    it = deed(3)
    history().delete_one({"revision": 3, "position": 1})
    made = checkpoint()
    assert [(tip.revision, tip.checksum) for tip in tips_of(made)] == [
        (2, history().find_one({"revision": 2, "position": 0})["checksum"])  # type: ignore[index]
    ]
    history().delete_many({"revision": 3})
    assert list(changed_since(made)) == []
    assert it.pk


def test_revisions_from_before_there_were_checksums(database: Database[Any]) -> None:
    it = deed(3)
    history().update_many({}, {"$unset": {"checksum": 1, "salt": 1}})
    made = checkpoint()
    assert list(changed_since(made)) == []
    history().delete_many({"revision": 3})
    assert told(changed_since(made)) == [(str(it.pk), 3, "missing")]


def test_nothing_is_written_twice(database: Database[Any]) -> None:
    """Of a later checkpoint only pages are new in which something has changed."""
    deeds = [deed(1) for _ in range(13)]
    first = checkpoint()
    pages = beside().count_documents({"leaves": {"$exists": True}})
    assert pages == 4
    deeds[-1].update(text="x")
    second = checkpoint()
    assert second.root != first.root
    assert beside().count_documents({"leaves": {"$exists": True}}) == pages + 1
    assert checkpoint().root == second.root
    assert list(changed_since(first)) == list(changed_since(second)) == []


@pytest.mark.parametrize("count", [1, 4, 5, 16, 17, 33])
def test_leaves_cannot_be_altered_unseen(database: Database[Any], count: int) -> None:
    for _ in range(count):
        deed(1)
    made = checkpoint()
    for page in list(beside().find({"text": {"$exists": False}})):
        name = "leaves" if "leaves" in page else "roots"
        altered = page[name][:-1] + bytes([page[name][-1] ^ 1])
        beside().update_one({"_id": page["_id"]}, {"$set": {name: altered}})
        found = list(changed_since(made))
        assert [(it.document_id, it.kind) for it in found] == [(None, "missing")]
        beside().replace_one({"_id": page["_id"]}, page)
    assert list(changed_since(made)) == []
    beside().delete_many({})
    assert f"{count} of the {count} leaves" in next(changed_since(made)).what


def test_it_is_put_where_it_is_wanted(database: Database[Any], tmp_path: Path) -> None:
    it, texts = deed(2), list[str]()
    path, apart = tmp_path / "one", database["apart"]
    made = [checkpoint(to=path), checkpoint(to=texts.append), checkpoint(to=apart)]
    assert path.read_text("utf-8") == made[0].text
    assert texts == [made[1].text]
    assert apart.find_one({"text": made[2].text})
    beside().drop()
    history().delete_many({"revision": 2})
    assert told(changed_since(made[2], leaves=apart)) == [(str(it.pk), 2, "missing")]
    with pytest.raises(OptionsError, match="overwritten"):
        checkpoint(to=path)
    with pytest.raises(OptionsError, match="a path"):
        checkpoint(to=5)  # type: ignore[arg-type]


def test_it_is_signed(database: Database[Any]) -> None:
    deed(1)
    made = checkpoint(origin="example.com/deeds", key=KEY)
    lines = made.text.split("\n")
    assert lines[0].startswith("example.com/deeds/")
    assert lines[3] == lines[5] == ""
    assert lines[4].startswith("— example.com/deeds ")
    assert is_signed(made.text, PUBLIC)
    assert list(changed_since(made.text, public_key=PUBLIC)) == []
    for wrong in [made.text.replace("\n1\n", "\n2\n", 1), "\n".join(lines[:3]) + "\n"]:
        with pytest.raises(OptionsError, match="not signed"):
            changed_since(wrong, public_key=PUBLIC)
    with pytest.raises(OptionsError, match="not signed"):
        changed_since(made, public_key=bytes(32))


#: Those of the page on proofs.
LEAF = (
    "7b00000002646f63756d656e745f747970650009000000696e766f696365730007646f63756d656e"
    "745f696400650000000000000000000001127265766973696f6e0002000000000000000563686563"
    "6b73756d002000000000ebfa907f80483597eb4d55c41e016d1855a565e53b4f1d2565d815fa8ba5"
    "73a700"
)
NOTE = """\
example.com/books/2026-11-27T12:00:00.000000Z
1
gbR1xfIjXVIfjKmI3IpXdWgw1nBl/bW9O903qjzWu3s=

— example.com/books cvgBDaxaPYkKTmb/o2LxaQkL4yfKHuvV2ORVL+oN\
dyv/9RFdXoVzPNgbW6qx5BsybJ/tWRjcpKv4o5vlLUNCwjpYxwQ=
"""


def test_the_format_stays_as_it_is() -> None:
    sum_of_it = "ebfa907f80483597eb4d55c41e016d1855a565e53b4f1d2565d815fa8ba573a7"
    pk = ObjectId("650000000000000000000001")
    leaf = leaf_of(Tip("invoices", pk, 2, bytes.fromhex(sum_of_it)))
    assert leaf.hex() == LEAF
    assert b64encode(leaf_hash(leaf)).decode() == NOTE.split("\n")[2]
    assert PUBLIC.hex() == "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"
    assert key_id("example.com/books", PUBLIC).hex() == "72f8010d"
    text, _, _ = NOTE.partition("\n\n")
    assert signed(f"{text}\n", "example.com/books", KEY) == NOTE


#: Signed by others: an example of C2SP's specification of signed notes, by Go's sumdb/note.
PETER = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdng"
    "otpRZb6KE6RyyBwJnAM=\n"
)
PETERS_KEY = "ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"


def test_notes_of_others_are_verified() -> None:
    key = b64decode(PETERS_KEY)[1:]
    assert is_signed(PETER, key)
    assert not is_signed(PETER.replace("answer", "Answer"), key)


@pytest.mark.parametrize("key", ["text", b"short", 4711])
def test_a_key_that_is_none_is_refused(database: Database[Any], key: Any) -> None:
    with pytest.raises(OptionsError, match="32 bytes") as caught:
        checkpoint(key=key)
    assert str(key) not in str(caught.value)


def test_without_cryptography_it_is_told(database: Database[Any], monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric", None)
    assert checkpoint().size == 0
    with pytest.raises(OptionsError, match=r"mongoengine-history\[proof\]"):
        checkpoint(key=KEY)


@pytest.mark.parametrize("origin", ["", "a b", "a+b", "a\nb", 5])
def test_an_origin_that_is_no_name_is_refused(database: Database[Any], origin: Any) -> None:
    with pytest.raises(OptionsError, match="origin"):
        checkpoint(origin=origin)


@pytest.mark.parametrize("text", ["", "a\n1\n", "a\n01\nAAAA\n", "a\n-1\nAAAA\n", 5, b"a\n1\n"])
def test_what_is_no_checkpoint_is_refused(database: Database[Any], text: Any) -> None:
    with pytest.raises(OptionsError, match="no text of a checkpoint"):
        changed_since(text)
    with pytest.raises(OptionsError, match="no text of a checkpoint"):
        Checkpoint(text)
