"""What all errors have in common: one base, the facts as attributes, a way to travel."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


class HistoryError(Exception):
    """Base of all errors that the library raises on purpose. Catch it to catch them all."""

    def __reduce__(self) -> Any:
        """Travel from process to process with the message and all facts."""
        facts = {name: _portable(fact) for name, fact in self.__dict__.items()}
        return _arrived, (type(self), self.args, facts)


class HistoryWarning(UserWarning):
    """Something is not recorded, or not read as it was, and nothing was refused."""


def _portable(fact: object) -> object:
    """Return a fact; what cannot travel, such as a function, as its text."""
    try:
        pickle.dumps(fact)
    except Exception:  # pickle raises several, and what a class has of its own
        return repr(fact)
    return fact


def _arrived(kind: type[HistoryError], args: tuple[Any, ...], facts: dict[str, Any]) -> Any:
    error = kind.__new__(kind, *args)
    error.__dict__.update(facts)
    return error


class OfDocumentError(HistoryError):
    """Base of those that concern one document."""

    def __init__(self, document_id: object, message: str) -> None:
        super().__init__(message)
        #: Primary key of the document.
        self.document_id = document_id


class OptionsError(HistoryError, ValueError):
    """An argument cannot be used. Nothing was read or written; correct the call."""

    def __init__(self, name: str, value: object, problem: str) -> None:
        super().__init__(f"{name}={short(value)} cannot be used: {problem}")
        #: The argument's name.
        self.name = name
        #: What was given.
        self.value = value


def where(path: Sequence[str | int]) -> str:
    """Tell a path in a message."""
    return repr(".".join(map(str, path))) if path else "the document itself"


def short(value: object) -> str:
    """Tell a value in a message, which it must not fill."""
    return short_text(repr(value))


def short_text(text: str) -> str:
    """Tell what is a text already."""
    return text if len(text) <= 80 else f"{text[:77]}..."
