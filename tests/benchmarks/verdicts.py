"""What can be said of a history after many writers: is it whole, and does it lead back?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import bson
import bson.raw_bson
import mongoengine
from benchmarks.writer import Ledger

from mongoengine_history import DocumentTrack, HistoryError, history_of, revert

OPLOG = "oplog.rs"


@dataclass
class Verdict:
    """
    The history of one document, compared with what is known otherwise.

    Args:
        key: The document.
        first: Its first state as BSON, as the server had it.
    """

    key: Any
    first: bytes

    def __post_init__(self) -> None:
        self.timeline = history_of(Ledger, self.key)

    @cached_property
    def marks(self) -> dict[int, str]:
        """The mark that each revision wrote, by its number; read once, after the writers."""
        return {
            revision.number: data[1]
            for revision in self.timeline
            for action, path, data in revision.patches
            if action == "change" and path == ["mark"]
        }

    @property
    def numbers(self) -> list[int]:
        """The numbers of all revisions as they are stored, in no order."""
        query = {"document_type": "ledger", "document_id": self.key, "position": 0}
        return [record["revision"] for record in mongoengine.get_db()["history"].find(query)]

    @property
    def is_gapless(self) -> bool:
        """Say whether revisions have the numbers 1 to n, each once, and each but 1 has a mark."""
        numbers = list(range(1, len(self.marks) + 2))
        return sorted(self.numbers) == numbers and list(self.marks) == numbers[1:]

    def unreadable(self) -> int:
        """Count the states that cannot be rebuilt, or not with the mark that was written then."""
        return sum(not self._is_right(number) for number in range(1, len(self.timeline) + 1))

    def _is_right(self, number: int) -> bool:
        try:
            state = self.timeline.state(number)
        except HistoryError:
            return False
        return state.get("mark") == self.marks.get(number, state.get("mark"))

    def order(self) -> list[str]:
        """List the marks in the order in which the server applied them; empty without an oplog."""
        query = {"op": "u", "ns": f"{mongoengine.get_db().name}.ledger", "o2._id": self.key}
        oplog = mongoengine.get_db().client.local[OPLOG]
        return [mark for entry in oplog.find(query).sort("ts") if (mark := _mark(entry["o"]))]

    def turned(self) -> list[bool]:
        """Say of neighbours in the server's order whether they are numbered the other way round."""
        number = {mark: number for number, mark in self.marks.items()}
        places = [number[mark] for mark in self.order() if mark in number]
        return [before > after for before, after in pairwise(places)]

    def comes_back(self) -> bool:
        """Revert to the first revision, save, and say whether the stored bytes are the first."""
        document = Ledger.objects.get(pk=self.key)
        with DocumentTrack(document, identity="judge"):
            revert(document, revision=1).save()
        return stored(self.key) == self.first


def _mark(entry: dict[str, Any]) -> str | None:
    """Find the mark in what the oplog says about an update: a difference, or all of it."""
    if "diff" not in entry:
        return entry.get("mark")
    set_there = {**entry["diff"].get("i", {}), **entry["diff"].get("u", {})}
    return set_there.get("mark")


def stored(key: Any) -> bytes:
    """Read a document as the server has it."""
    raw = bson.CodecOptions(document_class=bson.raw_bson.RawBSONDocument)
    found = mongoengine.get_db().get_collection("ledger", raw).find_one({"_id": key})
    return bytes(found.raw)


def share(found: Sequence[bool]) -> str:
    return f"{100 * sum(found) / len(found):.1f} %" if found else "-"
