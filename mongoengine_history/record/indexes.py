"""What a history is found by: conditions that tell its documents apart, and indexes."""

from __future__ import annotations

from typing import Final

from pymongo import ASCENDING, DESCENDING, IndexModel

RECORDS: Final = {"action": {"$exists": True}}
"""What tells records from the versions and the parts of large values in the same collection."""

OWNER: Final = {"document_type", "document_id"}
"""The fields that say whose record, version or part it is."""

NUMBERED: Final = {"revision": {"$gte": 0}}
"""The condition that a query must hold to be served by the index of revisions."""

BY_REVISION: Final = ("document_type", "document_id", "revision", "position")
"""The index of numbered records, of their parts and of versions …"""

BY_STAMP: Final = ("document_type", "document_id", "stamp", "revision")
"""… and the one of moments, which also finds the records of 1.1: they have neither."""

INDEXES: Final = [
    IndexModel(
        [(name, ASCENDING) for name in BY_REVISION],
        name="history_revision",
        unique=True,
        partialFilterExpression=NUMBERED,
    ),
    IndexModel([(name, ASCENDING) for name in BY_STAMP], name="history_stamp"),
    IndexModel([("identity", ASCENDING), ("created_at", DESCENDING)], name="history_identity"),
    IndexModel(
        [("changeset", ASCENDING)],
        name="history_changeset",
        partialFilterExpression={"changeset": {"$exists": True}},
    ),
]

VERSIONS: Final = {"position": {"$lt": 0}, "part_of": {"$exists": False}}
"""What tells versions from records and from the parts of large states."""
