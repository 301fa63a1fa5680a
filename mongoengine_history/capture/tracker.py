"""What is known of one document: its blocks, its newest revision, what is to be recorded of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mongoengine_history.capture.changeset import context_of
from mongoengine_history.documents.exact_write import ExactWrite
from mongoengine_history.documents.options import is_tracked
from mongoengine_history.documents.snapshot import findable, put
from mongoengine_history.errors import HistoryNotRecordedError
from mongoengine_history.record.append import append
from mongoengine_history.record.doubt import leave_open
from mongoengine_history.record.head import NO_HEAD, Head
from mongoengine_history.record.origin import coming_from, origin_now
from mongoengine_history.record.revisions import Revisions
from mongoengine_history.state.revision import DELETE
from mongoengine_history.state.values import ABSENT, State, same

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from mongoengine import Document

    from mongoengine_history.capture.stale import Guard
    from mongoengine_history.record.change import Change
    from mongoengine_history.record.layout import Base
    from mongoengine_history.record.place import Place
    from mongoengine_history.state.context import Context

TRACKER_ATTRIBUTE: Final = "mongoengine_history:tracker"
"""Where a document has its tracker: no attribute of the application can have that name."""


class Known(NamedTuple):
    """What is known of the history of one document."""

    revisions: Revisions
    head: Head = NO_HEAD
    #: About how many bytes the document has; 0 if that is not known.
    size: int = 0

    def beginning(self, state: State) -> Known:
        """Before the first revision the history has the state that a write finds."""
        return self if self.head.number else self._replace(head=replace(self.head, state=state))


class Tracker:
    """
    Stands between the writes of one document and its history.

    It lives on the document and is not copied or pickled with it.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        self._blocks: list[tuple[int, Context, Guard | None]] = []
        self._known: Known | None = None
        #: Changes that were captured and wait for `track_changes`.
        self._pending: list[tuple[Known, Change, Base | None]] = []
        #: Whether the save under way is captured, whether its record is asked for, or was before.
        self.is_recording = self.is_asked = self._was_asked = False
        #: Whether a deletion was begun of which nobody has told `track_changes` yet.
        self.is_going = False
        #: What the next save stores exactly: after a revert, an undo or a restore.
        self.exact: ExactWrite | None = None
        #: The ``signal_kwargs`` of the save under way.
        self.said: Mapping[str, Any] = {}

    @classmethod
    def of(cls, document: Document) -> Tracker:
        """Return the tracker of *document*, a new one the first time."""
        tracker = cls.on(document)
        if tracker is None:
            tracker = document.__dict__[TRACKER_ATTRIBUTE] = cls(document)
        return tracker

    @staticmethod
    def on(document: Document) -> Tracker | None:
        """Return the tracker of *document*, None if it never was watched."""
        tracker: Tracker | None = document.__dict__.get(TRACKER_ATTRIBUTE)
        return tracker

    @property
    def blocks(self) -> list[tuple[int, Context]]:
        """The open blocks: what each of them says, and when it was opened."""
        return [(order, context) for order, context, _ in self._blocks]

    @property
    def guard(self) -> Guard | None:
        """What its writer has seen, where a stale copy is refused."""
        return next((guard for *_, guard in self._blocks if guard), None)

    def enter(self, order: int, context: Context, guard: Guard | None) -> None:
        """Open a block, of which the *order* is the name."""
        self._blocks.append((order, context, guard))

    def leave(self, order: int) -> None:
        """Close a block. After the last one nothing is recorded any more."""
        self._blocks = [block for block in self._blocks if block[0] != order]
        self.record_if_asked()  # a write whose save failed later, in a cascade
        if not self._blocks:  # else somebody may ask for it in one that is around
            self._pending.clear()

    def begin(self, *, recording: bool, asked: bool, said: Mapping[str, Any]) -> None:
        """
        Prepare for a write that comes next, whose record somebody may ask for or has asked for.

        *said* are the ``signal_kwargs``; ``identity`` and ``reason`` win over blocks.
        """
        self._pending = self._pending if self._was_asked else []  # of a save nobody asked for
        self.is_recording, self.is_asked = recording, asked or self.is_asked
        self.said = said

    def record_if_asked(self) -> None:
        """Record the save that is through, if `track_changes` was called before or is connected."""
        if self.is_asked:
            self.record()

    def take(self, known: Known, change: Change, base: Base | None) -> None:
        """Record a change: at once, or when `track_changes` is called if that is what is asked."""
        self._was_asked = self.is_asked
        # No save comes after a deletion whose other receivers raise an error.
        is_last = change.operation == DELETE and self.is_asked
        if is_last or is_tracked(type(self.document)):
            self._append(known, change, base)
        else:
            self._pending.append((known, change, base))

    def record(self) -> None:
        """
        Append the revisions of all changes taken since the last call.

        Raises:
            HistoryNotRecordedError: a revision could not be stored.
            pymongo.errors.PyMongoError: the same inside a transaction, which undoes the write, too.
        """
        try:
            while self._pending:
                known, change, base = self._pending.pop(0)
                try:
                    self._append(self.known(known.revisions) or known, change, base)
                except BaseException as error:
                    leave_open(known.revisions, change.operation, change.context, error)
                    raise
        finally:
            self.is_asked = False

    def _append(self, known: Known, change: Change, base: Base | None) -> None:
        try:
            head = append(known.revisions, change, known.head, base)
        except HistoryNotRecordedError:  # but it is stored, and so it has to look
            if change.operation != DELETE:
                self.document._clear_changed_fields()
                self.document._created = False
            raise
        is_sure = not known.revisions.place.in_transaction  # where it may be undone
        self._known = known._replace(head=head) if is_sure else None

    def known(self, revisions: Revisions) -> Known | None:
        """Return what the last save has learned of this history, if that still holds."""
        known, place = self._known, revisions.place
        if known is None or not known.head.number or place.in_transaction:
            return None
        is_same = known.revisions.address == revisions.address
        return known if is_same and known.revisions.place.options == place.options else None

    def is_at(self, revisions: Revisions) -> bool:
        """Say whether these are the revisions of the document itself."""
        return Revisions.of(self.document).address == revisions.address

    def reloaded(self) -> None:
        """Forget what was to be stored exactly: the document was loaded anew."""
        self.exact = None
        if self.guard:
            self.guard.renew()

    def written(self) -> None:
        """Take in that a save has written what it should."""
        if self.exact:
            self.exact.done(self.document)
            self.exact = None

    def put_back(self, known: Known, stored: State | None, wanted: State, operation: str) -> None:
        """
        Put *wanted* into the document; its next save stores it exactly, as an *operation*.

        What is *stored* now is None if the document is not there.
        """
        document, old = self.document, stored or {}
        wanted = findable(document, wanted)
        put(document, wanted)
        changed = {
            key: wanted.get(key, ABSENT)
            for key in {**old, **wanted}
            if not same(old.get(key, ABSENT), wanted.get(key, ABSENT))
        }
        is_needed = changed or stored is None
        self._known = known._replace(head=replace(known.head, is_remembered=True))
        self.exact = ExactWrite(document, changed, operation) if is_needed else None
        document._changed_fields = list(changed)
        document._created = stored is None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the writes come from that a collection is asked for now."""

    tracker: Tracker
    #: The ``signal_kwargs``.
    said: Mapping[str, Any]
    #: Whether it is MongoEngine's ``save()``, which writes to nothing but that document.
    is_save: bool

    def owns(self, revisions: Revisions) -> bool:
        """Say whether it is that document itself that is written."""
        return self.is_save or (revisions.key is not None and self.tracker.is_at(revisions))


def current_origin() -> Origin | None:
    """Return the origin of what is written now; None where no document's method is under way."""
    origin: Origin | None = origin_now()
    return origin


def context_at(place: Place, origin: Origin | None) -> Context:
    """
    Return who answers for what is written now, and why.

    Raises:
        OptionsError: something that was said cannot be stored.
    """
    blocks, said = (origin.tracker.blocks, origin.said) if origin else ((), {})
    return context_of(place.options, place.codec, blocks, said)


def originating(
    tracker: Tracker, said: Mapping[str, Any], *, is_save: bool
) -> AbstractContextManager[None]:
    """Let all that is written inside the block come from one document."""
    return coming_from(Origin(tracker, said, is_save))
