"""What the history knows of many documents at once, each query by an index."""

from __future__ import annotations

import math
from collections import defaultdict
from contextlib import suppress
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pymongo import ASCENDING, DESCENDING

from mongoengine_history.documents.formerly import one_of
from mongoengine_history.errors import HistoryError
from mongoengine_history.record.head import Head
from mongoengine_history.record.indexes import BY_REVISION, BY_STAMP, behind
from mongoengine_history.record.revisions import NUMBERABLE, OF_NEWEST, Revisions
from mongoengine_history.record.states import OF_A_STATE, folded, replayed
from mongoengine_history.state.context import plain
from mongoengine_history.state.problem import is_number
from mongoengine_history.state.revision import ANEW
from mongoengine_history.state.values import WIRE, identifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from mongoengine_history.record.place import Place
    from mongoengine_history.state.values import State

T = TypeVar("T")

SMALL: Final = 500
"""Documents that are read together: enough to save round trips, few enough to plan for."""

MOST: Final = 2_000
"""Documents that are written and recorded together, if they do not take more than 16 MB."""

IN_ORDER: Final[dict[str, Any]] = {"$sort": {"_id": ASCENDING}}
"""The stage that puts groups in order of their keys, which may be of several types."""

EVERY: Final[dict[str, Any]] = {}
"""The condition that all meet."""

OF_HEAD: Final = (*OF_NEWEST, "position")
"""The fields of the first record of a revision that `Head` is made of, and which record it is."""


def batches(found: Iterable[T], size: int) -> Iterator[list[T]]:
    """Part what is found into lists of a *size*, the last one shorter."""
    waiting = iter(found)
    while some := list(islice(waiting, size)):
        yield some


def firsts(
    query: Mapping[str, Any],
    wanted: Iterable[str],
    order: Mapping[str, int],
    by: str = "document_id",
) -> list[dict[str, Any]]:
    """Return the pipeline that takes what is *wanted* of the first document of each group."""
    return [
        {"$match": query},
        {"$sort": order},
        {"$group": {"_id": f"${by}", **{name: {"$first": f"${name}"} for name in wanted}}},
    ]


def recorded(place: Place, query: Mapping[str, Any]) -> Iterator[Any]:
    """Read the keys of documents of which a query finds something, in no order."""
    order = dict.fromkeys(BY_STAMP[:2], ASCENDING)
    return (found["_id"] for found in _grouped(place, place.names, query, order, ()))


def keys_behind(
    place: Place, key: object = None, having: Mapping[str, Any] = EVERY
) -> Iterator[Any]:
    """Read the keys of documents with records *having* something, in order, behind one if given."""
    later = {} if key is None else behind("document_id", plain("resume", key, WIRE))
    query, order = {"document_type": one_of(place.names), **later, **having}, BY_STAMP[:2]
    pipeline = firsts(query, (), dict.fromkeys(order, ASCENDING))
    options: dict[str, Any] = {"allowDiskUse": True, "session": place.session}
    found = place.history.aggregate([*pipeline, IN_ORDER], **options)
    return (it["_id"] for it in found)


def numbers_at(place: Place, keys: list[Any], stamp: int) -> dict[object, Any]:
    """
    Read the number of the last revision of each document at a moment, by its key's `identifier`.

    Where a record is malformed it may be anything.
    """
    query = {"document_id": {"$in": keys}, "stamp": {"$lte": stamp}}
    order = dict.fromkeys(BY_STAMP, DESCENDING)
    numbers: dict[object, Any] = {}
    for name in place.names:
        for it in _grouped(place, [name], query, order, ["revision"]):
            if it["revision"] or not is_number(it["revision"]):
                found = identifier(it["_id"])
                numbers[found] = max(numbers.get(found, 0), it["revision"], key=_at_last)
    return numbers


def _at_last(number: Any) -> float:
    """Return what a number sorts by; one that is malformed is not passed over."""
    return number if is_number(number) else math.inf


def _grouped(
    place: Place,
    names: Sequence[str],
    query: Mapping[str, Any],
    order: Mapping[str, int],
    wanted: Iterable[str],
) -> Iterator[Mapping[str, Any]]:
    """
    Take what is *wanted* of the first record of each document.

    Under a single name of the collection it is one look into the index, else all are gone through.
    """
    pipeline = firsts({"document_type": one_of(names), **query}, wanted, order)
    options: dict[str, Any] = {"allowDiskUse": True} if len(names) > 1 else {}
    return place.history.aggregate(pipeline, session=place.session, batchSize=MOST + 1, **options)


