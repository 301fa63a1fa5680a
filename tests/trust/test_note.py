"""Signatures of checkpoints, what their texts are, and what is refused."""

from __future__ import annotations

import sys
from base64 import b64decode, b64encode
from typing import Any

import pytest
from bson import ObjectId
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pymongo.database import Database

from mongoengine_history import Checkpoint, OptionsError, changed_since, checkpoint, verify
from mongoengine_history.record.histories import Tip
from mongoengine_history.trust.checkpoint import leaf_of
from mongoengine_history.trust.merkle import leaf_hash
from mongoengine_history.trust.note import is_signed, key_id, signed

KEY = bytes(range(32))
PUBLIC = Ed25519PrivateKey.from_private_bytes(KEY).public_key().public_bytes_raw()


def test_it_is_signed(database: Database[Any]) -> None:
    made = checkpoint(origin="example.com/deeds", key=KEY)
    lines = made.text.split("\n")
    assert lines[0].startswith("example.com/deeds/")
    assert lines[3] == lines[5] == ""
    assert lines[4].startswith("— example.com/deeds ")
    assert is_signed(made.text, PUBLIC)
    assert list(changed_since(Checkpoint(made.text).signed_by(PUBLIC))) == []
    for wrong in [made.text.replace("\n0\n", "\n2\n", 1), "\n".join(lines[:3]) + "\n"]:
        with pytest.raises(OptionsError, match="not signed"):
            Checkpoint(wrong).signed_by(PUBLIC)
    with pytest.raises(OptionsError, match="not signed"):
        made.signed_by(bytes(32))


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


@pytest.mark.parametrize("moment", ["", "/", "/then", "/2026-01-01T00:00:00", "/2026-01-01"])
def test_one_that_says_no_moment_of_utc_is_refused(database: Database[Any], moment: str) -> None:
    made = checkpoint(origin="shop")
    with pytest.raises(OptionsError, match="a name with a moment"):
        verify(since=str(made).replace(made.origin, f"shop{moment}"))
