"""The reading benchmarks in the process of 1.1, on a collection in its own layout, as shipped."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import mongoengine
from benchmarks.lives import Life, Population, fill
from bson import ObjectId

from mongoengine_history import load_history, revert

population: list[Population] = []
WHO = ObjectId()


def write(factor: float) -> int:
    """Store the same population as 1.1 would have, and count its records."""
    population[:] = [Population(factor)]
    database = mongoengine.get_db()
    for life in population[0].subjects.values():
        fill(database[life.collection], [life.stored])
    fill(database["history"], (_record(*change) for change in population[0].changes()))
    return database["history"].estimated_document_count()


def _record(life: Life, number: int) -> dict[str, Any]:
    name, before, after = life.change(number)
    return {
        "identity": WHO,
        "document_id": life.key,
        "document_type": life.collection,
        "action": "change",
        "path": name,
        "data": {"old": before, "new": after},
        "created_at": _moment(life, number),
    }


def _moment(life: Life, number: int) -> datetime:
    return datetime.fromtimestamp(life.stamp(number) / 1_000_000)


def _document(name: str) -> Any:
    life = population[0].subjects[name]
    return life.kind.objects.get(pk=life.key)


def load(name: str, newest: int = 0) -> float:
    """Load the history of a subject, or only its newest changes, and return the seconds."""
    life, document = population[0].subjects[name], _document(name)
    since = _moment(life, life.length + 1 - newest) if newest else None
    count = newest or life.length
    return _seconds(lambda: load_history(document, since), lambda found: len(found) == count)


def go_back(name: str) -> float:
    """Revert a subject to what it was before all its changes, and return the seconds."""
    document, first = _document(name), population[0].subjects[name].state(0)
    return _seconds(lambda: revert(document), lambda it: {key: it[key] for key in first} == first)


def _seconds(operation: Callable[[], Any], is_right: Callable[[Any], bool]) -> float:
    start = time.perf_counter()
    result = operation()
    seconds = time.perf_counter() - start
    assert is_right(result)
    return seconds
