"""One document is written by its key: the server does it, and gives what it has overwritten."""

from __future__ import annotations

import time
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import bson
from bson.raw_bson import RawBSONDocument
from pymongo import ReturnDocument, WriteConcern
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError, OperationFailure, WriteError
from pymongo.results import DeleteResult, UpdateResult

from mongoengine_history.capture.tracker import Known, context_at
from mongoengine_history.errors import StaleDocumentError
from mongoengine_history.record.append import Change, append, patched
from mongoengine_history.record.layout import Base
from mongoengine_history.record.place import Place, projection
from mongoengine_history.record.revisions import Revisions
from mongoengine_history.state.merge import differs
from mongoengine_history.state.revision import CREATE, DELETE, UPDATE
from mongoengine_history.state.updates import UnknownOperatorError, dicts_in, roots_of, updated
from mongoengine_history.state.values import ABSENT, WIRE, State, native, same, wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from bson import Timestamp
    from bson.codec_options import CodecOptions
    from mongoengine import Document

    from mongoengine_history.capture.call import Call
    from mongoengine_history.capture.stale import Guard
    from mongoengine_history.capture.tracker import Origin
    from mongoengine_history.state.values import Path

LARGEST_IMAGE: Final = 400_000
"""
Bytes of a document above which it is read before it is written.

For a retryable find-and-modify the server keeps the whole document as it was, which then costs
more than a round trip (``python -m benchmarks images``).
"""

NO_SHARD_KEY: Final = 61
"""The error of a find-and-modify in a sharded collection that names nothing but the key."""

SHARED: Final = ("array_filters", "hint", "let", "sort", "comment")
"""The options of an update or a deletion that a find-and-modify takes, too."""

PREFIX: Final = "Plan executor error during findAndModify :: caused by :: "
"""What the server puts in front of the reason why a find-and-modify failed."""

OF_THE_COMMAND: Final = {13, 262, 11600, 11601, 11602}
"""Codes that an update does not tell as a failure of its own: no right to it, or interrupted."""

TOLD: Final = ("keyPattern", "keyValue", "errInfo")
"""What a failed update tells beside its reason."""


class Target:
    """A collection of documents, in the ways in which it is asked."""

    def __init__(self, collection: Collection[Any], model: type[Document]) -> None:
        self._collection, self._model = collection, model

    @cached_property
    def place(self) -> Place:
        """Where its documents and their history lie."""
        return Place(self._model, self._collection)

    @cached_property
    def plain(self) -> Collection[Any]:
        """PyMongo's own collection, which records nothing, and waits until the server is done."""
        return self._as(self._collection.codec_options)

    @cached_property
    def raw(self) -> Collection[Any]:
        """The same, which gives bytes."""
        return self._as(self._collection.codec_options.with_options(document_class=RawBSONDocument))

    def _as(self, codec: CodecOptions[Any]) -> Collection[Any]:
        it = self._collection
        concern = it.write_concern if it.write_concern.acknowledged else WriteConcern(w=1)
        return Collection(it.database, it.name, False, codec, it.read_preference, concern)


