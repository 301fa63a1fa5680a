"""One document is written: the server does it, and gives what it has overwritten."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import bson
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError, OperationFailure, PyMongoError, WriteConcernError

from mongoengine_history.capture.answers import answer, answer_of_deletion, document, modified
from mongoengine_history.capture.call import READING, Call
from mongoengine_history.capture.tracker import Known, context_at
from mongoengine_history.errors import HistoryError, StaleDocumentError
from mongoengine_history.record.append import append
from mongoengine_history.record.change import Change, patched
from mongoengine_history.record.doubt import is_doubtful, leave_open, remember, settle
from mongoengine_history.record.head import Head
from mongoengine_history.record.layout import Base
from mongoengine_history.record.not_recorded import not_recorded
from mongoengine_history.record.place import projection
from mongoengine_history.record.reaction import react
from mongoengine_history.record.revisions import Revisions
from mongoengine_history.record.states import replayed
from mongoengine_history.state.patches import growth
from mongoengine_history.state.revision import CREATE, DELETE, UPDATE
from mongoengine_history.state.updates import dicts_in, is_completed, only, roots_of
from mongoengine_history.state.values import ABSENT, WIRE, State, same, wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from bson import Timestamp
    from pymongo.collection import Collection

    from mongoengine_history.capture.stale import Guard
    from mongoengine_history.capture.tracker import Origin
    from mongoengine_history.record.place import Place
    from mongoengine_history.state.values import Path

FINDING_ATTEMPTS: Final = 30
"""How often to look for a document that others change, make or take away meanwhile."""

# Of a retryable find-and-modify the server keeps the whole document as it was.
LARGEST_IMAGE: Final = 400_000
"""Bytes of a document from which that costs more than a read (``python -m benchmarks images``)."""

NO_SHARD_KEY: Final = 61
"""The error of a find-and-modify in a sharded collection that does not name its shard key."""


class OneWrite:
    """
    Records what is done to one document, be it named by its key or found by a query.

    It is written by PyMongo's own collection, which waits until the server is done, and maybe by a
    method of its own. If it is not recorded, stale copies are refused all the same.

    Raises:
        OptionsError: who answers for it cannot be stored. Nothing was written.
    """

    def __init__(
        self, place: Place, collection: Collection[Any], origin: Origin | None, *, recording: bool
    ) -> None:
        self._place, self._collection, self._origin = place, collection, origin
        self._recording = recording
        if recording:
            place.ensure_indexes()
            self._context = context_at(place, origin)
        #: When the server wrote, where that was asked.
        self._moment: Timestamp | None = None
        #: Whether all of what was there is known, not only what was overwritten.
        self._has_all = False
        #: Whether a find-and-modify was an upsert, so that what it did not find is there now.
        self._has_upserted = False
        #: Whether the server has answered.
        self._is_done = False
        #: The server's own answer, where it was asked in the application's words.
        self._result: Any = None
        self._known = Known(Revisions(place, None))
        self._tracker = origin.tracker if origin and origin.is_save else None
        self._guard: Guard | None = self._tracker.guard if self._tracker else None

    @property
    def _revisions(self) -> Revisions:
        return self._known.revisions

    def insert(self, document: Mapping[str, Any], insert: Callable[[], Any]) -> Any:
        """Insert a document and record that it is there now."""
        if "_id" in document:
            self._open(document["_id"])
        with self._doubting(CREATE, lambda: self._inserted(document), document):
            try:
                result = insert()
            except DuplicateKeyError as error:
                is_there = (error.details or {}).get("keyPattern") == {"_id": 1}
                if self._guard and is_there and not self._place.in_transaction:
                    found = self._revisions.recordable() or {}
                    raise StaleDocumentError(document["_id"], (), ABSENT, found) from error
                raise
            except BaseException:
                self._found(document.get("_id"), is_new=True)
                raise
            self._inserted(document)
        return result

    def _inserted(self, document: Mapping[str, Any]) -> bool:
        sent = bson.encode(document, codec_options=self._place.codec)
        made = bson.decode(sent, WIRE)
        self._found(made.pop("_id"), is_new=True)
        self._known = self._known._replace(size=len(sent))
        self._take(CREATE, {}, self._revisions.stored() or {} if is_completed(made) else made)
        if self._guard:
            self._guard.seen = made
        return True

    @contextmanager
    def _doubting(
        self, operation: str, record: Callable[[], bool], made: Mapping[str, Any] | None = None
    ) -> Iterator[None]:
        """Record what is done, only not everywhere; remember what else an error leaves open."""
        try:
            yield
        except BaseException as error:
            if self._recording and is_doubtful(error) and not _is_recorded(error, record):
                sent = None if made is None else wire(made, self._place.codec)
                leave_open(self._revisions, operation, self._context, error, sent)
            raise

    def write(self, call: Call) -> Any:
        """Update or replace the document, and record what that did."""
        call = call.wired(self._place.codec)
        if call["replacement"] is not None and self._guard:
            return None  # a new document must not be there yet, as the insert will find
        if call["replacement"] is None:  # else nothing has to be known before
            self._open(call.key)
        with self._doubting(UPDATE, lambda: self._unmet(call, UPDATE)):
            return self._update(call)

    def _update(self, call: Call) -> Any:
        made = None
        for _ in range(FINDING_ATTEMPTS):
            before = self._overwritten(call)
            if before is not None:
                try:
                    after = self._after(before, call)
                except PyMongoError as error:
                    return self._answer(call, before, self._unread(UPDATE, before, call, error), 1)
                complete = dicts_in(call["update"], before)
                self._take(UPDATE, before, after, complete)
                count = modified(call, self._revisions.key, before, after)
                return self._answer(call, before, after, count)
            is_over = self._guard or not call["upsert"]
            made = None if is_over else self._made(call)
            if is_over or made is not None:
                break
        return self._answer(call, None, made)

    def delete(self, call: Call) -> Any:
        """Delete the document, and record that it is gone."""
        call = call.wired(self._place.codec)
        self._open(call.key)
        with self._doubting(DELETE, lambda: self._unmet(call, DELETE)):
            before = self._written(call, None)
            if before is not None:
                self._take(DELETE, before, {})
        if self._result is not None:
            return self._result
        return answer_of_deletion(call, self._revisions, before)

    def _open(self, key: Any, before: State | None = None) -> None:
        """Learn the newest revision; *before* a write that is done already the state was that."""
        revisions, origin = Revisions(self._place, key), self._origin
        self._tracker = origin.tracker if origin and origin.owns(revisions) else None
        is_settled = self._recording and settle(revisions, before)
        known = self._tracker.known(revisions) if self._tracker and not is_settled else None
        is_to_learn = self._recording and key is not None
        self._known = known or Known(revisions, *(self._looked(revisions) if is_to_learn else ()))

    def _looked(self, revisions: Revisions) -> tuple[Head, int]:
        """Read the newest revision; where a write is done or goes on without, it is read later."""
        try:
            return revisions.looked()
        except PyMongoError:
            is_first = not self._is_done and self._place.options.on_error == "raise"
            if is_first or self._place.in_transaction:
                raise
            return Head(is_contended=True), 0

    def _found(self, key: Any, before: State | None = None, *, is_new: bool = False) -> None:
        """Take the key of the document that was written; it may be equal, and not the same."""
        if same(key, self._revisions.key):
            return
        if is_new and self._revisions.key is None:
            self._known = Known(Revisions(self._place, key))
        else:
            self._open(key, before)

    def _overwritten(self, call: Call) -> State | None:
        """Update; return what was there, of some names if no more is needed, None if nothing."""
        number, is_asked = self._known.head.number, call.name.startswith("find_one_and")
        is_due = self._recording and (not number or self._place.options.is_due(number + 1))
        names = None if is_asked or is_due else roots_of(call["update"])
        if self._guard is None:
            return self._written(call, names)
        return self._guard.write(call, lambda it: self._written(it, names), self._revisions.stored)

    def _written(self, call: Call, names: set[str] | None) -> State | None:
        """Write; return what was there, of some *names* if not all, None if nothing was found."""
        self._has_all = names is None
        if call["projection"] is None and not self._is_large:
            try:
                return self._image(call, names)
            except OperationFailure as error:
                if error.code != NO_SHARD_KEY:
                    raise
        return self._read_and_written(call, names)

    @property
    def _is_large(self) -> bool:
        is_kept = self._place.client.options.retry_writes and self._known.head.number
        return bool(is_kept) and self._known.size > LARGEST_IMAGE

    def _image(self, call: Call, names: set[str] | None) -> State | None:
        """Write by a find-and-modify, which gives what was there."""
        options: dict[str, Any] = {}
        if call.image_method != "find_one_and_delete":
            self._has_upserted = bool(call["upsert"]) and self._revisions.key is not None
            options = {"upsert": self._has_upserted, "projection": projection(names)}
        collection = self._collection.with_options(codec_options=self._place.wire)
        with call.errors(), self._dated() as session:
            state: State | None = call.image_on(collection, session=session, **options)
        self._is_done = True
        if state is not None:
            self._found(state.pop("_id"), state)
        return state

    def _unmet(self, call: Call, operation: str) -> bool:
        """Record what was done, though too few servers have it; say whether that can be told."""
        key = call.key if self._revisions.key is None else self._revisions.key
        if key is None:
            return False
        revisions = Revisions(self._place, key)
        self._known = Known(revisions, *revisions.looked())  # others may have written meanwhile
        number = self._known.head.number
        before = replayed(revisions, number) if number else None
        if before is None:
            return False
        after = call.outcome_in(before, revisions.stored(), self._place.hiding.hidden)
        if after is not None:
            names, complete = roots_of(call["update"]), dicts_in(call["update"], before)
            self._take(operation, only(before, names), only(after, names), complete)
        return after is not None

    def _read_and_written(self, call: Call, names: set[str] | None) -> State | None:
        """Read, and write to that document as was asked; others may change it between."""
        nothing = call.limited_to({"$in": []})
        read = self._place.documents.find_one
        options = call.given(("filter", *READING, "session"))
        for _ in range(FINDING_ATTEMPTS):
            try:
                before: State | None = read(**options, projection=projection(names))
            except OperationFailure:
                if self._place.in_transaction:  # which is over by that
                    with call.errors():
                        raise
                nothing.on(self._collection)
                raise
            if before is None:
                break
            self._found(before.pop("_id"))
            self._result = call.limited_to({"$eq": self._revisions.key}).on(self._collection)
            self._is_done = True
            counts = [getattr(self._result, it, None) for it in ("matched_count", "deleted_count")]
            if self._result is not None and 0 not in counts:
                return before
        self._result = nothing.on(self._collection)  # the server still says what is wrong with it
        if call["upsert"]:
            self._result = None
        return None

    @contextmanager
    def _dated(self) -> Iterator[Any]:
        """Give a session to write in, which before the first revision tells when that was."""
        if not self._recording or self._known.head.number:
            yield self._place.session
            return
        with self._place.dated() as session:
            yield session
            self._moment = session.operation_time

    def _after(self, before: State, call: Call) -> State:
        """Work out what was made of *before*; where only the server can tell, read it."""
        after: State | None = call.outcome(before)
        if after is not None:
            return after
        names, is_asked_for = roots_of(call["update"]), call["return_document"]
        stored = self._revisions.stored(None if is_asked_for else names) or {}
        if is_asked_for and self._result is None:
            self._result = document(self._revisions, stored)
        if names is None:
            return stored
        both = {**before, **only(stored, names)}
        return {key: both[key] for key in both if key in stored or key not in names}

    def _made(self, call: Call) -> State | None:
        """Record the document that an upsert makes; None if another writer was faster."""
        if not self._has_upserted:
            key = self._upserted(call)
            if key is ABSENT:
                return None
            self._open(key)
        try:
            made = self._revisions.stored() or {}  # the server took more than was set: a shard key
        except PyMongoError as error:
            return self._unread(CREATE, {}, call, error)
        self._take(CREATE, {}, made)
        return made

    def _unread(self, operation: str, state: State, call: Call, error: PyMongoError) -> State:
        """Tell that it cannot be read what a write has made; return what stands for it."""
        if not self._recording or self._place.in_transaction:
            raise error
        remember(self._revisions, operation, self._context)
        unread = not_recorded(self._place, [self._revisions.key], [], error)
        is_asked = call["return_document"]  # for the one after the write
        react(unread, self._place, unread if is_asked else None)
        if is_asked:
            raise unread
        return state

    def _upserted(self, call: Call) -> Any:
        """Make a document by an upsert that matches nothing; return its key, or `ABSENT`."""
        creating, is_asked = call.limited_to({"$in": []}), call.name.startswith("find_one_and")
        if is_asked:
            creating = creating.having(projection={"_id": 1}, return_document=ReturnDocument.AFTER)
        collection = self._collection.with_options(codec_options=self._place.wire)
        try:
            made = creating.having(upsert=True).on(collection)
        except DuplicateKeyError:
            if self._place.in_transaction:  # which is over by that
                raise
            options = {"session": call["session"]}
            if self._place.documents.find_one(call["filter"], {"_id": 1}, **options):
                return ABSENT
            raise
        return made["_id"] if is_asked else made.upserted_id

    def _answer(
        self, call: Call, before: State | None, after: State | None, modified: int = 0
    ) -> Any:
        if self._result is not None:
            return self._result
        return answer(call, self._revisions, before, after, modified)

    def _take(
        self, operation: str, before: State, after: State, complete: frozenset[Path] = frozenset()
    ) -> None:
        """Record a change, if it is one."""
        if not self._recording:
            return
        is_update = operation == UPDATE
        if self._tracker and self._origin and self._origin.is_save and self._tracker.exact:
            operation = self._tracker.exact.operation
        stamp = time.time_ns() // 1000
        change = Change(operation, self._context, before, after, [], stamp, complete)
        change = patched(change, self._place.hiding)
        if not change.patches:
            return
        if is_update:
            size = self._known.size + growth(change.patches)
            self._known = self._known._replace(size=max(size, 0))
        known = self._known.beginning(before)
        base = Base(before, self._moment) if is_update and self._has_all else None
        if self._tracker:
            self._tracker.take(known, change, base)
        else:
            append(known.revisions, change, known.head, base)


def _is_recorded(error: BaseException, record: Callable[[], bool]) -> bool:
    """Say whether a write of which only the concern is not met could be recorded."""
    with suppress(PyMongoError, HistoryError):  # what failed first is what has to be known
        if isinstance(error, WriteConcernError):
            return record()
    return False
