"""Who answers for a write, and why: checked before anything is written, kept as plain BSON."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

import bson

from mongoengine_history.errors import OptionsError
from mongoengine_history.revision import Context
from mongoengine_history.values import WIRE, depth

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bson.codec_options import CodecOptions

LARGEST_CONTEXT: Final = 1024 * 1024
"""Bytes that identity, reason and metadata may take each: every record carries them."""

DEEPEST_CONTEXT: Final = 50
"""Levels that each may nest."""


_is_asking: ContextVar[bool] = ContextVar("mongoengine_history_is_asking", default=False)


def checked(
    identity: object, reason: object, metadata: Mapping[str, Any], codec: CodecOptions[Any]
) -> Context:
    """
    Make a context of what an application gave.

    Args:
        identity: A document, of which the primary key is kept, or any BSON value. Something to
            call is kept as it is, to be asked when something is written.
        reason: A text or None.
        metadata: Names and BSON values.
        codec: The options of the collection that the document lies in.

    Raises:
        OptionsError: a value cannot be stored.
    """
    if not isinstance(reason, str | None):
        raise OptionsError("reason", reason, "it must be a text or None")
    who = identity_of(identity)
    return Context(
        who if callable(who) else _plain("identity", who, codec),
        _plain("reason", reason, codec),
        _plain("metadata", dict(metadata), codec) if metadata else {},
    )


def identity_of(identity: object) -> object:
    """Return what is kept of an identity: the primary key of a document, else the value."""
    if not getattr(identity, "_is_document", False):
        return identity
    pk = getattr(identity, "pk", None)
    if pk is None:
        raise OptionsError("identity", identity, "the document is not saved; it has no primary key")
    return pk


def _plain(name: str, value: object, codec: CodecOptions[Any]) -> Any:
    if value is None:
        return None
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
