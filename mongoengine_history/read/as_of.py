"""A whole class as it stood at a moment."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from mongoengine import Document

from mongoengine_history.documents.options import check_flag
from mongoengine_history.documents.renamed import under_new_names
from mongoengine_history.documents.snapshot import check_model, loaded_in_part
from mongoengine_history.errors import HistoryError
from mongoengine_history.read.references import References
from mongoengine_history.record.classes import belongs
from mongoengine_history.record.overview import (
    SMALL,
    batches,
    near,
    numbers_at,
    recorded,
    state_near,
)
from mongoengine_history.record.place import Place
from mongoengine_history.record.revisions import Revisions
from mongoengine_history.record.states import may_have_existed, state_as_of
from mongoengine_history.state.moments import last_stamp
from mongoengine_history.state.problem import is_number
from mongoengine_history.state.values import State, identifier, native

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    _Found = tuple[Any, State | HistoryError]

D = TypeVar("D", bound=Document)


@dataclass(frozen=True)
class Misfit:
    """
    Stands in `as_of` for a document that cannot be made, so that the others can be read.

    Used as a document, by any other attribute, it raises its error.
    """

    #: Primary key of the document.
    document_id: Any
    #: Why: a StateMismatchError where today's class cannot load what was there, else what is wrong
    #: with the records.
    error: HistoryError

    def __getattr__(self, name: str) -> Any:
        """Raise the error: this is no document."""
        if name.startswith("_"):
            raise AttributeError(name)
        raise self.error


@overload
def as_of(
    model: type[D], when: datetime, *, as_data: Literal[False] = False, references: bool = False
) -> Iterator[D | Misfit]: ...
@overload
def as_of(
    model: type[D], when: datetime, *, as_data: Literal[True]
) -> Iterator[State | Misfit]: ...
def as_of(
    model: type[D], when: datetime, *, as_data: bool = False, references: bool = False
) -> Iterator[Any]:
    """
    Read all documents of a class as they stood at a moment, one by one. Writes nothing.

    Each one is as `Timeline.as_of` gives it. Deleted documents are among them if they were there
    then, those made later are not. A document that the history does not know is as it is stored
    now; if its key is an ObjectId, that tells whether it was there. Memory holds one batch.

    Args:
        model: The class; documents of its subclasses are among them.
        when: Naive is local time of the process. Exact to the microsecond; one in whole
            milliseconds includes its millisecond.
        as_data: Whether to give plain data, ``_id`` included, which need not fit today's class.
        references: Whether the documents that they refer to are loaded as they stood then, as
            `Timeline.at` does it; each is read once and kept. Plain data has none.

    Returns:
        An iterator over unsaved documents, in no order. In the place of one that cannot be made
        there is a `Misfit`, which says why.

    Raises:
        OptionsError: an argument cannot be used.
    """
    check_model(model)
    check_flag("as_data", as_data)
    last_stamp(when)
    moment = _Moment(model, when, References(when) if references else None)
    make = moment.data if as_data else moment.document
    return (_entry(make, key, state) for key, state in moment.states() if moment.has(key, state))


def _entry(make: Callable[[Any, State], Any], key: Any, state: State | HistoryError) -> Any:
    try:
        if isinstance(state, HistoryError):
            raise state
        return make(key, state)
    except HistoryError as error:
        return Misfit(key, error)


class _Moment:
    """All documents of a collection at a moment, a batch at a time."""

    def __init__(
        self, model: type[Document], when: datetime, references: References | None
    ) -> None:
        self._model, self._when, self._references = model, when, references
        self._place = Place(model)
        # A document that gets its first revision meanwhile is found as one that is stored.
        self._known = {"stamp": {"$not": {"$gt": time.time_ns() // 1000}}}

    def document(self, key: Any, state: State) -> Document:
        document = loaded_in_part(self._model, key, state)
        if self._references:
            self._references.load(document)
        return document

    def data(self, key: Any, state: State) -> State:
        data: State = native({"_id": key, **state}, self._place.codec)
        return data

    def has(self, key: Any, state: State | HistoryError) -> bool:
        """Say whether a document is of the class: by its name then, or else by the one since."""
        if not self._model._meta.get("allow_inheritance"):
            return True
        own = self._model._class_name
        name = (
            None
            if isinstance(state, HistoryError)
            else under_new_names(self._model, state).get("_cls")
        )
        if belongs(self._model, name) or (name is None and "." not in own):
            return not isinstance(state, HistoryError) or self._is_known(key)
        if name is not None and str(name).partition(".")[0] == own.partition(".")[0]:
            return str(name).startswith(f"{own}.")  # or it was of another subclass
        return self._is_known(key)

    def _is_known(self, key: Any) -> bool:
        revisions = Revisions(self._place, key)
        return revisions.seen_by(self._model) is revisions

    def states(self) -> Iterator[_Found]:
        for keys in batches(recorded(self._place, self._known), SMALL):
            yield from self._of_recorded(keys)
        for keys in batches(self._stored(), SMALL):
            yield from self._of_stored(keys)

    def _of_recorded(self, keys: list[Any]) -> Iterator[_Found]:
        numbers = numbers_at(self._place, keys, last_stamp(self._when))
        keys = [key for key in keys if identifier(key) in numbers or self._may_be_old(key)]
        early = [key for key in keys if identifier(key) not in numbers]
        legacy = {"stamp": None, "revision": None, "document_id": {"$in": early}}
        alone = {identifier(key) for key in (recorded(self._place, legacy) if early else ())}
        left = {identifier(key): key for key in keys}
        usual = {it: key for it, key in left.items() if is_number(numbers.get(it, 0))}
        begun_later = {}
        for name, found in near(self._place, usual, numbers) if usual else ():
            key, number = left.pop(name), numbers.get(name, 0)
            if not number and name not in alone and found[-1].get("revision") == 0:
                begun_later[name] = key, found
                continue
            yield from self._one(key, number, [] if name in alone else found)
        for name, key in left.items():
            yield from self._one(key, numbers.get(name, 0), [])
        yield from self._of_begun_later(begun_later)

    def _of_begun_later(
        self, some: Mapping[object, tuple[Any, list[Mapping[str, Any]]]]
    ) -> Iterator[_Found]:
        """Give documents of which there is a version 0 and no revision 1, be it that it is gone."""
        query = {"document_id": {"$in": [key for key, _ in some.values()]}, "revision": {"$gte": 1}}
        pruned = {identifier(key) for key in (recorded(self._place, query) if some else ())}
        for name, (key, found) in some.items():
            yield from self._one(key, 0, [] if name in pruned else found)

    def _one(self, key: Any, number: int, found: list[Mapping[str, Any]]) -> Iterator[_Found]:
        try:
            state: State | HistoryError | None = self._state(key, number, found)
        except HistoryError as error:
            state = error
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

    def _of_stored(self, keys: list[Any]) -> Iterator[_Found]:
        """Give the documents that the history did not know when all this began."""
        among, place = {"document_id": {"$in": keys}}, self._place
        known = {identifier(key) for key in recorded(place, {**among, **self._known})}
        keys = [key for key in keys if identifier(key) not in known and self._may_be_old(key)]
        if not keys:
            return
        late = {identifier(key) for key in recorded(place, {"document_id": {"$in": keys}})}
        for document in place.documents.find({"_id": {"$in": keys}}, session=place.session):
            key = document.pop("_id")
            if identifier(key) in late:
                yield from self._one(key, 0, [])
            else:
                yield key, place.hiding.hidden(document)
