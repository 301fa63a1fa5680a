"""Values that no record can hold, since both sides exceed 16 MB or nest too deep.

They are stored as BSON bytes in parts: further records of the same revision, in the same insert.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import bson

from mongoengine_history.state.values import WIRE, depth, encode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bson.codec_options import CodecOptions

LARGEST_VALUE: Final = 12 * 1024 * 1024
"""Bytes of a value in one record; MongoDB's limit is 16 MB, and a record has other fields, too."""

DEEPEST_VALUE: Final = 100
"""Levels that a value in a record may nest; MongoDB's limit is 180 with the record's own."""


LEVEL: Final = 8
"""Bytes that one level of nesting takes at least."""


def fits(values: object) -> bool:
    """Say whether *values* fit into one record together, so that none of them needs a look."""
    size = len(encode(values))
    return size <= LARGEST_VALUE and (
        size <= DEEPEST_VALUE * LEVEL or depth(values) <= DEEPEST_VALUE
    )


def split(record: dict[str, Any], field: str) -> list[bytes]:
    """
    Take *field* out of a record that could not be stored with it.

    Returns:
        The BSON bytes of the field in pieces, to be stored beside the record, which tells their
        count as ``parts``; empty where the record is fine as it is.
    """
    raw = bson.encode({field: record[field]}, codec_options=WIRE)
    if len(raw) <= LARGEST_VALUE and depth(record[field]) <= DEEPEST_VALUE:
        return []
    items = record[field].get("items") if field == "data" else None
    if items is None:
        del record[field]
    else:  # queries for a path need the keys
        record[field] = {"items": [{"key": item["key"]} for item in items]}
    pieces = [raw[start : start + LARGEST_VALUE] for start in range(0, len(raw), LARGEST_VALUE)]
    record["parts"] = len(pieces)
    return pieces


def join(
    record: Mapping[str, Any], parts: Sequence[Mapping[str, Any]], codec: CodecOptions[Any]
) -> dict[str, Any]:
    """Return the record with the field that `split` took out; *parts* are its own, in order."""
    raw = b"".join(part["bytes"] for part in parts)
    return {**record, **bson.decode(raw, codec_options=codec)}
