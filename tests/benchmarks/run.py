"""One run of benchmarks: where it measures, how much, and what came out."""

from __future__ import annotations

import importlib
import os
import platform
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timezone
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import mongoengine
import pymongo
from pymongo import MongoClient

import mongoengine_history


class HasTurns(Protocol):
    @property
    def turns(self) -> int: ...


R = TypeVar("R", bound=HasTurns)

SLACK: Final = 1.15
"""What is measured in time or in bytes of the disk repeats within so much; counts are exact."""

BRIEF: Final = 0.01
"""A run of a smaller factor leaves out what is slow, and measures nothing that can be relied on."""

SLOW: Final = 60
"""What does not take part in so many turns is slow."""

EXACT: Final = frozenset({"round trips", "records", "patches", "bytes", "gaps or duplicates"})


class Result(NamedTuple):
    """One number, and what is to be reached."""

    #: "T1" to "T19"; "" for what has no target.
    target: str
    what: str
    value: float
    unit: str
    #: "<= 1.5", say; "" where nothing is to be reached.
    goal: str = ""
    #: The least that anything which does the same can reach, measured in the same run.
    floor: float | None = None

    @property
    def met(self) -> str:
        """Say "yes", "nearly" within the slack, or "no"; "" without a goal."""
        if not self.goal:
            return ""
        sign, number = self.goal.split()
        low, high = (self.value, float(number))[:: 1 if sign == "<=" else -1]
        if low <= high:
            return "yes"
        return "nearly" if low <= SLACK * high and self.unit not in EXACT else "no"


class Point(NamedTuple):
    """One point of a line of a plot."""

    plot: str
    line: str
    x: float | str
    y: float


@dataclass
class Run:
    """What the parts are given, and give back."""

    uri: str
    #: The folder of 1.1.
    wheel: Path
    #: Scales turns and numbers of documents.
    factor: float = 1.0
    #: The folder of real revisions, or None.
    revisions: Path | None = None
    results: list[Result] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    #: Versions, and what is told of the machine.
    environment: dict[str, Any] = field(default_factory=dict)

    @property
    def is_brief(self) -> bool:
        """Whether it is only to be seen that all works."""
        return self.factor < BRIEF

    def scaled(self, count: float, least: int = 3) -> int:
        """Scale a number of turns or documents."""
        return max(least, round(count * self.factor))

    def worthwhile(self, rows: Sequence[R]) -> list[R]:
        """Leave out slow rows where it is only to be seen that all works."""
        return [row for row in rows if not self.is_brief or row.turns >= SLOW]

    def note(
        self, target: str, what: str, value: float, unit: str, goal: str = "", *, floor: float = 0
    ) -> None:
        """Keep a number."""
        self.results.append(Result(target, what, float(value), unit, goal, floor or None))

    def point(self, plot: str, line: str, x: float | str, y: float) -> None:
        """Keep a point of a plot."""
        self.points.append(Point(plot, line, x, float(y)))

    def look_around(self) -> None:
        """Keep with what all was measured."""
        with MongoClient(self.uri) as client:
            concern = client.admin.command("getDefaultRWConcern")["defaultWriteConcern"]
            self.environment = {
                "mongoengine-history": mongoengine_history.__version__,
                "date": f"{datetime.now(timezone.utc):%Y-%m-%d}",
                "MongoDB": client.server_info()["version"],
                "write concern": concern["w"],
                "MongoEngine": mongoengine.__version__,
                "PyMongo": pymongo.version,
                "Python": platform.python_version(),
                "cores": os.cpu_count(),
                "factor": self.factor,
            }


def measure(part: str, run: Run) -> Run:
    """Measure a part in a fresh process, so that parts share no memory, and add what came out."""
    if run.is_brief:  # which saves the time that processes take to start
        return _measured(part, run)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measured, part, run).result()


def _measured(part: str, run: Run) -> Run:
    importlib.import_module(f"benchmarks.{part}").main(run)
    return run
