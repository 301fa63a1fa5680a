"""What was written behind the library's back becomes part of the history."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from mongoengine import Document

from mongoengine_history.capture.blocks import said_now
from mongoengine_history.documents.snapshot import check_model, check_progress, stored_key
from mongoengine_history.errors import (
    HistoryError,
    MalformedRecordError,
    OptionsError,
    PatchError,
)
from mongoengine_history.record.comparison import Comparison, compared, record_settled
from mongoengine_history.record.doubt import settle_all
from mongoengine_history.record.drift import LOOKS
from mongoengine_history.record.indexes import behind
from mongoengine_history.record.overview import SMALL, batches, keys_behind
from mongoengine_history.record.place import Place
from mongoengine_history.state.context import Context, checked, identity_of, innermost
from mongoengine_history.state.values import identifier
from mongoengine_history.trust.finding import DRIFT, MALFORMED, MISSING, REPLAY, Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from mongoengine_history.state.values import State

GRACE: Final = 1.0
"""Seconds between two looks: a record that comes later than that is told twice."""

RESTLESS: Final = "others write it all the time; reconcile it again"

FAULTS_BY_ERROR: Final[dict[type[HistoryError], str]] = {
    MalformedRecordError: MALFORMED,
    PatchError: REPLAY,
}
"""What is wrong with a history, by the errors of those who read it."""


@dataclass(frozen=True, slots=True)
class Reconciled:
    """One revision by which drift was recorded."""

    #: Name of the collection of the document.
    document_type: str
    #: Its primary key, as it is stored.
    document_id: Any
    #: The number of the revision.
    revision: int
    #: ``external``; or ``create`` or ``delete`` for a document that came, or is gone.
    operation: str

    def __hash__(self) -> int:
        return hash((self.document_type, self.revision, self.operation))


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What `reconcile` has looked at and recorded."""

    #: How many documents with a history were compared, also such that are gone.
    looked: int = 0
    #: How many documents were left alone, since they have no history; roughly, while others write.
    without_history: int = 0
    #: The revisions that were recorded.
    recorded: tuple[Reconciled, ...] = ()
    #: What could not be compared, or did not come to rest.
    findings: tuple[Finding, ...] = ()
    #: The primary key of the last document, behind which a sweep can be resumed.
    resume: Any = None

    def __hash__(self) -> int:
        return hash((self.looked, self.without_history, self.recorded, self.findings))


def reconcile(
    target: Document | type[Document],
    *,
    identity: object = None,
    reason: str | None = None,
    resume: object = None,
    progress: Callable[[Reconciliation], object] | None = None,
) -> Reconciliation:
    """
    Record what is stored and is not in the history. Reads and writes the history only.

    Each document that differs gets a revision ``external``, or ``delete`` or ``create`` if it is
    gone or came back. Its ``metadata["reconciled"]`` names the ``last_known`` revision, and says
    ``overlap`` where recorded writes explain it that were numbered in another order than they were
    done. What others are writing is waited for, so that no write is recorded twice. Documents that
    have no history are left alone: it begins with their next write, or with `backfill`.

    Args:
        target: A document, or a class with all documents of its collection.
        identity: Who answers for it, as `changeset` takes it; nobody, or who an enclosing
            changeset names, by default. No provider is asked.
        reason: Why, in words.
        resume: What `Reconciliation.resume` was: goes on behind that document. For a class only.
        progress: Is called after every 500 documents, and at the end, with the report so far. For a
            class only.

    Returns:
        A report: what was looked at, what was recorded, and what could not be compared.

    Raises:
        OptionsError: an argument cannot be used, or a transaction is active. Nothing was written.
        HistoryNotRecordedError: a revision could not be written; call `reconcile` again. Raised,
            too: what PyMongo raises.
    """
    check_progress(progress, "the report")
    if resume is not None and not isinstance(target, type):
        raise OptionsError("resume", resume, "only the sweep through one class can be resumed")
    if isinstance(target, type) or not isinstance(target, Document):
        check_model(target)
    place = Place(target)
    if place.in_transaction:
        problem = "inside a transaction nobody sees the records of others; do it outside"
        raise OptionsError("target", target, problem)
    context = context_now(place, identity, reason)
    place.ensure_indexes()
    if isinstance(target, Document):
        batch = _Batch(place, context)
        batch.reconcile([stored_key(target)])
        return batch.added_to(Reconciliation())
    report = Reconciliation()
    for report in sweep(place, context, resume):
        if progress:
            progress(report)
    return report


