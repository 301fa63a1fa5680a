"""Revisions of all documents as one feed, which goes on where its consumer has stopped."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from pymongo.errors import OperationFailure

from mongoengine_history.documents.options import check_flag
from mongoengine_history.errors import OptionsError
from mongoengine_history.read.recorded import Recorded
from mongoengine_history.record.committed import Committed, has_reached
from mongoengine_history.record.not_recorded import LOG
from mongoengine_history.state.moments import stamp_of
from mongoengine_history.trust.bookmark import Bookmark
from mongoengine_history.trust.feed import CONSUMERS, begun
from mongoengine_history.trust.stream import LOST_CODES, check_streams

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mongoengine import Document
    from pymongo.client_session import ClientSession


AT_ONCE: Final = 500
"""Revisions of the beginning to look up at once."""

AWAITED: Final = 1.0
"""Seconds to wait for the server at once."""

REST: Final = 60.0
"""Seconds without a new revision after which the position is saved all the same."""

LOST: Final = (
    "the server has no longer what came after its position. Begin again: with from_beginning=True, "
    "or with what comes from now on after unsubscribe()"
)


@dataclass(slots=True, eq=False)
class Delivered(Recorded):
    """One revision of a feed."""

    _save: Callable[[], None] = field(repr=False)
    _is_done: bool = field(default=False, repr=False)

    def done(self) -> None:
        """
        Save now that this revision is done with. Writes, in the transaction that is active.

        Without it that happens when the next one is asked for.
        """
        if not self._is_done:
            self._save()
            self._is_done = True


def subscribe(
    consumer: str,
    *models: type[Document],
    from_beginning: bool = False,
    wait: float | None = None,
    using: str | None = None,
) -> Iterator[Delivered]:
    """
    Iterate over revisions as they are recorded, and go on where the consumer has stopped.

    Each revision comes at least once, after it is committed: those of a document in the order of
    their numbers, all others in that of the server. How far a consumer has come is saved, in
    ``history.consumers`` beside the history, when the next revision is asked for, or by
    `Delivered.done`; so the last one comes again after a crash. One process at a time should use a
    name. It needs a replica set, and the right to change streams of the history.

    Args:
        consumer: A name by which it is known from then on.
        *models: Of which classes; of everything in the history if none is given.
        from_beginning: Whether a new consumer, and one that has lost its position, gets all that
            was recorded before: one document after another, then what came meanwhile. Some of it
            may come twice.
        wait: Seconds without a new revision after which the iteration ends: 0 gives what there is,
            None never ends.
        using: The alias of another connection, where no class is given.

    Returns:
        An iterator over `Delivered`. What cannot be read is left out, and logged.

    Raises:
        OptionsError: an argument cannot be used; or, when the first revision is asked for: the
            server has no change streams, or has no longer what came after the saved position.
    """
    check_flag("from_beginning", from_beginning)
    is_time = isinstance(wait, int | float) and not isinstance(wait, bool)
    if wait is not None and not (is_time and wait >= 0):
        raise OptionsError("wait", wait, "it must be seconds, or None")
    return _Feed(consumer, Committed(models, using)).revisions(
        from_beginning=from_beginning, wait=wait
    )


def unsubscribe(consumer: str, *models: type[Document], using: str | None = None) -> bool:
    """
    Forget how far a consumer has come. Writes; pruning heeds it no more.

    Args:
        consumer: Its name.
        *models: A class that it has subscribed to, if its history is not the usual one.
        using: As `subscribe` was given it.

    Returns:
        Whether it was known.

    Raises:
        OptionsError: an argument cannot be used.
    """
    return _Feed(consumer, Committed(models, using)).bookmark.forget()


class _Feed:
    """What one consumer gets."""

    def __init__(self, consumer: str, committed: Committed) -> None:
        if not isinstance(consumer, str) or not consumer:
            raise OptionsError("consumer", consumer, "it must be a name")
        self._consumer, self._committed = consumer, committed
        self.bookmark = Bookmark(committed.beside(CONSUMERS), consumer)

    def revisions(self, *, from_beginning: bool, wait: float | None) -> Iterator[Delivered]:
        """Yield what was recorded since the saved position, or from the beginning on."""
        with self._committed.opened() as session:
            position = self.bookmark.read(session)
            try:
                yield from self._since(session, position, from_beginning, wait)
            except OperationFailure as error:
                check_streams(error, "consumer", self._consumer)
                if error.code not in LOST_CODES:
                    raise
                if not from_beginning:
                    raise OptionsError("consumer", self._consumer, LOST) from error
                LOG.warning("Consumer %r has lost its position, and begins again.", self._consumer)
                yield from self._since(session, None, from_beginning, wait)

    def _since(
        self,
        session: ClientSession,
        position: dict[str, Any] | None,
        from_beginning: bool,
        wait: float | None,
    ) -> Iterator[Delivered]:
        position = position or begun(self.bookmark, session, from_beginning=from_beginning)
        if position["after"] is not None:
            yield from self._recorded_before(session, position["after"])
            self.bookmark.keep({"after": None, "stamp": position["began"]})
        yield from self._what_comes(session, position, wait)

    def _recorded_before(
        self, session: ClientSession, after: Mapping[str, Any]
    ) -> Iterator[Delivered]:
        """Yield what was recorded, one document after another, behind a revision."""
        while names := self._committed.names_behind(session, after, AT_ONCE):
            for name in names:
                yield from self._delivered(session, name, {"after": name})
            after = names[-1]

    def _what_comes(
        self, session: ClientSession, position: Mapping[str, Any], wait: float | None
    ) -> Iterator[Delivered]:
        """Yield what comes after a position, as it comes."""
        awaited = AWAITED if wait is None else min(wait, AWAITED)
        with self._committed.since(session, position, awaited) as changes:
            last = saved = time.monotonic()
            while True:
                now, then = time.time_ns() // 1000, session.operation_time
                change = changes.try_next()
                if change is not None:
                    there = {"token": changes.resume_token}
                    yield from self._delivered(session, change["fullDocument"], there)
                    last = saved = time.monotonic()
                    continue
                if not has_reached(changes.resume_token, then):
                    continue  # the server has not gone through all of it yet
                is_over = wait is not None and time.monotonic() - last >= wait
                if is_over or time.monotonic() - saved >= REST:
                    self.bookmark.keep({"token": changes.resume_token, "stamp": now})
                    saved = time.monotonic()
                if is_over:
                    return

    def _delivered(
        self, session: ClientSession, name: Mapping[str, Any], position: dict[str, Any]
    ) -> Iterator[Delivered]:
        """Yield a revision, if it can be read, and save the position once it is done with."""
        found = self._committed.read(session, name)
        if found is not None:
            stamp = {} if "after" in position else {"stamp": stamp_of(found[2].at)}
            told = Delivered(*found, partial(self.bookmark.keep, {**position, **stamp}))
            yield told
            told.done()
