"""Whatever stands in a history, `verify` and `reconcile` say so and go on; other documents stay."""

from __future__ import annotations

from typing import Any

import mongoengine as me
import pytest
from bson import ObjectId
from hypothesis import example, given
from hypothesis import strategies as st
from mongoengine import Document
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError
from support.changes import automatic, tracked_otherwise
from support.strategies import examples, values

from mongoengine_history import Reconciliation, changeset, reconcile, verify


class Deed(Document):
    meta = {"collection": "deeds", "auto_create_index": False}
    n = me.IntField()
    words = me.DictField()
    lines = me.ListField(me.IntField())


pytestmark = pytest.mark.usefixtures("at_once")

tracking = automatic(Deed)

FIELDS = [
    "document_id", "action", "path", "keys", "data", "places", "created_at", "stamp", "revision",
    "position", "size", "operation", "identity", "reason", "metadata", "changeset", "lists",
    "checksum", "salt", "salts", "digests", "parts", "part_of", "bytes", "state", "start", "more",
]  # fmt: skip
SUB_FIELDS = ["data.old", "data.new", "data.items", "data.items.0.key", "keys.0", "lists.lines"]

forgeries = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from([*FIELDS, *SUB_FIELDS]), values | st.none()),
    min_size=1,
    max_size=4,
)


def deed() -> Deed:
    with changeset("ada", reason="why", ip="::1"):
        made = Deed(n=0, words={"a": 1}, lines=[1]).save()
        for number in range(4):
            made.n, made.words["a"] = number + 1, "x" * number
            made.lines = [number, *made.lines]
            made.save()
    return made


def forge(database: Database[Any], key: ObjectId, forged: list[tuple[int, str, Any]]) -> None:
    found = [*database.history.find({"document_id": key}).sort("_id")]
    for place, field, value in forged:
        target = {"_id": found[place % len(found)]["_id"]}
        update = {"$unset": {field: 1}} if value is None else {"$set": {field: value}}
        try:
            database.history.update_one(target, update)
        except DuplicateKeyError:
            continue
        except Exception as error:
            if "Cannot create field" not in str(error) and type(error).__name__ != "WriteError":
                raise


@given(forgeries)
@example([(0, "revision", [0])])
@examples(40)
def test_a_forged_history_keeps_nobody_from_verifying_and_reconciling(
    database: Database[Any], forged: list[tuple[int, str, Any]]
) -> None:
    database.history.delete_many({})
    database.deeds.delete_many({})
    with tracked_otherwise(Deed, version_every=2):
        before, made, after = deed(), deed(), deed()
    forge(database, made.pk, forged)
    for finding in verify(Deed):
        assert str(finding)
        assert finding.document_id not in [before.pk, after.pk]
    assert [*verify(before), *verify(after)] == []
    assert isinstance(verify(made).ok, bool)
    done = reconcile(Deed)
    for it in (*done.recorded, *done.findings):
        assert it.document_id not in [before.pk, after.pk]
    assert isinstance(reconcile(made), Reconciliation)
    assert [*verify(before), *verify(after)] == []
