"""The change stream of one database: what the server tells of some collections, in order."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pymongo.errors import ConnectionFailure, OperationFailure, PyMongoError

from mongoengine_history.errors import OptionsError
from mongoengine_history.record.not_recorded import LOG
from mongoengine_history.state.values import WIRE, State
from mongoengine_history.trust.bookmark import Bookmark

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mongoengine_history.record.place import Place

TOKENS: Final = ".watch"
"""What the name of the collection of resume tokens ends with; it begins with the history's."""

WAIT: Final = 100
"""Milliseconds that the server waits for an event before it says that there is none."""

BREATH: Final = 1.0
"""Seconds until a server that does not answer is asked again, and between two tokens kept."""

MOST_EVENTS: Final = 500
"""Events to take at once."""

LOST_CODES: Final = {136, 260, 280, 286}
"""Errors by which a stream cannot be resumed: its token is too old, or no good any more."""

PASSING_CODES: Final = {43, 237, 11600, 11601, 11602}
"""Errors of a cursor that is gone or was interrupted: the stream goes on by its token."""

TOO_LARGE: Final = 10334
"""The error that an event takes more than 16 MB."""

NO_STREAMS: Final = {59, 40324, 40573}
"""Errors of a server that has no change streams."""

IMAGES: Final[dict[str, Any]] = {
    "full_document": "updateLookup",
    "full_document_before_change": "whenAvailable",
}

LARGE: Final = ["fullDocument", "fullDocumentBeforeChange", "updateDescription"]

WRITE_EVENTS: Final = {"insert", "update", "replace", "delete"}

WITH_IMAGES: Final = 17
"""The wire version of MongoDB 6.0, which keeps images of what was before …"""

WITH_PARTS: Final = 21
"""… and of 7.0, which sends large events in parts."""

UNKNOWN: Final[State] = {"unknown": object()}
"""Stands for a state that the stream does not tell."""


class Event(NamedTuple):
    """One write to one document, or one thing that happened to its collection."""

    collection: str
    #: ``insert``, ``update``, ``replace``, ``delete``; or ``drop``, ``rename``, ….
    operation: str
    #: The primary key.
    key: Any
    #: The document before it, None if there was none; `UNKNOWN` if no image was kept.
    before: State | None
    #: The document after it, or how it was found a little later; None if it is gone.
    after: State | None
    #: Seconds since 1970 by the clock of the server.
    moment: float
    #: Where the stream can be resumed so that the event comes again.
    token: Mapping[str, Any] | None


