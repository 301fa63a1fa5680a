"""A history in the order of its documents, and in the order in which the server commits it."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from bson import Timestamp
from pymongo.read_concern import ReadConcern

from mongoengine_history.documents.formerly import one_of
from mongoengine_history.documents.snapshot import check_model
from mongoengine_history.errors import OptionsError
from mongoengine_history.record.classes import is_of
from mongoengine_history.record.histories import names_like, types_in
from mongoengine_history.record.history import database_at
from mongoengine_history.record.indexes import HINT, behind
from mongoengine_history.record.layout import revision_of
from mongoengine_history.record.not_recorded import LOG
from mongoengine_history.record.overview import SMALL
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
        options: dict[str, Any] = {"hint": HINT, "limit": count, "session": session}
        for names, later in _behind(after, self._groups(session)):
            own = {"document_type": one_of(names), "revision": {"$gte": 1}, "position": 0}
            order = HINT[2:3] if "document_id" in later else HINT[1:3]
            found = list(self.kept.find({"$and": [own, later]}, wanted, sort=order, **options))
            if found:
                return found
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
        self,
        conditions: Sequence[Mapping[str, Any]],
        position: Mapping[str, Any],
        order: Mapping[str, int],
    ) -> Iterator[dict[str, Any]]:
        """
        Read what names revisions, each once, in an order that an index has.

        All *conditions* hold for a record of the revision, which has a *position*.
        """
        every = {**self._own(""), "revision": {"$gte": 1}, "position": position}
        session, by = active_session(self.kept.database.client), [*order.items()]
        options: dict[str, Any] = {"sort": by, "batch_size": SMALL, "session": session}
        wanted = dict.fromkeys(FIRST, 1)
        found = self.kept.find({"$and": [every, *conditions]}, wanted, **options)
        named = groupby(found, lambda it: encode([it.get(name) for name in FIRST]))
        return (next(records) for _, records in named)

    def read_all(self, names: Sequence[Mapping[str, Any]]) -> Iterator[Told]:
        """Read revisions by what `newest` names them, at once; what cannot be is left out."""
        session = active_session(self.kept.database.client)
        kept = self.kept.with_options(self.codec)
        either = {"$or": [_records_of(it) for it in names]}
        found = kept.find(either, sort=HINT, session=session) if names else ()
        whole = {}
        for _, group in groupby(found, lambda it: [it[name] for name in FIRST]):
            records = list(group)
            whole.update(dict.fromkeys((it["_id"] for it in records), records))
        told = (self._told(it, whole.get(it["_id"], [])) for it in names)
        return (it for it in told if it is not None)

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
        kept = self.kept.with_options(self.codec)
        found = kept.find(_records_of(name), sort=HINT, hint=HINT, session=session)
        return self._told(name, list(found))

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
