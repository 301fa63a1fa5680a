"""The beginnings of histories are written: full states, marks, and what goes before them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pymongo import DeleteMany, ReplaceOne, UpdateOne

from mongoengine_history.record.indexes import BY_REVISION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mongoengine_history.record.place import Place

OF_LEGACY: Final = {"stamp": None, "revision": None, "created_at": {"$type": "date"}}
"""What 1.1's records are known by; it wrote before revision 1."""


def write_versions(place: Place, documents: Iterable[dict[str, Any]]) -> None:
    """Write the documents of full states, be they there in part; the last of each comes last."""
    requests = [ReplaceOne({name: it[name] for name in BY_REVISION}, it, True) for it in documents]
    if requests:
        place.history.bulk_write(requests)


def write_marks(place: Place, marks: Iterable[tuple[Any, Mapping[str, Any]]]) -> None:
    """Mark first records, each by its ``_id``, with what was pruned before them."""
    requests = [UpdateOne({"_id": key}, {"$set": {"pruned": mark}}) for key, mark in marks]
    if requests:
        place.history.bulk_write(requests)


def delete_before(place: Place, numbers: Iterable[tuple[Any, int]]) -> None:
    """
    Delete of each document what has a lower number, and what 1.1 recorded.

    It goes by rising numbers: what is left of it meanwhile stands before a mark.
    """
    beginnings = list(numbers)
    requests = [
        DeleteMany({**place.owned({"$eq": key}), "revision": {"$gte": 0, "$lt": number}})
        for key, number in beginnings
    ]
    if requests:
        place.history.bulk_write(requests)
        place.history.delete_many({**place.of(key for key, _ in beginnings), **OF_LEGACY})
