"""
Measure what histories take: beside their values, of a shuffled list, and of real documents.

    PYTHONPATH=tests python -m benchmarks storage --revisions FOLDER

Each file of the folder is the life of one document, which is saved revision by revision. Its
history is compared with one full state a revision, and with the records of 1.1: as BSON, and in
collections that the server compresses by snappy, as it does by itself, and by zstd. All of them
keep who and when; no reason, since 1.1 has none. Indexes are not counted. Without a folder nothing
is told of real documents.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import bson
import dictdiffer
import mongoengine
from benchmarks.databases import databases
from benchmarks.lists import records_of_1_1, worst
from benchmarks.run import Run
from benchmarks.shapes import documents, edit, filled, leaves
from benchmarks.sizes import COMPRESSORS, on_disk, overhead
from benchmarks.tables import show, show_head
from bson import ObjectId
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from mongoengine.base import BaseField

from mongoengine_history import changeset, track_history
from mongoengine_history.demo.replay import Entry, read

HEADER: Final = ["document", "revisions", "history", *("bytes", *COMPRESSORS, "x full states")]
WHO: Final = ObjectId()


class ExactField(BaseField):
    """Any dict, stored as it is, with all keys that MongoDB takes."""


@track_history
class Real(mongoengine.Document):
    state = ExactField()


SMALL = track_history(documents("Stored")["small"])


def largest_overhead() -> int:
    """Save small documents, and return the most bytes that a record has beyond its values."""
    with changeset(WHO):
        document = filled(SMALL).save()
        for count in (1, 20):
            edit(leaves(document), count, count)
            document.save()
    found = map(bson.decode, recorded(document.pk))
    return max(overhead(record) for record in found if record["revision"] > 1)


def recorded(key: Any) -> list[bytes]:
    """Return all that the history holds of a document."""
    history = mongoengine.get_db()["history"].with_options(CodecOptions(RawBSONDocument))
    return [bytes(it.raw) for it in history.find({"document_id": key}).sort("revision")]


def of_this_package(entries: list[Entry]) -> list[bytes]:
    document = Real(state=bson.decode(entries[0].state))
    for entry in entries:
        with changeset(entry.author):
            document.state = bson.decode(entry.state)
            document._mark_as_changed("state")  # also where MongoEngine sees no difference
            document.save()
    return recorded(document.pk)


def of_full_states(entries: list[Entry]) -> Iterator[bytes]:
    key = ObjectId()
    for entry in entries:
        yield bson.encode(
            {
                "_id": ObjectId(),
                "document_id": key,
                "document_type": "real",
                "identity": entry.author,
                "created_at": entry.at,
                "state": bson.decode(entry.state),
            }
        )


def of_1_1(entries: list[Entry]) -> Iterator[bytes]:
    """Make the records that 1.1 makes; it keeps no reason."""
    states = [{}, *({"state": bson.decode(entry.state)} for entry in entries)]
    for (before, after), entry in zip(pairwise(states), entries, strict=True):
        patches = list(dictdiffer.diff(before, after, ignore=["_id"], dot_notation=False))
        for record in records_of_1_1(patches):
            yield bson.encode({**record, "identity": entry.author})


HISTORIES: Final = {
    "full states": of_full_states,
    "1.1": of_1_1,
    "this package": of_this_package,
}


def measure(file: Path, run: Run) -> None:
    """Store the life of one document in all ways."""
    entries, lengths = read(file), dict[str, int]()
    name = file.name.partition(".")[0]
    for history, make in HISTORIES.items():
        found = [*make(entries)]
        lengths[history] = sum(map(len, found))
        x = lengths[history] / lengths["full states"]
        cells = [name, f"{len(entries):,}", history, f"{lengths[history]:,}"]
        for compressor in COMPRESSORS:
            size = on_disk(mongoengine.get_db(), found, compressor)
            run.point("storage", f"{history}, {compressor}", name, size / 1000)
            cells.append(f"{size:,}")
        show([*cells, f"{x:.3f}"])
    run.note("", f"{name}: BSON of {len(entries):,} revisions", x, "x full states")


def main(run: Run) -> None:
    with databases(run.uri, 1):
        most, part = largest_overhead(), worst()
        run.note("T11", "a record beyond its values", most, "bytes", "<= 400")
        run.note("T11", "a shuffled list of 500", part, "x old and new", "<= 1")
        print(f"\nT11: {most} bytes beside the values, {part:.2f} of a shuffled list")
        show_head("Real documents", HEADER)
        files = sorted(run.revisions.glob("*.jsonl*")) if run.revisions else []
        for file in files:
            measure(file, run)
        if not files:
            print("No folder of real revisions was given.")