class Stream:
    """
    Follows the collections of some places in one database, and goes on where it was before.

    A token that is too old, a dropped database and the first start of all leave it `is_lost`: what
    was written until now has to be found in another way.
    """

    def __init__(self, places: Sequence[Place]) -> None:
        self._names = sorted({it.document_type for it in places})
        self._database = places[0].documents.database.with_options(codec_options=WIRE)
        self._bookmark = Bookmark(places[0].beside(TOKENS), ",".join(self._names))
        self._stream: Any = None
        self._token: Mapping[str, Any] | None = None
        #: Whether events are asked for without documents, since one was too large.
        self._is_lean = False
        self._kept_at = 0.0
        self.is_lost = False

    def start(self) -> None:
        """
        Open it where the token says that was kept.

        Raises:
            OptionsError: the server has no change streams.
        """
        kept = self._bookmark.read()
        self._token = kept and kept["token"]
        self.is_lost = self._token is None
        try:
            self._open()
        except OperationFailure as error:
            check_streams(error, "models", self._names)
            if self._token is None or _passes(error):
                self._mend(error)
            else:
                self._lose(error)

    def _open(self) -> None:
        self.close()
        match = [
            {"ns.coll": {"$in": self._names}},
            {"to.coll": {"$in": self._names}},
            {"operationType": {"$in": ["dropDatabase", "invalidate"]}},
        ]
        pipeline: list[dict[str, Any]] = [{"$match": {"$or": match}}]
        version = self._database.client.admin.command("hello")["maxWireVersion"]
        images = dict(IMAGES) if version >= WITH_IMAGES else {"full_document": "updateLookup"}
        if self._is_lean:
            pipeline, images = [*pipeline, {"$unset": LARGE}], {}
        elif version >= WITH_PARTS:
            pipeline.append({"$changeStreamSplitLargeEvent": {}})
        options = {"resume_after": self._token, "max_await_time_ms": WAIT, **images}
        self._stream = self._database.watch(pipeline, **options)
        self._token = self._stream.resume_token or self._token

    @property
    def is_open(self) -> bool:
        """Say whether the server is asked; what is done from now on will be told."""
        return self._stream is not None

    def close(self) -> None:
        """Close it; `read` opens it again."""
        stream, self._stream = self._stream, None
        if stream is not None:
            with suppress(PyMongoError):
                stream.close()

    def read(self) -> Iterator[Event]:
        """
        Yield the events that there are by now.

        Raises:
            pymongo.errors.OperationFailure: the server refuses it.
        """
        try:
            if self._stream is None:
                self._open()
            yield from self._events()
        except ConnectionFailure as error:  # PyMongo has tried it again already
            LOG.warning("The change stream of %s is asked for again: %s", self._names, error)
            self.close()
            time.sleep(BREATH)
        except OperationFailure as error:
            self._mend(error)

    def _events(self) -> Iterator[Event]:
        until = time.monotonic() + WAIT / 1000  # others may write all the time
        for _ in range(MOST_EVENTS):
            found = self._next() if time.monotonic() < until else None
            if found is None:
                break
            token, self._token = self._token, self._stream.resume_token
            if found["operationType"] in {"dropDatabase", "invalidate"}:
                self._lose("the database was dropped")
                break
            yield event_of(found, token)
            if self._is_lean:
                self._is_lean = False
                self.close()
                break
        if self._stream is not None:
            self._token = self._stream.resume_token or self._token

    def _next(self) -> dict[str, Any] | None:
        """Read the next event, with all of its parts; then a lean stream becomes a full one."""
        event: dict[str, Any] | None = self._stream.try_next()
        part = event and event.get("splitEvent")
        while event and part and part["fragment"] < part["of"]:
            more = self._stream.next()
            part = more.get("splitEvent")
            event = {**event, **more}
        return event

    def _mend(self, error: OperationFailure) -> None:
        """Get over an error of the server, or raise it."""
        if error.code == TOO_LARGE and not self._is_lean:
            LOG.warning("An event of %s is too large, so it comes without documents", self._names)
            self._is_lean = True
        elif error.code in {TOO_LARGE, *LOST_CODES}:
            self._lose(error)
        elif _passes(error):
            time.sleep(BREATH)
        else:
            raise error
        self.close()

    def _lose(self, why: object) -> None:
        LOG.warning("What was written to %s has to be looked for: %s", self._names, why)
        self.close()
        self._token, self.is_lost = None, True

    def keep(self, token: Mapping[str, Any] | None, *, at_once: bool = False) -> None:
        """Keep that all is done before a token, or up to here; not more often than needed."""
        wanted = token or self._token
        is_time = at_once or time.monotonic() - self._kept_at > BREATH
        if wanted and is_time and not self.is_lost:
            self._bookmark.keep({"token": wanted})
            self._kept_at = time.monotonic()


def check_streams(error: OperationFailure, option: str, value: object) -> None:
    """Raise an OptionsError where an error says that the server has no change streams."""
    if error.code in NO_STREAMS:
        problem = "the server has no change streams: it must be a replica set"
        raise OptionsError(option, value, problem) from error


def _passes(error: OperationFailure) -> bool:
    """Say whether a stream goes on after an error, by its token."""
    return error.code in PASSING_CODES or error.has_error_label("ResumableChangeStreamError")


def event_of(found: Mapping[str, Any], token: Mapping[str, Any] | None) -> Event:
    """Make an event of what the server has sent."""
    operation = found["operationType"]
    before = None if operation == "insert" else found.get("fullDocumentBeforeChange") or UNKNOWN
    is_told = operation == "delete" or found.get("fullDocument") is not None
    after = found.get("fullDocument") if is_told else UNKNOWN
    where = found.get("ns", {}).get("coll", "")
    key = found.get("documentKey", {}).get("_id")
    for state in (before, after):
        if state is not None:
            state.pop("_id", None)
    return Event(where, operation, key, before, after, _moment(found), token)


def _moment(found: Mapping[str, Any]) -> float:
    wall = found.get("wallTime")  # since MongoDB 6.0
    if isinstance(wall, datetime):
        return wall.replace(tzinfo=timezone.utc).timestamp()
    return float(found["clusterTime"].time)
