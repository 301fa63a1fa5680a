"""Sorted documents of one history become revisions, each with all of its records."""

from __future__ import annotations

import time
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, Protocol

from pymongo import ASCENDING, DESCENDING

from mongoengine_history.errors import IncompleteRevisionError, RevisionPrunedError
from mongoengine_history.state.problem import is_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from mongoengine_history.errors import MalformedRecordError

    Records = list[Mapping[str, Any]]

READS: Final = 5
"""How often to look for the rest of a revision that may be on its way."""

RECORD: Final = {"$gte": 0}
"""The positions of records and of their parts."""

NUMBERED_TWICE: Final = "its number is there twice: formerly= came after the first new write"
"""What is wrong where numbers began again under the new name of a collection."""


class Source(Protocol):
    """Where documents of one history are read again: `Revisions`."""

    key: Any

    def records(self, query: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """Read documents of the history, by rising numbers."""

    def number_in(self, query: Mapping[str, Any], order: int) -> int | None:
        """Read the number of the first document that a query finds."""

    def malformed(self, document: Mapping[str, Any], problem: str) -> MalformedRecordError:
        """Name a document that cannot be read."""

    def reading(self, documents: Records) -> AbstractContextManager[None]:
        """Let nothing else be wrong than one of the documents."""


def complete(
    revisions: Source,
    found: Iterable[Mapping[str, Any]],
    step: int,
    first: int | None = None,
    last: int | None = None,
) -> Iterator[Records]:
    """
    Group sorted documents by revision, each group complete and in the order of positions.

    Numbers rise by a *step* of 1, or fall by -1; the first and the last one may be given. Without
    the first one what is left of revisions that were being pruned is passed over.

    Raises:
        IncompleteRevisionError: a number, or a record of a revision, is missing.
        MalformedRecordError: a record has no number, position or size.
    """
    expected, beginning = first, 0
    for number, group in groupby(found, itemgetter("revision")):
        records = list(group)
        if not is_number(number):
            raise revisions.malformed(records[0], f"its revision is {number!r}")
        try:
            if number < beginning:
                continue
            if expected is not None and expected != number:
                raise gone(revisions, expected)
            whole = _whole(revisions, records)
        except RevisionPrunedError as error:
            if first is not None:
                raise
            beginning = error.oldest
            if number < beginning:
                continue
            whole = _whole(revisions, records)
        yield whole
        expected = number + step
    if last is not None and expected not in {None, last + step}:
        raise gone(revisions, int(expected or 0))


def gone(revisions: Source, number: int) -> IncompleteRevisionError:
    """Return the error that a revision is gone; it says where the history begins now."""
    oldest = _oldest(revisions, number)
    if oldest > number:
        return RevisionPrunedError(revisions.key, number, 0, 1, oldest)
    return IncompleteRevisionError(revisions.key, number, 0, 1)


def _oldest(revisions: Source, number: int) -> int:
    """Return the number with which a history begins: it is marked, if it was pruned."""
    pruned = {"revision": {"$gt": number}, "position": 0, "pruned": {"$exists": True}}
    any_of_it = {"revision": {"$gte": 1}, "position": RECORD}
    marked = revisions.number_in(pruned, DESCENDING)
    return marked or revisions.number_in(any_of_it, ASCENDING) or 0


def _whole(revisions: Source, records: Records) -> Records:
    if len(records) > 1:
        with revisions.reading(records):
            records.sort(key=itemgetter("position"))
    return records if _is_whole(records) else _waited_for(revisions, records)


def _waited_for(revisions: Source, records: Records) -> Records:
    """
    Return all records of a revision of which some may still be on their way.

    Records of another write may be left of one whose number was given again.
    """
    number, size = records[0]["revision"], records[0].get("size")
    if not size or not is_number(size):
        raise revisions.malformed(records[0], f"its size is {size!r}")
    for record in records:
        if not is_number(record.get("position")):
            raise revisions.malformed(record, f"its position is {record.get('position')!r}")
    for attempt in range(READS):
        time.sleep(0.05 * attempt)
        records = list(revisions.records({"revision": number, "position": RECORD}))
        if len({it["document_type"] for it in records}) > 1:
            raise revisions.malformed(records[-1], NUMBERED_TWICE)
        own = [it for it in records if it.get("stamp") == records[0].get("stamp")]
        if _is_whole(own):
            return own
    if len(records) == size:
        position = records[-1].get("position")
        raise revisions.malformed(records[-1], f"its position is {position!r}")
    if (oldest := _oldest(revisions, number)) > number:
        raise RevisionPrunedError(revisions.key, number, len(records), size, oldest)
    raise IncompleteRevisionError(revisions.key, number, len(records), size)


def _is_whole(records: list[Mapping[str, Any]]) -> bool:
    """Say whether these are all records of a revision."""
    size = len(records)
    return size > 0 and records[0].get("size") == size and records[-1].get("position") == size - 1
