"""What is told: on a terminal in colours, in a pipe as plain lines, or as JSON."""

from __future__ import annotations

import json
import re
import sys
from contextlib import contextmanager
from gettext import NullTranslations
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from mongoengine_history.faces.phrases import ENGLISH, SIGNS
from mongoengine_history.faces.words import Words
from mongoengine_history.state.telling import json_ready
from mongoengine_history.state.wording import shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import tzinfo

    from mongoengine import Document

    from mongoengine_history import Revision
    from mongoengine_history.faces.line import Line

STYLES: Final = {
    "+": "green",
    "-": "red",
    "~": "yellow",
    ">": "cyan",
    "path": "bold",
    "old": "red",
    "gone": "red strike",
    "new": "green",
    "came": "green underline",
}

NARROWEST_VALUE: Final = 24

UNSAFE_IN_JSON: Final = re.compile(r"[^\n -~]")

WIDEST_CELL: Final = 60


def counted(count: int, noun: str) -> str:
    """Write how many there are of something."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun[:-1]}ies" if noun.endswith("y") else f"{count:,} {noun}s"


class Ascii(NullTranslations):
    """The phrases for consoles that cannot show the usual ones."""

    def gettext(self, message: str) -> str:
        """Return a phrase without arrows and dots that they lack."""
        return message.replace("→", "->").replace("…", "...")

    def ngettext(self, one: str, many: str, n: int) -> str:
        """Return the phrase that goes with a number, without them."""
        return self.gettext(super().ngettext(one, many, n))


class Terminal:
    """Standard output for what was asked, standard error for all else."""

    def __init__(self, zone: tzinfo) -> None:
        self.zone = zone
        plain: dict[str, Any] = {"markup": False, "highlight": False, "emoji": False}
        self._out = Console(**plain)
        self._err = Console(stderr=True, **plain)

    def words(self, model: type[Document] | None, *, full: bool = False) -> Words:
        """Return how revisions of a class are told: two values of a change fit on a line."""
        half = max(NARROWEST_VALUE, (self._out.width - 24) // 2)
        translations = ENGLISH if self._is_unicode else Ascii()
        width = None if full else half
        return Words(model, zone=self.zone, translations=translations, width=width)

    @property
    def _is_unicode(self) -> bool:
        return (sys.stdout.encoding or "").lower().startswith("utf")

    def line(self, text: str | Text = "", style: str = "") -> None:
        """Tell a line. What would move the cursor is taken out."""
        safe = text if isinstance(text, Text) else Text(shortened(text, sys.maxsize), style)
        self._out.print(safe, soft_wrap=not self._out.is_terminal)

    def note(self, text: str) -> None:
        """Tell what is no part of the answer, beside it."""
        self._err.print(Text(shortened(text, sys.maxsize), "dim"), soft_wrap=True)

    def json(self, value: Any, indent: int | None = 2) -> None:
        """Tell a value as JSON, values of BSON as Extended JSON; on a line of its own."""
        text = json.dumps(json_ready(value), ensure_ascii=False, indent=indent)
        sys.stdout.write(UNSAFE_IN_JSON.sub(_safe, text) + "\n")
        sys.stdout.flush()

    def revision(self, words: Words, revision: Revision, most: int | None = None) -> None:
        """Tell a revision; of its changes not more than *most*."""
        number, dot, rest = words.head(revision).partition(".")
        self.line(Text.assemble((number, "bold"), dot, rest))
        self.changes(words, words.lines(revision), most)

    def changes(self, words: Words, told: Iterable[Line], most: int | None = None) -> None:
        """Tell changes; not more than *most* lines."""
        lines = [it for line in told for it in _flat(line, 1)]
        for line in lines[:most]:
            self.line(line)
        if most is not None and len(lines) > most:
            self.line("  " + words.more(len(lines) - most), "dim")

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Tell rows, numbers to the right."""
        told = [*rows]
        table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
        for place, name in enumerate(headings):
            are_numbers = told and all(isinstance(it[place], int | float) for it in told)
            table.add_column(
                name, justify="right" if are_numbers else "left", overflow="fold", no_wrap=not name
            )
        for row in told:
            table.add_row(*map(_cell, row))
        self._out.print(table)

    def bar(self, share: float, width: int = 12) -> str:
        """Draw a part of a whole."""
        filled = round(share * width)
        return ("█" if self._is_unicode else "#") * max(filled, 1 if share else 0)

    @contextmanager
    def progress(self, what: str, total: int | None) -> Iterator[Callable[[int], None]]:
        """
        Draw a bar for a block, on a terminal only; give what is called with how many are done.

        Nothing else may be told inside: it would stand within the bar.
        """
        if not self._err.is_terminal:
            yield lambda _: None
            return
        what = shortened(what, WIDEST_CELL)
        count = MofNCompleteColumn() if total else TextColumn("{task.completed:,}")
        options: dict[str, Any] = {"transient": True, "redirect_stdout": False}
        columns = TextColumn("{task.description}", markup=False), BarColumn(), count
        with Progress(*columns, console=self._err, **options) as bar:
            task = bar.add_task(what, total=total)
            yield lambda done: bar.update(task, completed=done)


def _flat(line: Line, depth: int) -> Iterator[Text]:
    sign = SIGNS[line.kind]
    pieces = [(shortened(it.marked, sys.maxsize), STYLES.get(it.role, "")) for it in line.pieces]
    yield Text.assemble("  " * depth, (sign, STYLES.get(sign, "")), " ", *pieces)
    for inner in line.inner:
        yield from _flat(inner, depth + 1)


def _cell(value: object) -> Text:
    if isinstance(value, Text):
        return value
    text = f"{value:,}" if isinstance(value, int) else "" if value is None else str(value)
    return Text(shortened(text, WIDEST_CELL))


def _safe(match: re.Match[str]) -> str:
    """Escape a sign in JSON that a terminal could take for an order."""
    sign = match[0]
    if sign.isprintable():
        return sign
    units = sign.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
