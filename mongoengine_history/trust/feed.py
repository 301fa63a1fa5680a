"""How far each consumer of a history has come; kept beside it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from bson import Timestamp

from mongoengine_history.record.sessions import active_session
from mongoengine_history.state.revision import SKEW

if TYPE_CHECKING:
    from pymongo.client_session import ClientSession
    from pymongo.collection import Collection

CONSUMERS: Final = ".consumers"
"""What the name of the collection of consumers ends with; it begins with that of the history."""


def consumers_of(history: Collection[Any]) -> Collection[Any]:
    """Return the collection that says how far each consumer of a history has come."""
    options = history.codec_options, history.read_preference, history.write_concern
    return history.database.get_collection(f"{history.name}{CONSUMERS}", *options)


def oldest_needed(history: Collection[Any]) -> int | None:
    """
    Return the stamp from which on a history is still needed by a consumer; None without one.

    0 is all of it, as long as one of them reads from the beginning. Reads only.
    """
    wanted = {"projection": {"stamp": 1}, "sort": [("stamp", 1)]}
    slowest = consumers_of(history).find_one({}, **wanted)
    return None if slowest is None else max(slowest["stamp"] - SKEW, 0)


class Progress:
    """How far one consumer has come."""

    def __init__(self, history: Collection[Any], consumer: str) -> None:
        self._consumers, self._consumer = consumers_of(history), consumer

    def read(self, session: ClientSession) -> dict[str, Any] | None:
        """Return what was saved last, None before the first time."""
        return self._consumers.find_one({"_id": self._consumer}, session=session)

    def begin(self, session: ClientSession, *, from_beginning: bool) -> dict[str, Any]:
        """Begin now, or with all that was recorded until now."""
        session.client.admin.command("ping", session=session)
        then, now = session.operation_time, time.time_ns() // 1000
        start = then and Timestamp(then.time, then.inc + 1)  # what is done by then is the past
        began: dict[str, Any] = {"start": start, "began": now, "token": None}
        began |= {"stamp": 0, "after": {}} if from_beginning else {"stamp": now, "after": None}
        self._consumers.replace_one({"_id": self._consumer}, began, upsert=True, session=session)
        return began

    def save(self, position: dict[str, Any]) -> None:
        """Save a position, in the caller's transaction if there is one."""
        session = active_session(self._consumers.database.client)
        whose = {"_id": self._consumer}
        self._consumers.update_one(whose, {"$set": position}, upsert=True, session=session)

    def forget(self) -> bool:
        """Forget all; say whether there was anything."""
        session = active_session(self._consumers.database.client)
        return bool(
            self._consumers.delete_one({"_id": self._consumer}, session=session).deleted_count
        )