def context_now(place: Place, identity: object, reason: str | None) -> Context:
    """Return who answers for drift: who is named, or an open changeset names; else nobody."""
    said = [context for _, context in said_now()]
    merged = innermost([*said, Context(identity_of(identity), reason)])
    context = checked(merged.identity, merged.reason, merged.metadata, place.codec)
    return replace(context, changeset=said[0].changeset if said else None)


def sweep(place: Place, context: Context, resume: object = None) -> Iterator[Reconciliation]:
    """Go through all histories of a collection, in the order of keys; yield the report so far."""
    report, kept = Reconciliation(resume=resume), 0
    for keys in batches(keys_behind(place, resume), SMALL):
        batch = _Batch(place, context)
        batch.reconcile(keys)
        report = replace(batch.added_to(report), resume=keys[-1], without_history=0)
        kept += batch.kept
        yield report
    later = {} if resume is None else behind("_id", resume)
    count = place.documents.count_documents(later)
    yield replace(report, without_history=max(0, count - kept))


class _Batch:
    """Some documents that are compared together, and what came of it."""

    def __init__(self, place: Place, context: Context) -> None:
        self._place, self._context = place, context
        self._recorded: list[Reconciled] = []
        self._findings: list[Finding] = []
        self._looked = self._alone = 0
        #: How many of them are stored and have a history.
        self.kept = 0

    def added_to(self, report: Reconciliation) -> Reconciliation:
        """Return a report with what came of it."""
        return replace(
            report,
            looked=report.looked + self._looked,
            without_history=report.without_history + self._alone,
            recorded=(*report.recorded, *self._recorded),
            findings=(*report.findings, *self._findings),
        )

    def reconcile(self, keys: Sequence[Any]) -> None:
        """Compare documents until what differs is at rest, and record it."""
        settle_all(self._place, keys)
        found = self._compared(keys)
        known = [it for it in found if it.has_history]
        self._looked, self.kept = len(known), sum(it.stored is not None for it in known)
        self._alone = sum(it.stored is not None for it in found) - self.kept
        then = [it for it in known if it.is_drift]
        for _ in range(LOOKS):
            if not then:
                return
            time.sleep(GRACE)
            then = self._again({identifier(it.key): it for it in then})
        self._findings += [self._found(it, DRIFT, RESTLESS) for it in then]

    def _compared(self, keys: Sequence[Any]) -> list[Comparison]:
        found = compared(self._place, keys)
        self._findings += [self._unreadable(it, it.error) for it in found if it.error]
        return found

    def _again(self, then: Mapping[object, Comparison]) -> list[Comparison]:
        """Record what was drift *then*, and is now; return what is not at rest."""
        rest = []
        for now in self._compared([it.key for it in then.values()]):
            if now.is_drift:
                left = self._record(now, now.settled(then[identifier(now.key)]))
                rest += [left] if left.is_drift else []
        return rest

    def _record(self, now: Comparison, state: State | None) -> Comparison:
        """Record a state that is at rest; return what is known then."""
        made = record_settled(self._place, now, [state], self._context)
        name = self._place.document_type
        self._recorded += [Reconciled(name, now.key, it.number, it.operation) for it in made]
        return now._replace(head=made[-1], known=state) if made else now

    def _found(self, it: Comparison, kind: str, what: str) -> Finding:
        return Finding(self._place.document_type, it.key, it.head.number, kind, what)

    def _unreadable(self, it: Comparison, error: HistoryError) -> Finding:
        kind = FAULTS_BY_ERROR.get(type(error), MISSING)
        return self._found(it, kind, f"its state cannot be rebuilt ({type(error).__name__})")
