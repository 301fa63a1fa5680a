"""The requests of a ``bulk_write``: what each asks for, and which can be done together."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bson import DatetimeMS, ObjectId
from pymongo.errors import InvalidOperation

from mongoengine_history.capture.call import READING, Call
from mongoengine_history.record.overview import MOST
from mongoengine_history.state.updates import roots_of
from mongoengine_history.state.values import identifier, wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bson.codec_options import CodecOptions

KEYS: Final = (ObjectId, str, int, float, bytes, datetime, DatetimeMS)
"""Types of keys by which a document is told from all others without asking the server."""


class Request(NamedTuple):
    """One request, in the words of a collection's own method."""

    place: int
    #: PyMongo's own object.
    asked: Any
    call: Call
    #: As an error tells it.
    op: Any
    #: The top-level names that it may set; None for any.
    roots: set[str] | None
    #: The primary key of the only document that it may meet; None if that is not known.
    key: Any
    #: What tells its document from all others.
    token: object
    #: Whether the key was made for it just now.
    is_fresh: bool

    @property
    def is_insert(self) -> bool:
        """Say whether it inserts."""
        return self.call.name == "insert_one"

    @property
    def is_delete(self) -> bool:
        """Say whether it deletes."""
        return self.call.name.startswith("delete")


def requests_of(given: Iterable[Any], codec: CodecOptions[Any]) -> list[Request]:
    """
    Look at all requests before the first is done, as PyMongo does.

    Raises:
        TypeError: one is none.
        pymongo.errors.InvalidOperation: there is none.
    """
    given = list(given)
    if not given:
        raise InvalidOperation("No operations to execute")
    for asked in given:
        if not hasattr(asked, "_add_to_bulk"):
            raise TypeError(f"{asked!r} is not a valid request")
    return [_request(index, asked, codec) for index, asked in enumerate(given)]


def groups_of(requests: list[Request]) -> Iterator[list[Request]]:
    """Take as many as can be done together, in order: each document of a group comes once."""
    group: list[Request] = []
    known: set[object] = set()
    for request in requests:
        token = None if request.key is None else request.token
        if group and (token is None or token in known or len(group) == MOST):
            yield group
            group, known = [], set()
        group.append(request)
        known.add(token)
        if token is None:
            yield group
            group, known = [], set()
    if group:
        yield group


def _request(index: int, asked: Any, codec: CodecOptions[Any]) -> Request:
    told = _Told()
    asked._add_to_bulk(told)
    key, is_fresh = None, False
    document, call = told.call["document"], told.call
    if isinstance(document, dict):
        is_fresh = "_id" not in document
        key = document.setdefault("_id", ObjectId())
    elif call.is_sound and document is None and not call.given(READING):
        key = call.key
    if not isinstance(key, ObjectId):
        key = wire({"_id": key}, codec)["_id"]
    if not isinstance(key, KEYS) or isinstance(key, bool):
        key = None
    roots = roots_of(call["update"])
    return Request(index, asked, call, told.op, roots, key, identifier(key), is_fresh)


class _Told:
    """Stands for the bulk to which PyMongo's requests add themselves."""

    call: Call
    op: Any

    def add_insert(self, document: Any) -> None:
        self.call, self.op = Call("insert_one", {"document": document}), document

    def add_update(
        self, query: Any, update: Any, multi: bool = False, upsert: bool = False, **options: Any
    ) -> None:
        name = "update_many" if multi else "update_one"
        self._take(name, {"filter": query, "update": update, "upsert": bool(upsert)}, options)
        self.op = _op(q=query, u=update, multi=multi, upsert=upsert, **options)

    def add_replace(
        self, query: Any, replacement: Any, upsert: bool = False, **options: Any
    ) -> None:
        said = {"filter": query, "replacement": replacement, "upsert": bool(upsert)}
        self._take("replace_one", said, options)
        self.op = _op(q=query, u=replacement, upsert=upsert, **options)

    def add_delete(self, query: Any, limit: int, **options: Any) -> None:
        self._take("delete_one" if limit else "delete_many", {"filter": query}, options)
        self.op = _op(q=query, limit=limit, **options)

    def _take(self, name: str, said: Mapping[str, Any], options: Mapping[str, Any]) -> None:
        given = {name: value for name, value in options.items() if value is not None}
        self.call = Call(name, {**said, **given})


def _op(**said: Any) -> dict[str, Any]:
    """Return a request by the names that the server has for what it says."""
    named = {{"array_filters": "arrayFilters"}.get(name, name): it for name, it in said.items()}
    return {name: value for name, value in named.items() if value is not None}