def near(
    place: Place,
    keys: Mapping[object, Any],
    numbers: Mapping[object, int],
    until: Mapping[object, int] | None = None,
) -> Iterator[tuple[object, list[Mapping[str, Any]]]]:
    """
    Read revisions from the version that should be near to the wanted *numbers*, by documents.

    They are read up to these, or to later ones: *until*.
    """
    last = {it: max((until or numbers).get(it, numbers.get(it, 0)), 1) for it in keys}
    wanted = {**OF_A_STATE, "document_id": 1}
    query = {"$or": _ranges(place, keys, numbers, last)}
    found = place.find(BY_REVISION, query, projection=wanted, batch_size=MOST)
    known = groupby(found, lambda it: identifier(it.get("document_id")))
    near = ((it, _until(last.get(it, math.inf), own)) for it, own in known)
    return near if len(place.names) == 1 else _joined(near)


def _ranges(
    place: Place,
    keys: Mapping[object, Any],
    numbers: Mapping[object, int],
    last: Mapping[object, int],
) -> list[dict[str, Any]]:
    """
    Return conditions of the revisions to read, and of a few more: at most an eighth of them.

    The server goes through a few ranges of many keys much faster than through a range of each.
    """
    every = place.options.version_every
    ranges: defaultdict[tuple[int, int], list[Any]] = defaultdict(list)
    for name, key in keys.items():
        number = numbers.get(name, 0)
        first = number - number % every if every else number
        span = max(last[name] - first, 0)
        coarse = max(span.bit_length() - 4, 0)
        ranges[first, first + (span | (1 << coarse) - 1)].append(key)
    return [
        {**place.of(some), "revision": {"$gte": first, "$lte": end}}
        for (first, end), some in ranges.items()
    ]


def _until(last: float, records: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Leave out later revisions; a number that is none stays, for who reads it to say so."""
    return [it for it in records if not _is_number_above(last, it["revision"])]


def _is_number_above(last: float, number: Any) -> bool:
    return isinstance(number, int | float) and number > last


def _joined(
    groups: Iterable[tuple[object, list[Mapping[str, Any]]]],
) -> Iterator[tuple[object, list[Mapping[str, Any]]]]:
    """Join what was found of a document under each name of the collection, in order."""
    found: defaultdict[object, list[Mapping[str, Any]]] = defaultdict(list)
    for key, own in groups:
        found[key] += own
    for key, both in found.items():
        yield key, sorted(both, key=lambda it: _at_last(it["revision"]))


def states_of(place: Place, revisions: Iterable[tuple[Any, int]]) -> dict[object, State | None]:
    """Rebuild the states of documents right after a revision each; those that can be read."""
    states = dict[object, "State | None"]()
    for wanted in batches(revisions, SMALL):
        some = {identifier(key): (key, number) for key, number in wanted}
        keys, numbers = ({it: pair[part] for it, pair in some.items()} for part in (0, 1))
        for name, found in near(place, keys, numbers):
            key, number = some[name]
            with suppress(HistoryError):
                states[name] = state_near(Revisions(place, key), number, found, replayed)
    return states


def state_near(
    revisions: Revisions,
    number: int,
    found: Sequence[Mapping[str, Any]],
    read: Callable[[Revisions, int], State | None],
) -> State | None:
    """
    Rebuild a state of what `near` has found.

    It is *read* where that begins too late, or a number is none: its record may be a later one.
    """
    if not all(is_number(it["revision"]) for it in found):
        return read(revisions, number)
    until = [it for it in found if it["revision"] <= number]
    versions = [it["revision"] for it in until if it.get("position") == -1]
    if versions:
        return folded(revisions, until, versions[-1], number)
    first = [it for it in found if (it["revision"], it.get("position")) == (1, 0)]
    if first and first[0].get("operation") in list(ANEW):  # it may be of any type
        return folded(revisions, until, 0, number) if number else None
    return read(revisions, number)


def heads(place: Place, keys: list[Any]) -> dict[object, Head]:
    """Read the newest revision of each document: 0 and a stamp is a version 0 alone."""
    if not keys:
        return {}
    newest: dict[object, Any] = {}
    backwards = dict.fromkeys(BY_REVISION, DESCENDING)  # one look into the index for each
    for name in place.names:
        query = {**place.of(keys), "document_type": name, **NUMBERABLE}
        pipeline = firsts(query, OF_HEAD, backwards)
        for it in place.aggregate(pipeline, batchSize=MOST + 1):  # in one round trip
            key = identifier(it["_id"])
            other = newest.get(key)  # under another name
            is_older = other is not None and Head.of(it).number <= Head.of(other).number
            newest[key] = other if is_older else it
    is_later = {key for key, it in newest.items() if is_number(it["position"]) and it["position"]}
    several = [newest[key]["revision"] for key in is_later]
    if several:  # revisions of several records, of which the first has what is wanted
        first = {**place.of(keys), "revision": {"$in": several}, "position": 0}
        wanted = dict.fromkeys((*OF_HEAD, "document_id"), 1)
        for record in place.history.find(first, wanted, session=place.session):
            key = identifier(record.get("document_id"))
            if record["revision"] == newest[key]["revision"]:
                newest[key] = record
    return {key: Head.of(it) for key, it in newest.items()}
