"""A population in the layout of this package: its documents, its history, the indexes of that."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

import mongoengine
from benchmarks.lives import Life, Population, fill
from bson import ObjectId

from mongoengine_history import History
from mongoengine_history.record.chain import link
from mongoengine_history.record.layout import documents_of_version, records_of_revision
from mongoengine_history.state.context import Context
from mongoengine_history.state.patches import ADD, CHANGE, Patch
from mongoengine_history.state.revision import CREATE, UPDATE, StoredRevision

VERSION_EVERY: Final = 100
WHO: Final = Context(identity=ObjectId())


def write(population: Population) -> None:
    """Store all documents and what happened to them; takes a minute or two for a million."""
    database = mongoengine.get_db()
    lives = sorted(population.lives, key=attrgetter("collection"))
    for name, own in groupby(lives, attrgetter("collection")):
        fill(database[name], (life.stored for life in own))
    fill(database["history"], _history(population))
    History.ensure_indexes()  # which takes less time once everything is there


def _history(population: Population) -> Iterator[dict[str, Any]]:
    last: dict[ObjectId, bytes] = {}
    for life, number in population.changes():
        documents = _documents(life, number, last.get(life.key, b""))
        last[life.key] = documents[0]["checksum"]
        yield from documents


def _documents(life: Life, number: int, before: bytes) -> list[dict[str, Any]]:
    """Lay out one revision behind a checksum, and the version beside it if one is due."""
    owner = {"document_type": life.collection, "document_id": life.key}
    revision = _revision(life, number)
    documents = records_of_revision(revision, owner)
    documents[0].update(link(revision, owner, before))
    if number % VERSION_EVERY == 0:
        documents += documents_of_version(life.state(number), revision, owner)
    return documents


def _revision(life: Life, number: int) -> StoredRevision:
    """Make a revision of one change; the first one creates the document."""
    if number == 1:
        operation, patch = CREATE, Patch(ADD, (), list(life.state(1).items()))
    else:
        name, before, after = life.change(number)
        operation, patch = UPDATE, Patch(CHANGE, (name,), (before, after))
    return StoredRevision(number, life.stamp(number), operation, WHO, (patch,))
