"""What is told of records that could not be written."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from bson import ObjectId
from mongoengine.connection import DEFAULT_CONNECTION_NAME, _connections

from mongoengine_history.errors import HistoryNotRecordedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mongoengine_history.record.place import Place

LOG: Final = logging.getLogger("mongoengine_history")


def not_recorded(
    place: Place, keys: Sequence[Any], records: Sequence[dict[str, Any]], why: BaseException | None
) -> HistoryNotRecordedError:
    """Make the error of what could not be recorded of documents, with all that `record` needs."""
    for record in records:
        record.setdefault("_id", ObjectId())
    error = HistoryNotRecordedError(keys, records, why)
    error.document_class, error.collection = place.class_name, place.document_type
    aliases = (alias for alias, client in _connections.items() if client is place.connection)
    error.alias, error.database = next(aliases, DEFAULT_CONNECTION_NAME), place.database
    error.__cause__ = why
    return error
