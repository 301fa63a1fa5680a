"""All histories of a collection, or those of some classes: where each of them ends and begins."""

from __future__ import annotations

import time
from collections import defaultdict
from contextlib import suppress
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mongoengine import Document
from pymongo import ASCENDING, DESCENDING
from pymongo.read_concern import ReadConcern

from mongoengine_history.documents.fieldrules import concrete
from mongoengine_history.documents.formerly import names_of, one_of
from mongoengine_history.documents.snapshot import check_model
from mongoengine_history.errors import OptionsError
from mongoengine_history.record.complete import RECORD
from mongoengine_history.record.history import History
from mongoengine_history.record.indexes import BY_REVISION
from mongoengine_history.record.overview import IN_ORDER, SMALL, batches, firsts
from mongoengine_history.record.place import Place
from mongoengine_history.state.problem import LARGEST_NUMBER
from mongoengine_history.state.values import identifier

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pymongo.collection import Collection

MAJORITY: Final = ReadConcern("majority")
"""What may still be rolled back by a failover is nothing to sign."""

UNTIL_MAJORITY: Final = 30_000
"""Milliseconds to wait for that."""

ON_ITS_WAY: Final = 0.2
"""Seconds to wait for the rest of a revision."""

IS_REVISION: Final = {"revision": {"$gte": 1, "$lt": LARGEST_NUMBER}}


class Tip(NamedTuple):
    """The newest revision of a history at some time."""

    #: Name of the collection of the document, as its records have it.
    document_type: str
    #: Primary key of the document.
    document_id: Any
    #: The number of the revision.
    revision: int
    #: Its checksum; empty where it was recorded before there were any.
    checksum: bytes


class Span(NamedTuple):
    """From where to where a history goes now."""

    #: The lowest number that is there …
    first: int
    #: … and the highest.
    last: int
    #: Whether it says itself that what was before has been pruned.
    is_pruned: bool


