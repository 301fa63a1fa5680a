"""A whole class as it stood at a moment."""

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from mongoengine import Document

from mongoengine_history.documents.snapshot import check_model, loaded
from mongoengine_history.record.classes import belongs
from mongoengine_history.record.overview import SMALL, near, numbers_at, recorded, state_near
from mongoengine_history.record.place import Place
from mongoengine_history.record.revisions import Revisions
from mongoengine_history.record.states import may_have_existed, state_as_of
from mongoengine_history.state.problem import is_number
from mongoengine_history.state.revision import last_stamp
from mongoengine_history.state.values import State, encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

D = TypeVar("D", bound=Document)


def as_of(model: type[D], when: datetime) -> Iterator[D]:
    """
    Read all documents of a class as they stood at a moment, one by one. Writes nothing.

    Each one is as `Timeline.as_of` gives it. Deleted documents are among them if they were there
    then, those made later are not. A document that the history does not know is as it is stored
    now; if its key is an ObjectId, that tells whether it was there. Memory holds one batch.

    Args:
        model: The class; documents of its subclasses are among them.
        when: Naive is local time of the process. Exact to the microsecond; one in whole
            milliseconds includes its millisecond.

    Returns:
        An iterator over unsaved documents, in no order.

    Raises:
        OptionsError: an argument cannot be used.
        HistoryError: one of the documents cannot be rebuilt; the error names it, and the iteration
            is over.
    """
    check_model(model)
    last_stamp(when)
    return (
        loaded(model, key, state, created=True)
        for key, state in _Moment(model, when).states()
        if belongs(model, state.get("_cls"))
    )


class _Moment:
    """All documents of a collection at a moment, a batch at a time."""

    def __init__(self, model: type[Document], when: datetime) -> None:
        self._model, self._when = model, when
        self._place = Place(model)
        # A document that gets its first revision meanwhile is found as one that is stored.
        self._known = {"stamp": {"$not": {"$gt": time.time_ns() // 1000}}}

    def states(self) -> Iterator[tuple[Any, State]]:
        for keys in _batches(recorded(self._place, self._known)):
            yield from self._of_recorded(keys)
        for keys in _batches(self._stored()):
            yield from self._of_stored(keys)

    def _of_recorded(self, keys: list[Any]) -> Iterator[tuple[Any, State]]:
        numbers = numbers_at(self._place, keys, last_stamp(self._when))
        keys = [key for key in keys if encode(key) in numbers or self._may_be_old(key)]
        early = [key for key in keys if encode(key) not in numbers]
        legacy = {"stamp": None, "revision": None, "document_id": {"$in": early}}
        alone = {encode(key) for key in (recorded(self._place, legacy) if early else ())}
        left = {encode(key): key for key in keys}
        usual = {it: key for it, key in left.items() if is_number(numbers.get(it, 0))}
        for encoded, found in near(self._place, usual, numbers) if usual else ():
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

    def _state(self, key: Any, number: int, found: list[Mapping[str, Any]]) -> State | None:
        revisions = Revisions(self._place, key)
        return state_near(revisions, number, found, lambda it, _: state_as_of(it, self._when))

    def _stored(self) -> Iterator[Any]:
        """Read the keys of all documents that are stored."""
        classes = {"_cls": {"$in": self._model._subclasses}}
        query = classes if self._model._meta.get("allow_inheritance") else {}
        options = {"session": self._place.session, "batch_size": SMALL}
        found = self._place.documents.find(query, {"_id": 1}, **options)
        return (document["_id"] for document in found)

    def _of_stored(self, keys: list[Any]) -> Iterator[tuple[Any, State]]:
        """Give the documents that the history did not know when all this began."""
        among, place = {"document_id": {"$in": keys}}, self._place
        known = {encode(key) for key in recorded(place, {**among, **self._known})}
        keys = [key for key in keys if encode(key) not in known and self._may_be_old(key)]
        if not keys:
            return
        late = {encode(key) for key in recorded(place, {"document_id": {"$in": keys}})}
        for document in place.documents.find({"_id": {"$in": keys}}, session=place.session):
            key = document.pop("_id")
            revisions, is_late = Revisions(place, key), encode(key) in late
            state = state_as_of(revisions, self._when) if is_late else place.hiding.hidden(document)
            if state is not None:
                yield key, state


def _batches(keys: Iterator[Any]) -> Iterator[list[Any]]:
    while batch := list(islice(keys, SMALL)):
        yield batch