class Saving:
    """
    Records what is done to one document that is named by its key.

    Args:
        target: Where it lies.
        key: The primary key; None if the server or PyMongo is to make it.
        origin: The document whose own method it is, if it is one.
        recording: Whether it is recorded; if not, stale copies are refused all the same.

    Raises:
        OptionsError: who answers for it cannot be stored. Nothing was written.
    """

    def __init__(self, target: Target, key: Any, origin: Origin | None, *, recording: bool) -> None:
        self._target, self._recording = target, recording
        self._place = target.place
        self._revisions = Revisions(self._place, key)
        self._known = Known(self._revisions)
        if self._recording:
            self._place.ensure_indexes()
            self._context = context_at(self._place, origin)
        self._is_save = origin is not None and origin.is_save
        self._tracker = origin.tracker if origin and origin.owns(self._revisions) else None
        #: When the server wrote, where that was asked.
        self._moment: Timestamp | None = None

    @property
    def _guard(self) -> Guard | None:
        return self._tracker.guard if self._tracker and self._is_save else None

    def insert(self, document: Mapping[str, Any], insert: Callable[[], Any]) -> Any:
        """Insert a document and record that it is there now."""
        is_fresh = "_id" not in document
        if not is_fresh:
            self._open()
        try:
            result = insert()
        except DuplicateKeyError as error:
            if self._guard and (error.details or {}).get("keyPattern") == {"_id": 1}:
                found = self._revisions.recordable() or {}
                raise StaleDocumentError(document["_id"], (), ABSENT, found) from error
            raise
        made = wire(document, self._place.codec)
        key = made.pop("_id")
        if is_fresh:
            self._revisions = Revisions(self._place, key)
            self._known = Known(self._revisions)
        self._take(CREATE, {}, made)
        return result

    def replace(self, call: Call) -> Any:
        """Replace a document if it is there, and record that."""
        if self._guard:  # a new document must not be there yet, as the insert will find
            return None
        with self._dated() as session:
            found = call.having(session=session).on(self._target.raw)
        if found is not None:
            before, after = self._state_of(found), wire(call["replacement"], self._place.codec)
            self._open()
            after.pop("_id", None)
            self._take(UPDATE, before, after)
        return found

    def update(self, call: Call) -> UpdateResult:
        """Update the document, and record what that did."""
        self._open()
        names = roots_of(call["update"])
        before = self._overwritten(call, names)
        if before is None:
            return self._made(call)
        is_changed = self._updated(before, self._after(before, call["update"], names), call)
        counts = {"n": 1, "nModified": int(is_changed), "updatedExisting": True, "ok": 1.0}
        return UpdateResult(counts, acknowledged=True)

    def modify(self, call: Call) -> Any:
        """Update the document and record that; return it as it was before, or as it is after."""
        self._open()
        is_after = call["return_document"] == ReturnDocument.AFTER
        before = self._overwritten(call, None)
        if before is None:
            is_made = self._made(call).upserted_id is not None
            return self._native(self._revisions.stored()) if is_made and is_after else None
        after = self._after(before, call["update"], roots_of(call["update"]))
        self._updated(before, after, call)
        return self._native(after if is_after else before)

    def delete(self, call: Call) -> Any:
        """Delete the document, and record that it is gone."""
        self._open()
        before = self._deleted(call)
        if before is not None:
            self._take(DELETE, before, {})
        if call.name == "find_one_and_delete":
            return self._native(before)
        return DeleteResult({"n": int(before is not None), "ok": 1.0}, acknowledged=True)

    def _native(self, state: State | None) -> Any:
        document_id = self._revisions.key
        return state and native({"_id": document_id, **state}, self._place.codec)

    def _open(self) -> None:
        """Learn the newest revision: what is remembered of it, or what is read before the write."""
        if self._recording:
            known = self._tracker.known(self._revisions) if self._tracker else None
            self._known = known or Known(self._revisions, *self._revisions.looked())
            self._revisions = self._known.revisions

    def _overwritten(self, call: Call, names: set[str] | None) -> State | None:
        """Update; return what was there, of some names if no more is needed, None if nothing."""
        number = self._known.head.number
        if self._recording and (not number or self._place.options.is_due(number + 1)):
            names = None
        if self._guard is None:
            return self._written(call, names)
        return self._guard.write(call, lambda it: self._written(it, names), self._revisions.stored)

    def _written(self, call: Call, names: set[str] | None) -> State | None:
        options = {"projection": projection(names), "upsert": bool(call["upsert"])}
        try:
            if not self._is_large:
                update = self._target.raw.find_one_and_update
                return self._image(call, update, call["filter"], call["update"], **options)
        except OperationFailure as error:
            if error.code != NO_SHARD_KEY:
                raise
        before = self._revisions.stored(names) or {}
        result = call.on(self._target.plain)
        return before if getattr(result, "matched_count", result) else None

    def _deleted(self, call: Call) -> State | None:
        """Delete; return what was there, None if nothing was."""
        if not self._is_large:
            return self._image(call, self._target.raw.find_one_and_delete, call["filter"])
        before = self._revisions.stored()
        result = call.on(self._target.plain)
        return before if getattr(result, "deleted_count", result) else None

    @property
    def _is_large(self) -> bool:
        is_kept = self._place.client.options.retry_writes and self._known.head.number
        return bool(is_kept) and self._known.size > LARGEST_IMAGE

    def _image(self, call: Call, write: Any, *args: Any, **options: Any) -> State | None:
        """Call a find-and-modify; return the state before, None if it found no document."""
        if call["bypass_document_validation"] is not None:
            options["bypassDocumentValidation"] = call["bypass_document_validation"]
        with _errors_of(call), self._dated() as session:
            found = write(*args, session=session, **options, **call.given(SHARED))
        return None if found is None else self._state_of(found)

    def _state_of(self, found: Any) -> State:
        """Decode a document; its key may be equal to that which was asked for, but not the same."""
        state = bson.decode(found.raw, WIRE)
        key = state.pop("_id")
        if not same(key, self._revisions.key):
            self._revisions = Revisions(self._place, key)
            self._open()
        return state

    @contextmanager
    def _dated(self) -> Iterator[Any]:
        """Give a session to write in, which before the first revision tells when that was."""
        session = self._place.session
        if not self._recording or self._known.head.number:
            yield session
            return
        with self._place.dated(session) as session:
            yield session
            self._moment = session.operation_time

    def _after(self, before: State, update: Any, names: set[str] | None) -> State:
        """Work out what an update makes of *before*; where only the server can tell, read it."""
        try:
            if names is not None:
                return updated(before, wire(update, self._place.codec))
        except (LookupError, UnknownOperatorError):
            pass
        stored = self._revisions.stored(names) or {}
        return {**{key: before[key] for key in before.keys() - (names or before.keys())}, **stored}

    def _updated(self, before: State, after: State, call: Call) -> bool:
        """Record an update; False if it has changed nothing."""
        return self._take(UPDATE, before, after, dicts_in(call["update"], before)) or differs(
            before, after
        )

    def _made(self, call: Call) -> UpdateResult:
        """Record the document that an upsert has made, if it was one; nothing was there before."""
        counts: dict[str, Any] = {"n": 0, "nModified": 0, "updatedExisting": False, "ok": 1.0}
        if call["upsert"] and not self._guard:
            self._take(
                CREATE, {}, self._revisions.stored() or {}
            )  # the server took more than was set
            counts |= {"n": 1, "upserted": self._revisions.key}
        return UpdateResult(counts, acknowledged=True)

    def _take(
        self, operation: str, before: State, after: State, complete: frozenset[Path] = frozenset()
    ) -> bool:
        """Record a change, if it is one."""
        if not self._recording:
            return False
        if self._tracker and self._is_save:
            operation = self._tracker.operation or operation
        stamp = time.time_ns() // 1000
        change = Change(operation, self._context, before, after, [], stamp, complete)
        change = patched(change, self._place.hiding)
        if change.patches:
            base = Base(before, self._moment) if before and after else None
            self._keep(self._known.beginning(before), change, base)
        return bool(change.patches)

    def _keep(self, known: Known, change: Change, base: Base | None) -> None:
        if self._tracker:
            self._tracker.take(known, change, base)
        else:
            append(known.revisions, change, known.head, base)


@contextmanager
def _errors_of(call: Call) -> Iterator[None]:
    """Let an error of a find-and-modify look as if it were one of what was asked for."""
    try:
        yield
    except (OperationFailure, DuplicateKeyError) as error:
        raw: Any = error.details
        said = bson.decode(raw.raw)
        is_asked_for = call.name.startswith("find_one_and")
        is_known = type(error) in {OperationFailure, DuplicateKeyError}
        if is_asked_for or not is_known or error.code in OF_THE_COMMAND or "errorLabels" in said:
            raise
        text = said["errmsg"].removeprefix(PREFIX)
        kind: Any = WriteError if type(error) is OperationFailure else DuplicateKeyError
        details = {"index": 0, "code": error.code, "errmsg": text}
        details |= {name: said[name] for name in TOLD if name in said}
        raise kind(text, error.code, details) from None
