"""Some revisions of a document: of somebody, at a path, in a time, by one operation."""

from __future__ import annotations

from itertools import groupby, islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from pymongo import ASCENDING, DESCENDING

from mongoengine_history.errors import OptionsError
from mongoengine_history.record.complete import RECORD, complete
from mongoengine_history.record.layout import revision_of
from mongoengine_history.record.overview import SMALL, batches
from mongoengine_history.state.context import identity_of, plain
from mongoengine_history.state.moments import last_stamp, stamp_of
from mongoengine_history.state.revision import KNOWN_OPERATIONS, is_index

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mongoengine_history.record.revisions import Revisions
    from mongoengine_history.state.revision import Revision

LARGEST_PAGE: Final = 1_000
"""Revisions of a page, at most."""


class Selection:
    """
    The revisions of one document that `Timeline.filter` keeps, read when they are asked for.

    Iteration is oldest first, and holds one batch of them at a time.
    """

    def __init__(self, revisions: Revisions, conditions: Sequence[Mapping[str, Any]]) -> None:
        self._revisions, self._conditions = revisions, conditions

    def __iter__(self) -> Iterator[Revision]:
        return self._read(ASCENDING)

    def __reversed__(self) -> Iterator[Revision]:
        return self._read(DESCENDING)

    def page(self, *, before: int | None = None, size: int = 50) -> list[Revision]:
        """
        Read some of them, the newest first.

        Args:
            before: The number of a revision: only earlier ones. None begins with the newest.
            size: How many, at most; 1 to 1,000. Fewer say that there are no more.

        Raises:
            OptionsError: an argument is no such number.
            IncompleteRevisionError: records of a revision are missing.
            MalformedRecordError: one cannot be read.
        """
        check_size(size)
        if before is not None and not is_index(before):
            raise OptionsError("before", before, "it is the number of a revision")
        earlier = {} if before is None else {"$lt": before}
        return list(islice(self._read(DESCENDING, earlier, size), size))

    def _read(
        self, order: int, bound: Mapping[str, int] | None = None, at_once: int = SMALL
    ) -> Iterator[Revision]:
        for numbers in batches(self._numbers(order, bound or {}), at_once):
            query = {"revision": {"$in": numbers}, "position": RECORD}
            found = self._revisions.records(query, order)
            for _, group in groupby(found, itemgetter("revision")):
                for records in complete(self._revisions, group, order):
                    yield self._revisions.made(revision_of, records).shown()

    def _numbers(self, order: int, bound: Mapping[str, int]) -> Iterator[int]:
        """Read the number of each, once."""
        query: dict[str, Any] = {"revision": {"$gte": 1, **bound}, "position": RECORD}
        if self._conditions:
            query["$and"] = self._conditions
        wanted = {"_id": 0, "revision": 1}
        found = self._revisions.records(query, order, projection=wanted, batch_size=SMALL)
        return (number for number, _ in groupby(map(itemgetter("revision"), found)))


def check_size(size: object) -> None:
    """Check the size of a page; OptionsError if it is none."""
    if type(size) is not int or not 0 < size <= LARGEST_PAGE:
        raise OptionsError("size", size, f"it is a number from 1 to {LARGEST_PAGE:,}")


def conditions_of(
    by: object, between: object, operation: object, codec: Any
) -> list[Mapping[str, Any]]:
    """
    Return the conditions that a revision is of somebody, in a time, by an operation.

    Raises:
        OptionsError: one of them cannot be asked for.
    """
    asked: list[Mapping[str, Any]] = []
    if by is not None:
        asked.append({"identity": {"$eq": plain("identity", identity_of(by), codec)}})
    if between is not None:
        asked.append({"stamp": _span(between)})
    if operation is not None:
        names = [operation] if isinstance(operation, str) else operation
        if not isinstance(names, list | tuple) or not all(it in KNOWN_OPERATIONS for it in names):
            problem = f"it is one of {', '.join(KNOWN_OPERATIONS)}, or a list of them"
            raise OptionsError("operation", operation, problem)
        asked.append({"operation": {"$in": [*names]}})
    return asked


def _span(ends: object) -> dict[str, int]:
    if not isinstance(ends, list | tuple) or len(ends) != 2:
        raise OptionsError("between", ends, "it is two moments, of which one may be None")
    since, until = ends
    lowest = {} if since is None else {"$gte": stamp_of(since)}
    return lowest if until is None else {**lowest, "$lte": last_stamp(until)}
