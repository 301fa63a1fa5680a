"""What is told of records that could not be written."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from bson import ObjectId
from mongoengine.connection import DEFAULT_CONNECTION_NAME, _connections
from pymongo.errors import BulkWriteError, WriteConcernError

from mongoengine_history.errors import HistoryNotRecordedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pymongo.errors import PyMongoError

    from mongoengine_history.documents.options import HistoryOptions
    from mongoengine_history.record.place import Place

LOG: Final = logging.getLogger("mongoengine_history")

DUPLICATE_KEY: Final = 11000


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


def report(
    error: HistoryNotRecordedError, options: HistoryOptions, because_of: BaseException | None = None
) -> None:
    """
    Raise an error, log it with its records, or hand it over, as the class says.

    Where another error is raised, or handing over fails, none is lost: it is logged, or raised.
    """
    if callable(options.on_error) and _is_taken_over(error, options.on_error):
        return
    if options.on_error != "log" and because_of is None:
        raise error
    LOG.error("%s", error, extra={"records": error.records, "error": error})


def _is_taken_over(
    error: HistoryNotRecordedError, take: Callable[[HistoryNotRecordedError], object]
) -> bool:
    try:
        take(error)
    except Exception as failure:  # whatever the application's own code raises
        if failure is not error:
            LOG.exception("on_error=%r could not take over: %s", take, error)
        return False
    return True


def is_unmet(error: PyMongoError) -> bool:
    """Say whether records are not on as many servers as the write concern asks for."""
    if isinstance(error, BulkWriteError):
        return bool(error.details.get("writeConcernErrors"))
    return isinstance(error, WriteConcernError)


def duplicate_in(error: PyMongoError) -> int | None:
    """Return the index of the document whose key is taken, None if it failed otherwise."""
    if not isinstance(error, BulkWriteError) or is_unmet(error):
        return None
    first = error.details["writeErrors"][0] if error.details.get("writeErrors") else {}
    return first["index"] if first.get("code") == DUPLICATE_KEY else None
