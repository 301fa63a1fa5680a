"""What is known of one watched document: its last state, the open blocks, the writes to record."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from mongoengine_history.changesets import context_of
from mongoengine_history.documents.fieldpaths import hiding_of
from mongoengine_history.documents.options import options_of
from mongoengine_history.documents.snapshot import codec_of, decoded, put, shown, snapshot
from mongoengine_history.record.append import Change, append, patched
from mongoengine_history.record.head import Head
from mongoengine_history.record.place import Place
from mongoengine_history.record.revisions import Revisions
from mongoengine_history.state.revision import CREATE, DELETE, UPDATE, Context
from mongoengine_history.state.values import ABSENT, State, same, same_unordered, wire
from mongoengine_history.writes import (
    ExactWrite,
    UnknownOperatorError,
    Watch,
    Write,
    dicts_in,
    root,
    seems_idle,
    updated,
    with_overwritten,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mongoengine import Document

    from mongoengine_history.state.values import Path

ATTRIBUTE = "_history_tracker"


class Tracker:
    """
    Turns the writes of one document into revisions.

    It lives on the document and is not copied or pickled with it. Between blocks it sleeps: then
    it covers nothing and keeps only what it knows of the newest revision and the stored document.
    """

    def __init__(self, document: Document) -> None:
        self._document = document
        self._blocks: list[tuple[object, int, Context]] = []
        self._watch: Watch | None = None
        #: The document as its writer knows it: bytes as taken, later the state after a write.
        self._before: bytes | State = b""
        #: The history that `_head` is the head of; another one after ``switch_collection``.
        self._store: Revisions | None = None
        self._head = Head()
        #: What was stored before the write under way; None if there was no document.
        self._stored: State | None = None
        #: The newest state read from the server or sent to it, as it is stored there …
        self._seen: State = {}
        #: … and whether it was read for the write under way.
        self._is_fresh = False
        #: Whether a write shall be taken in, whether its record is asked for, and was for the last.
        self._recording = self._is_asked = self._was_asked = False
        self._context = Context()
        self._pending: list[Change] = []
        self._exact: ExactWrite | None = None
        #: The ``signal_kwargs`` of the save under way.
        self.said: Mapping[str, Any] = {}
        #: Fields that memory had otherwise than the server, before the write under way.
        self._stale: frozenset[str] = frozenset()

    @classmethod
    def of(cls, document: Document) -> Tracker:
        """Return the tracker of *document*, a new one the first time."""
        tracker = cls.known(document)
        if tracker is None:
            tracker = document.__dict__[ATTRIBUTE] = cls(document)
        return tracker

    @staticmethod
    def known(document: Document) -> Tracker | None:
        """Return the tracker of *document*, None if it never was watched."""
        tracker: Tracker | None = document.__dict__.get(ATTRIBUTE)
        return tracker

    def enter(self, block: object, order: int, context: Context, *, watched: bool) -> None:
        """
        Open a block. The first one takes the snapshot, inner ones inherit it.

        Where all writes to the class are recorded anyway, it is not *watched*.
        """
        if watched and not self._watch:
            self._wake(snapshot(self._document))
        self._blocks.append((block, order, context))

    @property
    def blocks(self) -> list[tuple[int, Context]]:
        """The open blocks: what each of them says, and when it was opened."""
        return [(order, context) for _, order, context in self._blocks]

    def has(self, block: object) -> bool:
        """Say whether *block* is open."""
        return any(other is block for other, *_ in self._blocks)

    @property
    def is_awake(self) -> bool:
        """Say whether a block is open or a revert is to be saved."""
        return self._watch is not None

    @property
    def operation(self) -> str | None:
        """As what the write under way is recorded, if it is more than a save."""
        return self._exact.operation if self._exact else None

    def ask(self) -> None:
        """Ask for the record of the save under way: `track_changes` was called for it."""
        self._is_asked = True

    def record_if_asked(self) -> None:
        """Record the save that is through, if `track_changes` was called before or is connected."""
        if self._is_asked:
            self.record()

    def leave(self, block: object) -> None:
        """Close a block. After the last one nothing is recorded any more."""
        self._blocks = [other for other in self._blocks if other[0] is not block]
        self.record_if_asked()  # a write whose save failed later, in a cascade
        self._pending.clear()
        self._sleep()

    def _wake(self, before: bytes | State) -> None:
        self._before = before
        self._watch = self._watch or Watch(self._document, self)

    def _sleep(self) -> None:
        if self._blocks or self._exact or not self._watch:
            return
        self._watch.end()
        self._watch, self._before, self._stored = None, b"", None

    def begin(self, *, recording: bool, asked: bool, said: Mapping[str, Any]) -> None:
        """
        Prepare for a write that comes next.

        Args:
            recording: Whether somebody may ask for its record.
            asked: Whether somebody has: `track_changes` is connected.
            said: The ``signal_kwargs`` of the save; ``identity`` and ``reason`` win over blocks.

        Raises:
            OptionsError: what was said cannot be stored.
        """
        self._pending = self._pending if self._was_asked else []  # of a save nobody asked for
        self._recording, self._is_asked = recording, asked or self._is_asked
        if recording:
            self._context = context_of(
                options_of(self._document), codec_of(self._document), self.blocks, said
            )

    def before_insert(self, inserted: Any, *, force: bool) -> tuple[Any, bool]:
        """Learn what the insert replaces; a primary key that is still to be made is new."""
        self._stored = None
        if self._exact:  # which brings back what is gone, and nothing else
            inserted, force = self._exact.insert(self._document, inserted), True
        if self._recording and "_id" not in inserted:
            self._store, self._head = None, Head(state={})
        elif self._recording:
            self._open(Revisions(Place(self._document), inserted["_id"]))
            self._stored = None if force else self._stored
        return inserted, force

    def before_update(self, update: dict[str, Any]) -> dict[str, Any]:
        """Put in what a revert wants back, and learn the newest revision unless it is known."""
        if self._exact:
            update = self._exact.update(self._document, update)
        self._is_fresh = False
        if update and self._recording and not self._pending:
            store, is_known = Revisions.of(self._document), False
            if self._store is not None and self._store.address == store.address:
                store, is_known = self._store, True  # which has the turn of this process, too
            # What a revert sends whole may have been written by others since it was prepared.
            is_sure = (
                is_known and self._head.number and not (store.place.in_transaction or self._exact)
            )
            if is_sure and not seems_idle(self._state_before(), self._wired(update)):
                self._stored = None
            else:
                self._open(store)
        return update

    def reloaded(self, *, whole: bool) -> None:
        """Forget what was known: the next write looks at the server first."""
        self._store, self._exact = None, None
        if whole:
            self._before = snapshot(self._document)
        self._sleep()

    def before_delete(self) -> None:
        """Learn what will be gone."""
        self._open(Revisions.of(self._document))

    def _open(self, store: Revisions) -> None:
        head, self._stored = store.opening()
        self._seen, self._is_fresh = self._stored or {}, True
        if not self._state_before():  # neither loaded nor saved by this object
            self._before = self._seen
        # Before the first revision the history has what is stored, which becomes its version 0.
        self._head = head if head.number else Head(state=self._stored or {})
        self._store = store

    def after(self, write: Write) -> None:
        """Take in a write that succeeded. It is recorded when the save is through."""
        operation = UPDATE
        if self._exact:
            self._exact.done(self._document)
            operation, self._exact = self._exact.operation, None
        if not self._recording:
            self.reloaded(whole=True)
            return
        wholes: frozenset[Path] = frozenset()
        self._stale = frozenset()
        if write.update is not None and not write.upserted:
            update = self._wired(write.update)
            wholes = dicts_in(update, self._state_before())
            if operation != UPDATE:
                self._before = _replaced(self._state_before(), self._seen_at(update))
            before, after = self._updated(update)
        else:
            before, after = self._stored or {}, self._state_made(write)
            self._seen = after
            operation = CREATE if operation == UPDATE and self._stored is None else operation
        self._take(operation, before, after, wholes)

    def after_delete(self, *, looked: bool) -> None:
        """
        Take in that the document is gone.

        Args:
            looked: Whether `before_delete` was called in time; if it found nothing, nothing went.
        """
        if self._stored is None and not looked:
            self._stored = self._state_before()
        if self._recording and self._stored is not None:
            self._seen = {}
            self._take(DELETE, self._stored, {})

    def _take(
        self, operation: str, before: State, after: State, wholes: frozenset[Path] = frozenset()
    ) -> None:
        self._before = after
        stamp = time.time_ns() // 1000
        self._was_asked = self._is_asked
        self._pending.append(
            Change(operation, self._context, before, after, [], stamp, wholes, self._stale)
        )

    def _wired(self, update: dict[str, Any]) -> dict[str, Any]:
        return wire(update, codec_of(self._document))

    def _state_before(self) -> State:
        if isinstance(self._before, bytes):
            self._before = decoded(self._before)
        return self._before

    def _updated(self, update: dict[str, Any]) -> tuple[State, State]:
        stored = self._seen_at(update)
        state, seen = self._state_before(), self._seen
        differing = {
            key for key, value in stored.items() if not same(state.get(key, ABSENT), value)
        }
        self._stale = frozenset(differing)
        before = self._as_stored(state, differing, update) if differing else state
        try:
            after = updated(before, update)
            # What was alike before is alike afterwards, so most updates are worked out once.
            source = updated(seen, update) if differing else after
            if self._is_fresh:
                before = with_overwritten(before, update, seen)
        except (LookupError, UnknownOperatorError):  # only the server can tell
            after = source = Revisions.of(self._document).stored() or {}
            before = _replaced(before, stored)
        self._seen = _replaced(seen, {key: source.get(key, ABSENT) for key in stored})
        self._is_fresh = False
        return before, after

    def _seen_at(self, update: dict[str, Any]) -> dict[str, Any]:
        """Return the values stored before, as far as known, of the keys that an update writes."""
        written = dict.fromkeys(root(path) for paths in update.values() for path in paths)
        return {key: self._seen.get(key, ABSENT) for key in written}

    def _as_stored(self, state: State, keys: set[str], update: dict[str, Any]) -> State:
        """
        Give keys the values stored before, where memory shows no other.

        Memory orders keys by class, fills in defaults and keeps what is empty and not stored.
        """
        loaded = shown(self._document, self._seen)
        emptied = {
            key
            for key in update.get("$unset", {}).keys() - self._seen.keys()
            if self._is_fresh or state.get(key) in ([], {}, "", None)
        }
        stored = {
            key: self._seen.get(key, ABSENT)
            for key in keys
            if key in emptied or same_unordered(state.get(key), loaded.get(key))
        }
        return _replaced(state, stored)

    def _state_made(self, write: Write) -> State:
        if write.upserted:  # the server took more than was set: the shard key
            return Revisions.of(self._document).stored() or {}
        made = wire(write.inserted, codec_of(self._document))
        made.pop("_id")
        return made

    def record(self) -> None:
        """
        Append the revisions of all writes taken in since the last call.

        Raises:
            HistoryNotRecordedError: a revision could not be stored.
            pymongo.errors.PyMongoError: the same inside a transaction, which undoes the write, too.
        """
        try:
            while self._pending:
                change = self._pending.pop(0)
                change = patched(change, hiding_of(self._document))
                if change.patches:
                    self._append(self._store or Revisions.of(self._document), change)
        finally:
            self._is_asked = False
            self._sleep()

    def _append(self, store: Revisions, change: Change) -> None:
        self.learned(store, append(store, change, self._head, self._stored))

    def known_head(self, store: Revisions) -> tuple[Revisions, Head] | None:
        """Return the store kept since the last save and the newest revision, if they are known."""
        if self._store is None or not self._head.number or store.place.in_transaction:
            return None
        if self._store.address != store.address or self._store.place.options != store.place.options:
            return None
        return self._store, self._head

    def learned(self, store: Revisions, head: Head) -> None:
        """Keep what is the newest revision now; inside a transaction it may be undone."""
        self._store, self._head = None if store.place.in_transaction else store, head

    def put_back(
        self, store: Revisions, head: Head, stored: State | None, wanted: State, operation: str
    ) -> None:
        """
        Put *wanted* into the document; its next save stores it exactly.

        Args:
            store: The document's history.
            head: Its newest revision.
            stored: The document as it is stored now; None if it is not.
            wanted: The state to come back.
            operation: As what the save is recorded.
        """
        put(self._document, wanted)
        old = stored or {}
        changed = {
            key: wanted.get(key, ABSENT)
            for key in {**old, **wanted}
            if not same(old.get(key, ABSENT), wanted.get(key, ABSENT))
        }
        self._store, self._head, self._seen = store, head, old
        self._wake(old)
        is_needed = changed or stored is None
        self._exact = ExactWrite(self._document, changed, operation) if is_needed else None
        self._document._changed_fields = list(changed)
        self._document._created = stored is None
        self._sleep()


def _replaced(state: State, values: Mapping[str, Any]) -> State:
    return {key: value for key, value in {**state, **values}.items() if value is not ABSENT}
