"""
Measure saves in transactions, with which a write and its record are there both or not at all.

    PYTHONPATH=tests python -m benchmarks atomic [factor]

A tracked save in a transaction takes turns with one outside of any; "floor" is the same ratio of an
update and an insert by PyMongo alone. Then ten saves of one document, of three changes each: plain,
tracked, and tracked in one transaction. Everything is done with a write concern of the majority,
and the first again with one that waits for no journal. A *factor* makes more or fewer turns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, Final

import mongoengine
from benchmarks.databases import databases
from benchmarks.run import Run
from benchmarks.shapes import documents, edit, filled, leaves
from benchmarks.tables import show, show_head
from benchmarks.turns import Arm, ratio, take_turns
from pymongo import WriteConcern
from pymongo.database import Database

from mongoengine_history import track_history

PLAIN, TRACKED, HASTY = (documents(prefix)["small"] for prefix in ("Apart", "Atomic", "Hasty"))
track_history(TRACKED)
track_history(HASTY)
#: Of the connection whose writes wait for one member and for no journal.
HASTY._meta["db_alias"] = "hasty"

MAJORITY: Final = "majority"
#: Times a save outside of transactions, by write concern.
GOALS: Final = {MAJORITY: "<= 1", 1: "<= 1.6"}
SAVES: Final = 10

Block = Callable[[], AbstractContextManager[Any]]


@contextmanager
def transaction(concern: str | int) -> Any:
    """Let all that the block sends be one transaction."""
    begun = {"write_concern": WriteConcern(w=concern)}
    client = mongoengine.get_db().client
    with client.start_session() as session, session.bind(), session.start_transaction(**begun):
        yield


def saving(model: Any, block: Block = nullcontext, changed: int = 1, saves: int = 1) -> Arm:
    """Save a document some times in a block."""
    document = filled(model).save()

    def save(number: int) -> None:
        with block():
            for more in range(saves):
                edit(leaves(document), changed, number * saves + more + 1)
                document.save()

    return Arm(lambda number: lambda: save(number))


def writing(database: Database, block: Block = nullcontext) -> Arm:
    """Update a document and insert another one."""
    key = database["updated"].insert_one({"number": -1}).inserted_id

    def write(number: int) -> None:
        with block():
            database["updated"].update_one({"_id": key}, {"$set": {"number": number}})
            database["inserted"].insert_one({"number": number, "text": "t" * 300})

    return Arm(lambda number: lambda: write(number))


def medians(arms: Sequence[Arm], turns: int) -> list[list[float]]:
    take_turns(arms, turns)
    return [arm.milliseconds for arm in arms]


def measure(concern: str | int, run: Run) -> list[str]:
    """Take all turns with one write concern, and return the cells of a row."""
    outside, inside = HASTY if concern == 1 else TRACKED, partial(transaction, concern)
    arms = [saving(TRACKED, inside), saving(outside)]
    arms += [writing(TRACKED._get_db(), inside), writing(outside._get_db())]
    times = medians(arms, run.scaled(200))
    atomic, floor = ratio(times[0], times[1]), ratio(times[2], times[3])
    what = f"a save in a transaction, w={concern}"
    run.note("T17", what, atomic, "x outside", GOALS[concern], floor=floor)
    return [
        f"{concern}",
        *(f"{it.median:.2f}" for it in arms[1::-1]),
        f"{atomic:.2f}",
        f"{floor:.2f}",
    ]


def measure_ten(run: Run) -> list[str]:
    """Save ten times, and return the cells of a row."""
    blocks = (PLAIN, nullcontext), (TRACKED, nullcontext), (TRACKED, partial(transaction, MAJORITY))
    ten = [saving(*it, changed=3, saves=SAVES) for it in blocks]
    plain, *others = medians(ten, run.scaled(40))
    apart, together = (ratio(own, plain) for own in others)
    run.note("T8", f"{SAVES} saves in one transaction", together, "x plain", "<= 1.15")
    run.note("T8", f"{SAVES} saves, one by one", apart, "x plain", "<= 1.15")
    return [*(f"{it.median:.1f}" for it in ten), f"{apart:.2f}", f"{together:.2f}"]


HEADER: Final = ["w", "save ms", "in a transaction ms", "x", "floor x"]
HEADER_TEN: Final = ["plain ms", "ms", "in a transaction ms", "x plain", "x plain"]


def main(run: Run) -> None:
    with databases(run.uri, 2) as names:
        mongoengine.connect(names[1], alias="hasty", host=run.uri, w=1)
        for model in (PLAIN, TRACKED, HASTY):
            filled(model).save()  # nothing is made inside of a transaction
        show_head("T17: a save in a transaction", HEADER)
        for concern in GOALS:
            show(measure(concern, run))
        show_head(f"T8: {SAVES} saves", HEADER_TEN)
        show(measure_ten(run))
