"""The zoo: a document of every shape and a pair of values for every field type."""

from __future__ import annotations

import datetime
import enum
import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import bson
import mongoengine as me
from bson import Binary, DBRef, Decimal128, Int64, ObjectId
from bson.raw_bson import RawBSONDocument

from mongoengine_history import History


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Person(me.Document):
    name = me.StringField()


class Animal(me.Document):
    meta = {"allow_inheritance": True}
    name = me.StringField()


class Dog(Animal):
    tricks = me.ListField(me.StringField())


class Address(me.EmbeddedDocument):
    street = me.StringField(db_field="s")
    city = me.StringField()
    zip = me.StringField()


class Line(me.EmbeddedDocument):
    sku = me.StringField()
    qty = me.IntField()
    price = me.DecimalField(precision=2, force_string=True)


class Shape(me.EmbeddedDocument):
    meta = {"allow_inheritance": True}
    colour = me.StringField()


class Circle(Shape):
    radius = me.FloatField()


class Square(Shape):
    side = me.FloatField()


class Loose(me.DynamicEmbeddedDocument):
    name = me.StringField()


def two_people() -> tuple[Person, Person]:
    return Person(name="anna").save(), Person(name="ben").save()


_ID, _OTHER = ObjectId("5" * 24), ObjectId("6" * 24)
_WHEN, _LATER = datetime.datetime(2020, 1, 2, 3, 4, 5, 678901), datetime.datetime(1850, 1, 1)

#: Name of a field type -> the field, and two values for it, or a callable that makes them.
FIELDS: dict[str, tuple[Any, Any]] = {
    "string": (me.StringField, ("a", "b")),
    "empty string": (me.StringField, ("a", "")),
    "db_field": (lambda: me.StringField(db_field="stored"), ("a", "b")),
    "int": (me.IntField, (1, 2)),
    "long": (me.LongField if hasattr(me, "LongField") else me.IntField, (2**53, 2**53 + 1)),
    "float": (me.FloatField, (0.3, 0.1 + 0.2)),
    "float zero": (me.FloatField, (1.0, -0.0)),
    "boolean": (me.BooleanField, (True, False)),
    "decimal": (me.DecimalField, (Decimal("1.10"), Decimal("2.20"))),
    "decimal as text": (
        lambda: me.DecimalField(force_string=True),
        (Decimal("1.10"), Decimal("2.2")),
    ),
    "decimal128": (me.Decimal128Field, (Decimal("1.0"), Decimal("1.00000"))),
    "datetime": (me.DateTimeField, (_WHEN, _LATER)),
    "date": (me.DateField, (datetime.date(2020, 1, 2), datetime.date(2021, 1, 2))),
    "complex datetime": (me.ComplexDateTimeField, (_WHEN, _LATER)),
    "email": (me.EmailField, ("a@example.com", "b@example.com")),
    "url": (me.URLField, ("http://a.example.com", "http://b.example.com")),
    "uuid": (me.UUIDField, (uuid.UUID(int=1), uuid.UUID(int=2))),
    "uuid as text": (lambda: me.UUIDField(binary=False), (uuid.UUID(int=1), uuid.UUID(int=2))),
    "binary": (me.BinaryField, (b"a", b"\x00b")),
    "object id": (me.ObjectIdField, (_ID, _OTHER)),
    "enum": (lambda: me.EnumField(Colour), (Colour.RED, Colour.BLUE)),
    "enum list": (
        lambda: me.ListField(me.EnumField(Colour)),
        ([Colour.RED], [Colour.BLUE, Colour.RED]),
    ),
    "list": (lambda: me.ListField(me.IntField()), ([1, 2, 3], [0, 3])),
    "list emptied": (lambda: me.ListField(me.IntField()), ([1, 2, 3], [])),
    "list filled": (lambda: me.ListField(me.IntField()), ([], [1, 2, 3])),
    "any list": (me.ListField, ([1, "x", {"a": [1]}], [True, {"a": [1.0]}])),
    "nested list": (
        lambda: me.ListField(me.ListField(me.IntField())),
        ([[1], [2, 3]], [[2, 3], [1, 4]]),
    ),
    "sorted list": (lambda: me.SortedListField(me.IntField()), ([3, 1, 2], [5, 4])),
    "sorted embedded": (
        lambda: me.SortedListField(me.EmbeddedDocumentField(Line), ordering="sku"),
        ([Line(sku="b"), Line(sku="a")], [Line(sku="z", qty=1), Line(sku="a")]),
    ),
    "dict": (me.DictField, ({"a": 1, "b": {"c": 2}}, {"b": {"c": 3}, "d": None})),
    "dict with hard keys": (
        me.DictField,
        (
            {"0": 1, "²": 2, "a.b": 3, "": 4, "x": {"1": {"a.b": 1}}},
            {"1": 1, "a": {"b": 3}, "x": {"1": {}}},
        ),
    ),
    "dict emptied": (me.DictField, ({"a": 1}, {})),
    "dict with types": (
        me.DictField,
        (
            {"t": True, "l": Int64(1), "d": Decimal128("1.0"), "b": b"x", "r": DBRef("gone", 1)},
            {
                "t": 1,
                "l": 1,
                "d": Decimal128("1.00"),
                "b": Binary(b"x", 128),
                "r": DBRef("gone", 2),
            },
        ),
    ),
    "map": (lambda: me.MapField(me.IntField()), ({"a": 1, "b": 2}, {"b": 2, "c": 3})),
    "map of embedded": (
        lambda: me.MapField(me.EmbeddedDocumentField(Line)),
        ({"a": Line(sku="1")}, {"a": Line(sku="2"), "b": Line(sku="3", price=Decimal("1.5"))}),
    ),
    "embedded": (
        lambda: me.EmbeddedDocumentField(Address),
        (Address(street="x", city="y"), Address(street="z", zip="1")),
    ),
    "embedded gone": (lambda: me.EmbeddedDocumentField(Address), (Address(street="x"), None)),
    "embedded new": (lambda: me.EmbeddedDocumentField(Address), (None, Address(street="x"))),
    "embedded list": (
        lambda: me.EmbeddedDocumentListField(Line),
        ([Line(sku="a"), Line(sku="b")], [Line(sku="c"), Line(sku="a"), Line(sku="b", qty=2)]),
    ),
    "inherited embedded": (
        lambda: me.EmbeddedDocumentField(Shape),
        (Circle(colour="red", radius=1.0), Square(colour="red", side=2.0)),
    ),
    "generic embedded": (me.GenericEmbeddedDocumentField, (Circle(radius=1.0), Line(sku="x"))),
    "generic embedded list": (
        lambda: me.ListField(me.GenericEmbeddedDocumentField()),
        ([Circle(radius=1.0), Line(sku="x")], [Line(sku="x"), Square(side=1.0)]),
    ),
    "dynamic embedded": (
        lambda: me.EmbeddedDocumentField(Loose),
        (Loose(name="a", extra=[1, {"x": 1}]), Loose(name="a", other="b")),
    ),
    "reference": (lambda: me.ReferenceField(Person), two_people),
    "reference as dbref": (lambda: me.ReferenceField(Person, dbref=True), two_people),
    "reference list": (
        lambda: me.ListField(me.ReferenceField(Person)),
        lambda: (list(two_people()), [Person(name="c").save()]),
    ),
    "generic reference": (me.GenericReferenceField, two_people),
    "generic reference list": (
        lambda: me.ListField(me.GenericReferenceField()),
        lambda: ([Person(name="c").save()], list(two_people())),
    ),
    "lazy reference": (lambda: me.LazyReferenceField(Person), two_people),
    "generic lazy reference": (me.GenericLazyReferenceField, two_people),
    "dangling reference": (
        lambda: me.ReferenceField(Person),
        (DBRef("person", _ID), DBRef("person", _OTHER)),
    ),
    "dangling dbref": (
        lambda: me.ReferenceField(Person, dbref=True),
        (DBRef("person", _ID), DBRef("person", _OTHER)),
    ),
    "dangling references": (
        lambda: me.ListField(me.ReferenceField(Person)),
        ([DBRef("person", _ID)], [DBRef("person", _OTHER), DBRef("person", _ID)]),
    ),
    "cached reference": (lambda: me.CachedReferenceField(Person, fields=["name"]), two_people),
    "geo point": (me.GeoPointField, ([1.0, 2.0], [3.0, 4.0])),
    "point": (me.PointField, ([1.0, 2.0], {"type": "Point", "coordinates": [3.0, 4.0]})),
    "line": (me.LineStringField, ([[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.0], [3.0, 5.0]])),
    "polygon": (
        me.PolygonField,
        (
            [[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]],
            [[[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 0.0]]],
        ),
    ),
    "multi point": (me.MultiPointField, ([[1.0, 2.0]], [[3.0, 4.0], [1.0, 2.0]])),
    "sequence": (me.SequenceField, (7, 9)),
    "null": (lambda: me.StringField(null=True), ("a", None)),
    "null with default": (lambda: me.StringField(null=True, default="d"), (None, "b")),
    "default": (lambda: me.IntField(default=5), (5, 6)),
    "default to none": (lambda: me.IntField(default=5), (6, None)),
    "none to value": (me.StringField, (None, "a")),
    "value to none": (me.StringField, ("a", None)),
    "default list": (lambda: me.ListField(default=lambda: [1]), ([1], [])),
    "dynamic": (me.DynamicField, ({"a": [1]}, "text")),
}


