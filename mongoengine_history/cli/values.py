"""What is typed: keys, numbers and moments as texts."""

from __future__ import annotations

import contextlib
import re
from datetime import datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import click
from bson import ObjectId, UuidRepresentation, json_util

from mongoengine_history.faces.identity import UUID_TEXT
from mongoengine_history.state.problem import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

AGE: Final = re.compile(r"(\d+)\s*(min|s|h|d|w|y)")

NUMBER: Final = re.compile(r"[+-]?[0-9]{1,18}")

READ_AS: Final = json_util.RELAXED_JSON_OPTIONS.with_options(
    uuid_representation=UuidRepresentation.STANDARD
)

UNITS: Final = {
    "s": timedelta(seconds=1),
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
    "y": timedelta(days=365),
}

WHEN: Final = (
    "a moment by ISO 8601 (2026-05-02, 2026-05-02T09:30, with an offset or in --zone) "
    "or an age (90d, 12h, 30min, 2w, 1y)"
)


def readings(text: str) -> Iterator[Any]:
    """Yield what a text may be: an ObjectId, a UUID, Extended JSON (a number), a text."""
    if ObjectId.is_valid(text):
        yield ObjectId(text)
    if UUID_TEXT.fullmatch(text):
        yield UUID(text)
    with contextlib.suppress(*UNREADABLE, RecursionError):
        yield json_util.loads(text, json_options=READ_AS)
    yield text


def value_of(text: str) -> Any:
    """Return what a text is at first sight; ``null`` is a text."""
    return next(it for it in readings(text) if it is not None)


def number_of(text: str) -> int:
    """Return the number of a revision; ``newest`` is -1."""
    if text == "newest":
        return -1
    if NUMBER.fullmatch(text):
        return int(text)
    raise click.BadParameter(f"{text!r} is no revision: 1, 2, …, -1 or newest")


def point_of(text: str) -> int | None:
    """Return the number of a revision; ``now`` is what is stored."""
    return None if text == "now" else number_of(text)


def moment_of(text: str, zone: tzinfo) -> datetime:
    """Return a moment; without an offset it is in *zone*; an age is so long ago."""
    age = age_of(text)
    try:
        if age is not None:
            return datetime.now(timezone.utc) - age
        when = datetime.fromisoformat(re.sub(r"Z$", "+00:00", text))
    except OverflowError:
        raise click.BadParameter(f"{text!r} is too long ago") from None
    except ValueError:
        raise click.BadParameter(f"{text!r} is not {WHEN}") from None
    return when if when.tzinfo else when.replace(tzinfo=zone)


def last_of(text: str, zone: tzinfo) -> datetime:
    """Return the same; of a day its last moment."""
    when = moment_of(text, zone)
    is_day = age_of(text) is None and len(text) <= len("2026-05-02")
    return when + (timedelta(days=1) - timedelta(microseconds=1)) if is_day else when


def age_of(text: str) -> timedelta | None:
    """Return an age; None if it is none."""
    match = AGE.fullmatch(text.strip())
    try:
        return int(match[1]) * UNITS[match[2]] if match else None
    except OverflowError:
        raise click.BadParameter(f"{text!r} is too long ago") from None


def zone_of(text: str) -> tzinfo:
    """Return a time zone by its name; ``local`` is the one of this machine."""
    if text == "local":
        return datetime.now().astimezone().tzinfo or timezone.utc
    try:
        return timezone.utc if text.upper() == "UTC" else ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise click.BadParameter(f"{text!r} is no time zone, such as Europe/Berlin") from None
