"""
What is measured, in the process of one version: 1.1, or this package.

Both run this file, so it uses what both export. Each measurement is one operation; it returns the
seconds that it took and the commands that were sent.
"""

from __future__ import annotations

import time
from contextlib import nullcontext

import mongoengine
from benchmarks.shapes import documents, edit, filled, insert, leaves
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from mongoengine import signals
from pymongo import monitoring

from mongoengine_history import DocumentTrack, track_changes


class Commands(monitoring.CommandListener):
    """Counts what is sent to the server."""

    count = 0

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.count += 1

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        pass

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        pass


class Subject:
    """A stored document that is saved again and again."""

    def __init__(self, mode: str, shape: str) -> None:
        kind = CLASSES[mode][shape]
        self.document = kind.objects.get(pk=filled(kind).save().pk)  # nothing is known of it
        self.leaves = leaves(self.document)
        self.tracks = mode == "tracked"
        self.number = 10_000  # a number that no embedded document has

    def save(self, changed: int) -> list[float]:
        """Change some leaves, or insert an item if that is negative, and save."""
        self.number += 1
        sent, start = commands.count, time.perf_counter()
        with DocumentTrack(self.document) if self.tracks else nullcontext():
            if changed < 0:
                insert(self.document, self.number)
            else:
                edit(self.leaves, changed, self.number)
            self.document.save()
        return [time.perf_counter() - start, commands.count - sent]


#: Plain documents are unknown to the history, connected ones are saved without a block.
CLASSES = {mode: documents(mode.title()) for mode in ("plain", "connected", "tracked")}
for mode in ("connected", "tracked"):
    for kind in CLASSES[mode].values():
        signals.post_save.connect(track_changes, sender=kind)

subjects: dict[tuple[str, str], Subject] = {}
commands = Commands()
monitoring.register(commands)


def begin(mode: str, shape: str) -> None:
    """Store a document of a shape, in the place of the one before."""
    subjects[mode, shape] = Subject(mode, shape)


def save(mode: str, shape: str, changed: int) -> list[float]:
    """Save that document once."""
    return subjects[mode, shape].save(changed)


def written() -> list[int]:
    """Count the records in the history, and their bytes, and empty it."""
    raw = CodecOptions(document_class=RawBSONDocument)
    history = mongoengine.get_db()["history"].with_options(raw)
    sizes = [len(record.raw) for record in history.find({"action": {"$exists": True}})]
    history.delete_many({})
    return [len(sizes), sum(sizes)]
