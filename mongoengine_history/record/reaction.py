"""What becomes of an error that says that records could not be written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mongoengine_history.record.not_recorded import LOG
from mongoengine_history.record.signals import recording_failed

if TYPE_CHECKING:
    from collections.abc import Callable

    from mongoengine_history.errors import HistoryNotRecordedError
    from mongoengine_history.record.place import Place


def react(
    error: HistoryNotRecordedError, place: Place, because_of: BaseException | None = None
) -> None:
    """
    Raise an error, log it with its records, or hand it over, as the class says.

    Where another error is raised, or handing over fails, none is lost: it is logged, or raised.
    """
    reaction = place.options.on_error
    is_taken_over = callable(reaction) and _is_taken_over(error, reaction)
    recording_failed.tell(place.model, error=error)
    if is_taken_over:
        return
    if reaction != "log" and because_of in {None, error}:
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
