"""How far the consumers of a history have come."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from bson import Timestamp

from mongoengine_history.state.moments import SKEW

if TYPE_CHECKING:
    from pymongo.client_session import ClientSession

    from mongoengine_history.record.place import Place
    from mongoengine_history.trust.bookmark import Bookmark

CONSUMERS: Final = ".consumers"
"""What the name of the collection of consumers ends with; it begins with that of the history."""


def oldest_needed(place: Place) -> int | None:
    """
    Return the stamp from which on a history is still needed by a consumer; None without one.

    0 is all of it, as long as one of them reads from the beginning. Reads only.
    """
    slowest = place.beside(CONSUMERS).find_one({}, {"stamp": 1}, sort=[("stamp", 1)])
    return None if slowest is None else max(slowest["stamp"] - SKEW, 0)


def begun(bookmark: Bookmark, session: ClientSession, *, from_beginning: bool) -> dict[str, Any]:
    """Let a consumer begin now, or with all that was recorded until now; return its position."""
    session.client.admin.command("ping", session=session)
    then, now = session.operation_time, time.time_ns() // 1000
    start = then and Timestamp(then.time, then.inc + 1)  # what is done by then is the past
    position: dict[str, Any] = {"start": start, "began": now, "token": None}
    position |= {"stamp": 0, "after": {}} if from_beginning else {"stamp": now, "after": None}
    bookmark.keep(position, session)
    return position
