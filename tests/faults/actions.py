"""The writes of a writer: each is planned, told to the journal, and then done."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, Final, NamedTuple

from faults.desk import MOST, SHARED, Desk
from faults.documents import Style
from faults.edits import EDITS, close_holes


class Plan(NamedTuple):
    """A write that comes next."""

    name: str
    #: Primary keys of the documents that it writes.
    keys: list[str]
    #: Does it; returns something false if it found no document.
    write: Callable[[], Any]
    #: A document whose object does it; none for a query.
    sheet: Any = None


Action = Callable[[Desk, Style, Random, str], Plan | None]


def save(desk: Desk, style: Style, chance: Random, mark: str) -> Plan:
    """Edit a document and save it."""
    return saving(desk.any(chance), style, chance, mark)


def saving(sheet: Any, style: Style, chance: Random, mark: str) -> Plan:
    """Plan an edit and a save, a creation if it was never saved."""
    edit = chance.choice(EDITS)

    def write() -> Any:
        with style.block(sheet, mark):
            close_holes(sheet)
            edit(sheet, chance, mark)
            return sheet.save()

    return Plan(edit.__name__, [sheet.pk], write, sheet)


def create(desk: Desk, style: Style, chance: Random, mark: str) -> Plan:
    """Create a document; a desk that is full is cleared first."""
    if len(desk.own) >= MOST:
        return delete(desk, style, chance, mark) or save(desk, style, chance, mark)
    return creation(desk.new(), style, mark)


def creation(sheet: Any, style: Style, mark: str) -> Plan:
    def write() -> Any:
        with style.block(sheet, mark):
            sheet.title = mark
            return sheet.save()

    return Plan("create", [sheet.pk], write, sheet)


def delete(desk: Desk, style: Style, chance: Random, mark: str) -> Plan | None:
    sheet = desk.stored(chance)
    if sheet is None:
        return None
    desk.take_away(sheet)

    def write() -> Any:
        with style.block(sheet, mark):
            sheet.delete()
        return True

    return Plan("delete", [sheet.pk], write, sheet)


def update_many(desk: Desk, style: Style, chance: Random, mark: str) -> Plan:
    """Set a key that only this thread sets: what others set meanwhile would be told with it."""
    name = "_".join(["many", *mark.strip("@").split(".")[:-1]])
    found = style.model.objects(pk__in=SHARED)
    return Plan("update_many", SHARED, _in_block(style, mark, found.update, name))


def update_one(desk: Desk, style: Style, chance: Random, mark: str) -> Plan | None:
    return _of_one(desk, style, chance, mark, lambda found: found.update_one)


def modify(desk: Desk, style: Style, chance: Random, mark: str) -> Plan | None:
    return _of_one(desk, style, chance, mark, lambda found: found.modify)


def push(desk: Desk, style: Style, chance: Random, mark: str) -> Plan | None:
    """Let the server append to a list."""
    sheet = desk.stored(chance)
    if sheet is None:
        return None

    def write() -> Any:
        with style.block(sheet, mark):
            return style.model.objects(pk=sheet.pk).update_one(push__lines=mark)

    return Plan("push", [sheet.pk], write)


def _of_one(
    desk: Desk, style: Style, chance: Random, mark: str, method: Callable[[Any], Any]
) -> Plan | None:
    sheet = desk.stored(chance)
    if sheet is None:
        return None
    write = method(style.model.objects(pk=sheet.pk))
    return Plan(write.__name__, [sheet.pk], _in_block(style, mark, write, "query"))


def _in_block(style: Style, mark: str, write: Callable[..., Any], name: str) -> Callable[[], Any]:
    def written() -> Any:
        with style.block(None, mark):
            return write(**{f"set__facts__{name}": mark})

    return written


SAVES: Final[list[Action]] = [*([save] * 6), *([create] * 2), delete]
QUERIES: Final[list[Action]] = [update_many, update_one, modify, push]


def actions_of(style: Style) -> list[Action]:
    """List what a style records; what stands there more often is done more often."""
    return [*SAVES, *QUERIES] if style.is_automatic else SAVES
