"""Requests of one ``bulk_write`` to a document each: read, written together, read again."""

from __future__ import annotations

from copy import copy
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from pymongo.errors import BulkWriteError, OperationFailure

from mongoengine_history.record.doubt import settle_all
from mongoengine_history.record.entries import Found
from mongoengine_history.record.inserts import DUPLICATE_KEY
from mongoengine_history.state.revision import CREATE, DELETE, UPDATE
from mongoengine_history.state.updates import only
from mongoengine_history.state.values import identifier, same, wire

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pymongo.collection import Collection

    from mongoengine_history.capture.requests import Request
    from mongoengine_history.record.append_many import Bulk
    from mongoengine_history.state.values import State


class Done(NamedTuple):
    """What became of a group."""

    #: As PyMongo tells it, by the places in the group.
    details: Mapping[str, Any]
    #: What has to be done again, since another writer made the document meanwhile.
    again: Sequence[Request] = ()
    #: What was not done yet.
    left: list[Request] = []  # noqa: RUF012  # nobody adds to it


class Groups:
    """Writes groups of requests by PyMongo's own ``bulk_write``."""

    def __init__(self, bulk: Callable[[], Bulk], collection: Collection[Any]) -> None:
        self._make_bulk, self._collection = bulk, collection

    def write(self, requests: list[Request], *, ordered: bool, **options: Any) -> Done | None:
        """Do requests and record what that did; None where each has to be done alone."""
        before = self._read(requests)
        if before is None:
            return None
        group = _Group(self._bulk, requests, before, ordered=ordered)
        details = group.write(self._collection, ordered=ordered, **options)
        return group.done(details)

    def _read(self, requests: list[Request]) -> dict[object, Found] | None:
        """Read what is there; None where that cannot be told of each request apart."""
        asked = {it.token: it for it in requests if not it.is_insert}
        query = {"_id": {"$in": [it.key for it in asked.values()]}}
        try:
            batches = self._bulk.batches(query, _roots_of(requests)) if asked else iter(())
            read = [*islice(batches, 2)]
        except OperationFailure:
            if self._bulk.place.in_transaction:
                raise
            return None
        if len(read) > 1:  # more than memory should hold
            return None
        found = {identifier(it.key): it for batch in read for it in batch}
        gone = [it.key for token, it in asked.items() if token not in found]
        settle_all(self._bulk.place, gone)
        is_blurred = any(isinstance(key, str) for key in gone) and self._has_collation
        return None if is_blurred or found.keys() - asked.keys() else found

    @cached_property
    def _bulk(self) -> Bulk:
        return self._make_bulk()

    @cached_property
    def _has_collation(self) -> bool:
        """Say whether the collection may take different texts for one key."""
        try:
            return "collation" in self._collection.options()
        except OperationFailure:
            return True


