"""The public names as an application uses them. Checked by mypy and pyright, never run.

Each ``type: ignore`` proves that the call is refused: one that hides nothing is an error itself.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from mongoengine import Document, StringField, signals
from typing_extensions import assert_type

from mongoengine_history import (
    ABSENT,
    BaseHistory,
    Changeset,
    ChangesetConflictError,
    ChangesetPartlyRevertedError,
    ChangesetPlan,
    ChangesetRefusedError,
    Checkpoint,
    Conflict,
    Delivered,
    DocumentDidNotExistError,
    DocumentExistsError,
    DocumentTrack,
    Finding,
    Flushed,
    History,
    HistoryError,
    HistoryNotRecordedError,
    HistoryWarning,
    Holding,
    IncompleteRevisionError,
    IndexesMissingError,
    MalformedRecordError,
    Misfit,
    OptionsError,
    PatchError,
    PlanStep,
    Pruning,
    Receipt,
    Reconciled,
    Reconciliation,
    Recorded,
    Revision,
    RevisionConflictError,
    RevisionNotFoundError,
    RevisionPrunedError,
    Selection,
    StaleDocumentError,
    StateMismatchError,
    StateNotKeptError,
    Timeline,
    UndoConflictError,
    Verification,
    Version,
    Watcher,
    WriteConflictError,
    WriteRefusedError,
    anonymise,
    as_of,
    backfill,
    changed_since,
    changeset,
    changeset_of,
    checkpoint,
    deleted,
    erase,
    flush_spool,
    history_of,
    hold,
    load_history,
    preview,
    proof,
    prune,
    recent,
    reconcile,
    record_event,
    recording_failed,
    redact,
    release,
    restore,
    revert,
    revert_changeset,
    revision_recorded,
    set_identity_provider,
    spool,
    subscribe,
    track_changes,
    track_history,
    undo,
    unsubscribe,
    untrack_history,
    untracked,
    verify,
    watch,
)
from mongoengine_history.record.history import HistoryQuerySet


class Invoice(Document):  # type: ignore[misc]  # MongoEngine has no types
    """A document of an application."""

    number = StringField(required=True)


def connect() -> None:
    signals.post_save.connect(track_changes, sender=Invoice)
    signals.post_delete.connect(track_changes, sender=Invoice)
    assert_type(track_changes(Invoice, Invoice(), created=True), None)
    track_changes(Invoice)  # type: ignore[call-arg]


@track_history
class Order(Document):  # type: ignore[misc]  # MongoEngine has no types
    """A document of which all writes are recorded."""


@track_history(
    exclude=["password"],
    mask=["token"],
    fingerprint_key=b"0123456789abcdef",
    version_every=10,
    identity=lambda: "anna",
    strict=True,
    reason_required=True,
    on_error="raise",
)
class User(Document):  # type: ignore[misc]  # MongoEngine has no types
    """The same, with all options."""


def begin_and_end() -> None:
    assert_type(track_history(Invoice), type[Invoice])
    assert_type(track_history(strict=True)(Invoice), type[Invoice])
    assert_type(Order(), Order)
    track_history(Invoice, mask=["number"])
    track_history(Invoice, kept=1)  # type: ignore[call-overload]
    assert_type(untrack_history(Invoice), None)
    assert_type(backfill(Invoice), int)
    backfill(Invoice, progress=print)
    backfill("invoice")  # type: ignore[arg-type]
    with untracked():
        Invoice().save()


def trust(invoice: Invoice) -> None:
    report = verify(invoice)
    assert_type(report, Verification)
    assert_type(next(iter(report)), Finding)
    assert_type(verify(Invoice, keys=[b"key"], progress=print).ok, bool)
    assert_type(verify().findings, tuple[Finding, ...])
    done = reconcile(invoice, identity="ann", reason="why")
    assert_type(done, Reconciliation)
    assert_type(done.recorded, tuple[Reconciled, ...])
    reconcile(Invoice, resume=done.resume, progress=print)
    with watch(Invoice, Order) as watcher:
        assert_type(watcher, Watcher)
        assert_type(next(iter(watcher)), Reconciled)
        assert_type(watcher.lag, float)
        watcher.stop()
    watch("invoice")  # type: ignore[arg-type]
    assert_type(prune(Invoice, keep=3, progress=lambda it: print(it.revisions)), Pruning)
    prune(Invoice, older_than="1d")  # type: ignore[arg-type]
    hold(invoice, 7)  # type: ignore[arg-type]
    assert_type(release(invoice), bool)
    assert_type(History.report(), list[Holding])
    assert_type(erase(invoice, context=True), Receipt)
    assert_type(erase(Invoice, 1), Receipt)
    assert_type(anonymise("ann", as_="user 7", using="shop"), Receipt)
    receipt = redact(Invoice, "total", pk=1)
    assert_type(receipt, Receipt)
    redact(Invoice, ["lines", "*"], resume=1, progress=lambda it: print(it.values))
    made = checkpoint(Invoice, origin="example.com/shop", key=b"key", to=print)
    assert_type(made, Checkpoint)
    assert_type((made.origin, made.size, made.root), tuple[str, int, bytes])
    assert_type(list(changed_since(made, Invoice)), list[Finding])
    assert_type(proof(invoice, 3, made.text, keys=[b"key"]), str)
    assert_type(made.signed_by(b"key"), Checkpoint)
    made.signed_by("key")  # type: ignore[arg-type]


def happen(invoice: Invoice) -> None:
    assert_type(record_event("login"), Revision)
    record_event("approved", invoice, level=2, reason="because")
    assert_type(History.objects.on_behalf_of("bob"), HistoryQuerySet[History])
    for told in subscribe("search", Invoice, Order, from_beginning=True, wait=5):
        assert_type(told, Delivered)
        assert_type(told.revision, Revision)
        assert_type(told.done(), None)
    subscribe("search", "invoice")  # type: ignore[arg-type]
    assert_type(unsubscribe("search"), bool)
    revision_recorded.connect(print, sender=Invoice)
    recording_failed.connect(print)


def keep_in_a_spool() -> None:
    track_history(Invoice, on_error=spool("history.spool"))
    track_history(Invoice, on_error=print)
    track_history(Invoice, on_error=5)  # type: ignore[call-overload]
    assert_type(flush_spool("history.spool"), Flushed)
    assert_type(flush_spool("history.spool").left, int)


def say(user: Document) -> None:
    set_identity_provider(lambda: user)
    set_identity_provider(None)
    set_identity_provider(user.pk, reason="none")  # type: ignore[call-arg]
    with changeset(user, reason="a new price", ticket=7) as changes:
        assert_type(changes, Changeset)
        assert_type(changes.reason, str | None)
    with changeset(atomic=True):
        Invoice().save()
    changeset(reason=7)  # type: ignore[call-overload]
    assert_type(revert_changeset(changes), Changeset)
    revert_changeset(changes.id, reason="a mistake")
    plan = revert_changeset(changes, dry_run=True)
    assert_type(plan, ChangesetPlan)
    assert_type(plan.steps, tuple[PlanStep, ...])
    revert_changeset()  # type: ignore[call-overload]


@changeset("night job")
def work(count: int) -> str:
    return str(count)


def watch_one(invoice: Invoice, user: Document) -> None:
    with DocumentTrack(invoice, user.pk) as track:
        assert_type(track, DocumentTrack)
    with DocumentTrack(invoice, identity="anna", reason="a typing error", ticket=7):
        invoice.save()
    with DocumentTrack(invoice, user.pk, refuse_stale=True):
        invoice.save()
    DocumentTrack(invoice)
    DocumentTrack()  # type: ignore[call-arg]
    DocumentTrack(invoice, "anna", "a typing error")  # type: ignore[call-arg]
    DocumentTrack(invoice, reason=7)  # type: ignore[arg-type]
    DocumentTrack(invoice, refuse_stale="yes")  # type: ignore[arg-type]


def read(invoice: Invoice) -> None:
    yesterday = datetime.now(timezone.utc) - timedelta(days=1)
    patches = load_history(invoice, since=yesterday, until=datetime.now(timezone.utc))
    assert_type(patches, list[tuple[str, list[str | int], Any]])
    for action, path, _data in load_history(invoice, yesterday):
        assert_type(action, str)
        assert_type(path, list[str | int])
    load_history(invoice, since="yesterday")  # type: ignore[arg-type]
    for record in History.objects(document_id=invoice.pk):
        assert_type(record, History)
    asked = History.objects.of(invoice).by("anna").between(yesterday).touching("number")
    assert_type(asked, HistoryQuerySet[History])
    assert_type(asked.order_by("-stamp").first(), History | None)
    assert_type(list(asked.filter(action="add")), list[History])
    assert_type(History.objects.using("archive"), HistoryQuerySet[History])
    assert_type(History.objects.of(Invoice, "key"), HistoryQuerySet[History])
    History.objects.touching(7)  # type: ignore[arg-type]


class Elsewhere(BaseHistory):
    meta = {"collection": "history_of_invoices", "db_alias": "archive"}


def keep_elsewhere(invoice: Invoice) -> None:
    assert_type(track_history(history=Elsewhere)(Invoice), type[Invoice])
    for record in Elsewhere.objects(document_id=invoice.pk):
        assert_type(record, Elsewhere)


def read_the_past(invoice: Invoice, now: datetime) -> None:
    timeline = history_of(invoice)
    assert_type(timeline, Timeline[Invoice])
    assert_type(history_of(Invoice, "key"), Timeline[Invoice])
    assert_type(len(timeline), int)
    assert_type(timeline[1], Revision)
    assert_type(timeline[1:3], list[Revision])
    assert_type(list(timeline), list[Revision])
    assert_type(timeline.at(1), Invoice)
    assert_type(timeline.at(1, references=True), Invoice)
    found = timeline.filter(by="ann", touching="lines", between=(now, None), operation="update")
    assert_type(found, Selection)
    assert_type(list(found), list[Revision])
    assert_type(list(reversed(found)), list[Revision])
    assert_type(found.page(before=3), list[Revision])
    assert_type(timeline.page(size=5), list[Revision])
    assert_type(timeline.to_json(), str)
    assert_type(list(deleted(Invoice)), list[Recorded])
    assert_type(list(changeset_of("0" * 24, Invoice)), list[Recorded])
    latest = recent(Invoice).filter(by="ann").page(size=5)
    assert_type(latest, list[Recorded])
    assert_type((latest[0].document_type, latest[0].revision), tuple[str, Revision])
    timeline.filter(between=now)  # type: ignore[arg-type]
    assert_type(timeline.as_of(now), Invoice | None)
    assert_type(timeline.state(1), dict[str, Any])
    assert_type(timeline.blame("number"), Revision | None)
    assert_type(timeline.blame(), dict[str, Revision])
    assert_type(timeline.compare(1, None), list[tuple[str, list[str | int], Any]])
    assert_type(timeline.legacy, list[History])
    for past in as_of(Invoice, now):
        assert_type(past, Invoice | Misfit)
    for version in Version.objects.of(invoice):
        assert_type(version, Version)


def frozen(revision: Revision) -> None:
    assert_type((revision.number, revision.at, revision.operation), tuple[int, datetime, str])
    assert_type(revision.patches, tuple[tuple[str, list[str | int], Any], ...])
    revision.number = 2  # type: ignore[misc]


def go_back(invoice: Invoice) -> None:
    assert_type(undo(invoice, 3), Invoice)
    assert_type(restore(Invoice, invoice.pk), Invoice)
    assert_type(preview(invoice), Revision)
    assert_type(undo(invoice, revision=3), Invoice)
    assert_type(undo(invoice, 3, paths=["total", ["lines"]]), Invoice)
    assert_type(revert(invoice, revision=3, paths=["total"]), Invoice)
    undo(invoice)  # type: ignore[call-overload]
    assert_type(revert(invoice), Invoice)
    assert_type(revert(invoice, datetime.now(timezone.utc)), Invoice)
    assert_type(revert(invoice, revision=3), Invoice)
    revert(invoice, revision="3")  # type: ignore[arg-type]
    revert(invoice, None, 3)  # type: ignore[call-arg]


def decide(error: DocumentExistsError | StateNotKeptError | UndoConflictError) -> None:
    assert_type(error.document_id, object)
    assert ABSENT is not None
    if isinstance(error, UndoConflictError):
        assert_type(error.conflicts, list[Conflict])
        assert_type(error.path, tuple[str | int, ...])


def answer(error: HistoryError) -> None:
    match error:
        case OptionsError():
            assert_type(error.name, str)
            assert_type(error.value, object)
        case HistoryNotRecordedError():
            assert_type(error.records, list[dict[str, Any]])
        case RevisionNotFoundError():
            assert_type((error.document_id, error.number, error.newest), tuple[object, int, int])
        case DocumentDidNotExistError():
            assert_type(error.number, int)
        case RevisionConflictError():
            assert_type(error.attempts, int)
        case IncompleteRevisionError():
            assert_type((error.number, error.found, error.size), tuple[int, int, int])
        case IndexesMissingError():
            assert_type(error.database, str)
        case PatchError():
            assert_type(error.path, tuple[str | int, ...])
            assert_type((error.expected, error.found), tuple[object, object])
        case StateMismatchError():
            assert_type(error.keys, list[str])


def tell(warning: HistoryWarning) -> UserWarning:
    return warning


def answer_others(error: HistoryError) -> None:
    match error:
        case RevisionPrunedError():
            assert_type(error.oldest, int)
        case ChangesetConflictError():
            assert_type(error.errors, list[UndoConflictError])
        case ChangesetPartlyRevertedError():
            assert_type(error.written, list[tuple[str, object]])
        case ChangesetRefusedError():
            assert_type(error.refused, list[tuple[str, object, str]])
        case StaleDocumentError():
            assert_type((error.document_id, error.path), tuple[object, tuple[str | int, ...]])
            assert_type((error.seen, error.found), tuple[object, object])
        case WriteConflictError():
            assert_type(error.attempts, int)
        case WriteRefusedError():
            assert_type((error.document_type, error.method), tuple[str, str])


def answer_of_malformed(error: MalformedRecordError) -> None:
    assert_type((error.number, error.record, error.problem), tuple[object, object, str])
