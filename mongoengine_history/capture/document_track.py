"""Signals become revisions: ``DocumentTrack`` watches a document, ``track_changes`` records it."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from warnings import warn
from weakref import WeakSet

from mongoengine import Document, signals

from mongoengine_history.capture.blocks import is_untracked, next_order, said_now
from mongoengine_history.capture.changeset import refuse_misspelt
from mongoengine_history.capture.covers import (
    begin_writing,
    cover,
    end_writing,
    is_covered,
    uncover,
)
from mongoengine_history.capture.stale import Guard
from mongoengine_history.capture.tracker import (
    Known,
    Origin,
    Tracker,
    context_at,
    current_origin,
)
from mongoengine_history.documents.fieldpaths import hiding_of
from mongoengine_history.documents.options import check_flag, is_tracked
from mongoengine_history.documents.snapshot import (
    check_document,
    codec_of,
    decoded,
    has_key,
    snapshot,
)
from mongoengine_history.documents.stand_in import is_stand_in, is_warned_of
from mongoengine_history.errors import HistoryError, HistoryWarning, OptionsError
from mongoengine_history.record.change import Change, patched
from mongoengine_history.record.doubt import settle
from mongoengine_history.record.drift import record_drift
from mongoengine_history.record.place import Place
from mongoengine_history.record.revisions import Revisions
from mongoengine_history.record.sealed import is_decrypting
from mongoengine_history.record.states import state_at
from mongoengine_history.state.context import checked
from mongoengine_history.state.revision import DELETE, UPDATE

if TYPE_CHECKING:
    from typing_extensions import Self

    from mongoengine_history.state.values import State

_warned: Final[WeakSet[type[Document]]] = WeakSet()
"""The classes whose blocks were warned of."""


class DocumentTrack:
    """
    Watches one document from now to the end of the ``with`` block.

    Each save inside that changes the stored document becomes one revision, if its class is tracked,
    or `track_changes` connected for it. The state before is what the save has overwritten on the
    server. Blocks nest: the innermost identity counts, an outer one where the inner names nobody,
    and metadata is merged. Used without ``with`` it watches as long as the document lives.

    Args:
        document: The document, stored or new.
        identity: Who answers for the changes: a saved document, of which the primary key is kept,
            any BSON value, or something to call at each write that returns one of these.
        reason: Why, in words.
        refuse_stale: Whether a save is refused that would overwrite what somebody else has changed
            since this object was made; a list counts as one value. What the document has in memory
            now is taken for what was seen, so edit it afterwards.
        **metadata: Anything else to keep with each revision; BSON values.

    Raises:
        OptionsError: an argument cannot be stored, or an option of the class cannot be used.
            Nothing was read or written.
        StaleDocumentError: raised by ``save()``, with *refuse_stale*. Nothing was written.
    """

    def __init__(
        self,
        document: Document,
        identity: object = None,
        *,
        reason: str | None = None,
        refuse_stale: bool = False,
        **metadata: Any,
    ) -> None:
        check_document(document)
        check_flag("refuse_stale", refuse_stale)
        if "atomic" in metadata:
            problem = "that is said of all in a block: changeset(…, atomic=True)"
            raise OptionsError("atomic", metadata["atomic"], problem)
        hiding_of(document)  # which checks the options of its class
        self._document, self._refuse_stale = document, refuse_stale
        said = {"identity": identity, "reason": reason, "refuse_stale": refuse_stale or None}
        refuse_misspelt(metadata, **said, atomic=None)
        self._context = checked(identity, reason, metadata, codec_of(document))
        self._orders: list[int] = []  # of its blocks that are open
        self._is_used = False
        listen(type(document))
        is_heard = track_changes in _hearing(type(document))
        if is_heard and not is_stand_in(document._get_collection()):
            Place(document).ensure_indexes()
        self._enter()

    def _enter(self) -> None:
        tracker = Tracker.of(self._document)
        guard = (tracker.guard or Guard(self._document)) if self._refuse_stale else None
        self._orders.append(next_order())
        tracker.enter(self._orders[-1], self._context, guard)
        cover(self._document)

    def __enter__(self) -> Self:
        if self._is_used:  # again, or inside itself
            self._enter()
        self._is_used = True
        return self

    def __exit__(self, *error: object) -> None:
        self._is_used = True
        try:
            Tracker.of(self._document).leave(self._orders.pop())
        finally:
            uncover(self._document)


def track_changes(sender: type[Document], document: Document, **kwargs: Any) -> None:
    """
    Record the changes of watched documents; connect it to signals of MongoEngine.

    ``signals.post_save.connect(track_changes, sender=Invoice)`` records saves; connected to
    ``pre_save`` alone it records the same, what was written. Connected to ``post_delete`` as well
    it records deletions of watched documents; MongoEngine then deletes one by one in
    ``QuerySet.delete()``. A document that no `DocumentTrack` watches is left alone, unless it was
    reverted. A handler of your own may call it with what it was called with.

    Called by hand inside of a block, where no signal brought it, it records what the stored
    document has that its history does not, such as an update by a query, with what the block says.

    Args:
        sender: The class; a signal is sent for exactly that class, not for its subclasses.
        document: The document that is saved or deleted.
        **kwargs: What MongoEngine and ``save(signal_kwargs=…)`` give; ``identity`` and ``reason``
            win over those of the blocks, for this one save.

    Raises:
        OptionsError: *document* is none.
        HistoryNotRecordedError: the document was written, but its records could not be.
    """
    check_document(document)
    if _is_by_hand(sender, document, kwargs):
        _record_by_hand(document, kwargs)
        return
    if is_tracked(sender):
        return
    tracker = Tracker.on(document)
    if tracker and "created" in kwargs:
        tracker.record()
        return
    heard_deletions = _is_receiver(signals.post_delete, sender, _after_delete)
    listen(sender)
    if tracker is None or not is_covered(document):
        return
    if heard_deletions or not _is_receiver(signals.post_delete, sender, track_changes):
        tracker.is_asked = True
    elif not _is_receiver(signals.pre_save, sender, track_changes):
        _record_gone(tracker, kwargs)


def _is_by_hand(sender: type[Document], document: Document, said: dict[str, Any]) -> bool:
    """Say whether nobody hears a signal by which it may have been called: it is no save's."""
    tracker = Tracker.on(document)
    is_of_deletion = tracker is not None and tracker.is_going
    if tracker and "created" not in said:
        tracker.is_going = False
    if "created" in said or is_of_deletion or current_origin() is not None:
        return False
    own: list[Any] = [_before_delete, _after_delete]
    if is_covered(document) and _is_receiver(signals.post_delete, sender, _after_delete):
        own.append(track_changes)  # a deletion would be under way
    heard = [*signals.pre_save.receivers_for(sender), *signals.post_delete.receivers_for(sender)]
    return all(it in own for it in heard)


