"""Writes from outside are recorded while they happen, by the server's change streams."""

from __future__ import annotations

import time
from collections import defaultdict
from contextlib import suppress
from threading import Event as Flag
from typing import TYPE_CHECKING

from pymongo.errors import ConnectionFailure, OperationFailure, PyMongoError

from mongoengine_history.documents.snapshot import check_model
from mongoengine_history.errors import HistoryNotRecordedError, OptionsError
from mongoengine_history.record.not_recorded import LOG
from mongoengine_history.record.place import UNAUTHORIZED, Place
from mongoengine_history.state.context import Context
from mongoengine_history.trust.reconcile import Reconciled, sweep
from mongoengine_history.trust.stream import BREATH, WRITE_EVENTS, Event, Stream
from mongoengine_history.trust.suspicion import Suspicions

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from types import TracebackType

    from mongoengine import Document


def watch(*models: type[Document]) -> Watcher:
    """
    Follow what the server writes to the collections of classes, and record what nobody else did.

    Each write past the history, be it by a shell, another service or raw PyMongo, becomes a
    revision within about a second, as `reconcile` makes it. Where a collection keeps images of what
    was before (``changeStreamPreAndPostImages``), several of them become as many revisions, each
    exact. Writes of the application are recorded by itself: their records are waited for, and
    nothing is recorded twice. At the first start, and where the server has forgotten what happened
    since the last one, all histories of the classes are swept through.

    Args:
        models: Classes, with all documents of their collections; in one or more databases.

    Returns:
        A `Watcher`. Nothing is done until it is iterated.

    Raises:
        OptionsError: one of *models* is no class with a collection.
    """
    if not models:
        raise OptionsError("models", models, "name the classes to watch")
    for model in models:
        check_model(model)
    return Watcher([Place(model) for model in models])


class Watcher:
    """
    Yields each revision that it has recorded. Iterating it does the work, until `stop` is called.

    It may be used in a ``with`` block, which stops it. One thread iterates it; several watchers of
    the same classes, in several processes, do no harm.
    """

    def __init__(self, places: list[Place]) -> None:
        groups: defaultdict[object, dict[str, Place]] = defaultdict(dict)
        for place in places:
            where = groups[id(place.client), place.database]
            where.setdefault(place.document_type, place)
        self._followed = [_Followed(it) for it in groups.values()]
        self._stopped = Flag()
        self._revisions = self._work()

    def __iter__(self) -> Iterator[Reconciled]:
        """
        Follow the server, for ever; one iteration goes on where another one has ended.

        Raises:
            OptionsError: the server has no change streams.
            pymongo.errors.OperationFailure: a right is missing.
        """
        return self._revisions

    def __enter__(self) -> Watcher:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        with suppress(ValueError):  # another thread iterates it, and ends now
            self._revisions.close()

    def stop(self) -> None:
        """Let the iteration end, within a tenth of a second; from any thread or signal handler."""
        self._stopped.set()

    @property
    def lag(self) -> float:
        """How many seconds ago was written what it has not gone through yet; 0.0 if nothing is."""
        since = [it.since for it in self._followed if it.since is not None]
        return max(0.0, time.time() - min(since)) if since else 0.0

    def _work(self) -> Generator[Reconciled]:
        try:
            for each in self._followed:
                each.start()
            while not self._stopped.is_set():
                for each in self._followed:
                    yield from each.go_on(self._stopped)
        finally:
            for each in self._followed:
                each.end()


class _Followed:
    """The watched collections of one database."""

    def __init__(self, places: dict[str, Place]) -> None:
        self._places = places
        self._stream = Stream(list(places.values()))
        self._suspicions = Suspicions(places)
        #: Collections of which nobody knows what was done to them.
        self._lost: set[str] = set()
        #: Since when there is something to do, by the clock of the server; None if there is not.
        self.since: float | None = None

    def start(self) -> None:
        for place in self._places.values():
            place.ensure_indexes()
        self._stream.start()

    def end(self) -> None:
        with suppress(PyMongoError):
            if not self._lost:
                oldest = self._suspicions.oldest
                self._stream.keep(oldest and oldest.token, at_once=True)
        self._stream.close()

    def go_on(self, stopped: Flag) -> Iterator[Reconciled]:
        """Do what there is to do now; yield the revisions that were recorded."""
        try:
            for event in self._stream.read():
                self._take(event)
            if self._stream.is_open:  # so that nothing comes between a sweep and what it tells
                yield from self._swept(stopped)
            yield from self._suspicions.settled()
            oldest = self._suspicions.oldest
            self.since = oldest and oldest.moment
            self._stream.keep(oldest and oldest.token)
        except (ConnectionFailure, HistoryNotRecordedError) as error:
            if _is_refused(error.__cause__):
                raise
            LOG.warning("What was written from outside is not recorded yet: %s", error)
            stopped.wait(BREATH)

    def _take(self, event: Event) -> None:
        self.since = min(self.since or event.moment, event.moment)
        if event.operation in WRITE_EVENTS:
            self._suspicions.add(event)
        else:
            self._lost |= {event.collection} & set(self._places)

    def _swept(self, stopped: Flag) -> Iterator[Reconciled]:
        """Go through all histories of which something may be lost."""
        self._lost |= set(self._places) if self._stream.is_lost else set()
        for name in sorted(self._lost):
            self.since = self.since or time.time()
            known = 0
            for report in sweep(self._places[name], Context()):
                yield from report.recorded[known:]
                known = len(report.recorded)
                if stopped.is_set():
                    return
            for finding in report.findings:
                LOG.error("%s", finding)
            self._lost.discard(name)
        self._stream.is_lost = False


def _is_refused(error: BaseException | None) -> bool:
    return isinstance(error, OperationFailure) and error.code == UNAUTHORIZED
