"""One ``save()`` of a tracked class: what it sends is known, so only what it overwrites is read."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import bson
from bson.raw_bson import RawBSONDocument

from mongoengine_history.changesets import context_of
from mongoengine_history.record.append import Change, append, patched
from mongoengine_history.record.head import Head
from mongoengine_history.record.place import Place
from mongoengine_history.record.revisions import Revisions
from mongoengine_history.state.revision import CREATE, UPDATE
from mongoengine_history.state.values import WIRE, State, wire
from mongoengine_history.writes import UnknownOperatorError, dicts_in, root, updated

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mongoengine import Document
    from pymongo.collection import Collection
    from pymongo.results import UpdateResult

    from mongoengine_history.origin import Origin


class Saving:
    """
    Records what a save does to its document.

    Args:
        origin: The document that is saved.
        model: Its tracked class.
        collection: Where it lies.
        key: Its primary key; None if the server or PyMongo is to make it.

    Raises:
        OptionsError: who answers for the save cannot be stored. Nothing was written.
    """

    def __init__(
        self, origin: Origin, model: type[Document], collection: Collection[Any], key: Any
    ) -> None:
        self._tracker, self._collection = origin.tracker, collection
        self._place = Place(model, collection)
        self._store = Revisions(self._place, key)
        self._place.ensure_indexes()
        codec, options = self._place.codec, self._place.options
        self._context = context_of(options, codec, origin.tracker.blocks, origin.said)
        self._operation = origin.tracker.operation

    def insert(self, document: Mapping[str, Any], insert: Callable[[], Any]) -> Any:
        """Insert a document and record that it is there now."""
        is_fresh = "_id" not in document
        result = insert()
        made = wire(document, self._place.codec)
        key = made.pop("_id")
        if is_fresh:
            self._store = Revisions(self._place, key)
        head = Head(state={}) if is_fresh else self._store.head()
        self._append(CREATE, ({}, made), head)
        return result

    def replace(self, document: Mapping[str, Any], replace: Callable[[Any], Any]) -> Any:
        """Replace a document if it is there, by a collection of bytes, and record that."""
        codec = self._place.codec.with_options(document_class=RawBSONDocument)
        found = replace(self._collection.with_options(codec_options=codec))
        if found is not None:
            before = bson.decode(found.raw, WIRE)
            before.pop("_id")
            after = wire(document, self._place.codec)
            after.pop("_id")
            head = self._store.head()
            self._append(UPDATE, (before, after), head, before)
        return found

    def update(self, update: dict[str, Any], write: Callable[[], UpdateResult]) -> UpdateResult:
        """Update a document, and record what that did."""
        sent = wire(update, self._place.codec)
        head, before = self._opening(sent)
        result = write()
        if result.upserted_id is not None:
            self._append(CREATE, ({}, self._store.stored() or {}), self._known(head))
        elif result.modified_count:
            wholes = dicts_in(sent, before or {})
            states = before or {}, self._after(before, sent)
            self._append(UPDATE, states, head, before, wholes)
        return result

    def _opening(self, update: dict[str, Any]) -> tuple[Head, State | None]:
        """Learn what is stored: all of it with the newest revision, or what will be overwritten."""
        known = self._tracker.known_head(self._store)
        if known is None:
            return self._store.opening()
        self._store, head = known
        names = {root(path) for paths in update.values() for path in paths}
        return head, self._store.stored(names)

    def _after(self, before: State | None, update: dict[str, Any]) -> State:
        try:
            if before is not None:
                return updated(before, update)
        except (LookupError, UnknownOperatorError):  # only the server can tell
            pass
        return self._store.stored() or {}

    def _known(self, head: Head) -> Head:
        """Return the newest revision for a document that came up against expectation."""
        return head if head.number else self._store.head()

    def _append(
        self,
        operation: str,
        states: tuple[State, State],
        head: Head,
        base: State | None = None,
        wholes: frozenset[Any] = frozenset(),
    ) -> None:
        store, stamp = self._store, time.time_ns() // 1000
        operation = self._operation or operation
        change = Change(operation, self._context, *states, [], stamp, wholes)
        change = patched(change, store.place.hiding)
        if change.patches:
            head = head if head.number else Head(state=base or {})
            self._tracker.learned(store, append(store, change, head, base))
