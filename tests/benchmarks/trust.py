"""
Measure what it costs that a history can be relied on.

    PYTHONPATH=tests python -m benchmarks trust [factor]

The history is the one of a million records that is read elsewhere. One part is how long `verify`
takes for all of it, in seconds of the clock and of this process, and how much memory it needs. Then
a checkpoint is made of it, and it is verified again, against the checkpoint. The last part is a
save with its checksum against the same save without one. A *factor* scales all.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from unittest.mock import patch

from benchmarks import chronicle
from benchmarks.databases import databases
from benchmarks.lives import KINDS, Population
from benchmarks.run import Run
from benchmarks.tables import show, show_head
from benchmarks.turns import Arm, ratio, take_turns

from mongoengine_history import checkpoint, track_history, untrack_history, verify
from mongoengine_history.record import append

SAVES: Final = 1_000
EMPTY: Final = {"salt": bytes(16), "checksum": bytes(32)}


def megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@contextmanager
def measured(what: str, run: Run) -> Iterator[list[int]]:
    """Show how long something took that names how many it dealt with."""
    number: list[int] = []
    before, wall, own = megabytes(), time.perf_counter(), time.process_time()
    yield number
    wall, own = time.perf_counter() - wall, time.process_time() - own
    rates = [f"{sum(number) / seconds:,.0f}" for seconds in (wall, own)]
    show([what, f"{sum(number):,}", f"{wall:.1f}", *rates, f"{megabytes() - before:.0f}"])
    if sum(number):
        run.note("", f"{what}, {sum(number):,} of them", sum(number) / wall, "a second")


def show_proofs(run: Run) -> None:
    population, kinds = Population(run.factor), KINDS.values()
    chronicle.write(population)
    show_head("proofs", ["", "number", "s", "a second", "a second of this process", "MB more"])
    with measured("verify: revisions", run) as revisions:
        reports = [verify(kind) for kind in kinds]
        assert [it for report in reports for it in report.findings] == []
        revisions += [report.revisions for report in reports]
    assert sum(revisions) == population.records
    with measured("checkpoint: histories", run) as histories:
        made = checkpoint(*kinds)
        histories.append(made.size)
    with measured("verify since a checkpoint: revisions", run) as revisions:
        reports = [verify(kind, since=made) for kind in kinds]
        assert [it for report in reports for it in report.findings] == []
        revisions += [report.revisions for report in reports]


class Saves:
    """Saves of one document, with checksums or without."""

    def __init__(self, document: Any, *, is_chained: bool) -> None:
        self._document, self._is_chained = document.save(), is_chained

    def save(self, number: int) -> Any:
        self._document.s1 = f"{number}"
        if self._is_chained:
            return self._document.save
        return self._unchained

    def _unchained(self) -> None:
        with patch.object(append, "link", lambda *_: dict(EMPTY)):
            self._document.save()


@contextmanager
def tracked(kind: Any) -> Iterator[None]:
    track_history(kind)
    yield
    untrack_history(kind)


def show_saves(run: Run) -> None:
    kind = KINDS["one"]
    with tracked(kind):
        arms = [Arm(Saves(kind(), is_chained=it).save) for it in (True, False)]
        take_turns(arms, run.scaled(SAVES))
    chained, plain = arms
    show_head("a save", ["with checksum ms", "without ms", "x"])
    times = ratio(chained.milliseconds, plain.milliseconds)
    run.note("", "a save with its checksum", times, "x one without")
    show([f"{chained.median:.3f}", f"{plain.median:.3f}", f"{times:.3f}"])


def main(run: Run) -> None:
    with databases(run.uri, 1):
        show_proofs(run)
        show_saves(run)
