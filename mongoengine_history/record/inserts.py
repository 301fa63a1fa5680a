"""What became of an insert that failed, in whole or in part."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from pymongo.errors import BulkWriteError, PyMongoError, WriteConcernError

if TYPE_CHECKING:
    from mongoengine_history.record.place import Place

DUPLICATE_KEY: Final = 11000


def missing(place: Place, documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return which documents of a failed insert are not there; all where that is not known."""
    with suppress(PyMongoError):
        found = place.history.find(_inserted(documents), {"_id": 1})
        there = {document["_id"] for document in found}
        return [it for it in documents if it.get("_id") not in there]
    return documents


def take_out(place: Place, documents: list[dict[str, Any]]) -> None:
    """Remove what was inserted of *documents*."""
    place.history.delete_many(_inserted(documents), session=place.session)


def _inserted(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """Name what PyMongo has sent of an insert: what it gave a key."""
    return {"_id": {"$in": [document["_id"] for document in documents if "_id" in document]}}


def is_unmet(error: PyMongoError) -> bool:
    """Say whether records are not on as many servers as the write concern asks for."""
    if isinstance(error, BulkWriteError):
        return bool(error.details.get("writeConcernErrors"))
    return isinstance(error, WriteConcernError)


def duplicate_in(error: PyMongoError) -> int | None:
    """Return the index of the document whose key is taken, None if it failed otherwise."""
    if not isinstance(error, BulkWriteError) or is_unmet(error):
        return None
    first = error.details["writeErrors"][0] if error.details.get("writeErrors") else {}
    return first["index"] if first.get("code") == DUPLICATE_KEY else None
