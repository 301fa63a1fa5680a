"""
Measure what tracking leaves alone: loading, and memory.

    PYTHONPATH=tests python -m benchmarks loading [factor]

Documents of a plain class and of the same one tracked are loaded in turns. Memory is the peak of a
fresh process that updates 100,000 documents, above what it had before. A *factor* makes more or
fewer documents and turns.
"""

from __future__ import annotations

import resource
import sys
from statistics import median
from typing import Any

from benchmarks.databases import databases
from benchmarks.run import Run
from benchmarks.shapes import documents, filled
from benchmarks.tables import show, show_head
from benchmarks.turns import Arm, ratio, take_turns
from support.wheel_1_1 import Elsewhere

from mongoengine_history import History, track_history

PLAIN, TRACKED = documents("Loaded"), documents("Remembered")
for _model in TRACKED.values():
    track_history(_model)


def show_loading(run: Run) -> None:
    show_head("T19: loading", ["", "documents", "plain ms", "ms", "x plain", "goal"])
    for shape, count in (("small", run.scaled(1_000, 10)), ("medium", run.scaled(100, 1))):
        arms = [_loading(models[shape], count) for models in (PLAIN, TRACKED)]
        take_turns(arms, run.scaled(60))
        plain, tracked = (arm.milliseconds for arm in arms)
        x = ratio(tracked, plain)
        run.note("T19", f"{shape}: loading a tracked class", x, "x plain", "<= 1.05")
        cells = [f"{shape}, {count:,}", f"{median(plain):.1f}", f"{median(tracked):.1f}"]
        show(["T19", *cells, f"{x:.3f}", "1.00x to 1.03x"])


def _loading(model: Any, count: int) -> Arm:
    model.objects.insert([filled(model, number) for number in range(count)], load_bulk=False)
    return Arm(lambda _: lambda: list(model.objects.no_cache()))


def peak(count: int) -> float:
    """Update documents in this process, and return by how many MB its memory grew."""
    model = TRACKED["small"]
    for start in range(0, count, 10_000):
        size = min(10_000, count - start)
        made = [filled(model, number).to_mongo() for number in range(size)]
        model._get_db()[model._get_collection_name()].insert_many(made)
    History.ensure_indexes()
    before = _peak()
    model.objects.update(inc__s1=1)
    return _peak() - before


def _peak() -> float:
    unit = 1024 * 1024 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def main(run: Run) -> None:
    count = run.scaled(100_000, 200)
    with databases(run.uri, 2) as names:
        show_loading(run)
        with Elsewhere("benchmarks.loading", run.uri, names[1]) as fresh:
            grown = fresh.call("peak", count)
        print(f"\nmemory: {grown:.0f} MB for {count:,} documents (goal: < 200 MB)")
        run.note("", f"memory for an update of {count:,} documents", grown, "MB", "<= 200")
