"""What a history is found by: conditions that tell its documents apart, and indexes."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.errors import OperationFailure

from mongoengine_history.state.revision import DELETE

if TYPE_CHECKING:
    from pymongo.collection import Collection

CONFLICTING_INDEX: Final = (85, 86)

RECORDS: Final = {"action": {"$exists": True}}
"""What tells records from the versions and the parts of large values in the same collection."""

OWNER: Final = {"document_type", "document_id"}
"""The fields that say whose record, version or part it is."""

NUMBERED: Final = {"revision": {"$gte": 0}, "document_type": {"$exists": True}}
"""
The condition that a query must hold to be served by the index of revisions.

What other programs store in the collection, whatever number it has, is not in it.
"""

BY_REVISION: Final = ("document_type", "document_id", "revision", "position")
"""The index of numbered records, of their parts and of versions …"""

BY_STAMP: Final = ("document_type", "document_id", "stamp", "revision")
"""… and the one of moments, which also finds the records of 1.1: they have neither."""

BY_CHANGESET: Final = ("changeset",)
"""The index of changesets."""

HINT: Final = [(name, ASCENDING) for name in BY_REVISION]
"""The index of revisions, as PyMongo is told to use it."""

INDEXES: Final = [
    IndexModel(
        HINT,
        name="history_revision",
        unique=True,
        partialFilterExpression=NUMBERED,
    ),
    IndexModel([(name, ASCENDING) for name in BY_STAMP], name="history_stamp"),
    IndexModel([("identity", ASCENDING), ("created_at", DESCENDING)], name="history_identity"),
    IndexModel(
        [("metadata.on_behalf_of", ASCENDING), ("created_at", DESCENDING)],
        name="history_on_behalf_of",
        partialFilterExpression={"metadata.on_behalf_of": {"$exists": True}},
    ),
    IndexModel(
        [(name, ASCENDING) for name in BY_CHANGESET],
        name="history_changeset",
        partialFilterExpression={"changeset": {"$exists": True}},
    ),
    IndexModel(  # of what was deleted last, among much else
        [("operation", ASCENDING), ("_id", ASCENDING)],
        name="history_deletion",
        partialFilterExpression={"operation": DELETE},
    ),
]

VERSIONS: Final = {"position": {"$lt": 0}, "part_of": {"$exists": False}}
"""What tells versions from records and from the parts of large states."""


def behind(name: str, key: Any) -> dict[str, Any]:
    """Return the condition that a field comes after a key, which may be of another type."""
    return {"$expr": {"$gt": [f"${name}", {"$literal": key}]}}


def create_indexes(history: Collection[Any], session: Any = None, **options: Any) -> None:
    """Create what is missing; an index of an earlier form, or under another name, serves, too."""
    try:
        history.create_indexes(INDEXES, session=session, **options)
    except OperationFailure as error:
        if error.code not in CONFLICTING_INDEX:
            raise
        unique, *others = INDEXES
        if unique.document["name"] not in history.index_information(session=session):
            history.create_indexes([unique], session=session, **options)
        for index in others:
            with suppress(OperationFailure):
                history.create_indexes([index], session=session, **options)
