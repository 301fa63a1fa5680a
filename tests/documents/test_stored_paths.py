"""Paths by names of attributes, as a question gives them, and those of stored keys."""

from __future__ import annotations

from typing import Any

import mongoengine as me
import pytest
from mongoengine import Document, EmbeddedDocument

from mongoengine_history import OptionsError
from mongoengine_history.documents.attributes import MOST_WAYS, stored_paths


class Part(EmbeddedDocument):
    meta = {"allow_inheritance": True}
    size = me.IntField(db_field="s")
    part = me.EmbeddedDocumentField("self", db_field="p")


class Wheel(Part):
    spokes = me.IntField(db_field="w")


class Frame(Part):
    spokes = me.IntField(db_field="f")


class Loose(EmbeddedDocument):
    meta = {"strict": False}
    known = me.IntField(db_field="k")


class Bike(Document):
    meta = {
        "collection": "bikes",
        "auto_create_index": False,
        "history": {"renamed": {"label": "name"}},
    }
    name = me.StringField(db_field="n")
    first = me.IntField(db_field="second")
    second = me.IntField(db_field="first")
    part = me.EmbeddedDocumentField(Part, db_field="p")
    parts = me.EmbeddedDocumentListField(Part, db_field="ps")
    by_name = me.MapField(me.EmbeddedDocumentField(Part), db_field="b")
    facts = me.DictField(db_field="d")
    any_part = me.GenericEmbeddedDocumentField(db_field="g")
    loose = me.EmbeddedDocumentField(Loose, db_field="l")


class Grown(me.DynamicDocument):
    meta = {"collection": "grown", "auto_create_index": False}
    name = me.StringField(db_field="n")


class Many(EmbeddedDocument):
    meta = {"allow_inheritance": True}


for index in range(2):
    type(f"Many{index}", (Many,), {"x": me.EmbeddedDocumentField(Many, db_field=f"x{index}")})


class Holder(Document):
    meta = {"collection": "holders", "auto_create_index": False}
    x = me.EmbeddedDocumentField(Many)


def stored(model: Any, path: str) -> set[str]:
    return {".".join(keys) for keys in stored_paths(model, path.split("."))}


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("name", {"n", "label"}),
        ("n", {"n", "label"}),
        ("part.size", {"p.s"}),
        ("p.s", {"p.s"}),
        ("part.part.size", {"p.p.s"}),
        ("part.spokes", {"p.w", "p.f"}),
        ("part._cls", {"p._cls"}),
        ("parts.3.size", {"ps.3.s"}),
        ("by_name.left.size", {"b.left.s"}),
        ("facts.size.part", {"d.size.part"}),
        ("loose.known", {"l.k"}),
        ("loose.unknown", {"l.unknown"}),
        ("label", {"label"}),
        ("first", {"second"}),
        ("second", {"first"}),
    ],
)
def test_a_path_by_names_of_attributes_or_stored_ones_is_found(path: str, keys: set[str]) -> None:
    assert stored(Bike, path) == keys


def test_an_embedded_document_of_any_class_may_have_any_name() -> None:
    assert stored(Bike, "any_part.spokes") == {"g.w", "g.f", "g.spokes"}
    assert stored(Bike, "any_part.unheard") == {"g.unheard"}


def test_a_dynamic_document_may_have_any_name() -> None:
    assert stored(Grown, "name") == {"n"}
    assert stored(Grown, "colour.red") == {"colour.red"}


@pytest.mark.parametrize("path", ["nam", "part.siz", "parts.size", "parts.0.nam", "by_name.a.nam"])
def test_an_unknown_name_is_refused_with_what_to_give(path: str) -> None:
    with pytest.raises(OptionsError, match="a list of stored keys may name anything"):
        stored_paths(Bike, path.split("."))


def test_what_a_request_asks_for_does_not_multiply() -> None:
    assert len(stored(Holder, "x.x.x")) == 4
    assert MOST_WAYS < 2**5
    with pytest.raises(OptionsError, match="too many classes"):
        stored_paths(Holder, ["x"] * 100)
