"""Writers at work at the same time: in threads of this process, or in processes of their own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Final, NamedTuple

from benchmarks.writer import write
from support.wheel_1_1 import Elsewhere

WRITERS: Final = 8


class Work(NamedTuple):
    """What a crew did together."""

    saves: int
    #: Saves of which it was told that they are in the history.
    recorded: int
    seconds: float
    #: Commands on the collection of the history.
    trips: int

    @property
    def trips_per_save(self) -> float:
        return self.trips / self.saves


def in_threads(keys: Sequence[Any], saves: int) -> Work:
    """Let threads write nothing but marks, as fast as they can."""
    with ThreadPoolExecutor(WRITERS) as pool:
        start = time.perf_counter()
        done = list(pool.map(lambda name: write(name, keys, saves, plain=True), _names()))
        return _work(saves, done, time.perf_counter() - start)


def in_processes(uri: str, database: str, keys: Sequence[Any], saves: int) -> Work:
    """Let processes make all kinds of edits; they begin when all of them are up."""
    with ExitStack() as stack, ThreadPoolExecutor(WRITERS) as pool:
        started = [Elsewhere("benchmarks.writer", uri, database) for _ in range(WRITERS)]
        processes = [stack.enter_context(process) for process in started]
        list(pool.map(lambda process: process.call("ready"), processes))
        start = time.perf_counter()
        calls = [(process, name) for process, name in zip(processes, _names(), strict=True)]
        done = list(pool.map(lambda call: call[0].call("write", call[1], keys, saves), calls))
        return _work(saves, done, time.perf_counter() - start)


def _names() -> list[str]:
    return [f"w{number}" for number in range(WRITERS)]


def _work(saves: int, done: list[list[int]], seconds: float) -> Work:
    recorded, trips = (sum(column) for column in zip(*done, strict=True))
    return Work(saves * WRITERS, recorded, seconds, trips)
