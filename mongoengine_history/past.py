"""A whole class as it stood at a moment."""

from __future__ import annotations

import time
from functools import partial
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

from mongoengine import Document
from pymongo import ASCENDING, DESCENDING

from mongoengine_history.archive import FOLDABLE, Archive
from mongoengine_history.keys import check_model
from mongoengine_history.records import BY_REVISION, BY_STAMP
from mongoengine_history.revision import ANEW, stamp_of
from mongoengine_history.snapshot import loaded
from mongoengine_history.timeline import may_have_existed, state_as_of
from mongoengine_history.values import State, encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

D = TypeVar("D", bound=Document)

BATCH: Final = 500
"""Documents that are worked out together: enough to save round trips, few enough to plan for."""


def as_of(model: type[D], when: datetime) -> Iterator[D]:
    """
    Read all documents of a class as they stood at a moment, one by one. Writes nothing.

    Each one is as `Timeline.as_of` gives it. Deleted documents are among them if they were there
    then, those made later are not. A document that the history does not know is as it is stored
    now; if its key is an ObjectId, that tells whether it was there. Memory holds one batch.

    Args:
        model: The class; documents of its subclasses are among them.
        when: Naive is local time of the process. Exact to the microsecond.

    Returns:
        An iterator over unsaved documents, in no order.

    Raises:
        OptionsError: an argument cannot be used.
        HistoryError: one of the documents cannot be rebuilt; the error names it, and the iteration
            is over.
    """
    check_model(model)
    stamp_of(when)
    return (
        loaded(model, key, state, created=True)
        for key, state in _Moment(model, when).states()
        if _belongs(model, state)
    )


def _belongs(model: type[Document], state: State) -> bool:
    return not model._meta.get("allow_inheritance") or state.get("_cls") in model._subclasses


class _Moment:
    """All documents of a collection at a moment, a batch at a time."""

    def __init__(self, model: type[Document], when: datetime) -> None:
        self._model, self._when = model, when
        self._any = Archive(model, 0)  # for what is the same for all documents
        # A document that gets its first revision meanwhile is found as one that is stored.
        self._known = {"stamp": {"$not": {"$gt": time.time_ns() // 1000}}}

    def states(self) -> Iterator[tuple[Any, State]]:
        for keys in _batches(self._recorded(self._known)):
            yield from self._of_recorded(keys)
        for keys in _batches(self._stored()):
            yield from self._of_stored(keys)

    def _recorded(self, query: Mapping[str, Any]) -> Iterator[Any]:
        """Read the keys of documents that the history knows, in the order of its index."""
        order = dict.fromkeys(BY_STAMP[:2], ASCENDING)
        return (found["_id"] for found in self._grouped(query, order, {}))

    def _grouped(
        self, query: Mapping[str, Any], order: Mapping[str, int], wanted: Mapping[str, Any]
    ) -> Iterator[Mapping[str, Any]]:
        """Take what is *wanted* of the first record of each document: one look into the index."""
        pipeline: list[dict[str, Any]] = [
            {"$match": {"document_type": self._any.document_type, **query}},
            {"$sort": order},
            {"$group": {"_id": "$document_id", **wanted}},
        ]
        return self._any.history.aggregate(pipeline, session=self._any.session, batchSize=BATCH)

    def _of_recorded(self, keys: list[Any]) -> Iterator[tuple[Any, State]]:
        numbers = self._numbers(keys)
        keys = [key for key in keys if encode(key) in numbers or self._may_be_old(key)]
        early = [key for key in keys if encode(key) not in numbers]
        legacy = {"stamp": None, "revision": None, "document_id": {"$in": early}}
        alone = {encode(key) for key in (self._recorded(legacy) if early else ())}
        left = {encode(key): key for key in keys}
        near = self._near(left, numbers) if keys else iter(())
        for encoded, found in near:
            usable = [] if encoded in alone else found
            yield from self._one(left.pop(encoded), numbers.get(encoded, 0), usable)
        for encoded, key in left.items():
            yield from self._one(key, numbers.get(encoded, 0), [])

    def _one(
        self, key: Any, number: int, found: list[Mapping[str, Any]]
    ) -> Iterator[tuple[Any, State]]:
        state = self._state(key, number, found)
        if state is not None:
            yield key, state

    def _may_be_old(self, key: object) -> bool:
        return may_have_existed(key, self._when)

    def _numbers(self, keys: list[Any]) -> dict[bytes, int]:
        """Read the number of the last revision of each document at the moment."""
        query = {"document_id": {"$in": keys}, "stamp": {"$lte": stamp_of(self._when)}}
        order = dict.fromkeys(BY_STAMP, DESCENDING)
        found = self._grouped(query, order, {"number": {"$first": "$revision"}})
        return {encode(it["_id"]): it["number"] for it in found if it["number"]}

    def _near(
        self, keys: Mapping[bytes, Any], numbers: Mapping[bytes, int]
    ) -> Iterator[tuple[bytes, list[Mapping[str, Any]]]]:
        """Read the revisions from the version that should be near, one document after another."""
        every = self._any.options.version_every
        ranges = []
        for encoded, key in keys.items():
            number = numbers.get(encoded, 0)
            bounds = {"$gte": number - number % every if every else number, "$lte": max(number, 1)}
            owner = {"document_type": self._any.document_type, "document_id": key}
            ranges.append({**owner, "revision": bounds})
        order = [(name, ASCENDING) for name in BY_REVISION]
        wanted = {name: 0 for name in FOLDABLE if name != "document_id"}
        find = partial(self._any.history.find, {"$or": ranges}, wanted, sort=order)
        found = self._any.by_index(BY_REVISION, find, BATCH)
        groups = groupby(found, lambda it: encode(it["document_id"]))
        return ((key, list(own)) for key, own in groups)

    def _state(self, key: Any, number: int, found: list[Mapping[str, Any]]) -> State | None:
        archive = Archive(self._model, key)
        until = [it for it in found if it["revision"] <= number]
        versions = [it["revision"] for it in until if it["position"] == -1]
        if versions:
            return archive.folded(until, versions[-1], number)
        first = [it for it in found if (it["revision"], it["position"]) == (1, 0)]
        if first and first[0]["operation"] in ANEW:
            return archive.folded(until, 0, number) if number else None
        return state_as_of(archive, self._when)

    def _stored(self) -> Iterator[Any]:
        """Read the keys of all documents that are stored."""
        classes = {"_cls": {"$in": self._model._subclasses}}
        query = classes if self._model._meta.get("allow_inheritance") else {}
        found = self._any.documents.find(
            query, {"_id": 1}, session=self._any.session, batch_size=BATCH
        )
        return (document["_id"] for document in found)

    def _of_stored(self, keys: list[Any]) -> Iterator[tuple[Any, State]]:
        """Give the documents that the history did not know when all this began."""
        known = {
            encode(key) for key in self._recorded({"document_id": {"$in": keys}, **self._known})
        }
        keys = [key for key in keys if encode(key) not in known and self._may_be_old(key)]
        if not keys:
            return
        late = {encode(key) for key in self._recorded({"document_id": {"$in": keys}})}
        for document in self._any.documents.find({"_id": {"$in": keys}}, session=self._any.session):
            key = document.pop("_id")
            is_late = encode(key) in late
            state = (
                state_as_of(Archive(self._model, key), self._when)
                if is_late
                else self._any.hiding.hidden(document)
            )
            if state is not None:
                yield key, state


def _batches(keys: Iterator[Any]) -> Iterator[list[Any]]:
    while batch := list(islice(keys, BATCH)):
        yield batch
