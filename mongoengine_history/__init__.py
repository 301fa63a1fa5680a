"""The history of MongoEngine documents: who changed what, when and why, and the way back."""

from mongoengine_history.back.changeset_plan import ChangesetPlan, PlanStep
from mongoengine_history.back.preview import preview
from mongoengine_history.back.revert import restore, revert, undo
from mongoengine_history.back.revert_changeset import revert_changeset
from mongoengine_history.capture.changeset import (
    Changeset,
    changeset,
    set_identity_provider,
    untracked,
)
from mongoengine_history.capture.document_track import DocumentTrack, track_changes
from mongoengine_history.capture.track_history import track_history, untrack_history
from mongoengine_history.errors import (
    ChangesetConflictError,
    ChangesetPartlyRevertedError,
    ChangesetRefusedError,
    Conflict,
    DocumentDidNotExistError,
    DocumentExistsError,
    HistoryError,
    HistoryNotRecordedError,
    HistoryWarning,
    IncompleteRevisionError,
    IndexesMissingError,
    MalformedRecordError,
    OptionsError,
    PatchError,
    RevisionConflictError,
    RevisionNotFoundError,
    RevisionPrunedError,
    StaleDocumentError,
    StateMismatchError,
    StateNotKeptError,
    UndoConflictError,
    WriteConflictError,
    WriteRefusedError,
)
from mongoengine_history.read.as_of import Misfit, as_of
from mongoengine_history.read.changeset_of import changeset_of
from mongoengine_history.read.deleted import deleted
from mongoengine_history.read.history_of import Timeline, history_of
from mongoengine_history.read.load_history import load_history
from mongoengine_history.read.recent import recent
from mongoengine_history.read.recorded import Recorded
from mongoengine_history.read.selection import Selection
from mongoengine_history.record import late as _late  # noqa: F401  # by which errors record
from mongoengine_history.record.backfill import backfill
from mongoengine_history.record.history import BaseHistory, History, Version
from mongoengine_history.record.holdings import Holding
from mongoengine_history.record.signals import recording_failed, revision_recorded
from mongoengine_history.state.revision import Revision
from mongoengine_history.state.values import ABSENT
from mongoengine_history.trust.changed_since import changed_since
from mongoengine_history.trust.checkpoint import Checkpoint, checkpoint
from mongoengine_history.trust.finding import Finding
from mongoengine_history.trust.forgetting.anonymise import anonymise
from mongoengine_history.trust.forgetting.erase import erase
from mongoengine_history.trust.forgetting.receipt import Receipt
from mongoengine_history.trust.forgetting.redact import redact
from mongoengine_history.trust.hold import hold, release
from mongoengine_history.trust.proof import proof
from mongoengine_history.trust.prune import Pruning, prune
from mongoengine_history.trust.reconcile import Reconciled, Reconciliation, reconcile
from mongoengine_history.trust.record_event import record_event
from mongoengine_history.trust.spool import Flushed, flush_spool, spool
from mongoengine_history.trust.subscribe import Delivered, subscribe, unsubscribe
from mongoengine_history.trust.verify import Verification, verify
from mongoengine_history.trust.watch import Watcher, watch

__all__ = [
    "ABSENT",
    "BaseHistory",
    "Changeset",
    "ChangesetConflictError",
    "ChangesetPartlyRevertedError",
    "ChangesetPlan",
    "ChangesetRefusedError",
    "Checkpoint",
    "Conflict",
    "Delivered",
    "DocumentDidNotExistError",
    "DocumentExistsError",
    "DocumentTrack",
    "Finding",
    "Flushed",
    "History",
    "HistoryError",
    "HistoryNotRecordedError",
    "HistoryWarning",
    "Holding",
    "IncompleteRevisionError",
    "IndexesMissingError",
    "MalformedRecordError",
    "Misfit",
    "OptionsError",
    "PatchError",
    "PlanStep",
    "Pruning",
    "Receipt",
    "Reconciled",
    "Reconciliation",
    "Recorded",
    "Revision",
    "RevisionConflictError",
    "RevisionNotFoundError",
    "RevisionPrunedError",
    "Selection",
    "StaleDocumentError",
    "StateMismatchError",
    "StateNotKeptError",
    "Timeline",
    "UndoConflictError",
    "Verification",
    "Version",
    "Watcher",
    "WriteConflictError",
    "WriteRefusedError",
    "anonymise",
    "as_of",
    "backfill",
    "changed_since",
    "changeset",
    "changeset_of",
    "checkpoint",
    "deleted",
    "erase",
    "flush_spool",
    "history_of",
    "hold",
    "load_history",
    "preview",
    "proof",
    "prune",
    "recent",
    "reconcile",
    "record_event",
    "recording_failed",
    "redact",
    "release",
    "restore",
    "revert",
    "revert_changeset",
    "revision_recorded",
    "set_identity_provider",
    "spool",
    "subscribe",
    "track_changes",
    "track_history",
    "undo",
    "unsubscribe",
    "untrack_history",
    "untracked",
    "verify",
    "watch",
]
__version__ = "2.0.0rc1"
