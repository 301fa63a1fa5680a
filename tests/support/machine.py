"""What the lives that Hypothesis draws have in common."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from mongoengine import Document
from support.documents import encoded, fields_of
from support.edits import LooseOrder, Order, loose_edits, strict_edits

from mongoengine_history import ABSENT, Revision

LIVES = int(os.environ.get("MACHINE_EXAMPLES", "30"))
EVERY = [0, 1, 2, 3, 100]
KINDS = {Order: strict_edits, LooseOrder: loose_edits}

Fields = dict[str, bytes]


def alike(first: Any, second: Any) -> bool:
    """Whether two values as an application reads them are the same BSON."""
    if first is ABSENT or second is ABSENT:
        return first is second
    return encoded(first) == encoded(second)


def by_key(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: by_key(value[key]) for key in sorted(value)}
    return [by_key(item) for item in value] if isinstance(value, list) else value


def memory(document: Document) -> tuple[Any, ...]:
    """What a document has in memory, its marks of change included."""
    return (
        type(document),
        fields_of(document.to_mongo()),
        sorted(document._get_changed_fields()),
        document._created,
    )


def told(revision: Revision) -> tuple[Any, ...]:
    """All that a revision tells; NaN is NaN here."""
    return replace(revision, patches=()), encoded(revision.patches)


def keys_of(text: str) -> tuple[str, ...]:
    """Split a path of `blame` at the dots that are not escaped."""
    keys, escaped = [""], False
    for sign in text:
        if escaped or sign not in "\\.":
            keys[-1] += sign
        elif sign == ".":
            keys.append("")
        escaped = not escaped and sign == "\\"
    return tuple(keys)


def leaves(state: dict[str, Any], above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for key, value in state.items():
        if value and isinstance(value, dict):
            yield from leaves(value, (*above, key))
        else:
            yield (*above, key)
