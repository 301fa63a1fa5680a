"""The demo: five people edit an order, its history is shown, and all of it is taken back.

Leaves to others: the server and the arguments (`program`), revisions from a file (`replay`).
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

import bson
from bson.raw_bson import DEFAULT_RAW_BSON_OPTIONS
from mongoengine import Document, EmbeddedDocument, fields

from mongoengine_history.back.revert import revert
from mongoengine_history.capture.changeset import changeset
from mongoengine_history.capture.track_history import track_history
from mongoengine_history.read.history_of import history_of
from mongoengine_history.state.wording import changes, shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from mongoengine_history.state.revision import Revision

    Show = Callable[[Iterable[str]], object]
    Edit = Callable[["Order"], None]

ALIAS: Final = "mongoengine_history_demo"
"""MongoEngine's name for the connection, so that a connection of an application stays apart."""

WIDTH: Final = 100
"""Columns of a line at most."""

WIDEST_CELLS: Final = (6, 23, 12, 18)
"""Columns of the first four cells of a table at most: number, time, who, why."""

HEADINGS: Final = ("rev", "when (UTC)", "who", "why", "what")

PLACED: Final = """
All writes of a class are recorded, and a block says who writes, and why:

    @track_history
    class Order(Document):
        customer = StringField()
        ...

    with changeset("ben", reason="a present"):
        order.lines.insert(0, Line(sku="WRAPPING", count=1, cents=290))
        order.save()

An order is placed and edited by five people. Its history has one revision per save:

"""

TAKEN_BACK: Final = """
Then the first state comes back, and that is a revision, too:

    revert(order).save()

"""


class Line(EmbeddedDocument):  # type: ignore[misc]  # MongoEngine has no types
    """One line of an order."""

    sku = fields.StringField()
    count = fields.IntField()
    cents = fields.IntField()


class Address(EmbeddedDocument):  # type: ignore[misc]  # MongoEngine has no types
    """Where an order goes."""

    street = fields.StringField()
    city = fields.StringField()


@track_history
class Order(Document):  # type: ignore[misc]  # MongoEngine has no types
    """What is edited."""

    customer = fields.StringField()
    status = fields.StringField()
    placed = fields.DateTimeField()
    paid = fields.BooleanField()
    lines = fields.EmbeddedDocumentListField(Line)
    address = fields.EmbeddedDocumentField(Address)
    tags = fields.ListField(fields.StringField())
    notes = fields.DictField()

    meta = {"db_alias": ALIAS}  # noqa: RUF012  # MongoEngine's way to configure a class


def demo(show: Show) -> bool:
    """
    Make a history and take it back, on the connection `ALIAS`; *show* takes the lines to print.

    Returns:
        Whether the stored BSON at the end is the one at the beginning.
    """
    order = _new_order()
    _edit(order, "anna", "web shop", lambda _: None)
    first = raw(order)
    for who, why, edit in EDITS:
        _edit(order, who, why, edit)
    show(PLACED.splitlines())
    show(table(history_of(order)))
    _edit(order, "anna", "ordered by mistake", revert)
    show(TAKEN_BACK.splitlines())
    show(table(history_of(order)[-1:]))
    same, verdict = compare(first, raw(order))
    show(["", verdict])
    return same


def _new_order() -> Order:
    return Order(
        customer="Frida Berg",
        status="new",
        placed=datetime(2025, 5, 2, 9, 30, tzinfo=timezone.utc),
        paid=False,
        lines=[Line(sku="TEAPOT", count=1, cents=4900), Line(sku="CUP", count=6, cents=850)],
        address=Address(street="Elm Way 7", city="Oslo"),
        tags=["web", "fragile"],
        notes={"colour": "green"},
    )


def _edit(order: Order, who: str, why: str, edit: Callable[[Order], object]) -> None:
    with changeset(who, reason=why):
        edit(order)
        order.save()


def _wrap(order: Order) -> None:
    order.lines.insert(0, Line(sku="WRAPPING", count=1, cents=290))


def _move(order: Order) -> None:
    order.address.street, order.address.city = "Quay 12", "Bergen"


def _drop_cups(order: Order) -> None:
    order.lines.pop()
    order.tags.remove("fragile")


def _pay(order: Order) -> None:
    order.status, order.paid = "paid", True
    # The whole dict, since MongoEngine takes the dot of a single new key for a path and fails.
    order.notes = {**order.notes, "paid.by": "card"}
    order.lines[1].count = 2


EDITS: Final[Sequence[tuple[str, str, Edit]]] = (
    ("ben", "a present", _wrap),
    ("chloe", "Frida has moved", _move),
    ("dev", "cups are sold out", _drop_cups),
    ("eve", "paid by phone", _pay),
)


def raw(document: Document) -> Mapping[str, Any]:
    """Read a stored document as the server's own bytes, each value decoded only when asked for."""
    collection = document._get_collection().with_options(codec_options=DEFAULT_RAW_BSON_OPTIONS)
    found: Mapping[str, Any] = collection.find_one({"_id": document.pk})
    return found


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[bool, str]:
    """
    Say whether two stored documents have the same fields with the same bytes.

    The order of the fields does not count: no update of MongoDB can put a field back in its place.
    """
    names = {**before, **after}
    same = [name for name in names if _bytes(before, name) == _bytes(after, name)]
    if len(same) < len(names):
        other = ", ".join(name for name in names if name not in same)
        return False, f"The stored BSON is another one: {other}"
    # The primary key is compared, but not counted: it is no field of the state.
    count, size = len(names) - 1, len(bson.encode(after))
    return True, f"The stored BSON is the old one: {count} of {count} fields, {size} bytes"


def _bytes(document: Mapping[str, Any], name: str) -> bytes:
    return bson.encode({name: document[name]}) if name in document else b""


def table(
    revisions: Iterable[Revision],
    when: Callable[[Revision], datetime] = lambda revision: revision.at,
    most: int = 8,
) -> list[str]:
    """Show revisions, at times in UTC, as lines of a table, no line longer than `WIDTH`."""
    rows = [(_cells(revision, when(revision)), revision) for revision in revisions]
    heads = [HEADINGS[:-1], *(cells for cells, _ in rows)]
    widths = [max(len(cells[column]) for cells in heads) for column in range(4)]
    room = WIDTH - sum(widths) - 2 * len(heads[0])
    lines = [_line(HEADINGS, widths), _line(["-" * width for width in (*widths, room)], widths)]
    for cells, revision in rows:
        first, *more = changes(revision.patches, room, most)
        lines.append(_line([*cells, first], widths))
        lines += [_line(["", "", "", "", change], widths) for change in more]
    return lines


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    number, *others = (cell.ljust(width) for cell, width in zip(cells, widths, strict=False))
    return "  ".join([number.strip().rjust(widths[0]), *others, cells[-1]])


def _cells(revision: Revision, when: datetime) -> tuple[str, ...]:
    moment = when.replace(tzinfo=None).isoformat(" ", "milliseconds")
    who = "-" if revision.identity is None else str(revision.identity)
    cells = (str(revision.number), moment, who, revision.reason or "-")
    return tuple(shortened(cell, width) for cell, width in zip(cells, WIDEST_CELLS, strict=True))
