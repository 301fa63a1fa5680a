"""Two texts as one, by words: what stayed, what is gone, what came."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Final

from mongoengine_history.faces.line import Piece

if TYPE_CHECKING:
    from collections.abc import Iterator

WORDS: Final = re.compile(r"\s+|\w+|[^\w\s]")

FEWEST: Final = 4
"""Shorter texts are told as old and new."""

MOST_WORDS: Final = 2_000
"""Words of both texts together; the time that a comparison takes grows with their square."""

ALIKE: Final = 0.5
"""How much of them is the same, at least."""


def woven(old: object, new: object) -> list[Piece]:
    """Return the pieces of two texts; none if they are no texts, or have little in common."""
    if not isinstance(old, str) or not isinstance(new, str):
        return []
    before, after = WORDS.findall(old), WORDS.findall(new)
    if min(len(before), len(after)) < FEWEST or len(before) + len(after) > MOST_WORDS:
        return []
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    if matcher.ratio() < ALIKE:
        return []
    sides = (
        (tag, "".join(before[at:end]), "".join(after[start:stop]))
        for tag, at, end, start, stop in matcher.get_opcodes()
    )
    return [piece for side in sides for piece in _pieces(*side)]


def _pieces(tag: str, old: str, new: str) -> Iterator[Piece]:
    roles = [("same", old)] if tag == "equal" else [("gone", old), ("came", new)]
    return (Piece(role, text) for role, text in roles if text)
