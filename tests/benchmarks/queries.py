"""
Measure automatic tracking: query writes, loading, and memory.

    PYTHONPATH=tests python -m benchmarks queries [factor]

Each operation is done with a plain class and with the same one tracked, in turns. 1.1 saves the
same documents one by one, in a process of its own. "first update" is the first revision of
documents that existed already, so that the state before is kept, too; "alike" sets the same value
everywhere, "each its own" leaves each document another one. Memory is the peak of a fresh process
that updates ten times as many documents, above what it had before. A *factor* makes more or fewer
documents and turns.
"""

from __future__ import annotations

import resource
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.databases import databases
from benchmarks.shapes import documents, filled
from benchmarks.tables import show, show_head
from benchmarks.turns import Arm, ratio, take_turns
from support.wheel_1_1 import Elsewhere, fetch

from mongoengine_history import History, track_history
from mongoengine_history.embedded import server_uri

PLAIN, TRACKED = documents("Queried"), documents("Recorded")
for _model in TRACKED.values():
    track_history(_model)

HEADER = [
    *("", "operation", "documents", "plain ms", "ms", "x plain", "trips"),
    *("documents/s", "x 1.1 one by one", "goal"),
]


def fill(model: Any, count: int) -> None:
    """Store documents, recorded as created if the class is tracked."""
    model._get_collection().delete_many({})
    History.drop_collection()
    History.ensure_indexes()
    if count:
        model.objects.insert([filled(model, it) for it in range(count)], load_bulk=False)


def fill_untracked(model: Any, count: int) -> None:
    """Store documents past the history."""
    model._get_collection().drop()
    History.drop_collection()
    History.ensure_indexes()
    model._get_db()[model._get_collection_name()].insert_many(
        [filled(model, number).to_mongo() for number in range(count)]
    )


def update_alike(model: Any, number: int) -> Any:
    return lambda: model.objects.update(set__s1=-number - 1)


def update_each(model: Any, number: int) -> Any:
    return lambda: model.objects(s3__gte=0).update(inc__s3=1)


def delete(model: Any, number: int) -> Any:
    return model.objects.delete


def insert(model: Any, count: int) -> Any:
    made = [filled(model, number) for number in range(count)]
    return lambda: model.objects.insert(made, load_bulk=False)


Operation = Callable[[Any, int], Callable[[], Any]]


def measure(prepare: Callable[[Any], None], act: Operation, turns: int) -> tuple[Arm, Arm]:
    """Let plain and tracked class take turns; *prepare* fills the collection before each."""

    def arm(model: Any) -> Arm:
        def turn(number: int) -> Any:
            prepare(model)
            return act(model, number)

        return Arm(turn)

    arms = arm(PLAIN["small"]), arm(TRACKED["small"])
    take_turns(arms, turns)
    return arms


def row(name: str, count: int, arms: tuple[Arm, Arm], old: float, goal: str) -> list[str]:
    plain, tracked = arms
    per_second = 1000 * count / tracked.median
    cells = ["T18", name, f"{count:,}", f"{plain.median:.0f}", f"{tracked.median:.0f}"]
    cells += [f"{ratio(tracked.milliseconds, plain.milliseconds):.2f}", tracked.sent]
    return [*cells, f"{per_second:,.0f}", f"{per_second / old:.0f}", goal]


def show_queries(count: int, turns: int, old: float) -> None:
    """Measure writes by queries. *old* is how many documents 1.1 saves in a second."""
    show_head("T18: writes by queries, documents of 20 fields", HEADER)
    filled_already: set[Any] = set()

    def once(model: Any) -> None:
        if model not in filled_already:
            fill(model, count)
            filled_already.add(model)

    goal = ">= 10,000/s, <= 3x, >= 70x"
    for name, act in (("update, alike", update_alike), ("update, each its own", update_each)):
        filled_already.clear()
        show(row(name, count, measure(once, act, turns), old, goal))
    first = measure(lambda model: fill_untracked(model, count), update_alike, turns)
    show(row("first update, alike", count, first, old, ""))
    gone = measure(lambda model: fill(model, count), delete, turns)
    show(row("delete", count, gone, old, ""))
    made = measure(lambda model: fill(model, 0), lambda model, _: insert(model, count), turns)
    show(row("insert", count, made, old, ""))


def show_loading(count: int, turns: int) -> None:
    show_head("T19: loading", ["", f"{count:,} documents", "plain ms", "ms", "x plain", "goal"])
    for shape, some in (("small", count), ("medium", max(1, count // 10))):
        arms = [_loading(models[shape], some) for models in (PLAIN, TRACKED)]
        take_turns(arms, turns)
        plain, tracked = (arm.milliseconds for arm in arms)
        cells = [f"{shape}, {some:,}", f"{median(plain):.1f}", f"{median(tracked):.1f}"]
        show(["T19", *cells, f"{ratio(tracked, plain):.3f}", "1.00x to 1.03x"])


def _loading(model: Any, count: int) -> Arm:
    fill(model, count)
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


def saves_of_1_1(uri: str, name: str, turns: int) -> float:
    """Return how many small documents 1.1 saves in a second, one field changed."""
    with tempfile.TemporaryDirectory() as folder:
        wheel = fetch(Path(folder))
        with Elsewhere("benchmarks.arms", uri, name, wheel=wheel) as old:
            old.call("begin", "block", "small")
            seconds = [old.call("save", "block", 1)[0] for _ in range(turns)]
    return float(1 / median(seconds))


def main(factor: float = 1.0) -> None:
    count, turns = max(20, round(10_000 * factor)), max(3, round(7 * factor))
    with server_uri() as uri, databases(uri, 3) as names:
        old = saves_of_1_1(uri, names[1], max(5, round(200 * factor)))
        print(f"1.1 saves {old:.0f} documents in a second, one by one")
        show_queries(count, turns, old)
        show_loading(max(10, round(1_000 * factor)), max(3, round(60 * factor)))
        with Elsewhere("benchmarks.queries", uri, names[2]) as fresh:
            grown = fresh.call("peak", 10 * count)
        print(f"\nmemory: {grown:.0f} MB for {10 * count:,} documents (goal: < 200 MB)")
