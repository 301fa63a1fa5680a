"""When a revision was made: stamps, true moments, and what a wall clock shows of them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Final

from mongoengine_history.errors import OptionsError

SKEW: Final = 10 * 60 * 1_000_000
"""Microseconds by which the clocks of writers may differ, and in which a write is recorded."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)

MICROSECOND: Final = timedelta(microseconds=1)


def stamp_of(when: datetime) -> int:
    """
    Return *when* in microseconds since 1970 UTC; a naive time is local time of the process.

    Raises:
        OptionsError: *when* is no datetime.
    """
    if not isinstance(when, datetime):
        raise OptionsError("the moment", when, "it must be a datetime")
    if when.year in (1, 9999):  # no time zone can be told there, and none matters
        when = when.replace(tzinfo=timezone.utc)
    return (when.astimezone(timezone.utc) - EPOCH) // MICROSECOND


def moment_of(stamp: int) -> datetime:
    """Return the moment of a stamp, aware, in UTC."""
    return EPOCH + stamp * MICROSECOND


@lru_cache(maxsize=1)  # many revisions are of one moment
def clock_of(stamp: int) -> datetime:
    """Return the moment of a stamp as the wall clock of this process shows it."""
    return wall_clock(moment_of(stamp))


def last_stamp(until: datetime) -> int:
    """Return the last stamp that *until* includes: in whole milliseconds it is all of its own."""
    return stamp_of(until) + (999 if until.microsecond % 1000 == 0 else 0)


def wall_clock(when: datetime) -> datetime:
    """Return a moment as 1.1 wrote it: naive, by the local wall clock, cut to milliseconds."""
    local = when if when.tzinfo is None else when.astimezone().replace(tzinfo=None)
    return local.replace(microsecond=local.microsecond // 1000 * 1000)
