"""What a history holds: how much of which documents, and from when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mongoengine_history.state.moments import moment_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from pymongo.collection import Collection

IS_FIRST: Final = {"$and": [{"$eq": ["$position", 0]}, {"$gte": ["$revision", 1]}]}

IS_OF_1_1: Final = {
    "$and": [{"$gt": ["$action", None]}, {"$lte": ["$stamp", None]}, {"$lte": ["$revision", None]}]
}


@dataclass(frozen=True, slots=True)
class Holding:
    """What a history has of the documents of one collection."""

    #: Name of the collection of the documents; empty for events of none.
    document_type: str
    #: How many documents have a history.
    documents: int
    #: How many revisions there are of them.
    revisions: int
    #: Bytes of BSON, full states included; compressed on the disk it is less.
    bytes: int
    #: When the oldest one was recorded, and the newest; None where there is none.
    oldest: datetime | None
    newest: datetime | None
    #: How many records of mongoengine-history 1.1 there are besides.
    legacy: int = 0


def holdings(history: Collection[Any]) -> list[Holding]:
    """Go through a history and say what it holds, by names of collections."""
    stamp = {"$cond": [IS_FIRST, "$stamp", None]}
    each = {
        "_id": {"type": "$document_type", "key": "$document_id"},
        "revisions": {"$sum": {"$cond": [IS_FIRST, 1, 0]}},
        "legacy": {"$sum": {"$cond": [IS_OF_1_1, 1, 0]}},
        "bytes": {"$sum": {"$bsonSize": "$$ROOT"}},
        "oldest": {"$min": stamp},
        "newest": {"$max": stamp},
    }
    total = {
        "_id": "$_id.type",
        "documents": {"$sum": 1},
        "revisions": {"$sum": "$revisions"},
        "legacy": {"$sum": "$legacy"},
        "bytes": {"$sum": "$bytes"},
        "oldest": {"$min": "$oldest"},
        "newest": {"$max": "$newest"},
    }
    ours = {"document_type": {"$type": "string"}}
    stages: list[dict[str, Any]] = [{"$match": ours}, {"$group": each}, {"$group": total}]
    found = history.aggregate([*stages, {"$sort": {"_id": 1}}], allowDiskUse=True)
    return [_holding(it) for it in found]


def _holding(found: Mapping[str, Any]) -> Holding:
    moments = [found[end] for end in ("oldest", "newest")]
    oldest, newest = (None if it is None else moment_of(it) for it in moments)
    count, revisions, size = (found[name] for name in ("documents", "revisions", "bytes"))
    return Holding(found["_id"], count, revisions, size, oldest, newest, found["legacy"])