def document_with(field: Any) -> type[me.Document]:
    """Make a class with *field* and a plain one beside it."""
    attributes = {
        "meta": {"collection": "zoo", "auto_create_index": False},
        "value": field() if callable(field) else field,
        "other": me.StringField(),
    }
    return type("Zoo", (me.Document,), attributes)


def raw(document: me.Document) -> dict[str, Any] | None:
    """Read what is stored."""
    return document._get_collection().find_one({"_id": document.pk})


def stored(document: me.Document) -> dict[str, bytes] | None:
    """Every stored field as BSON bytes; only the order of the fields themselves is left out."""
    found = raw(document)
    codec = document._get_collection().codec_options
    return found and {
        key: bson.encode({"": value}, codec_options=codec) for key, value in found.items()
    }


def exactly(document: Any) -> bytes:
    """Read what is stored to the byte, the order of fields included."""
    collection = document._get_collection()
    codec = collection.codec_options.with_options(document_class=RawBSONDocument)
    found = collection.with_options(codec).find_one({"_id": document.pk})
    return found.raw if found else b""


def encoded(value: Any) -> bytes:
    return bson.encode({"": value}, codec_options=History._get_collection().codec_options)


def fields_of(state: Mapping[str, Any]) -> dict[str, bytes]:
    """Every field as BSON bytes; only the order of the fields themselves is left out."""
    return without_id({key: encoded(value) for key, value in state.items()})


def without_id(document: dict[str, bytes]) -> dict[str, bytes]:
    return {key: value for key, value in document.items() if key != "_id"}
