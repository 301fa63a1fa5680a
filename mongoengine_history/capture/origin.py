"""The document whose own method writes now: what was said with it, and whether it is a save."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mongoengine_history.changesets import context_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mongoengine_history.record.place import Place
    from mongoengine_history.state.revision import Context
    from mongoengine_history.tracker import Tracker


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the writes come from that a collection is asked for now."""

    tracker: Tracker
    #: The ``signal_kwargs``.
    said: Mapping[str, Any]
    #: Whether it is MongoEngine's ``save()``, so that what an update does can be worked out.
    is_save: bool


_origin: ContextVar[Origin | None] = ContextVar("mongoengine_history_origin", default=None)


def current_origin() -> Origin | None:
    """Return the origin of what is written now; None where no document's method is under way."""
    return _origin.get()


@contextmanager
def originating(tracker: Tracker, said: Mapping[str, Any], *, is_save: bool) -> Iterator[None]:
    """Let all that is written inside the block come from one document."""
    token = _origin.set(Origin(tracker, said, is_save))
    try:
        yield
    finally:
        _origin.reset(token)


def context_at(place: Place) -> Context:
    """
    Return who answers for what is written now, and why.

    Raises:
        OptionsError: that cannot be stored.
    """
    origin = current_origin()
    blocks = origin.tracker.blocks if origin else ()
    said = origin.said if origin else {}
    return context_of(place.options, place.codec, blocks, said)
