"""Where somebody who follows a history, or the server, has got to; kept beside the history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mongoengine_history.record.sessions import active_session

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pymongo.client_session import ClientSession
    from pymongo.collection import Collection


class Bookmark:
    """
    The position of one who follows.

    Args:
        kept: The collection of it, beside the history.
        name: Tells it from others.
    """

    def __init__(self, kept: Collection[Any], name: str) -> None:
        self._kept, self._whose = kept, {"_id": name}

    def read(self, session: ClientSession | None = None) -> dict[str, Any] | None:
        """Read what was kept last, None before the first time."""
        return self._kept.find_one(self._whose, session=session)

    def keep(self, position: Mapping[str, Any], session: ClientSession | None = None) -> None:
        """Keep a position, or a part of it: in a session, else in the caller's transaction."""
        own = session or active_session(self._kept.database.client)
        self._kept.update_one(self._whose, {"$set": position}, upsert=True, session=own)

    def forget(self) -> bool:
        """Forget all; say whether there was anything."""
        own = active_session(self._kept.database.client)
        return bool(self._kept.delete_one(self._whose, session=own).deleted_count)
