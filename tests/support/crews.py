"""Many writers at work: processes, threads, one that waits between its two writes."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

from support import writers_at_work
from support.running import at_once
from support.writers_at_work import Sheet

from mongoengine_history import history_of
from mongoengine_history.record import append as appending
from mongoengine_history.record.revisions import Revisions

PROCESSES, THREADS, SAVES = 4, 8, 25
"""Raise them to 8, 8 and 200 for a long run by hand."""

PATIENCE = 60
"""Seconds to wait for what must happen, however busy the machine is."""

Saves = list[dict[str, Any]]


def at_work(
    database: Any, uri: str, number: int, *, crew: str = "w", **task: Any
) -> AbstractContextManager[list[Any]]:
    """Start writers in processes of their own, all at once; none is left afterwards."""
    task |= {"database": database.name, "uri": uri}
    tasks = [{**task, "writer": f"{crew}{place}"} for place in range(number)]
    return at_once(writers_at_work.__file__, tasks)


def said(writer: Any) -> Saves:
    """Wait until a process has ended, and return the saves that it told of."""
    found = [json.loads(line) for line in writer.stdout]
    writer.wait()
    return found


def saves_of_threads() -> Saves:
    start = threading.Barrier(THREADS)

    def work(writer: str) -> Saves:
        start.wait(PATIENCE)
        return list(writers_at_work.saves(Sheet, [1], writer, SAVES))

    with ThreadPoolExecutor(THREADS) as pool:
        found = pool.map(work, [f"t{place}" for place in range(THREADS)])
        return [save for own in found for save in own]


class Overlap:
    """A save in a thread of its own, which waits between its two writes."""

    def __init__(self, monkeypatch: Any, save: Callable[[], Any]) -> None:
        self._thread = threading.Thread(target=save)
        self._is_written, self._may_go = threading.Event(), threading.Event()
        append = appending._recorded

        def late(revisions: Revisions, *args: Any) -> Any:
            if threading.current_thread() is self._thread:
                self._is_written.set()
                self._may_go.wait(PATIENCE)
            return append(revisions, *args)

        monkeypatch.setattr(appending, "_recorded", late)

    def write(self) -> None:
        """Write the document, but no record."""
        self._thread.start()
        assert self._is_written.wait(PATIENCE)

    def record(self) -> None:
        """Write the records."""
        self._may_go.set()
        self._thread.join()


def ended(writers: Sequence[Any]) -> Saves:
    """Kill the writers, and return the saves that they told of."""
    for writer in writers:
        writer.kill()
    return [save for writer in writers for save in said(writer)]


def go_on(model: type[Any], key: int, more: int) -> None:
    """Wait until the writers at work have recorded some more revisions."""
    wanted = len(history_of(model, key)) + more
    deadline = time.monotonic() + PATIENCE
    while len(history_of(model, key)) < wanted:
        assert time.monotonic() < deadline, "the others do not go on"
        time.sleep(0.01)


def killed_at(database: Any, uri: str, key: int, hold: int) -> None:
    """Let a writer save, and kill it when so many of its documents are in the history."""
    task = {"collection": "leaflets", "keys": [key], "saves": 1, "all_edits": True}
    with at_work(database, uri, 1, pause=0, hold=hold, **task) as [writer]:
        assert writer.stdout.readline() == "held\n"
