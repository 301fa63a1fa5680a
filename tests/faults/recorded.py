"""What the history has of each document, read past the library: records, numbers, marks."""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import cached_property
from typing import Any

from faults.marks import DELETED, marks_in
from faults.oplog import Address
from pymongo.database import Database


class Recorded:
    """The records and versions of one document, as they are stored."""

    def __init__(self) -> None:
        self._records: dict[int, list[dict[str, Any]]] = defaultdict(list)
        #: Marks in full states.
        self._kept: set[str] = set()
        #: What has no number.
        self.strays: list[dict[str, Any]] = []

    def take(self, document: dict[str, Any]) -> None:
        if "revision" not in document:
            self.strays.append(document)
        elif document["position"] < 0:
            self._kept |= marks_in(document.get("state"))
        else:
            self._records[document["revision"]].append(document)

    @property
    def operations(self) -> list[str]:
        return [records[0]["operation"] for records in self._records.values()]

    @property
    def newest(self) -> int:
        return max(self._records, default=0)

    @property
    def gaps(self) -> list[int]:
        return [number for number in range(1, self.newest) if number not in self._records]

    @property
    def torn(self) -> dict[int, Any]:
        """The identities of the revisions that lack records, by their numbers."""
        return {
            number: records[0].get("identity")
            for number, records in self._records.items()
            if len({record["position"] for record in records}) != records[0]["size"]
        }

    @property
    def twice(self) -> list[str]:
        """The identities that more than one revision bears, each of which is that of one write."""
        counts = Counter(records[0].get("identity") for records in self._records.values())
        return [identity for identity, count in counts.items() if identity and count > 1]

    @cached_property
    def made(self) -> set[str]:
        """The marks of what revisions made."""
        return {mark for records in self._records.values() for it in records for mark in _made(it)}

    @cached_property
    def known(self) -> set[str]:
        """These, and the marks of what was there before a revision or is in a full state."""
        records = [it for records in self._records.values() for it in records]
        return {*self.made, *self._kept, *marks_in([it["data"] for it in records])}


def _made(record: dict[str, Any]) -> set[str]:
    if record["action"] == "remove":
        return set() if record["keys"] else {DELETED}
    data = record["data"]
    return marks_in(data["new"] if record["action"] == "change" else data)


def recorded(database: Database[Any]) -> dict[Address, Recorded]:
    """Read the whole history of a database."""
    found: dict[Address, Recorded] = defaultdict(Recorded)
    for document in database["history"].find():
        found[Address(document["document_type"], document["document_id"])].take(document)
    return found
