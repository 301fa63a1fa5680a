"""Writes of which nobody knows what they did: an error came in the place of the server's answer.

The process remembers whose write it was. Before the next write of that document, or look at its
history, it finds out: what is stored, and the history does not have, becomes a revision.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bson.errors import BSONError
from pymongo.errors import ConnectionFailure, PyMongoError, WriteConcernError

from mongoengine_history.errors import HistoryError, HistoryNotRecordedError
from mongoengine_history.record.drift import record_drift
from mongoengine_history.record.not_recorded import LOG
from mongoengine_history.record.revisions import Revisions
from mongoengine_history.state.context import Context
from mongoengine_history.state.revision import EXTERNAL, UPDATE
from mongoengine_history.state.values import identifier

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    from mongoengine_history.record.place import Place
    from mongoengine_history.state.values import State

LASTING: Final = 60.0
"""Seconds in which a server that does not answer may still do what it was sent."""

MOST_DOUBTS: Final = 10_000
"""Documents to remember; of more the first ones are forgotten."""


class Doubt(NamedTuple):
    """A write whose outcome is not known."""

    revisions: Revisions
    operation: str = UPDATE
    #: Who wrote; None if nobody knows.
    context: Context | None = None
    #: What a creation sent; None if it was none.
    made: State | None = None
    #: On a clock of this process.
    since: float = 0.0


_doubts: OrderedDict[Hashable, Doubt] = OrderedDict()


CERTAIN: Final = (BSONError, HistoryError, OverflowError, TypeError, ValueError)
"""Errors of which the cause was told, or which came before anything was sent."""


def is_doubtful(error: BaseException) -> bool:
    """Say whether an error leaves open what a write did, be it that of a signal or a time limit."""
    if isinstance(error, PyMongoError):  # the server says otherwise what it did not do
        return isinstance(error, (ConnectionFailure, WriteConcernError))
    return not isinstance(error, CERTAIN)


def remember(
    revisions: Revisions, operation: str, context: Context, made: State | None = None
) -> None:
    """Remember that a write may have been done; in a transaction it is undone with all else."""
    name, key = revisions.place.document_type, revisions.key
    if revisions.place.in_transaction:
        return
    if key is None:
        LOG.warning(
            "What a write by a query did to %s is not known, nor which document it met.", name
        )
        return
    LOG.warning(
        "Whether %s %r was written is not known: its error does not say. If it has a history, that "
        "is found out when this process writes that document next, or looks at its history, unless "
        "others overwrite it before.",
        *(name, key),
    )
    _doubts[_where(revisions)] = Doubt(revisions, operation, context, made, time.monotonic())
    if len(_doubts) > MOST_DOUBTS:
        _doubts.popitem(last=False)


def _where(revisions: Revisions) -> Hashable:
    """Name a document, by whatever client of the same server."""
    place = revisions.place
    return place.client, place.database, place.document_type, identifier(revisions.key)


def leave_open(
    revisions: Revisions,
    operation: str,
    context: Context,
    error: BaseException,
    made: State | None = None,
) -> None:
    """Remember a write of which an error says no more; after a signal find it out at once."""
    if is_doubtful(error):
        remember(revisions, operation, context, made)
        if not isinstance(error, PyMongoError):
            settle(revisions)


def settle(revisions: Revisions, stored: State | None = None) -> bool:
    """
    Find out what doubtful writes did to a document, and record it; say whether there were any.

    It is compared as it is stored, or as it was *stored* before a write that is done. As long as
    the server does not answer, and while it may still do what it was sent, they stay doubtful.
    """
    if not _doubts or revisions.place.in_transaction:
        return False
    where, is_over = _where(revisions), False
    doubt = _doubts.pop(where, None)
    if doubt is None:
        return False
    doubt = doubt._replace(revisions=Revisions(revisions.place, revisions.key))
    try:
        is_over = find_out(doubt, stored) or time.monotonic() - doubt.since > LASTING
    except (HistoryNotRecordedError, PyMongoError):
        pass
    except HistoryError as error:
        is_over = True
        LOG.error("What was written to %r cannot be found out: %s", revisions.key, error)
    finally:
        if not is_over:
            _doubts.setdefault(where, doubt)
    return True


def settle_all(place: Place, keys: Iterable[Any]) -> None:
    """Find out what doubtful writes did to some documents."""
    for key in keys if _doubts else ():
        settle(Revisions(place, key))


def find_out(doubt: Doubt, stored: State | None = None, is_told: Callable[[], bool] = bool) -> bool:
    """Record what is *stored* and is not in the history; say whether there is anything."""
    return record_drift(doubt.revisions, _context(doubt), EXTERNAL, stored, doubt.made, is_told)


def _context(doubt: Doubt) -> Context:
    """Tell whose write it may have been: somebody else's may be in it as well."""
    said = doubt.context
    if said is None:
        return Context()
    named = {"identity": said.identity, "reason": said.reason, "metadata": dict(said.metadata)}
    known = {name: value for name, value in named.items() if value}
    in_doubt = {"operation": doubt.operation, **known}
    return Context(metadata={"in_doubt": in_doubt}, changeset=said.changeset)
