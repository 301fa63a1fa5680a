"""Scripts of edits on documents, as Hypothesis draws them: one step is one edit in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mongoengine as me
from hypothesis import strategies as st
from support.documents import Address, Line
from support.strategies import values


class Order(me.Document):
    meta = {"collection": "orders", "auto_create_index": False, "strict": False}
    name = me.StringField()
    count = me.IntField(default=5, db_field="n")
    tags = me.ListField(me.StringField())
    lines = me.EmbeddedDocumentListField(Line)
    address = me.EmbeddedDocumentField(Address)
    notes = me.DictField()
    matrix = me.ListField(me.ListField(me.IntField()))
    anything = me.DynamicField()


class LooseOrder(me.DynamicDocument):
    meta = {"collection": "loose_orders", "auto_create_index": False}
    name = me.StringField()
    tags = me.ListField(me.StringField())
    lines = me.EmbeddedDocumentListField(Line)
    notes = me.DictField()


Edit = Callable[[Any], None]

words = st.sampled_from(["a", "b", "c", "", "long word"])
lines = st.builds(Line, sku=words, qty=st.none() | st.integers(0, 3))
addresses = st.builds(
    Address, street=st.none() | words, city=st.none() | words, zip=st.none() | words
)
# What MongoEngine takes for a dict: no keys with a dollar, no reference in disguise.
plain_dicts = st.dictionaries(st.sampled_from(["a", "b", "0", "1", "a.b", "ß"]), values, max_size=3)


def setting(name: str, drawn: st.SearchStrategy[Any]) -> st.SearchStrategy[Edit]:
    return drawn.map(lambda value: lambda document: setattr(document, name, value))


def in_list(name: str, drawn: st.SearchStrategy[Any]) -> st.SearchStrategy[Edit]:
    """Insert, remove, move, replace."""

    def edit(kind: str, place: int, value: Any) -> Edit:
        def apply(document: Any) -> None:
            items = getattr(document, name)
            if not isinstance(items, list):
                return  # a stale copy made a dict of it: MongoEngine sets "lines.0" where none is
            if kind == "insert" or not items:
                items.insert(place, value)
            elif kind == "remove":
                items.pop(place % len(items))
            elif kind == "move":
                items.append(items.pop(place % len(items)))
            else:
                items[place % len(items)] = value

        return apply

    kinds = st.sampled_from(["insert", "remove", "move", "replace"])
    return st.builds(edit, kinds, st.integers(0, 5), drawn)


def inside_line(document: Any, place: int, qty: int | None) -> None:
    if document.lines and isinstance(document.lines, list):
        document.lines[place % len(document.lines)].qty = qty


def inside_address(document: Any, name: str, value: str | None) -> None:
    if getattr(document, "address", None):
        setattr(document.address, name, value)


def inside_notes(document: Any, key: str, value: Any) -> None:
    if not isinstance(document.notes, dict):
        return
    if value is None:
        document.notes.pop(key, None)
    else:
        document.notes[key] = value


def delayed(
    function: Callable[..., None], *drawn: st.SearchStrategy[Any]
) -> st.SearchStrategy[Edit]:
    return st.tuples(*drawn).map(lambda given: lambda document: function(document, *given))


common = [
    setting("name", st.none() | words),
    setting("tags", st.lists(words, max_size=5)),
    in_list("tags", words),
    setting("lines", st.lists(lines, max_size=4)),
    in_list("lines", lines),
    delayed(inside_line, st.integers(0, 5), st.none() | st.integers(0, 9)),
    setting("notes", plain_dicts),
    delayed(
        inside_notes, st.sampled_from(["a", "b", "0"]), st.none() | st.integers(0, 3) | plain_dicts
    ),
]
strict_edits = st.one_of(
    *common,
    setting("count", st.none() | st.integers(0, 9)),
    setting("address", st.none() | addresses),
    delayed(inside_address, st.sampled_from(["street", "city", "zip"]), st.none() | words),
    setting("matrix", st.lists(st.lists(st.integers(0, 3), max_size=3), max_size=3)),
    setting("anything", st.none() | words | st.integers(0, 3) | plain_dicts),
)
loose_edits = st.one_of(
    *common,
    setting("extra", st.none() | words | st.integers(0, 3) | st.lists(words, max_size=3)),
    setting("more", st.none() | plain_dicts),
)
"""No edits inside dynamic fields: MongoEngine marks wrong paths there and stores something else."""


def scripts(edit: st.SearchStrategy[Edit]) -> st.SearchStrategy[list[list[Edit]]]:
    """Saves, each after one to three edits."""
    return st.lists(st.lists(edit, min_size=1, max_size=3), min_size=1, max_size=12)