class _Group:
    """Requests to documents that were read *before*, by what tells them apart."""

    def __init__(
        self, bulk: Bulk, requests: list[Request], before: dict[object, Found], *, ordered: bool
    ) -> None:
        self._bulk, self._requests, self._before = bulk, requests, before
        self._ordered = ordered
        codec = bulk.place.codec
        self._sent = [
            Found.of(wire(it.call["document"], codec))
            if it.is_insert
            else before.get(it.token, Found(it.key, {}))
            for it in requests
        ]

    def write(self, collection: Collection[Any], **options: Any) -> Mapping[str, Any]:
        """Write, and record what that did; return what PyMongo tells of it."""
        asked = [self._limited(it) for it in self._requests]
        try:
            details: Mapping[str, Any] = collection.bulk_write(asked, **options).bulk_api_result
        except BulkWriteError as error:
            details = {**error.details}
            if self._bulk.place.in_transaction:  # which is over by that, with all that was done
                return details
        except BaseException as error:
            self._bulk.settle(self._by_operation, error, lambda: self._record(None))
            raise
        with self._bulk.recording(self._by_operation):
            self._record(details)
        self._bulk.react()
        return details

    def done(self, details: Mapping[str, Any]) -> Done:
        """Tell which requests failed only since another writer was faster, and what is left."""
        faster = [it for it in details["writeErrors"] if self._is_overtaken(it)]
        if not faster or self._bulk.place.in_transaction:
            return Done(details)
        errors = [it for it in details["writeErrors"] if it not in faster]
        places = [it["index"] for it in faster]
        left = self._requests[places[-1] + 1 :] if self._ordered else []
        again = [self._requests[place] for place in places]
        return Done({**details, "writeErrors": errors}, again, left)

    def _is_overtaken(self, error: Mapping[str, Any]) -> bool:
        request = self._requests[error["index"]]
        is_own_key = error["code"] == DUPLICATE_KEY and [*error.get("keyPattern", ())] == ["_id"]
        return is_own_key and not request.is_insert and request.token not in self._before

    def _limited(self, request: Request) -> Any:
        """Return a request that leaves alone what another writer makes meanwhile."""
        if request.is_insert or request.token in self._before:
            return request.asked
        limited = copy(request.asked)
        limited._filter = request.call.limited_to({"$in": []})["filter"]
        return limited

    @property
    def _by_operation(self) -> dict[str, list[Found]]:
        written: dict[str, list[Found]] = {CREATE: [], UPDATE: [], DELETE: []}
        for request, found in zip(self._requests, self._sent, strict=True):
            if request.is_insert:
                written[CREATE].append(found)
            elif request.token in self._before or request.call["upsert"]:
                written[DELETE if request.is_delete else UPDATE].append(found)
        return written

    def _record(self, details: Mapping[str, Any] | None) -> None:
        """Record what was done; *details* tell it, if the server has."""
        done = self._done_by(details)
        made = self._made(done, details)
        counts = details and {UPDATE: details["nModified"], DELETE: details["nRemoved"]}
        after: dict[object, State] = {}
        if counts is None or any(counts.values()):
            after = self._bulk.stored([*self._before.values()], _roots_of(self._requests))
        else:
            done = [*made]
        changes = (self._change(place, made, after) for place in done)
        self._bulk.several([it for it in changes if it is not None], counts or {})

    def _done_by(self, details: Mapping[str, Any] | None) -> list[int]:
        """Name the places of requests that did not fail."""
        failed = {it["index"] for it in (details or {}).get("writeErrors", ())}
        end = min(failed) if failed and self._ordered else len(self._requests)
        return [place for place in range(end) if place not in failed]

    def _made(self, done: list[int], details: Mapping[str, Any] | None) -> dict[int, Found]:
        """Return the documents that are new, by the places of their requests."""
        upserted = {it["index"] for it in (details or {}).get("upserted", ())}
        made, asked = dict[int, Found](), list[int]()
        for place in done:
            request = self._requests[place]
            if request.is_insert:
                made[place] = self._sent[place]
            is_asked = place in upserted if details else request.token not in self._before
            if is_asked and (details or request.is_insert or request.call["upsert"]):
                asked.append(place)
        stored = self._bulk.stored([self._sent[place] for place in asked]) if asked else {}
        for place in asked:
            state = stored.get(self._requests[place].token)
            sent = made.pop(place, None)
            if state is not None and (sent is None or same(sent.state, state)):
                made[place] = self._sent[place]._replace(state=state)
        fresh = {it.token for it in self._requests if it.is_fresh}
        return dict(zip(made, self._bulk.opened([*made.values()], fresh), strict=True))

    def _change(
        self, place: int, made: Mapping[int, Found], after: Mapping[object, State]
    ) -> tuple[str, Found, State, State] | None:
        """Tell what became of the document of a request; None for nothing."""
        request, found = self._requests[place], self._sent[place]
        if place in made:
            return CREATE, made[place], {}, made[place].state
        if request.token not in self._before:
            return None
        stored, roots = after.get(request.token), request.roots
        if request.is_delete:
            return (DELETE, found, found.state, {}) if stored is None else None
        if stored is None:  # somebody else has deleted it since
            return None
        return UPDATE, found, only(found.state, roots), only(stored, roots)


def _roots_of(requests: list[Request]) -> set[str] | None:
    """Name all top-level names that requests may set or need; None for any."""
    roots: set[str] = set()
    for request in requests:
        if request.is_insert:
            continue
        own = request.roots
        if own is None:
            return None
        roots |= own
    return roots
