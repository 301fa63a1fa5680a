"""Who answers for a write, and why: what is said, checked, and asked."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import bson
from bson import DBRef, ObjectId

from mongoengine_history.errors import OptionsError
from mongoengine_history.state.values import WIRE, depth

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bson.codec_options import CodecOptions

LARGEST_CONTEXT: Final = 1024 * 1024
"""Bytes that identity, reason and metadata may take each: every record carries them."""

DEEPEST_CONTEXT: Final = 50
"""Levels that each may nest."""

_is_asking: ContextVar[bool] = ContextVar("mongoengine_history_is_asking", default=False)


@dataclass(frozen=True, slots=True)
class Context:
    """Who answers for a write, and why; plain BSON values."""

    #: Who, as stored; None is nobody.
    identity: Any = None
    #: Why, in words.
    reason: str | None = None
    #: Anything else that was said about the write.
    metadata: Mapping[str, Any] = field(default_factory=dict)
    #: Shared by all revisions of one unit of work.
    changeset: ObjectId | None = None


def checked(
    identity: object, reason: object, metadata: Mapping[str, Any], codec: CodecOptions[Any]
) -> Context:
    """
    Make a context of what an application gave.

    Of an identity that is a document the primary key is kept; something to call is kept as it is,
    to be asked when something is written.

    Raises:
        OptionsError: a value cannot be stored.
    """
    if not isinstance(reason, str | None):
        raise OptionsError("reason", reason, "it must be a text or None")
    who = identity_of(identity)
    return Context(
        who if callable(who) else plain("identity", who, codec),
        plain("reason", reason, codec),
        plain("metadata", dict(metadata), codec) if metadata else {},
    )


def identity_of(identity: object) -> object:
    """Return what is kept of an identity: the primary key of a document or reference, or it."""
    if isinstance(identity, DBRef):  # a LazyReference is one
        return identity.id
    if isinstance(identity, type):
        problem = f"{identity.__name__} is a class; give a saved document, a value, or a function"
        raise OptionsError("identity", identity, problem)
    if not getattr(identity, "_is_document", False):
        return identity
    pk = getattr(identity, "pk", None)
    if pk is None:
        raise OptionsError("identity", identity, "the document is not saved; it has no primary key")
    return pk


def plain(name: str, value: object, codec: CodecOptions[Any]) -> Any:
    """
    Return a value of the argument *name* as it is stored in every record.

    Raises:
        OptionsError: it cannot be stored there.
    """
    if value is None or type(value) is ObjectId:
        return value
    try:
        raw = bson.encode({name: value}, codec_options=codec)
    except Exception as error:  # PyMongo raises a dozen classes, OverflowError among them
        problem = f"it is no BSON value ({error}); give an id, a text or a saved document"
        raise OptionsError(name, value, problem) from error
    plain = bson.decode(raw, codec_options=WIRE)[name]
    if len(raw) > LARGEST_CONTEXT or depth(plain) > DEEPEST_CONTEXT:
        raise OptionsError(name, value, "it is too large or nests too deep for every record")
    return plain


def innermost(contexts: Sequence[Context], providers: Iterable[object] = ()) -> Context:
    """
    Merge nested contexts, the outermost first: inner values win, outer ones remain.

    Who answers is asked at last, from the innermost outwards and then of *providers*, until
    somebody is named.
    """
    asked = [*(context.identity for context in reversed(contexts)), *providers]
    return Context(
        next((who for who in map(_answer, asked) if who is not None), None),
        next((it.reason for it in reversed(contexts) if it.reason is not None), None),
        {name: value for context in contexts for name, value in context.metadata.items()},
    )


def _answer(who: object) -> object:
    """Ask who answers. What is written while being asked, such as a last login, is nobody's."""
    if not callable(who):
        return who
    if _is_asking.get():
        return None
    token = _is_asking.set(True)
    try:
        return who()
    finally:
        _is_asking.reset(token)
