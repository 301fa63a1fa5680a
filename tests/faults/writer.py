"""
A process of writers: threads of both styles, which write until they are told to settle.

Run as a module with a task as JSON, ``python -m faults.writer '{"name": …}'``. It says ``ready``
when its threads begin. A line of its standard input makes them end, and save each of their
documents once more. Then it says ``settled``.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, Final

import mongoengine
from faults import marks
from faults.actions import Plan, actions_of, creation, saving
from faults.desk import SHARED, Desk
from faults.documents import STYLES, Style
from faults.journal import Journal
from pymongo.errors import PyMongoError

from mongoengine_history import HistoryError, HistoryNotRecordedError, history_of

THREADS: Final = 2
"""Threads of each style."""

LONGEST_PAUSE: Final = 0.4
"""Seconds between two writes of a thread at most."""

LOOKING: Final = 0.1
"""How often a thread looks at what is stored and recorded, instead of writing."""

PATIENCE: Final = 60.0
"""Seconds to try again what must succeed."""


class Writer:
    """One thread: it writes documents in one style, and keeps the objects."""

    def __init__(self, name: str, style: Style, journal: Journal) -> None:
        self._style, self._journal = style, journal
        self._desk, self._chance = Desk(name, style), Random(name)
        self._marks = (marks.mark(name, number) for number in count())
        self._actions = actions_of(style)
        #: What has records to write when all is healthy again.
        self._owed: list[HistoryNotRecordedError] = []

    def begin(self) -> None:
        """Load the shared documents; create those that are not there."""
        for key in SHARED:
            sheet = _tried_again(lambda key=key: self._desk.copy(key))
            self._desk.shared.append(sheet)
            if sheet._created:
                self._attempt(lambda mark, sheet=sheet: creation(sheet, self._style, mark))

    def work(self, ended: threading.Event) -> None:
        """Write until *ended*."""
        while not ended.wait(self._chance.random() * LONGEST_PAUSE):
            if self._chance.random() < LOOKING:
                with suppress(HistoryError, PyMongoError, self._style.model.DoesNotExist):
                    self._look(self._desk.any(self._chance))
            else:
                self._attempt(self._planned)

    def _planned(self, mark: str) -> Plan | None:
        action = self._chance.choice(self._actions)
        return action(self._desk, self._style, self._chance, mark)

    def settle(self) -> None:
        """Save each document once more, look at its history, and write records that are missing."""
        for sheet in self._desk:
            _tried_again(lambda sheet=sheet: self._saved(sheet))
            _tried_again(lambda sheet=sheet: history_of(sheet).state(-1))
        for error in self._owed:
            _tried_again(error.record)
        for sheet in self._desk.deleted:  # what may bring a document back is no save of it
            _tried_again(lambda sheet=sheet: history_of(sheet).state(-1))

    def _saved(self, sheet: Any) -> None:
        error = self._attempt(lambda mark: saving(sheet, self._style, self._chance, mark))
        if error:
            raise error

    def _look(self, sheet: Any) -> None:
        sheet.reload()
        history_of(sheet).state(-1)

    def _attempt(self, planned: Callable[[str], Plan | None]) -> Exception | None:
        """Write, and tell the journal; return what went wrong."""
        mark = next(self._marks)
        plan = planned(mark)
        if plan is None:
            return None
        self._journal.tries(mark, plan.name, plan.keys)
        try:
            result = plan.write()
        except Exception as error:  # whatever it is, the journal has to have it
            self._journal.fails(mark, error)
            if isinstance(error, HistoryNotRecordedError):
                self._owed.append(error)
            return error
        self._journal.ends(mark, result)
        if plan.sheet is not None:
            self._desk.created.add(plan.sheet.pk)
        return None


def _tried_again(act: Callable[[], Any]) -> Any:
    """Do it, again until it succeeds; what only the library refuses, such as to read, stays so."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return act()
        except HistoryError:
            return None
        except Exception:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def run(task: dict[str, Any]) -> None:
    """Write as the *task* says, until standard input closes or has a line."""
    mongoengine.connect(task["database"], host=task["uri"], uuidRepresentation="standard")
    journal = Journal(Path(task["journal"]))
    logging.getLogger("mongoengine_history").addHandler(journal)
    ended, writers = threading.Event(), []
    for style in STYLES:
        names = [f"{task['name']}.{style}{number}" for number in range(THREADS)]
        writers += [Writer(name, STYLES[style], journal) for name in names]
    for writer in writers:
        writer.begin()
    threads = [threading.Thread(target=it.work, args=[ended], daemon=True) for it in writers]
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    if not sys.stdin.readline():
        os._exit(1)  # nobody waits for it any more
    ended.set()
    for thread in threads:
        thread.join()
    for writer in writers:
        writer.settle()
    print("settled", flush=True)


if __name__ == "__main__":
    run(json.loads(sys.argv[1]))
