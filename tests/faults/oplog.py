"""What the server has done and not rolled back: the marks in its oplog, of each document."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final, NamedTuple

from faults.documents import MODELS
from faults.marks import DELETED, marks_in
from pymongo import MongoClient

OPLOG: Final = "oplog.rs"


class Address(NamedTuple):
    """A document: the name of its collection, and its primary key."""

    collection: str
    key: str


def written(client: MongoClient[Any], database: str) -> dict[Address, set[str]]:
    """Read which marks were written to which documents of a database, at any time of the run."""
    found: dict[Address, set[str]] = defaultdict(set)
    names = {f"{database}.{collection}": collection for collection in MODELS}
    query = {"ns": {"$in": list(names)}, "op": {"$in": ["i", "u", "d"]}}
    for entry in client.local[OPLOG].find(query):
        key = entry.get("o2", entry["o"])["_id"]
        marks = {DELETED} if entry["op"] == "d" else marks_in(entry["o"])
        found[Address(names[entry["ns"]], key)] |= marks
    return found
