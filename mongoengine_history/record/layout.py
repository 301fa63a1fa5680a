"""How a revision and a version lie in documents: records, parts, positions. Knows no database.

Values that no record can hold, since both sides exceed 16 MB or nest too deep, are stored as BSON
bytes in parts: further records of the same revision, in the same insert.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import bson

from mongoengine_history.state.context import Context
from mongoengine_history.state.patches import Patch, patch_of, record_of
from mongoengine_history.state.problem import are_hashes, is_stamp, paths_in
from mongoengine_history.state.revision import StoredRevision
from mongoengine_history.state.values import WIRE, depth, encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bson import Timestamp
    from bson.codec_options import CodecOptions

    from mongoengine_history.state.values import State

LARGEST_VALUE: Final = 12 * 1024 * 1024
"""Bytes of a value in one record; MongoDB's limit is 16 MB, and a record has other fields, too."""

DEEPEST_VALUE: Final = 100
"""Levels that a value in a record may nest; MongoDB's limit is 180 with the record's own."""

NESTING: Final = (3, 4)
"""The bytes with which BSON begins a dict and a list."""

SAID: Final = ("identity", "reason", "changeset")
"""The fields of a `Context` that are left out where they are None, as 1.1 stored no null."""


class Base(NamedTuple):
    """The state that a write found which knew of no revision; it becomes version 0."""

    state: State
    #: When the server wrote, or had read it, by its own clock; None where that is not known.
    moment: Timestamp | None = None


def records_of_revision(revision: StoredRevision, owner: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the documents that hold *revision*: its records, then the parts of large values."""
    shared = {**owner, "created_at": revision.clock, "stamp": revision.stamp}
    about = {"revision": revision.number, "operation": revision.operation, **_said(revision)}
    records = [{**shared, **record_of(patch), **about} for patch in revision.patches]
    records[0]["lists"] = dict(revision.lists)
    if revision.redacted:
        records[0]["redacted"] = [list(path) for path in revision.redacted]
    documents = _with_parts(records, "data")
    for position, document in enumerate(documents):
        document.update(position=position, size=len(documents))
    return documents


def documents_of_revision(
    revision: StoredRevision,
    owner: Mapping[str, Any],
    state: State | None,
    base: Base | None,
) -> list[dict[str, Any]]:
    """Return all that is inserted: records, the *state* after them, the one before all of them."""
    documents = records_of_revision(revision, owner)
    if state is not None:
        documents += documents_of_version(state, revision, owner)
    if base is not None:
        version = documents_of_version(base.state, revision, owner, 0)
        known = {} if base.moment is None else {"moment": base.moment}
        documents += [{**document, **known} for document in version]
    return documents


def _said(revision: StoredRevision) -> dict[str, Any]:
    """Return who and why."""
    context = revision.context
    said = {name: it for name in SAID if (it := getattr(context, name)) is not None}
    return {**said, "metadata": dict(context.metadata)} if context.metadata else said


def documents_of_version(
    state: State, revision: StoredRevision, owner: Mapping[str, Any], number: int | None = None
) -> list[dict[str, Any]]:
    """
    Return the documents that hold the full *state* after a revision, or after *number*.

    Their positions are below those of records, the last one is -1: where it is, all are.
    """
    version = {
        **owner,
        "created_at": revision.clock,
        "stamp": revision.stamp,
        "revision": revision.number if number is None else number,
        "state": state,
    }
    if number is None and revision.context.identity is not None:
        version["identity"] = revision.context.identity
    documents = _with_parts([version], "state")
    for position, document in enumerate(documents):
        document.update(position=position - len(documents), size=len(documents))
    return documents


def revision_of(
    records: Sequence[Mapping[str, Any]], codec: CodecOptions[Any] = WIRE
) -> StoredRevision:
    """
    Return the revision that `records_of_revision` laid out, of all its documents in order.

    They were read by *codec*; so are parts. Without one the hashes of lists are known, too.

    Raises:
        ValueError: a record is malformed; or another one of ``UNREADABLE``.
    """
    first = records[0]
    said = {name: first.get(name) for name in SAID}
    metadata, stamp = first.get("metadata", {}), first["stamp"]
    is_right = is_stamp(stamp) and isinstance(metadata, Mapping)
    if not is_right or not isinstance(said["reason"], str | None):
        raise ValueError(said, stamp)
    return StoredRevision(
        first["revision"],
        stamp,
        operation_in(first),
        Context(metadata=metadata, **said),
        tuple(patch_of(record) for record in joined(records, codec)),
        hashes_in(first) if codec is WIRE else {},
        paths_in(first.get("redacted")),
    )


def step_of(records: Sequence[Mapping[str, Any]]) -> tuple[str, Iterable[Patch]]:
    """Return of a revision, of which *records* are all documents, only what `replay` needs."""
    return operation_in(records[0]), [patch_of(record) for record in joined(records)]


def operation_in(first: Mapping[str, Any]) -> str:
    """Return the operation that the first record of a revision tells; errors as `revision_of`."""
    operation = first["operation"]
    if not isinstance(operation, str):
        raise TypeError(operation)
    return operation


def hashes_in(first: Mapping[str, Any]) -> Mapping[str, bytes]:
    """Return the hashes that the first record of a revision has; errors as `revision_of`."""
    lists: Mapping[str, bytes] = first.get("lists", {})
    if lists and not are_hashes(lists):
        raise TypeError(lists)
    return lists


def state_of(documents: Sequence[Mapping[str, Any]], *, starting: bool = False) -> State:
    """
    Return the state that `documents_of_version` laid out, or the one that replay starts from.

    Where the first writes overlapped, the one recorded first had found another state than the one
    that was there before all of them. Errors are as those of `revision_of`.
    """
    version = joined(documents)[0]
    state: State = version.get("start", version["state"]) if starting else version["state"]
    if not isinstance(state, dict):
        raise TypeError(state)
    return state


def _with_parts(records: list[dict[str, Any]], field: str) -> list[dict[str, Any]]:
    """Append the parts of records that are too large, which name the position of their record."""
    documents = list(records)
    if _fits([record[field] for record in records]):
        return documents
    for index, record in enumerate(records):
        own = {name: record[name] for name in ("document_type", "document_id", "stamp", "revision")}
        documents += [{**own, "part_of": index, "bytes": raw} for raw in _split(record, field)]
    return documents


def joined(
    documents: Sequence[Mapping[str, Any]], codec: CodecOptions[Any] = WIRE
) -> list[Mapping[str, Any]]:
    """Put the parts back into their records; the parts stand behind all records."""
    if "part_of" not in documents[-1]:
        return list(documents)
    records = [document for document in documents if "part_of" not in document]
    raws = {
        index: b"".join(part["bytes"] for part in own)
        for index, own in groupby(documents[len(records) :], itemgetter("part_of"))
    }
    return [
        {**record, **bson.decode(raws[index], codec_options=codec)} if "parts" in record else record
        for index, record in enumerate(records)
    ]


def _fits(values: object) -> bool:
    """Say whether *values* fit into one record together, so that none of them needs a look."""
    raw = encode(values)
    levels = sum(map(raw.count, NESTING))  # or more: a length may have such a byte, too
    return len(raw) <= LARGEST_VALUE and (levels <= DEEPEST_VALUE or depth(values) <= DEEPEST_VALUE)


def _split(record: dict[str, Any], field: str) -> list[bytes]:
    """Take *field* out of a record that could not be stored with it; return its BSON in pieces."""
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
