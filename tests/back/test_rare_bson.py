"""BSON that PyMongo reads as something else comes back as that; where nobody writes it stays."""

from __future__ import annotations

import struct
from typing import Any

import bson
import mongoengine as me
import pytest
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

from mongoengine_history import history_of, revert, track_history
from mongoengine_history.state.values import WIRE


@track_history
class Specimen(me.Document):
    meta = {"collection": "specimens", "strict": False, "auto_create_index": False}
    id = me.IntField(primary_key=True)
    n = me.IntField()


def number(value: int) -> bytes:
    return struct.pack("<i", value)


def text(value: str) -> bytes:
    return number(len(value) + 1) + value.encode() + b"\0"


def element(kind: int, name: str, value: bytes = b"") -> bytes:
    return bytes([kind]) + name.encode() + b"\0" + value


def doc(*elements: bytes) -> bytes:
    body = b"".join(elements) + b"\0"
    return number(len(body) + 4) + body


def ints(**values: int) -> list[bytes]:
    return [element(16, name, number(value)) for name, value in values.items()]


REF, KEY = element(2, "$ref", text("x")), element(16, "$id", number(1))
DATABASE, MORE = element(2, "$db", text("d")), element(16, "more", number(1))

REPLACED = {
    "undefined": (6, b""),
    "symbol": (14, text("a")),
    "DBPointer": (12, text("c") + b"a" * 12),
    "options of a pattern in another order": (11, b"a\0xi\0"),
    "options of a pattern that nobody knows": (11, b"a\0iz\0"),
    "$id before $ref": (3, doc(KEY, REF)),
    "others before $db": (3, doc(REF, KEY, MORE, DATABASE)),
    "$db that is null": (3, doc(REF, KEY, element(10, "$db"))),
    "an array with a gap": (4, doc(*ints(**{"0": 1, "5": 2}))),
    "an array out of order": (4, doc(*ints(**{"1": 1, "0": 2}))),
    "a key that is there twice": (3, doc(*ints(a=1), *ints(a=2))),
}
"""What the guarantees name."""

KEPT = {
    "a DBRef": (3, doc(REF, KEY, DATABASE, MORE)),
    "$ref without $id": (3, doc(REF)),
    "$id without $ref": (3, doc(KEY)),
    "old binary data": (5, number(7) + b"\x02" + number(3) + b"abc"),
    "an old UUID": (5, number(16) + b"\x03" + b"a" * 16),
    "binary data of nobody": (5, number(3) + b"\x80abc"),
    "a NaN of its own": (1, b"\x01\0\0\0\0\0\xf8\xff"),
    "a timestamp": (17, struct.pack("<Q", 7)),
    "code with a scope": (15, number(15) + text("x") + doc()),
    "the least key": (255, b""),
    "decimals that are none": (19, b"\xff" * 16),
    "a text with a zero": (2, text("a\0b")),
}
"""The same in all else."""

SINCE_5 = {"$ref without $id", "$id without $ref"}
"""What no update could set before."""


def element_of(name: str) -> bytes:
    kind, value = (REPLACED | KEPT)[name]
    return element(kind, "v", value)


@pytest.fixture
def raw(database: Any) -> Any:
    return database["specimens"].with_options(codec_options=CodecOptions(RawBSONDocument))


@pytest.fixture
def stored(raw: Any, request: pytest.FixtureRequest) -> Any:
    field = element_of(request.param)
    raw.insert_one(RawBSONDocument(doc(*ints(_id=1, n=1), field)))
    return field


@pytest.mark.parametrize(
    "stored",
    [
        pytest.param(it, marks=[pytest.mark.mongodb(5)] if it in SINCE_5 else [])
        for it in REPLACED | KEPT
    ],
    indirect=True,
)
def test_it_comes_back_as_it_is_read(raw: Any, stored: bytes) -> None:
    as_read = bson.encode(bson.decode(doc(stored), WIRE), codec_options=WIRE)[4:-1]
    Specimen._get_collection().update_one({"_id": 1}, {"$unset": {"v": 1}})
    revert(Specimen.objects.get(pk=1), revision=0).save()
    found = raw.find_one({"_id": 1}).raw
    assert as_read in found
    assert (stored in found) == (stored in map(element_of, KEPT))


@pytest.mark.parametrize("stored", REPLACED, indirect=True)
def test_it_stays_where_others_are_written_and_taken_back(raw: Any, stored: bytes) -> None:
    Specimen.objects.update(n=2)
    specimen = Specimen.objects.get(pk=1)
    specimen.n = 3
    specimen.save()
    revert(specimen, revision=0).save()
    assert [it.operation for it in history_of(specimen)] == ["update", "update", "revert"]
    found = raw.find_one({"_id": 1})
    assert (found["n"], stored in found.raw) == (1, True)
