"""
What is measured, in the process of one version: 1.1, or this package.

Both run this file, so it uses what both export. Each measurement is one operation; it returns the
seconds that it took, the commands that were sent, and the seconds that the client worked itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import mongoengine
from benchmarks.shapes import documents, edit, filled, insert, leaves
from benchmarks.sockets import client_cpu
from benchmarks.trips import trips
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from mongoengine import signals

import mongoengine_history
from mongoengine_history import DocumentTrack, track_changes


class Subject:
    """A stored document that is saved again and again."""

    def __init__(self, mode: str, shape: str) -> None:
        kind = CLASSES[mode][shape]
        self.document = kind.objects.get(pk=filled(kind).save().pk)  # nothing is known of it
        self.leaves = leaves(self.document)
        self.block: Callable[[Any], AbstractContextManager[Any]] = nullcontext
        if mode == "block":
            self.block = DocumentTrack
        self.number = 10_000  # a number that no embedded document has

    def save(self, changed: int) -> list[float]:
        """Change some leaves, or insert an item if that is negative, and save."""
        self.number += 1
        sent, worked, start = trips.total, client_cpu(), time.perf_counter()
        with self.block(self.document):
            if changed < 0:
                insert(self.document, self.number)
            else:
                edit(self.leaves, changed, self.number)
            self.document.save()
        seconds = time.perf_counter() - start
        return [seconds, trips.total - sent, client_cpu() - worked]


#: Plain documents are unknown to the history, connected ones are saved without a block.
CLASSES = {mode: documents(mode.title()) for mode in ("plain", "connected", "block", "automatic")}
for mode in ("connected", "block"):
    for kind in CLASSES[mode].values():
        signals.post_save.connect(track_changes, sender=kind)
if hasattr(mongoengine_history, "track_history"):  # which 1.1 has not
    for kind in CLASSES["automatic"].values():
        mongoengine_history.track_history(kind)

subjects: dict[str, Subject] = {}


def begin(mode: str, shape: str) -> None:
    """Store a document of a shape, in the place of the one before."""
    subjects[mode] = Subject(mode, shape)


def save(mode: str, changed: int) -> list[float]:
    """Save that document once."""
    return subjects[mode].save(changed)


def written(mode: str) -> list[int]:
    """Count the records that saves have left of that document, and their bytes."""
    raw = CodecOptions(document_class=RawBSONDocument)
    history = mongoengine.get_db()["history"].with_options(raw)
    saved = {"action": {"$exists": True}, "operation": {"$ne": "create"}}
    query = {"document_id": subjects[mode].document.pk, **saved}
    sizes = [len(record.raw) for record in history.find(query)]
    return [len(sizes), sum(sizes)]
