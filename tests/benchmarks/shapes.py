"""The documents that are measured, and edits of a given number of their leaves."""

from __future__ import annotations

from typing import Any, Final

from mongoengine import Document, EmbeddedDocument, fields

Leaf = tuple[Any, str]
"""A document or embedded document, and the name of one of its scalar fields."""

LENGTHS: Final = {"sections": 16, "some": 500, "more": 500, "items": 500, "many": 5000}
"""How many embedded documents the lists have."""

SIZES: Final = {"small": 305, "medium": 3_084, "large": 89_107}
"""How many bytes the documents have."""


def _class(name: str, base: type[Any], scalars: int, **embedded: Any) -> Any:
    """Make a class with numbered fields, texts and numbers by turns, and with lists."""
    kinds = (fields.StringField, fields.IntField)
    own = {f"s{place}": kinds[place % 2]() for place in range(scalars)}
    own |= {key: fields.EmbeddedDocumentListField(kind) for key, kind in embedded.items()}
    return type(base)(name, (base,), {"__module__": __name__, **own})


Part = _class("Part", EmbeddedDocument, 5)
Item = _class("Item", EmbeddedDocument, 6)
Section = _class("Section", EmbeddedDocument, 10)


def documents(prefix: str) -> dict[str, Any]:
    """Make classes of all shapes; those of another prefix share no signal and no collection."""
    return {
        "small": _class(f"{prefix}Small", Document, 20),
        "medium": _class(f"{prefix}Medium", Document, 40, sections=Section),
        "large": _class(f"{prefix}Large", Document, 20, some=Part, more=Part),
        "list": _class(f"{prefix}List", Document, 0, items=Item),
        "long list": _class(f"{prefix}LongList", Document, 0, many=Item),
    }


def filled(kind: Any, number: int = 0) -> Any:
    """Make a document or embedded document with all its fields set, different for each *number*."""
    values: dict[str, Any] = {}
    for name, field in kind._fields.items():
        if name in LENGTHS:
            embedded = field.field.document_type
            values[name] = [filled(embedded, place) for place in range(LENGTHS[name])]
        elif name != "id":
            values[name] = scalar(kind, name, number)
    return kind(**values)


def scalar(kind: Any, name: str, number: int) -> int | str:
    """Make a value for a field: a number of four bytes, or a text of twelve letters."""
    value = 100 * number + int(name[1:])
    is_number = isinstance(kind._fields[name], fields.IntField)
    return value if is_number else f"text {value:07}"


def leaves(document: Any) -> list[Leaf]:
    """List all scalar fields of a document and of those embedded in it."""
    found: list[Leaf] = []
    for name in document._fields:
        if name in LENGTHS:
            found += [leaf for embedded in document[name] for leaf in leaves(embedded)]
        elif name != "id":
            found.append((document, name))
    return found


def insert(document: Any, number: int) -> None:
    """Insert an item at the head of the list."""
    [name] = LENGTHS.keys() & document._fields.keys()
    document[name].insert(0, filled(Item, number))


def edit(found: list[Leaf], count: int, number: int) -> None:
    """Change *count* leaves, spread over all of them."""
    for place in range(count):
        document, name = found[(2 * place + 1) * len(found) // (2 * count)]
        setattr(document, name, scalar(document, name, number))
