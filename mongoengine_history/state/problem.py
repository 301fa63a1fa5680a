"""What keeps a document of the history from being read: another program, or a hand, wrote it so.

Reading simply fails then, and only after that it is found out what is wrong: what is right takes
no time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from bson.errors import BSONError

from mongoengine_history.state.patches import PATCH_ACTIONS, patch_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

UNREADABLE: Final = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, BSONError)
"""What reading a malformed document raises."""

LARGEST_NUMBER: Final = 1_000_000_000
"""No revision has this number; memory for as many is set aside where all are read into a list."""

LATEST_STAMP: Final = 253_370_764_800_000_000
"""Microseconds until the year 9999, in which not every time zone can tell the time."""


LONGEST_PROBLEM: Final = 200
"""Letters of what is said of one."""


def is_number(value: object) -> bool:
    """Say whether *value* may be the number of a revision, or of version 0."""
    return isinstance(value, int) and type(value) is not bool and 0 <= value < LARGEST_NUMBER


def is_stamp(value: object) -> bool:
    """Say whether *value* tells a moment as a record does."""
    return isinstance(value, int) and 0 <= value < LATEST_STAMP


def are_hashes(value: object) -> bool:
    """Say whether *value* has hashes of lists, by their paths."""
    return isinstance(value, Mapping) and all(isinstance(it, bytes) for it in value.values())


def paths_in(value: object) -> tuple[tuple[str, ...], ...]:
    """Return the paths of keys that *value* has; none if it has anything else."""
    paths = value if isinstance(value, list) else []
    is_right = all(isinstance(it, list) and it and set(map(type, it)) == {str} for it in paths)
    return tuple(map(tuple, paths)) if is_right else ()


_RIGHT: Final[dict[str, Callable[[Any], bool]]] = {
    "revision": is_number,
    "stamp": is_stamp,
    "size": lambda it: is_number(it) and it > 0,
    "position": lambda it: isinstance(it, int),
    "operation": lambda it: isinstance(it, str),
    "reason": lambda it: it is None or isinstance(it, str),
    "metadata": lambda it: isinstance(it, Mapping),
    "lists": are_hashes,
    "action": lambda it: it in list(PATCH_ACTIONS),
    "keys": lambda it: isinstance(it, list),
    "state": lambda it: isinstance(it, Mapping),
    "start": lambda it: isinstance(it, Mapping),
    "part_of": is_number,
    "bytes": lambda it: isinstance(it, bytes),
}


def problem_in(
    documents: Sequence[Mapping[str, Any]], error: Exception
) -> tuple[Mapping[str, Any], str]:
    """Find which of some documents could not be read, and what is wrong with it."""
    for document in documents:
        wrong = [name for name in _RIGHT if name in document and not _RIGHT[name](document[name])]
        lacking = [name for name in _needed(document, error) if name not in document]
        if lacking:
            return document, f"it has no {lacking[0]}"
        if wrong:
            return document, f"its {wrong[0]} is {document[wrong[0]]!r}"[:LONGEST_PROBLEM]
        if not _is_patch(document):
            return document, "its action, keys and data make no patch"
    return documents[0], f"it cannot be decoded ({error!r})"


def _is_patch(document: Mapping[str, Any]) -> bool:
    if "data" not in document or "parts" in document or "keys" not in document:
        return True
    try:
        return bool(patch_of(document))
    except UNREADABLE:
        return False


def _needed(document: Mapping[str, Any], error: Exception) -> list[str]:
    """Name what a document must have: by its kind, and what was asked for."""
    asked = error.args[0] if isinstance(error, KeyError) else None
    asked_for = [asked] if asked in ("revision", "stamp", "operation", "size", "position") else []
    if "part_of" in document:
        return ["bytes"]
    if "parts" in document:
        return asked_for
    if "revision" not in document and "size" not in document:  # of 1.1
        return ["action", "path", "data"]
    position = document.get("position")
    is_version = isinstance(position, int) and position < 0
    return [*asked_for, *(["state"] if is_version else ["action", "keys", "data"])]
