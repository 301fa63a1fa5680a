"""All phrases in which histories are told, in English, by which catalogues know them."""

from __future__ import annotations

from gettext import NullTranslations
from typing import Final, Protocol


class Translations(Protocol):
    """What knows the phrases of a language: `gettext.NullTranslations`, or what asks who reads."""

    def gettext(self, message: str, /) -> str:
        """Return a phrase; of the empty one the header, which names the language."""

    def ngettext(self, one: str, many: str, n: int, /) -> str:
        """Return the phrase that goes with a number."""


ENGLISH: Final = NullTranslations()
"""Tells phrases as they stand here."""

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
