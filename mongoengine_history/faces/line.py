"""A change on one line, in pieces; as a text, and as a fragment of HTML."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final, NamedTuple

from mongoengine_history.faces.phrases import SIGNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

WOVEN: Final = {"gone": ("[-", "-]"), "came": ("{+", "+}")}
"""Between which signs a text has the words that are gone, and those that came."""

TAGS: Final = {"old": "del", "gone": "del", "new": "ins", "came": "ins", "path": "code"}
"""The elements of HTML that pieces become; others have none."""


class Piece(NamedTuple):
    """A part of a line."""

    #: ``path``, ``old``, ``new``; ``gone``, ``came``, ``same`` of words in a text; nothing for all
    #: else.
    role: str
    text: str

    @property
    def marked(self) -> str:
        """The text; of words in a text what is gone, and what came, stands between signs."""
        before, after = WOVEN.get(self.role, ("", ""))
        return f"{before}{self.text}{after}"

    @property
    def html(self) -> str:
        """The piece as an element, escaped."""
        tag, text = TAGS.get(self.role), escape(self.text)
        return f"<{tag}>{text}</{tag}>" if tag else text


class Line(NamedTuple):
    """One change."""

    #: ``edited``, ``added``, ``removed``, ``moved``; ``fact`` of an event.
    kind: str
    pieces: tuple[Piece, ...]
    #: The changes inside of it: items of a list, keys of an item.
    inner: tuple[Line, ...] = ()

    @property
    def text(self) -> str:
        """What it says itself, without what is inside of it."""
        return "".join(it.marked for it in self.pieces)

    def texts(self, depth: int = 0) -> Iterator[str]:
        """Yield it and what is inside of it, each behind a sign, deeper ones indented."""
        yield f"{'  ' * depth}{SIGNS[self.kind]} {self.text}"
        for inner in self.inner:
            yield from inner.texts(depth + 1)


def cut(text: str, most: int | None) -> str:
    """Return the beginning of a text that has more than so many characters."""
    return text if most is None or len(text) <= most else f"{text[:most]}…"


def html_of(lines: Iterable[Line], most: int | None = None) -> str:
    """Return a list as HTML, with a class for each kind, pieces cut; nothing without lines."""
    items = [
        f'<li class="{escape(it.kind)}">'
        f"{''.join(piece._replace(text=cut(piece.text, most)).html for piece in it.pieces)}"
        f"{html_of(it.inner, most)}</li>"
        for it in lines
    ]
    return f"<ul>{''.join(items)}</ul>" if items else ""
