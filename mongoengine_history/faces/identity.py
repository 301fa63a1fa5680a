"""Who answers for something, as a text that people type and links hold, and back."""

from __future__ import annotations

import re
from contextlib import suppress
from math import isfinite
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from bson import ObjectId
from bson.binary import UuidRepresentation
from bson.codec_options import DatetimeConversion
from bson.json_util import CANONICAL_JSON_OPTIONS, dumps, loads

from mongoengine_history.state.context import identity_of, plain
from mongoengine_history.state.problem import UNREADABLE
from mongoengine_history.state.values import encode, same

if TYPE_CHECKING:
    from bson.codec_options import CodecOptions

WHOLE_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]{0,18})")

BROKEN_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+")

UUID_TEXT: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)

EXACT: Final = CANONICAL_JSON_OPTIONS.with_options(
    uuid_representation=UuidRepresentation.UNSPECIFIED,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    document_class=dict,
)
"""Reads and writes Extended JSON so that the BSON is the same; a UUID is what is stored of it."""


def identity_in(text: str) -> Any:
    """
    Read an identity. Nothing in it is an operator.

    An ObjectId, a UUID, a number, ``true``, ``false`` and Extended JSON in braces or brackets are
    what they look like. All else is a text, and so is all that stands in double quotes, in which a
    backslash stands before ``"`` and before itself.
    """
    if ObjectId.is_valid(text):
        return ObjectId(text)
    if UUID_TEXT.fullmatch(text):
        return UUID(text)
    if QUOTED.fullmatch(text):
        return unquoted(text)
    number = _number(text)
    if number is not None:
        return number
    if text[:1] in {"{", "["}:
        with suppress(*UNREADABLE, RecursionError):
            value = loads(text, json_options=EXACT)
            encode(value)  # all else is none
            return value
    return {"true": True, "false": False}.get(text, text)


def _number(text: str) -> int | float | None:
    """Return the number that a text is, if BSON has it; what has an exponent is no number."""
    if WHOLE_NUMBER.fullmatch(text) and abs(int(text)) < 2**63:
        return int(text)
    is_one = BROKEN_NUMBER.fullmatch(text) and isfinite(float(text))
    return float(text) if is_one else None


def identity_text(identity: Any, codec: CodecOptions[Any]) -> str | None:
    """
    Write an identity, without spaces outside of quotes, so that `identity_in` reads the same BSON.

    Args:
        identity: As it was recorded, or as a revision tells it.
        codec: The options of the collection of the documents.

    Returns:
        The text; None if none says it, as of a dict that looks like something else in JSON.
    """
    stored = plain("identity", identity_of(identity), codec)
    if isinstance(stored, str):
        texts = [quoted(stored), in_quotes(stored)]
    else:
        json = dumps(stored, json_options=EXACT, separators=(",", ":"))
        texts = [quoted(str(identity)), json.replace(" ", r"\u0020")]
    return next((it for it in texts if _says(it, stored, codec)), None)


def _says(text: str, stored: Any, codec: CodecOptions[Any]) -> bool:
    with suppress(*UNREADABLE):  # a UUID where the application says of none how it is stored
        return same(plain("identity", identity_in(text), codec), stored)
    return False


def quoted(text: str) -> str:
    """Put a text in quotes where it needs them to stand among others."""
    return text if re.fullmatch(r'[^"\s]\S*', text) else in_quotes(text)


def in_quotes(text: str) -> str:
    """Put a text in quotes."""
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def unquoted(text: str) -> str:
    """Take a text out of its quotes, if it stands in some."""
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL) if text[:1] == '"' else text
