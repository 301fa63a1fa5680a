"""Writes that were seen, and of which the records may be on their way or will never come."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mongoengine_history.errors import StateNotKeptError
from mongoengine_history.record.comparison import Comparison, compared, record_settled
from mongoengine_history.record.not_recorded import LOG
from mongoengine_history.record.overview import SMALL, batches
from mongoengine_history.state.context import Context
from mongoengine_history.state.merge import is_same_state
from mongoengine_history.state.values import identifier
from mongoengine_history.trust.reconcile import Reconciled
from mongoengine_history.trust.stream import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mongoengine_history.record.place import Place
    from mongoengine_history.state.values import State
    from mongoengine_history.trust.stream import Event

SOON: Final = 0.2
"""Seconds after a write until its record is looked for …"""

LATEST: Final = 0.5
"""… and after that until it is sure that none will come."""


class Step(NamedTuple):
    """One write to a document."""

    before: State | None
    after: State | None
    #: When it was told, on a clock of this process …
    seen: float
    #: … and when it was done, in seconds since 1970 by the clock of the server.
    moment: float
    #: Where the stream can be resumed so that it is told again.
    token: Mapping[str, Any] | None


@dataclass
class Suspicion:
    """The writes to one document that may have no records."""

    key: Any
    place: Place
    steps: list[Step] = field(default_factory=list)
    #: How it was when it was looked at, and when that was.
    then: Comparison | None = None
    looked: float = 0.0

    def is_due(self, now: float) -> bool:
        """Say whether it is time to look at the document."""
        if self.then is None:
            return now - self.steps[0].seen >= SOON
        return now - self.looked >= LATEST

    def add(self, step: Step) -> None:
        """Add a write, which tells also what the one before it has left."""
        if self.steps and step.before is not UNKNOWN:
            self.steps[-1] = self.steps[-1]._replace(after=step.before)
        self.steps.append(step)

    def look(self, found: Comparison, now: float) -> list[State | None] | None:
        """Take how the document is found; return the states to record, None if all is right."""
        if not found.has_history:  # it begins with what the first write has found
            found = found._replace(known=self.steps[0].before)
        if found.known is UNKNOWN or not found.is_drift:
            return None
        then, looked, self.then, self.looked = self.then, self.looked, found, now
        if then is None:
            return []
        states = _states(self.steps, found, then, now)
        # What was done before the last look is known by now, or among these.
        self.steps = [it for it in self.steps if it.seen >= looked] or self.steps[-1:]
        return states


class Suspicions:
    """All of them in some collections."""

    def __init__(self, places: Mapping[str, Place]) -> None:
        self._places = places
        self._open: dict[tuple[str, object], Suspicion] = {}

    @property
    def oldest(self) -> Step | None:
        """The oldest write of all."""
        return min((it.steps[0] for it in self._open.values()), key=_when, default=None)

    def add(self, event: Event) -> None:
        """Note a write."""
        place = self._places[event.collection]
        before, after = _as_history(place, event.before), _as_history(place, event.after)
        step = Step(before, after, time.monotonic(), event.moment, event.token)
        name = event.collection, identifier(event.key)
        self._open.setdefault(name, Suspicion(event.key, place)).add(step)

    def settled(self) -> Iterator[Reconciled]:
        """Look at what is due, and record what has no record; yield the new revisions."""
        now = time.monotonic()
        due = [it for it in self._open.values() if it.is_due(now)]
        for place in self._places.values():
            own = (it for it in due if it.place is place)
            for some in batches(own, SMALL):
                found = compared(place, [it.key for it in some])
                for suspicion, comparison in zip(some, found, strict=True):
                    yield from self._judge(suspicion, comparison, now)

    def _judge(self, suspicion: Suspicion, found: Comparison, now: float) -> Iterator[Reconciled]:
        place, key = suspicion.place, suspicion.key
        if found.error is not None and not isinstance(found.error, StateNotKeptError):
            LOG.error("What was written to %s %r: %s", place.document_type, key, found.error)
        states = suspicion.look(found, now)
        if states is None:
            del self._open[place.document_type, identifier(key)]
        elif states and suspicion.then:
            heads = record_settled(place, suspicion.then, states, Context())
            suspicion.then = None
            for head in heads:
                yield Reconciled(place.document_type, key, head.number, head.operation)


def _as_history(place: Place, state: State | None) -> State | None:
    return state if state is None or state is UNKNOWN else place.hiding.hidden(state)


def _when(step: Step) -> float:
    return step.seen


def _states(
    steps: list[Step], found: Comparison, then: Comparison, now: float
) -> list[State | None]:
    """
    Return the states in which nobody's writes left a document, in a row.

    Images tell each of them, from the last write that found what is known. Without images it is
    what differs, and did so *then*.
    """
    starts = [
        index
        for index, step in enumerate(steps)
        if step.before is not UNKNOWN and is_same_state(step.before, found.known)
    ]
    own = steps[starts[-1] :] if starts else []
    states = [it.after for it in own if now - it.seen >= SOON + LATEST]
    if not states or any(it is UNKNOWN for it in states):
        return [found.settled(then)]
    return states
