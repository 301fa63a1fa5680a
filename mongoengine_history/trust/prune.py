"""Retention: the oldest revisions of histories go, and what remains stays whole."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final

from mongoengine_history.capture.changeset import context_of
from mongoengine_history.documents.options import check_flag, check_keep
from mongoengine_history.documents.snapshot import check_model, check_progress
from mongoengine_history.errors import OptionsError
from mongoengine_history.record.overview import SMALL, batches, keys_behind
from mongoengine_history.record.place import Place
from mongoengine_history.state.moments import stamp_of
from mongoengine_history.trust.cut import Batch
from mongoengine_history.trust.feed import oldest_needed
from mongoengine_history.trust.record_event import record_event

if TYPE_CHECKING:
    from collections.abc import Callable

    from mongoengine import Document

    from mongoengine_history.trust.finding import Finding

BEGINS_EARLIER: Final = (
    "it shares its collection with other classes; prune the one with which the collection begins"
)
"""Why a subclass is not pruned alone."""


@dataclass(frozen=True, slots=True)
class Pruning:
    """What `prune` did, or would do."""

    #: How many histories were looked at.
    documents: int = 0
    #: How many of them became shorter …
    shortened: int = 0
    #: … and how many went as a whole: those of documents that were deleted long ago.
    removed: int = 0
    #: How many revisions went.
    revisions: int = 0
    #: How many were left alone because they are held.
    held: int = 0
    #: The histories that were left whole, since the state at their new beginning cannot be rebuilt.
    findings: tuple[Finding, ...] = ()
    #: The primary key of the last document, behind which it can be resumed.
    resume: Any = None

    def __hash__(self) -> int:
        return hash((self.documents, self.shortened, self.removed, self.revisions, self.held))


def prune(  # noqa: PLR0913  # each has its name, only the class has a place
    model: type[Document],
    *,
    keep: int | None = None,
    older_than: datetime | timedelta | None = None,
    dry_run: bool = False,
    progress: Callable[[Pruning], object] | None = None,
    resume: object = None,
) -> Pruning:
    """
    Let the oldest revisions of each document of a class go. Writes the history only.

    What remains reads, verifies and leads back as before; a number that is gone raises a
    `RevisionPrunedError`. A full state is kept with the oldest revision that remains, and a mark
    says what went, when and by whom. Who does it, and why, is said by a `changeset`; an event
    ``prune`` tells of it. Where the process dies, what is left can be read, and pruning again ends
    it. Held histories stay (`hold`), and what a consumer of `subscribe` has not read yet.

    Args:
        model: The class, with which its collection begins.
        keep: How many revisions of each document stay at least; the class's ``keep`` by default.
        older_than: A moment, naive is local time of the process, or an age. What stood at that
            moment and since stays: of each document the last revision before it is kept, too.
            Histories that ended with a deletion before it go as a whole, unless *keep* is given.
            ``keep_for`` of the class by default. With both arguments what either keeps stays.
        dry_run: Whether only to say what would go.
        progress: Is called after every 500 documents with the result so far.
        resume: What `Pruning.resume` was: goes on behind that document.

    Returns:
        What was done.

    Raises:
        OptionsError: an argument cannot be used, nothing says what stays, or a transaction is
            active. Nothing was written.
    """
    check_model(model)
    check_flag("dry_run", dry_run)
    place = Place(model)
    if keep is None and older_than is None:
        keep, older_than = place.options.keep, place.options.keep_for
    _check(model, place, keep, progress)
    before = _before(older_than)
    if keep is None and before is None:
        raise OptionsError("keep", None, "say how many revisions stay, or give older_than=…")
    place.ensure_indexes()
    needed = oldest_needed(place)
    context = context_of(place.options, place.codec)
    result = Pruning(resume=resume)
    for keys in batches(keys_behind(place, resume), SMALL):
        batch = Batch(place, keys, keep, before, needed)
        if not dry_run:
            batch.write(context)
        result = _added(result, batch, keys[-1])
        if progress:
            progress(result)
    if not dry_run and result.revisions:
        _tell(model, place, result, keep, before)
    return result


def _check(model: type[Document], place: Place, keep: object, progress: object) -> None:
    if "." in model._class_name:
        raise OptionsError("model", model, BEGINS_EARLIER)
    check_keep(keep)
    check_progress(progress, "the result")
    if place.in_transaction:
        raise OptionsError("model", model, "nothing is pruned inside a transaction")


def _before(older_than: datetime | timedelta | None) -> int | None:
    """Return the stamp of a moment, or of one that is so long ago."""
    if not isinstance(older_than, timedelta):
        return None if older_than is None else stamp_of(older_than)
    if older_than < timedelta(0):
        raise OptionsError("older_than", older_than, "it is an age; it cannot be negative")
    try:
        return stamp_of(datetime.now(timezone.utc) - older_than)
    except OverflowError as error:
        raise OptionsError("older_than", older_than, "no moment is so long ago") from error


def _added(result: Pruning, batch: Batch, last: Any) -> Pruning:
    return replace(
        result,
        documents=result.documents + len(batch.keys),
        shortened=result.shortened + sum(not it.is_end for it in batch.cuts),
        removed=result.removed + sum(it.is_end for it in batch.cuts),
        revisions=result.revisions + sum(it.revisions for it in batch.cuts),
        held=result.held + len(batch.held),
        findings=(*result.findings, *batch.findings),
        resume=last,
    )


def _tell(
    model: type[Document], place: Place, result: Pruning, keep: int | None, before: int | None
) -> None:
    """Leave a record of it in the same database."""
    record_event(
        "prune",
        using=model._meta.get("db_alias"),
        collection=place.document_type,
        keep=keep,
        before=before,
        documents=result.shortened + result.removed,
        revisions=result.revisions,
    )
