"""
Measure what numbers cost one writer, and let many writers save the same documents at once.

    PYTHONPATH=tests python -m benchmarks writers [factor]

First one writer alone, see `benchmarks.numbering`. Then eight threads that write nothing but a
mark into one document as fast as they can, and eight processes that edit lists and dicts of one
document and of ten, each on its own copy, which is reloaded with every tenth save or so. Afterwards
each history is looked at: it must have one revision for each save, numbered without a gap, and each
state must come back, the first one to the byte.

"turned" is the share of saves that the server applied one after the other and that are numbered
the other way round, since numbers are given after the write. The server's order is that of its
oplog, so that share needs a replica set. A *factor* makes more or fewer turns and saves.
"""

from __future__ import annotations

from typing import Any

from benchmarks.crews import WRITERS, Work, in_processes, in_threads
from benchmarks.databases import databases
from benchmarks.numbering import Inserts, Pairs
from benchmarks.run import Run
from benchmarks.tables import show, show_head
from benchmarks.turns import Act, Arm, ratio, take_turns
from benchmarks.verdicts import Verdict, share, stored
from benchmarks.writer import Ledger

from mongoengine_history import DocumentTrack

HEADER_ALONE = ["", "one writer", "ms", "trips", "raw ms", "x raw", "goal"]
HEADER_TOGETHER = [
    *("", "writers", "documents", "saves", "not recorded", "revisions", "s"),
    *("history trips per save", "turned", "gapless", "unreadable states", "first back", "goal"),
]


def show_numbering(run: Run) -> None:
    """Measure one writer."""
    show_head("T16: numbering, one writer", HEADER_ALONE)
    for changed in (1, 10):
        inserts, pairs = Inserts(changed), Pairs(changed)
        what = f"{changed} changed"
        show(measured(f"insert, {what}", inserts.append, inserts.insert, run, "<= 1.15"))
        show(measured(f"pair, {what}", pairs.track, pairs.insert, run, ""))


def measured(name: str, ours: Act, raw: Act, run: Run, goal: str) -> list[str]:
    """Take all turns and return the cells of a row."""
    arms = Arm(ours), Arm(raw)
    take_turns(arms, run.scaled(300))
    times = [f"{arm.median:.2f}" for arm in arms]
    x_raw = ratio(*(arm.milliseconds for arm in arms))
    if goal:
        run.note("T16", f"numbered {name}", x_raw, "x not numbered", goal)
    return ["T16", name, times[0], arms[0].sent, times[1], f"{x_raw:.2f}", goal]


def show_writers(database: str, saves: int, run: Run) -> None:
    """Let crews write, and look at what is left."""
    show_head(f"T16: {WRITERS} writers at once, {saves} saves each", HEADER_TOGETHER)
    verdicts = begun(1)
    work = in_threads([it.key for it in verdicts], saves)
    what = f"{WRITERS} threads that save one document"
    run.note("T16", what, work.trips_per_save, "round trips to the history a save", "<= 4")
    run.note("T16", what, sum(not it.is_gapless for it in verdicts), "gaps or duplicates", "<= 0")
    show(judged("threads", work, verdicts, "<= 4 trips"))
    for count in () if run.is_brief else (1, 10):
        verdicts = begun(count)
        work = in_processes(run.uri, database, [it.key for it in verdicts], saves)
        show(judged("processes", work, verdicts, ""))


def begun(count: int) -> list[Verdict]:
    """Create documents, each of them with its first revision, and keep what is stored."""
    return [Verdict(key, stored(key)) for key in (_created() for _ in range(count))]


def _created() -> Any:
    entries = [f"e{number}" for number in range(5)]
    document = Ledger(mark="first", entries=entries, notes={"shared": "first"})
    with DocumentTrack(document):
        document.save()
    return document.pk


def judged(name: str, work: Work, verdicts: list[Verdict], goal: str) -> list[str]:
    """Return the cells of a row."""
    revisions = sum(len(it.marks) for it in verdicts)
    turned = [pair for it in verdicts for pair in it.turned()]
    cells = ["T16", f"{WRITERS} {name}", f"{len(verdicts)}", f"{work.saves:,}"]
    cells += [f"{work.saves - work.recorded}", f"{revisions:,}", f"{work.seconds:.1f}"]
    cells += [f"{work.trips_per_save:.2f}", share(turned), yes(it.is_gapless for it in verdicts)]
    cells += [f"{sum(it.unreadable() for it in verdicts)}"]
    return [*cells, yes(it.comes_back() for it in verdicts), goal]


def yes(found: Any) -> str:
    return "yes" if all(list(found)) else "NO"


def main(run: Run) -> None:
    with databases(run.uri, 1) as [database]:
        show_numbering(run)
        show_writers(database, run.scaled(200, 5), run)
