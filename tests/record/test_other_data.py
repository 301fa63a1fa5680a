"""What other programs store, and keys as requests have them."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import Any

import mongoengine as me
import pytest
from bson.raw_bson import RawBSONDocument

from mongoengine_history import (
    History,
    OptionsError,
    history_of,
    restore,
    track_history,
)
from mongoengine_history.record.head import turn_at


class Lower(me.StringField):
    def prepare_query_value(self, op: Any, value: Any) -> Any:
        return super().prepare_query_value(op, value.lower())


class Foreign(me.Document):
    meta = {"collection": "foreign", "auto_create_index": False, "db_alias": "replacing"}
    id = me.IntField(primary_key=True)
    n = me.IntField()
    s = me.StringField()


track_history(Foreign)

KEYS = {
    "int": (me.IntField, 7, "7"),
    "float": (me.FloatField, 7.0, "7"),
    "sequence": (me.SequenceField, 7, "7"),
    "own": (Lower, "ab", "AB"),
}


@pytest.mark.parametrize("name", KEYS)
def test_a_key_is_taken_in_each_form_that_a_query_takes(name: str, database: Any) -> None:
    field, key, text = KEYS[name]
    body = {
        "meta": {"collection": f"keyed_{name}", "auto_create_index": False},
        "id": field(primary_key=True),
    }
    model = track_history(type(f"Keyed{name}", (me.Document,), body))
    model(id=key).save()
    assert model.objects(pk=text).count() == 1
    assert len(history_of(model, text)) == History.objects.of(model, text).count() == 1
    model.objects.delete()
    assert restore(model, text).pk == key


def foreign() -> RawBSONDocument:
    """Return a document with a text that is no UTF-8."""
    body = b"\x10_id\0" + struct.pack("<i", 1) + b"\x10n\0" + struct.pack("<i", 1)
    body += b"\x02s\0" + struct.pack("<i", 3) + b"\xffa\0\0"
    return RawBSONDocument(struct.pack("<i", len(body) + 4) + body)


@pytest.fixture
def replacing(database: Any, mongodb_uri: str) -> Iterator[Any]:
    options = {"uuidRepresentation": "standard", "unicode_decode_error_handler": "replace"}
    me.connect(database.name, alias="replacing", host=mongodb_uri, **options)
    database["foreign"].insert_one(foreign())
    yield database
    me.disconnect("replacing")


def test_what_is_no_utf_8_is_written_as_without_a_history(replacing: Any) -> None:
    Foreign.objects(n=1).update(n=2)
    document = Foreign.objects.get()
    document.n = 3
    document.save()
    Foreign.objects(pk=1).update_one(n=4)
    Foreign.objects(n=4).delete()
    found = [(it.operation, it.patches[-1][0]) for it in history_of(Foreign, 1)]
    assert [operation for operation, _ in found] == ["update"] * 3 + ["delete"]


def test_a_field_id_that_is_not_the_key_is_refused(database: Any) -> None:
    class Loose(me.Document):
        meta = {"collection": "loose", "auto_create_index": False}
        _id = me.ObjectIdField()

    with pytest.raises(OptionsError, match="primary_key=True"):
        track_history(Loose)
    with pytest.raises(OptionsError, match="primary_key=True"):
        history_of(Loose, "5f0000000000000000000000")
    Loose().save()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="it needs fork")
def test_a_child_has_no_turn_of_a_thread_of_its_parent() -> None:
    turn = turn_at("a document")
    with turn.taken():
        child = os.fork()
        if not child:
            is_free = turn_at("a document")._lock.acquire(blocking=False)
            os._exit(0 if is_free else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
