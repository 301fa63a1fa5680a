"""Marks of writes and keys of documents: texts that are found again, whatever they stand in."""

from __future__ import annotations

import re
from typing import Final

MARK: Final = re.compile(r"@[\w.]+@")
KEY: Final = re.compile(r"#[\w.]+#")

DELETED: Final = "@deleted@"
"""The mark of what a deletion leaves: nothing has a value then."""


def mark(writer: str, number: int) -> str:
    """Return the mark of a write."""
    return f"@{writer}.{number}@"


def key(writer: str, number: int | str) -> str:
    """Return the primary key of a document."""
    return f"#{writer}.{number}#"


def marks_in(value: object) -> set[str]:
    """Find all marks in a value of BSON, however deep they stand."""
    return set(MARK.findall(repr(value)))


def keys_in(text: str) -> set[str]:
    """Find all keys in a text."""
    return set(KEY.findall(text))
