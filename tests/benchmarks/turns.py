"""Ways to do one thing that take turns, so that a busy moment of the machine meets all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from random import Random
from statistics import median
from typing import Any

from benchmarks.trips import trips
from support.wheel_1_1 import Elsewhere

Act = Callable[[int], Callable[[], Any]]
"""Prepares what is done in the turn of a number; only what it returns is measured."""


class Arm:
    """One of the ways: an *act* of this process, in the first turns only if they are limited."""

    def __init__(self, act: Act, turns: int | None = None) -> None:
        self._act, self._turns = act, turns
        self.milliseconds: list[float] = []
        #: Round trips: all counts that were seen.
        self.trips: set[int] = set()

    def turn(self, number: int) -> None:
        """Do it once, unless it has had all its turns."""
        if self._turns is None or number < self._turns:
            self.milliseconds.append(1000 * self.seconds(number))

    def seconds(self, number: int) -> float:
        """Do it, and return how long that took."""
        act = self._act(number)
        sent, start = trips.total, time.perf_counter()
        result = act()
        seconds = time.perf_counter() - start
        self.trips.add(trips.total - sent)
        del result  # what it takes to free it is not measured
        return seconds

    @property
    def median(self) -> float:
        """Milliseconds."""
        return median(self.milliseconds)

    @property
    def sent(self) -> str:
        """Round trips, as text."""
        return "/".join(map(str, sorted(self.trips)))


class ArmElsewhere(Arm):
    """One that another process takes, which tells the seconds."""

    def __init__(self, process: Elsewhere, call: Sequence[Any], turns: int) -> None:
        super().__init__(lambda _: lambda: None, turns)
        self._process, self._call = process, call

    def seconds(self, number: int) -> float:
        seconds: float = self._process.call(*self._call)
        return seconds


def take_turns(arms: Sequence[Arm], turns: int) -> None:
    """Let the arms take turns, in another order each time: what comes twice in a row is faster."""
    for number in range(turns):
        for arm in Random(number).sample(arms, len(arms)):
            arm.turn(number)


def ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """Return the median of the ratios, as far as both go."""
    return median(a / b for a, b in zip(above, below, strict=False))
