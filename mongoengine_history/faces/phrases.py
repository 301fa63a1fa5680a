"""All phrases in which histories are told, in English, by which catalogues know them."""

from __future__ import annotations

import logging
import re
from functools import lru_cache
from gettext import NullTranslations
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TOLD_LOG: Final = logging.getLogger("mongoengine_history.faces")

FILLED: Final = re.compile(r"%\((\w+)\)|\{(\w+)")
"""What stands in a phrase for what it is filled with."""


class Translations(Protocol):
    """What knows the phrases of a language: `gettext.NullTranslations`, or what asks who reads."""

    def gettext(self, message: str, /) -> str:
        """Return a phrase; of the empty one the header, which names the language."""

    def ngettext(self, one: str, many: str, n: int, /) -> str:
        """Return the phrase that goes with a number."""


ENGLISH: Final = NullTranslations()
"""Tells phrases as they stand here."""


def by_names(phrase: str, names: Mapping[str, Any]) -> str:
    """Fill a phrase with what stands in it between per cent signs and brackets."""
    if "%" in re.sub(r"%\(\w+\)s|%%", "", phrase):
        raise ValueError("a per cent sign is written twice")
    return phrase % names


def looked_up(
    look_up: Callable[..., object],
    *asked: Any,
    fill: Callable[[str, Mapping[str, Any]], object] = str.format_map,
) -> str:
    """
    Return a phrase in a language: in English where a catalogue has none that can be filled.

    Args:
        look_up: ``gettext`` or ``ngettext`` of what knows the language.
        *asked: What it takes: a phrase; or the one, the one for many, and the number.
        fill: How the phrase will be filled.
    """
    english, *forms = asked
    if forms:
        english = asked[0] if asked[-1] == 1 else asked[1]
    try:
        phrase = str(look_up(*asked) or english)
    except Exception as error:  # of the application: a history is shown all the same
        problem: str | None = type(error).__name__
    else:
        problem = _problem_in(phrase, fill, *asked[: 2 if forms else 1])
    if problem is None:
        return phrase
    _log(str(english), problem)
    return str(english)


@lru_cache(maxsize=1_000)  # a page has hundreds of phrases, the same ones each time
def _problem_in(
    phrase: str, fill: Callable[[str, Mapping[str, Any]], object], *english: str
) -> str | None:
    """Say why a phrase cannot stand for an English one, or for those of one and of many."""
    wanted = _names_in(" ".join(english))
    try:
        fill(phrase, dict.fromkeys(wanted, 0))
    except Exception as error:  # of whatever kind, since a catalogue may hold anything
        return type(error).__name__
    is_whole = len(english) > 1 or _names_in(phrase) == wanted
    return None if is_whole else "something is missing in it, or too much"


@lru_cache(maxsize=1_000)
def _log(english: str, problem: str) -> None:
    """Say it once: a page has a hundred phrases."""
    TOLD_LOG.warning("No translation that can be filled of %r: %s", english, problem)


def _names_in(phrase: str) -> set[str]:
    return {name for pair in FILLED.findall(phrase) for name in pair if name}


N_: Final = str
"""Marks a phrase for catalogues; it is looked up where it is told."""

PHRASES: Final = {
    "head": N_("{number}. {when}, {done}{by}{because}"),
    "by": N_(" by {who}"),
    "because": N_(" ({reason})"),
    # One line for each change.
    "edited": N_("{path}: {old} → {new}"),
    "woven": N_("{path}: {text}"),
    "added": N_("{path}: {new}"),
    "removed": N_("{path}: {old}"),
    "moved": N_("{path}: moved from {origin}"),
    "item": N_("{path}:"),
    "fact": N_("{path}: {new}"),
    # What stands for values that are not there, or that the history does not hold.
    "nothing": N_("nothing"),
    "masked": N_("hidden ({fingerprint})"),
    "blank": N_("hidden"),
    # What stands for an empty path.
    "whole": N_("the document"),
}
"""
By their names, each with what it is filled with.

A line is made of pieces, so that a page can mark old and new: a translation may put them in another
order.
"""

OPERATIONS: Final = {
    "create": N_("created"),
    "update": N_("changed"),
    "delete": N_("deleted"),
    "revert": N_("reverted"),
    "undo": N_("undone"),
    "restore": N_("restored"),
    "external": N_("changed from outside"),
    "event": N_("event"),
    "redact": N_("redacted"),
}
"""What was done; an operation that is missing here is told by its own name."""

SIGNS: Final = {"edited": "~", "added": "+", "removed": "-", "moved": ">", "fact": " "}
"""What a line begins with, by the kind of its change."""
