"""Objects in the place of PyMongo's own, which are of the application's class as well."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


def like(source: Any, kind: type[T]) -> T:
    """Make an object of a class that is as *source* in all else."""
    other = kind.__new__(kind)  # a save makes one, and PyMongo's own way takes its time
    vars(other).update(vars(source))
    return other


def in_place_of(source: Any, kind: type[T]) -> T:
    """
    Make an object of a class that is as *source* in all else, also of its class.

    Where that is one of the application's own, what it does comes first, and finds *kind* where it
    calls PyMongo's method: what it forbids is not done, and what it tries again is recorded each
    time.
    """
    own: Any = type(source)
    wanted: Any = kind
    made: T = like(source, _kind(own, wanted))
    return made


@cache
def _kind(own: Any, kind: Any) -> Any:
    if issubclass(kind, own):  # PyMongo's own class
        return kind
    # What the application makes of it with other options does not record.
    said = {"__module__": own.__module__, "with_options": kind.with_options}
    return type(own.__name__, (own, kind), said)
