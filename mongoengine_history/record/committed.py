"""A history in the order of its documents, and in the order in which the server commits it."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from bson import Timestamp
from pymongo import DESCENDING
from pymongo.read_concern import ReadConcern

from mongoengine_history.documents.formerly import one_of
from mongoengine_history.documents.snapshot import check_model
from mongoengine_history.errors import OptionsError
from mongoengine_history.record.classes import is_of
from mongoengine_history.record.complete import RECORD
from mongoengine_history.record.histories import names_like, types_in
from mongoengine_history.record.history import database_at
from mongoengine_history.record.indexes import BY_CHANGESET, BY_REVISION, HINT, behind
from mongoengine_history.record.layout import revision_of
from mongoengine_history.record.not_recorded import LOG
from mongoengine_history.record.overview import SMALL, batches
from mongoengine_history.record.place import Place, place_of_events
from mongoengine_history.record.sessions import active_session
from mongoengine_history.state.problem import UNREADABLE
from mongoengine_history.state.values import encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from bson.codec_options import CodecOptions
    from mongoengine import Document
    from pymongo.change_stream import ChangeStream
    from pymongo.client_session import ClientSession
    from pymongo.collection import Collection

    from mongoengine_history.state.revision import Revision

    #: A collection, a key, what was recorded, and the ``_id`` of its first record.
    Told = tuple[str, Any, Revision, Any]

NUMBERS: Final = {"revision": {"$gte": 1}}
"""Which records are of revisions."""

FIRST_RECORD: Final = {"$eq": 0}
"""The position of the first record of a revision."""

FIRST: Final = ("document_type", "document_id", "revision")
"""The fields that name a revision."""


class Committed:
    """
    What is recorded in one history, be it of all documents or of those of some classes.

    Raises:
        OptionsError: they have no history in common.
    """

    def __init__(self, models: Sequence[type[Document]], using: str | None) -> None:
        for model in models:
            check_model(model)
        if models and using is not None:
            raise OptionsError("using", using, "classes say themselves where they are kept")
        self._models = models
        self._places = [Place(it) for it in models] or [
            place_of_events(database_at(using, "using"))
        ]
        #: Where all of it lies.
        self.kept: Collection[dict[str, Any]] = self._places[0].history
        for place in self._places:
            if place.history != self.kept:
                problem = "its history lies elsewhere: subscribe to it by itself"
                raise OptionsError("models", place.model, problem)

    def beside(self, suffix: str) -> Collection[Any]:
        """Return a collection beside it, whose name has a *suffix*."""
        return self._places[0].beside(suffix)

    @property
    def codec(self) -> CodecOptions[Any]:
        """How the application reads values."""
        codec: CodecOptions[Any] = self._places[0].codec
        return codec

    def opened(self) -> AbstractContextManager[ClientSession]:
        """Return a session to read in: a transaction of the caller would not see what is new."""
        self._places[0].ensure_indexes()
        return self.kept.database.client.start_session()

    def names_behind(
        self, session: ClientSession, after: Mapping[str, Any], count: int
    ) -> list[dict[str, Any]]:
        """
        Read what names the next revisions, in the order of documents and numbers.

        A document has records under each name that its collection has had.
        """
        wanted = {"_id": 0, **dict.fromkeys(FIRST, 1)}
        options: dict[str, Any] = {"projection": wanted, "limit": count, "session": session}
        for names, later in _behind(after, self._groups(session)):
            own = {"document_type": one_of(names), "revision": {"$gte": 1}, "position": 0}
            order = HINT[2:3] if "document_id" in later else HINT[1:3]
            query = {"$and": [own, later]}
            found = [*self._places[0].find(BY_REVISION, query, sort=order, **options)]
            if found:
                return [dict(it) for it in found]
        return []

    def _groups(self, session: ClientSession) -> list[tuple[str, ...]]:
        """Return the names of collections in order, together those that one of them has had."""
        if self._models:
            return sorted({tuple(sorted(place.names)) for place in self._places})
        return sorted({names_like(it) for it in types_in(self.kept, session)})

    def _own(self, prefix: str) -> dict[str, Any]:
        """Return the condition that a record is of one of the classes."""
        names = [name for place in self._places for name in place.names] if self._models else None
        return {f"{prefix}document_type": {"$exists": True} if names is None else {"$in": names}}

    def newest(
        self, conditions: Sequence[Mapping[str, Any]], at_once: int, before: object = None
    ) -> Iterator[Told]:
        """
        Read revisions of which the first record meets all *conditions*, the newest first.

        They go on behind the first record *before*, if not None.
        """
        for some in batches(self._names(conditions, FIRST_RECORD, before), at_once):
            yield from (told for _, told in self._told_of(some))

    def newest_touching(
        self, conditions: Sequence[Mapping[str, Any]], at_once: int, before: object = None
    ) -> Iterator[Told]:
        """
        Read revisions of which any record meets all *conditions*, by the newest such record.

        Each comes once, though records of several writers may lie among each other.
        """
        top = before and self._top(before, conditions)
        known: dict[bytes, Any] = {}
        above = [*conditions, {"_id": {"$gte": top}}]
        for some in batches(self._names(conditions, RECORD, top), SMALL):
            new = {_named(it): it for it in some}
            for few in batches([it for name, it in new.items() if name not in known], at_once):
                earlier = self._having(few, above) if top else ()
                for name, told in self._told_of([it for it in few if _named(it) not in earlier]):
                    known[_named(name)] = told[-1]
                    yield told
            known = {name: first for name, first in known.items() if first < some[-1]["_id"]}

    def _names(
        self, conditions: Sequence[Mapping[str, Any]], position: Mapping[str, Any], before: object
    ) -> Iterator[dict[str, Any]]:
        """Read what names the revisions of some records, the newest first."""
        every = {**self._own(""), **NUMBERS, "position": position}
        bound = [{"_id": {"$type": "objectId"} if before is None else {"$lt": before}}]
        session = active_session(self.kept.database.client)
        options: dict[str, Any] = {"sort": [("_id", DESCENDING)], "batch_size": SMALL}
        query = {"$and": [every, *conditions, *bound]}
        return self.kept.find(query, dict.fromkeys(FIRST, 1), session=session, **options)

    def _top(self, first: object, conditions: Sequence[Mapping[str, Any]]) -> Any:
        """Return the newest record of a revision that meets the conditions, or its *first* one."""
        name = self.kept.find_one({"_id": first}, dict.fromkeys(FIRST, 1)) or {}
        query = {"$and": [_records_of(name), *conditions]}
        found = self._places[0].find(BY_REVISION, query, projection={"_id": 1})
        return max((it["_id"] for it in found), default=first)

    def of_changeset(self, changeset: object) -> Iterator[Told]:
        """Read the revisions of a changeset, in the order in which they were recorded."""
        # What is equal in an index stands in the order in which it was inserted.
        query = {**self._own(""), **NUMBERS, "position": FIRST_RECORD, "changeset": changeset}
        options: dict[str, Any] = {"projection": dict.fromkeys(FIRST, 1), "batch_size": SMALL}
        for some in batches(self._places[0].find(BY_CHANGESET, query, **options), SMALL):
            yield from (told for _, told in self._told_of(some))

    def _having(
        self, names: Sequence[Mapping[str, Any]], conditions: Sequence[Mapping[str, Any]]
    ) -> set[bytes]:
        """Name those of some revisions that have a record of which all *conditions* hold."""
        query = {"$and": [{"$or": [_records_of(it) for it in names]}, *conditions]}
        wanted = {"_id": 0, **dict.fromkeys(FIRST, 1)}
        return {_named(it) for it in self._places[0].find(BY_REVISION, query, projection=wanted)}

    def _told_of(
        self, names: Sequence[Mapping[str, Any]]
    ) -> Iterator[tuple[Mapping[str, Any], Told]]:
        """Read revisions by what names them, at once; what cannot be read is left out."""
        session = active_session(self.kept.database.client)
        kept = self.kept.with_options(self.codec)
        either = {"$or": [_records_of(it) for it in names]}
        found = kept.find(either, sort=HINT, session=session) if names else ()
        whole = {}
        for _, group in groupby(found, lambda it: [it[name] for name in FIRST]):
            records = list(group)
            whole.update(dict.fromkeys((it["_id"] for it in records), records))
        told = ((it, self._told(it, whole.get(it["_id"], []))) for it in names)
        return ((name, it) for name, it in told if it is not None)

    def since(
        self, session: ClientSession, position: Mapping[str, Any], awaited: float
    ) -> ChangeStream[Any]:
        """Watch what comes after a *position*; the server is waited for *awaited* seconds."""
        begin = {"resume_after": position["token"]}
        if position["token"] is None:
            begin = {"start_at_operation_time": position["start"]}
        watched = self.kept.with_options(read_concern=ReadConcern("majority"))
        patience = int(1000 * awaited) or 1
        return watched.watch(self._pipeline(), session=session, max_await_time_ms=patience, **begin)

    def _pipeline(self) -> list[dict[str, Any]]:
        """Ask for what names a revision, when its last record is there, and so all of them."""
        last = {"$subtract": ["$fullDocument.size", 1]}
        wanted = {
            "operationType": "insert",
            **self._own("fullDocument."),
            "fullDocument.revision": {"$gte": 1},
            "$expr": {"$eq": ["$fullDocument.position", last]},
        }
        return [{"$match": wanted}, {"$project": {f"fullDocument.{name}": 1 for name in FIRST}}]

    def read(self, session: ClientSession, name: Mapping[str, Any]) -> Told | None:
        """Read a revision and whose it is; None if it cannot be read, or is of another class."""
        place, query = self._places[0], _records_of(name)
        found = place.find(BY_REVISION, query, codec=self.codec, session=session)
        return self._told(name, [dict(it) for it in found])

    def _told(self, name: Mapping[str, Any], records: list[dict[str, Any]]) -> Told | None:
        place = self._place_of(name)
        if place is None:
            return None
        try:
            if records and records[0]["size"] == len(records):
                first, shown = records[0], revision_of(records, place.codec).shown()
                return first["document_type"], first["document_id"], shown, first["_id"]
        except UNREADABLE as error:
            LOG.warning("Revision %r is left out of a feed: it is malformed (%s).", name, error)
            return None
        LOG.warning("Revision %r is left out of a feed: it is gone, or not complete.", name)
        return None

    def _place_of(self, named: Mapping[str, Any]) -> Place | None:
        """Return where the documents of a class lie that a revision is of."""
        if not self._models:
            return self._places[0]
        name, key = named.get("document_type"), named.get("document_id")
        for place in self._places:
            is_apart = "." in place.class_name  # a subclass in the collection of others
            if name in place.names and (
                not is_apart or is_of(place.model, key, place.documents, self.kept)
            ):
                return place
        return None


def has_reached(token: Mapping[str, Any] | None, then: Timestamp | None) -> bool:
    """Say whether a resume token stands at a moment of the server, or behind it."""
    data = token and token.get("_data")
    if then is None or not isinstance(data, str) or not data.startswith("82"):
        return True  # of a server that writes tokens in another way
    return Timestamp(int(data[2:10], 16), int(data[10:18], 16)) >= then


def _named(it: Mapping[str, Any]) -> bytes:
    return encode([it.get(name) for name in FIRST])


def _records_of(name: Mapping[str, Any]) -> dict[str, Any]:
    """Return the condition that a record is of a revision."""
    same = {it: {"$eq": name.get(it)} for it in FIRST}
    return {"$and": [same, {"revision": {"$gte": 1}}], "position": {"$gte": 0}}


def _behind(
    after: Mapping[str, Any], groups: Sequence[tuple[str, ...]]
) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Yield where to look for what comes after a revision: of its document, its class, others."""
    name, key = after.get("document_type", ""), after.get("document_id")
    own = next((it for it in groups if name in it), (name,))
    if after:
        yield own, {"document_id": {"$eq": key}, "revision": {"$gt": after["revision"]}}
        yield own, behind("document_id", key)
    yield from ((it, {}) for it in groups if it > own or not after)
