"""The changes of a document as the patches that mongoengine-history 1.1 gave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mongoengine_history.documents.snapshot import check_document, has_key, key_in, unrecorded
from mongoengine_history.record.complete import complete
from mongoengine_history.record.doubt import settle
from mongoengine_history.record.layout import joined
from mongoengine_history.record.place import Place
from mongoengine_history.record.revisions import Revisions
from mongoengine_history.record.states import state_at
from mongoengine_history.state.legacy import unwind
from mongoengine_history.state.moments import last_stamp, stamp_of, wall_clock
from mongoengine_history.state.patches import (
    DictdifferPatch,
    Patch,
    as_dictdiffer,
    dictdiffer_patch,
)
from mongoengine_history.state.revision import UNCHANGING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from bson.codec_options import CodecOptions
    from mongoengine import Document


def load_history(
    document: Document, since: datetime | None = None, until: datetime | None = None
) -> list[DictdifferPatch]:
    """
    Read the changes of a document as dictdiffer patches, the newest first.

    Nothing is written but what a write in doubt has done.
    ``dictdiffer.revert(load_history(document), state)`` leads from the newest state to the first,
    ``dictdiffer.patch(reversed(load_history(document)), state)`` from the first to the newest.
    Records of mongoengine-history 1.1 are part of it. Each call returns values of its own.

    Args:
        document: A document with a primary key; it is neither read from memory nor changed.
        since: Only changes at or after this moment. A naive time is local time of the process.
        until: Only changes at or before this moment; one in whole milliseconds includes its
            millisecond.

    Returns:
        ``(action, path, data)`` with *path* a list of keys and indexes, and *data* ``(old, new)``
        for ``"change"``, ``[(key, value), …]`` for ``"add"`` and ``"remove"``.

    Raises:
        OptionsError: *document* is none, such as a class, or a moment is no datetime.
        IncompleteRevisionError: records of a revision are missing.
        MalformedRecordError: one of them cannot be read.
    """
    check_document(document)
    if not has_key(document):
        return []
    bounds = {
        **({} if since is None else {"$gte": stamp_of(since)}),
        **({} if until is None else {"$lte": last_stamp(until)}),
    }
    place, key = Place(document), key_in(document)
    revisions = Revisions(place, key, place.codec)
    settle(revisions)
    found = _Numbered(revisions.changes(bounds))
    oldest, patches = 1, []
    for records in complete(revisions, found, -1):
        oldest = records[0]["revision"]
        patches += revisions.made(_patches_of, records)
    # 1.1 wrote before revision 1. If time has bounds, its records are not among those read.
    is_older_left = oldest == 1 and bool(bounds or found.is_older_left)
    return patches + _legacy_patches(document, since, until) if is_older_left else patches


def _patches_of(
    records: Sequence[Mapping[str, Any]], codec: CodecOptions[Any]
) -> list[DictdifferPatch]:
    if records[0].get("operation") in UNCHANGING:
        return []
    return [dictdiffer_patch(it) for it in reversed(joined(records, codec))]


class _Numbered:
    """Passes on what has a number, up to the first record of 1.1."""

    def __init__(self, found: Iterator[Mapping[str, Any]]) -> None:
        self._found = found
        self.is_older_left = False

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        for record in self._found:
            if "revision" not in record and "size" not in record:
                self.is_older_left = True
                return
            yield record if "revision" in record else {**record, "revision": None}  # malformed


def _legacy_patches(
    document: Document, since: datetime | None, until: datetime | None
) -> list[DictdifferPatch]:
    """Return the patches of records of 1.1, the newest first, with their exact paths."""
    revisions = Revisions.of(document)
    records = revisions.legacy(since)
    if not records:
        return []
    head, stored = revisions.opening()
    state = (state_at(revisions, 0) if head.number else unrecorded(document, stored)) or {}
    wanted: list[Patch] = []
    for record in reversed(records):
        state, patches = unwind([record], state)
        if until is None or record["created_at"] <= wall_clock(until):
            wanted += patches
    return as_dictdiffer(wanted, revisions.place.codec)