class Histories:
    """
    The histories of some classes, or all in the collection ``history`` of the default database.

    Raises:
        OptionsError: a transaction is active, or the histories lie in several collections.
    """

    def __init__(self, models: Sequence[type[Document]] = ()) -> None:
        for model in models:
            check_model(model)
        places = [Place(model) for model in models or (History,)]
        self._place = places[0]
        if any(it.history != self._place.history for it in places):
            problem = "their histories lie in several collections; name those of one at a time"
            raise OptionsError("models", models, problem)
        if self._place.in_transaction:
            raise OptionsError("models", models, "it cannot be done inside a transaction")
        _wait_for_majority(self._place.history)
        self._place.history = self._place.history.with_options(read_concern=MAJORITY)
        self._names = {name for it in places for name in it.names} if models else None

    @property
    def address(self) -> str:
        """Name the database and the collection that they lie in."""
        return self._place.history.full_name

    def beside(self, suffix: str) -> Collection[Any]:
        """Return a collection beside them, whose name has a *suffix*."""
        return self._place.beside(suffix)

    def lie_at(self, place: Place) -> bool:
        """Say whether they lie where those of another place do."""
        return self._place.history == place.history

    def holds(self, tip: Tip) -> bool:
        """Say whether a history is one of those that are asked of."""
        return self._names is None or tip.document_type in self._names

    def tips(self) -> Iterator[Tip]:
        """Read the newest whole revision of each, by names and keys; holds one batch of them."""
        for name in (
            types_in(self._place.history, self._place.session)
            if self._names is None
            else sorted(self._names)
        ):
            for some in batches(self._keys(name), SMALL):
                yield from self._newest(name, some)

    def _keys(self, name: str) -> Iterator[Any]:
        pipeline = _first("document_id", {"document_type": name, **IS_REVISION})
        options: dict[str, Any] = {"session": self._place.session, "allowDiskUse": True}
        return (it["_id"] for it in self._place.history.aggregate(pipeline, **options))

    def _newest(self, name: str, keys: list[Any]) -> Iterator[Tip]:
        query = {"document_type": name, "document_id": {"$in": keys}, **IS_REVISION}
        wanted = ("revision", "position", "size", "checksum")
        found = self._place.aggregate(_first("document_id", query, wanted, DESCENDING))
        whole = [it if _is_last(it) else self._whole(name, it) for it in found]
        last = list(filter(None, whole))
        several = [(it["_id"], it["revision"]) for it in last if it["position"]]
        first = self.checksums((name,), several)
        for it in last:
            own = [it.get("checksum") or b""]
            if it["position"]:
                own = [*first.get((identifier(it["_id"]), it["revision"]), ()), b""]
            yield Tip(name, it["_id"], it["revision"], own[0])

    def _whole(self, name: str, newest: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return the last record of a whole revision; the newest one may be on its way, or torn."""
        time.sleep(ON_ITS_WAY)
        query = {"document_type": name, "document_id": {"$eq": newest["_id"]}, **IS_REVISION}
        records = self._place.find(BY_REVISION, {**query, "position": RECORD}, DESCENDING)
        for _, group in groupby(records, itemgetter("revision")):
            last = next(group)
            if _is_last(last):
                return {**last, "_id": newest["_id"]}
        return None

    def checksums(
        self, names: Sequence[str], revisions: Iterable[tuple[Any, int]]
    ) -> dict[tuple[object, int], list[bytes]]:
        """Read the checksums of revisions by the `identifier` of the key, and the number."""
        made = defaultdict(list)
        for it in self._first_records(names, revisions, "checksum"):
            made[identifier(it["document_id"]), it["revision"]].append(it.get("checksum", b""))
        return dict(made)

    def early(
        self, names: Sequence[str], revisions: Iterable[tuple[Any, int]], stamp: int
    ) -> set[object]:
        """Return the `identifier` of each key of which a revision is not after a moment."""
        found = self._first_records(names, revisions, "stamp")
        return {identifier(it["document_id"]) for it in found if not it.get("stamp", 0) > stamp}

    def _first_records(
        self, names: Sequence[str], revisions: Iterable[tuple[Any, int]], wanted: str
    ) -> Iterator[Mapping[str, Any]]:
        """Read the first record of each of some revisions, as far as they are there."""
        keys = defaultdict(list)
        for key, number in revisions:
            keys[number].append(key)
        same: dict[str, Any] = {"document_type": one_of(names), "position": 0}
        either = [{**same, "document_id": {"$in": its}, "revision": it} for it, its in keys.items()]
        fields = dict.fromkeys(("document_id", "revision", wanted), 1)
        options: dict[str, Any] = {"projection": fields, "batch_size": SMALL}
        return self._place.find(BY_REVISION, {"$or": either}, **options) if either else iter(())

    def spans(self, names: Sequence[str], keys: list[Any]) -> dict[object, Span]:
        """Read where histories begin and end, by the `identifier` of the key."""
        lowest, highest = (self._ends(names, keys, order) for order in (ASCENDING, DESCENDING))
        cut = [(key, number) for number, key in lowest.values() if number > 1]
        found = self._first_records(names, cut, "pruned")
        marked = {identifier(it["document_id"]) for it in found if "pruned" in it}
        first = {key: number for key, (number, _) in lowest.items()}
        for key in (key for key, _ in cut if identifier(key) not in marked):
            number = self._marked(names, key)  # pruning may be under way
            if number:
                marked.add(identifier(key))
                first[identifier(key)] = number
        return {
            key: Span(it, highest.get(key, (it,))[0], key in marked) for key, it in first.items()
        }

    def _ends(
        self, names: Sequence[str], keys: list[Any], order: int
    ) -> dict[object, tuple[int, Any]]:
        """Read the lowest or the highest number of each, and its key."""
        farthest, ends = (min if order == ASCENDING else max), dict[object, tuple[int, Any]]()
        for name in names if keys else ():
            query = {"document_type": name, "document_id": {"$in": keys}, **IS_REVISION}
            for it in self._place.aggregate(_first("document_id", query, ("revision",), order)):
                key, here = identifier(it["_id"]), (it["revision"], it["_id"])
                ends[key] = farthest(ends.get(key, here), here, key=itemgetter(0))
        return ends

    def _marked(self, names: Sequence[str], key: Any) -> int | None:
        """Look through one history for the revision with which it begins after pruning."""
        owner = {"document_type": one_of(names), "document_id": {"$eq": key}, **IS_REVISION}
        query = {**owner, "position": 0, "pruned": {"$exists": True}}
        found = self._place.find(BY_REVISION, query, DESCENDING, limit=1)
        return next((it["revision"] for it in found), None)


def names_like(name: str) -> tuple[str, ...]:
    """Return all names under which there may be more of a history that has records of one."""
    names = {name}
    for model in concrete(Document):
        own = model._meta.get("collection")
        if own:
            with suppress(OptionsError):  # of one that can be used nowhere
                found = names_of(model, own)
                names |= {*found} if name in found else set()
    return tuple(sorted(names))


def _wait_for_majority(history: Collection[Any]) -> None:
    """Wait until the majority has what is there now, whatever its writers have waited for."""
    options: dict[str, Any] = {"sort": [("_id", DESCENDING)], "max_time_ms": UNTIL_MAJORITY}
    with history.database.client.start_session(causal_consistency=True) as session:
        for read in (history, history.with_options(read_concern=MAJORITY)):
            read.find_one({}, {"_id": 1}, session=session, **options)


def types_in(history: Collection[Any], session: Any) -> list[str]:
    """Read of which collections documents have revisions."""
    every = {"document_type": {"$gte": ""}, **IS_REVISION}
    found = history.aggregate(_first("document_type", every), session=session)
    return [it["_id"] for it in found if isinstance(it["_id"], str)]  # a list of them is foreign


def _first(
    by: str, query: Mapping[str, Any], wanted: Sequence[str] = (), order: int = ASCENDING
) -> list[dict[str, Any]]:
    """
    Return the pipeline that takes the first document of each group: one look into the index.

    They come in order, which the server does not keep once a list lay where a key should.
    """
    return [*firsts(query, wanted, dict.fromkeys(BY_REVISION, order), by), IN_ORDER]


def _is_last(record: Mapping[str, Any]) -> bool:
    """Say whether a record with the highest position is the last one of its revision."""
    position, size = record.get("position"), record.get("size")
    return isinstance(position, int) and isinstance(size, int) and position == size - 1
