"""What people ask a history for, on one line: ``by:ada model:Invoice operation:update``."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from datetime import date, datetime, time, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final

from mongoengine_history.errors import OptionsError
from mongoengine_history.faces.identity import identity_in, unquoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import tzinfo

    Between = tuple[datetime | None, datetime | None]

WORD: Final = re.compile(r'\s*([a-z]+):("(?:[^"\\]|\\.)*"|[^"\s]\S*)(?=\s|$)', re.DOTALL)

LONGEST_QUESTION: Final = 1_000
"""Characters of a question."""

HOW: Final = (
    "write by:ada, model:Invoice, path:address.city, operation:update or "
    "between:2026-01-01..2026-02-01, several of them with spaces between"
)


@dataclass(frozen=True, slots=True)
class Question:
    """Some revisions, by the words of the Python API. What is None is not asked for."""

    #: Who answers for them.
    by: Any = None
    #: The name of a class.
    model: str | None = None
    #: Names of attributes joined by dots.
    path: str | None = None
    #: What was done.
    operation: str | None = None
    #: Two moments, both included, of which one may be None.
    between: Between | None = None

    @classmethod
    def of(cls, text: str, zone: tzinfo = timezone.utc) -> Question:
        """
        Read a question. A value with spaces stands in quotes.

        ``by:`` takes what `identity_in` reads.
        ``between:`` takes two days or moments by ISO 8601, either of which may be left out, or one
        day, ``today`` or ``yesterday``. Nothing else means anything: no value is an operator.

        Args:
            text: The question; an empty one asks for all.
            zone: In which moments without an offset are meant.

        Raises:
            OptionsError: it is no question.
        """
        if len(text) > LONGEST_QUESTION:
            raise OptionsError("question", text, f"it has more than {LONGEST_QUESTION} characters")
        said: dict[str, str] = {}
        for name, value in _words(text):
            if name in said:
                raise OptionsError("question", text, f"{name}: is there twice")
            said[name] = value
        return cls(**{name: READ[name](value, zone) for name, value in said.items()})

    @property
    def conditions(self) -> dict[str, Any]:
        """What is asked of the revisions of any class, by the names of `Timeline.filter`."""
        named = {"by": self.by, "touching": self.path, "operation": self.operation}
        asked = {**named, "between": self.between}
        return {name: value for name, value in asked.items() if value is not None}


def _words(text: str) -> Iterator[tuple[str, str]]:
    position, text = 0, text.strip()
    while position < len(text):
        found = WORD.match(text, position)
        if found is None or found[1] not in READ:
            rest = text[position:].split()[0]
            raise OptionsError("question", rest, f"it is none of the words: {HOW}")
        yield found[1], found[2]
        position = found.end()


def _text(value: str, _zone: tzinfo) -> str:
    return unquoted(value)


def _who(value: str, _zone: tzinfo) -> Any:
    return identity_in(value)


def _between(value: str, zone: tzinfo) -> Between:
    start, dots, end = unquoted(value).partition("..")
    first = _time(start, zone) if start else None
    last = _time(end, zone) if end else None
    if not dots:
        last = first
    if first is None and last is None:
        raise OptionsError("between", value, "give two moments: 2026-01-01..2026-02-01")
    return first and first[0], last and last[1]


def _time(text: str, zone: tzinfo) -> tuple[datetime, datetime]:
    """Return the first and the last moment that a text means: one moment, or a day."""
    today = datetime.now(zone).date()
    days = {"today": today, "yesterday": today - timedelta(days=1)}
    try:
        if text in days or len(text) == 10:
            day = days.get(text) or date.fromisoformat(text)
            return (
                datetime.combine(day, time.min, zone),
                datetime.combine(day, time.max, zone),
            )
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        problem = "it is no day or moment, such as 2026-01-31 or 2026-01-31T09:30"
        raise OptionsError("between", text, problem) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    return moment, moment


READ: Final[dict[str, Callable[[str, tzinfo], Any]]] = {
    it.name: {"by": _who, "between": _between}.get(it.name, _text) for it in fields(Question)
}
"""How the value of each word is read."""