def _record_by_hand(document: Document, said: dict[str, Any]) -> None:
    """Record what was written past the history inside of a block, with what that says."""
    tracker = Tracker.of(document)
    is_in_block = bool(tracker.blocks or said_now())
    if not is_in_block or not has_key(document) or is_untracked():
        return
    if is_warned_of(document._get_collection()):
        return
    revisions = Revisions.of(document)
    settle(revisions)
    context = context_at(revisions.place, Origin(tracker, said, is_save=False))
    if not record_drift(revisions, context, UPDATE) and not revisions.head().number:
        what = f"{type(document).__name__} {document.pk!r} has no history yet"
        remedy = "Nobody knows what it was before; backfill() keeps that of a whole class."
        warn(f"{what}, so nothing was recorded. {remedy}", HistoryWarning, stacklevel=3)


def _record_gone(tracker: Tracker, said: dict[str, Any]) -> None:
    """Record the first deletion since somebody asked for any: only memory knows what it took."""
    document = tracker.document
    if is_warned_of(document._get_collection()):
        return
    revisions = Revisions.of(document)
    tracker.begin(recording=True, asked=True, said=said)
    context = context_at(revisions.place, Origin(tracker, said, is_save=False))
    known = Known(revisions, revisions.head())
    change = Change(DELETE, context, _last(document, known), {}, [], time.time_ns() // 1000)
    tracker.take(known, patched(change, revisions.place.hiding), None)
    tracker.record()


def _last(document: Document, known: Known) -> State:
    """Return what a deletion took: as memory has it, if that is not decrypted."""
    if not is_decrypting(document._get_collection().database.client):
        return decoded(snapshot(document))
    with suppress(HistoryError):  # of which some is missing
        return state_at(known.revisions, known.head.number) or {}
    return {}


def listen(sender: type[Document]) -> None:
    """
    Hear what `track_changes` cannot tell apart: signals do not say which of them was sent.

    Deletions are heard only where `track_changes` is connected to them: any receiver makes
    MongoEngine delete one by one.
    """
    if not _is_receiver(signals.pre_save_post_validation, sender, _before_save):
        signals.pre_save_post_validation.connect(_before_save, sender=sender)
        signals.post_save.connect(_after_save, sender=sender)
    if _is_receiver(signals.post_delete, sender, track_changes):
        signals.pre_delete.connect(_before_delete, sender=sender)
        signals.post_delete.connect(_after_delete, sender=sender)


def _is_receiver(signal: Any, sender: type[Document], receiver: object) -> bool:
    return bool(signal.receivers) and receiver in signal.receivers_for(sender)


def _is_on(sender: type[Document]) -> bool:
    """Say whether writes are recorded here: not where nothing is, nor where everything is."""
    return not (is_untracked() or is_tracked(sender))


def _hearing(sender: type[Document]) -> list[Any]:
    """Return who hears saves, and may call `track_changes` or is that."""
    heard = [*signals.post_save.receivers_for(sender), *signals.pre_save.receivers_for(sender)]
    return [receiver for receiver in heard if receiver is not _after_save]


def _before_save(sender: type[Document], document: Document, **said: Any) -> None:
    if is_covered(document):
        hearing = _hearing(sender) if _is_on(sender) else []
        asked = track_changes in hearing
        if _is_on(sender) and not hearing:
            _warn_unrecorded(sender, Tracker.of(document))
        Tracker.of(document).begin(recording=bool(hearing), asked=asked, said=said)
        Tracker.of(document).is_going = False  # a deletion before has failed


def _warn_unrecorded(sender: type[Document], tracker: Tracker) -> None:
    """Warn, once for a class, that what its blocks say is recorded by nobody."""
    hears_deletions = _is_receiver(signals.post_delete, sender, track_changes)
    if sender in _warned or not tracker.blocks or tracker.guard or hears_deletions:
        return
    _warned.add(sender)
    warn(
        f"{sender.__name__} is saved in a DocumentTrack, but nobody records it. Decorate the class "
        "with @track_history, or signals.post_save.connect(track_changes, sender="
        f"{sender.__name__}).",
        HistoryWarning,
        stacklevel=5,
    )


def _after_save(_: type[Document], document: Document, **__: Any) -> None:
    tracker = Tracker.on(document)
    if tracker:
        tracker.record_if_asked()


def _before_delete(sender: type[Document], document: Document, **said: Any) -> None:
    if is_covered(document):
        recording = _is_on(sender) and _is_receiver(signals.post_delete, sender, track_changes)
        Tracker.of(document).begin(recording=recording, asked=recording, said=said)
        Tracker.of(document).is_going = recording
        if recording:
            begin_writing(document, is_save=False)


def _after_delete(_: type[Document], document: Document, **__: Any) -> None:
    if is_covered(document):
        end_writing(document)
        Tracker.of(document).record_if_asked()
