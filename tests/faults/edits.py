"""What a writer does to a document in memory before a save; each leaves the mark of the save."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, Final

LONGEST: Final = 8
"""Items of a list."""

Edit = Callable[[Any, Random, str], None]


def set_title(sheet: Any, _: Random, mark: str) -> None:
    sheet.title = mark


def set_own_fact(sheet: Any, _: Random, mark: str) -> None:
    sheet.facts[mark.rpartition(".")[0].strip("@").replace(".", "_")] = mark


def set_shared_fact(sheet: Any, _: Random, mark: str) -> None:
    sheet.facts["shared"] = mark


def append(sheet: Any, _: Random, mark: str) -> None:
    sheet.lines.append(mark)
    del sheet.lines[:-LONGEST]


def insert_at_head(sheet: Any, _: Random, mark: str) -> None:
    sheet.lines.insert(0, mark)
    del sheet.lines[LONGEST:]


def change_item(sheet: Any, chance: Random, mark: str) -> None:
    if sheet.lines:
        sheet.lines[chance.randrange(len(sheet.lines))] = mark
    else:
        sheet.lines = [mark]


def close_holes(sheet: Any) -> None:
    """Take out nulls: the server fills up to the index that a stale copy sets in a shorter list."""
    if None in sheet.lines:
        sheet.lines = [item for item in sheet.lines if item is not None]


EDITS: Final[list[Edit]] = [
    *(set_title, set_own_fact, set_shared_fact),
    *(append, insert_at_head, change_item),
]
