"""Checksums over revisions: fixed vectors, what they hold, and what erasing leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import mongoengine as me
import pytest
from bson import ObjectId
from mongoengine import Document
from pymongo.database import Database
from support.changes import automatic

from mongoengine_history import OptionsError, changeset, track_history
from mongoengine_history.record.chain import (
    checksum,
    digest,
    digests,
    is_intact,
    link,
    manifest,
    salts_of,
    values,
)
from mongoengine_history.record.layout import revision_of
from mongoengine_history.state.context import Context
from mongoengine_history.state.mask import BLANK
from mongoengine_history.state.patches import Patch
from mongoengine_history.state.revision import StoredRevision

OWNER = {"document_type": "invoices", "document_id": ObjectId("650000000000000000000001")}
SALT = bytes(range(16))
KEY = b"a key of checksums"
REVISION = StoredRevision(
    2,
    1_700_000_000_000_000,
    "update",
    Context("ada", None, {"ip": "::1"}),
    (Patch("change", ("total",), (1, 2.5)), Patch("add", ("tags",), [(0, "new")])),
)


class Ledger(Document):
    meta = {"collection": "ledgers", "auto_create_index": False}
    total = me.IntField()
    lines = me.ListField(me.StringField())


tracking = automatic(Ledger)


def test_the_format_stays_as_it_is() -> None:
    """Whoever changes one of these numbers makes all histories look altered."""
    found = digests(REVISION, {"salt": SALT})
    assert salts_of({"salt": SALT}, 2)[1].hex() == "1ec7a3126d0f60d33a589bd82714fbcf"
    assert (
        digest("ada", salts_of({"salt": SALT}, 1)[0]).hex()
        == "bd28526e454737b39d9b30eddda09047b0f8efd2537b7c63cfecd8791e1b40da"
    )
    made = manifest(REVISION, OWNER, bytes(32), b"".join(found))
    assert (
        checksum(made).hex() == "ebfa907f80483597eb4d55c41e016d1855a565e53b4f1d2565d815fa8ba573a7"
    )
    assert (
        checksum(made, KEY).hex()
        == "94a6a97934edfa2ebb33a9a0c37c9daa63b1e24e36e57544ba102120ce985fe4"
    )


def test_each_revision_is_chained_to_the_one_before(database: Database[Any]) -> None:
    with changeset("ada", reason="why", address="::1"):
        ledger = Ledger(total=1, lines=["a"]).save()
        ledger.lines.append("b")
        ledger.save()
    Ledger.objects(total=1).update(total=2)
    Ledger.objects.get().delete()
    before = b""
    for record in database.history.find({"position": 0}).sort("revision"):
        revision = revision_of([record])
        assert is_intact(revision, record, before)
        assert not is_intact(revision, record, before, KEY)
        before = record["checksum"]
    assert record["revision"] == 4


def changed(revision: StoredRevision, index: int, **fields: Any) -> StoredRevision:
    patches = list(revision.patches)
    patches[index] = replace(patches[index], **fields)
    return revision._replace(patches=tuple(patches))


ALTERED: dict[str, Callable[[StoredRevision], StoredRevision]] = {
    "number": lambda it: it._replace(number=3),
    "stamp": lambda it: it._replace(stamp=it.stamp + 1),
    "operation": lambda it: it._replace(operation="external"),
    "identity": lambda it: it._replace(context=Context("eve", None, {"ip": "::1"})),
    "nobody": lambda it: it._replace(context=Context(None, None, {"ip": "::1"})),
    "reason": lambda it: it._replace(context=Context("ada", "why", {"ip": "::1"})),
    "metadata": lambda it: it._replace(context=Context("ada", None, {"ip": "::2"})),
    "changeset": lambda it: it._replace(context=Context("ada", None, {"ip": "::1"}, ObjectId())),
    "one patch less": lambda it: it._replace(patches=it.patches[:1]),
    "their order": lambda it: it._replace(patches=it.patches[::-1]),
    "action": lambda it: changed(it, 1, action="remove"),
    "path": lambda it: changed(it, 0, path=("sum",)),
    "old value": lambda it: changed(it, 0, data=(2, 2.5)),
    "type": lambda it: changed(it, 0, data=(1.0, 2.5)),
    "index": lambda it: changed(it, 1, data=[(1, "new")]),
    "place": lambda it: changed(it, 1, places=(0,)),
}


@pytest.mark.parametrize("altered", ALTERED)
def test_nothing_of_a_revision_can_be_altered(altered: str) -> None:
    first = {**OWNER, **link(REVISION, OWNER, b"before", KEY)}
    assert is_intact(REVISION, first, b"before", KEY)
    assert not is_intact(ALTERED[altered](REVISION), first, b"before", KEY)


@pytest.mark.parametrize("name", ["document_type", "document_id"])
def test_nor_can_it_be_moved(name: str) -> None:
    first = {**OWNER, **link(REVISION, OWNER, b"")}
    assert not is_intact(REVISION, {**first, name: "other"}, b"")
    assert not is_intact(REVISION, first, b"another one before")


def test_a_value_can_be_erased_and_the_others_still_proven() -> None:
    first = {**OWNER, **link(REVISION, OWNER, b"")}
    salts = salts_of(first, len(values(REVISION)))
    kept = {str(number): salt for number, salt in enumerate(salts) if number != 4}
    erased = {**first, "salts": kept, "digests": {"4": digests(REVISION, first)[4]}}
    del erased["salt"]
    left = REVISION._replace(patches=(Patch("change", ("total",), (1, BLANK)), REVISION.patches[1]))
    assert is_intact(left, erased, b"")
    assert not is_intact(left._replace(patches=left.patches[:1]), erased, b"")
    wrong = (Patch("change", ("total",), (3, BLANK)), REVISION.patches[1])
    assert not is_intact(left._replace(patches=wrong), erased, b"")


def test_equal_values_have_other_digests() -> None:
    """Else who knows one could tell another one, that was erased."""
    first, second = (digests(REVISION, link(REVISION, OWNER, b"")) for _ in range(2))
    assert not {*first} & {*second} - {bytes(32)}


def test_a_class_has_a_key(database: Database[Any]) -> None:
    @track_history(checksum_key=KEY)
    class Sealed(Document):
        meta = {"auto_create_index": False}
        at = me.DateTimeField()

    Sealed(at=datetime.now(timezone.utc)).save()
    record = database.history.find_one({"position": 0})
    assert record is not None
    assert is_intact(revision_of([record]), record, b"", KEY)


@pytest.mark.parametrize("key", ["a text of 16 and more", b"short", 5])
def test_a_key_that_could_be_guessed_is_refused(key: Any) -> None:
    with pytest.raises(OptionsError, match="16 bytes") as caught:
        track_history(Ledger, checksum_key=key)
    assert str(key) not in str(caught.value)
