"""
Measure how soon and how fast writes from outside are recorded.

    PYTHONPATH=tests python -m benchmarks watching [factor]

Raw PyMongo writes to 200 documents, with images: one write after another, each when the last one is
recorded; then many without a pause; then the application writes as many, and nothing is recorded of
them. At last a class is swept through: once nothing differs, once all. A *factor* makes more or
fewer writes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from statistics import median
from typing import Any, Final

import mongoengine as me
from benchmarks.databases import databases
from benchmarks.run import Run
from benchmarks.tables import show, show_head

from mongoengine_history import reconcile, track_history, watch

DOCUMENTS: Final = 200


@track_history
class Drum(me.Document):
    meta = {"collection": "drums", "auto_create_index": False}
    name = me.StringField()
    count = me.IntField(default=0)


class Watch:
    """A watcher in a thread, and the moments of what it has recorded."""

    def __init__(self) -> None:
        self.watcher, self.moments = watch(Drum), list[float]()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        for _ in self.watcher:
            self.moments.append(time.perf_counter())

    def wait_for(self, count: int) -> None:
        while len(self.moments) < count:
            time.sleep(0.01)

    def stop(self) -> None:
        self.watcher.stop()
        self._thread.join()


def outside(key: Any) -> None:
    me.get_db()["drums"].update_one({"_id": key}, {"$inc": {"count": 1}})


def inside(key: Any) -> None:
    Drum.objects(pk=key).update(inc__count=1)


def one_by_one(work: Watch, keys: list[Any], count: int) -> list[float]:
    """Return how many seconds each write had to wait for its revision."""
    waits = []
    for number in range(count):
        began = time.perf_counter()
        outside(keys[number % DOCUMENTS])
        work.wait_for(number + 1)
        waits.append(work.moments[-1] - began)
    return waits


def in_a_row(work: Watch, act: Callable[[Any], None], keys: list[Any], count: int) -> list[str]:
    """Write without a pause; return how long it took, how long all of it, and the greatest lag."""
    lag, began = 0.0, time.perf_counter()
    for number in range(count):
        act(keys[number % DOCUMENTS])
        lag = max(lag, work.watcher.lag)
    written = time.perf_counter() - began
    while work.watcher.lag:
        lag = max(lag, work.watcher.lag)
        time.sleep(0.01)
    return [f"{written:.1f}", f"{time.perf_counter() - began:.1f}", f"{lag:.2f}"]


def show_sweep(differs: str) -> None:
    began = time.perf_counter()
    report = reconcile(Drum)
    took = time.perf_counter() - began
    show([differs, f"{report.looked:,}", f"{len(report.recorded):,}", f"{took:.1f}"])


def main(run: Run) -> None:
    count = run.scaled(1_000, 10)
    with databases(run.uri, 1):
        keys = [Drum(name=f"{number}").save().pk for number in range(DOCUMENTS)]
        me.get_db().command("collMod", "drums", changeStreamPreAndPostImages={"enabled": True})
        work = Watch()
        waits = one_by_one(work, keys, max(3, count // 50))
        show_head("watch", ["writes", "number", "s", "s until all is done", "greatest lag, s"])
        each = [f"{median(waits):.2f}, each", "", f"{max(waits):.2f}"]
        show(["outside, one by one", f"{len(waits)}", *each])
        show(["outside, in a row", f"{count}", *in_a_row(work, outside, keys, count)])
        show(["of the application", f"{count}", *in_a_row(work, inside, keys, count)])
        work.stop()
        show_head("reconcile", ["what differs", "documents", "recorded", "s"])
        show_sweep("nothing")
        me.get_db()["drums"].update_many({}, {"$set": {"name": "other"}})
        show_sweep("all")
