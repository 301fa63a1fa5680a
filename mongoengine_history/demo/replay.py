"""The demo with real revisions: a file of them is recorded, and every state is taken back.

The file is JSON lines, plain or compressed by xz, one object per revision, the oldest first::

    {"at": "2024-05-02T09:30:00+02:00", "author": "ann", "message": "why", "state": {…}}

Leaves to others: the server and the arguments (`program`), the table (`demo`).
"""

from __future__ import annotations

import json
import lzma
import sys
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final, TypeVar

import bson
from bson.errors import BSONError
from mongoengine import Document, signals
from mongoengine.base import BaseField

from mongoengine_history.back.revert import revert
from mongoengine_history.capture.document_track import DocumentTrack, track_changes
from mongoengine_history.demo.order import ALIAS, raw, table
from mongoengine_history.read.history_of import history_of
from mongoengine_history.record.history import History

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from mongoengine_history.demo.order import Show
    from mongoengine_history.state.revision import Revision

T = TypeVar("T")

FORMAT: Final = """\
The file of --replay is JSON lines, plain or compressed by xz, one object per revision of one
document, the oldest first:

  {"at": "2024-05-02T09:30:00+02:00", "author": "ann", "message": "why", "state": {"name": 1}}

"at" is ISO 8601 with an offset (times may fall), "state" is the whole document as any JSON object.
Each line is saved as a revision. Then every state is taken back, saved and read again, and its BSON
compared with the line's. Keys may hold dots, dollars and slashes; the order of keys counts.
"""

XZ: Final = b"\xfd7zXZ\x00"
"""The first bytes of a file that is compressed by xz."""

SHOWN: Final = 10
"""How many of the last revisions are shown …"""

CHANGES_SHOWN: Final = 3
"""… and how many changes of each."""

BAR: Final = 40
"""Columns of the progress bar."""


class ReplayError(Exception):
    """The file cannot be replayed; the message names it, the line and the reason."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the file."""

    #: When its author made it; aware, UTC.
    at: datetime
    author: str
    message: str
    #: The state as BSON bytes: what is recorded, and what is compared.
    state: bytes


class _ExactField(BaseField):  # type: ignore[misc]  # MongoEngine has no types
    """
    Stores any dict as it is.

    A DictField refuses keys that begin with a dollar and does not store an empty dict again.
    """

    def __set__(self, instance: Any, value: Any) -> None:
        """Mark it as changed: to MongoEngine ``1`` and ``True`` or another order are the same."""
        super().__set__(instance, value)
        if instance._initialised:
            instance._mark_as_changed(self.name)


class Replayed(Document):  # type: ignore[misc]  # MongoEngine has no types
    """The document whose life the file tells."""

    state = _ExactField()

    meta = {"db_alias": ALIAS}  # noqa: RUF012  # MongoEngine's way to configure a class


def read(file: Path) -> list[Entry]:
    """
    Read all lines of a file; empty ones are skipped.

    Raises:
        ReplayError: the file cannot be read, or a line is no revision.
    """
    try:
        content = file.read_bytes()
        content = lzma.decompress(content) if content.startswith(XZ) else content
    except (OSError, lzma.LZMAError) as error:
        why = getattr(error, "strerror", None) or error
        raise ReplayError(f"{file} cannot be read: {why}") from error
    # Not splitlines(), which would split at some characters inside of texts, too.
    lines = enumerate(content.split(b"\n"), start=1)
    entries = [_entry(file, number, line) for number, line in lines if line.strip()]
    if not entries:
        raise ReplayError(f"{file} has no revisions")
    return entries


def _entry(file: Path, number: int, line: bytes) -> Entry:
    try:
        given = _parsed(line)
        author, message = _value(given, "author", str), _value(given, "message", str)
        bson.encode({"author": author, "message": message})
        return Entry(_moment(given), author, message, bson.encode(_value(given, "state", dict)))
    except (ValueError, OverflowError, RecursionError, BSONError) as error:
        raise ReplayError(f"{file}, line {number}: {error}") from error


def _parsed(line: bytes) -> object:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:  # which counts lines of its own
        raise ValueError(f"no JSON at column {error.colno}: {error.msg}") from error


def _value(given: object, name: str, kind: type[Any]) -> Any:
    value = given.get(name) if isinstance(given, dict) else None
    if not isinstance(value, kind):
        noun = "an object" if kind is dict else "a text"
        raise ValueError(f'"{name}" must be there and be {noun}')
    return value


def _moment(given: object) -> datetime:
    moment = datetime.fromisoformat(_value(given, "at", str).replace("Z", "+00:00"))
    if moment.tzinfo is None:
        raise ValueError('"at" must have an offset, such as +00:00')
    return moment.astimezone(timezone.utc)


def replay(entries: Sequence[Entry], show: Show) -> bool:
    """
    Record all entries as the life of one document, then take every state back.

    Returns:
        Whether every state came back exactly.
    """
    signals.post_save.connect(track_changes, sender=Replayed)
    document = Replayed()
    start = time.perf_counter()
    numbers = _record(document, entries)
    recorded = time.perf_counter()
    revisions = list(history_of(document))
    show(_newest(revisions))
    show(_summary(revisions, entries))
    show([f"Recorded in {recorded - start:.1f} s. Now every state is reverted to and saved."])
    start = time.perf_counter()
    exact = _take_back(document, entries, numbers)
    show([f"Taken back, saved and read again in {time.perf_counter() - start:.1f} s.", ""])
    show(_verdict(exact, numbers))
    return all(exact)


def _record(document: Replayed, entries: Sequence[Entry]) -> list[int]:
    """Save each state; return the number of the revision that each one is, oldest first."""
    numbers = []
    for entry in _with_progress(entries, "recording"):
        with DocumentTrack(document, entry.author, reason=entry.message, at=entry.at):
            document.state = bson.decode(entry.state)
            document.save()
        # An equal state makes no revision, so it is the one before.
        numbers.append(len(history_of(document)))
    return numbers


def _take_back(document: Replayed, entries: Sequence[Entry], numbers: Sequence[int]) -> list[bool]:
    """Say for each entry whether reverting to its revision stores its bytes; newest go first."""
    exact: list[bool] = []
    reached, stored = None, b""
    pairs = list(zip(entries, numbers, strict=True))
    for entry, number in _with_progress(pairs[::-1], "taking back"):
        if number != reached:
            revert(document, revision=number).save()
            reached, stored = number, _stored(document)
        exact.append(stored == entry.state)
    return exact[::-1]


def _stored(document: Replayed) -> bytes:
    state: bytes = getattr(raw(document).get("state"), "raw", b"")
    return state


def _newest(revisions: Sequence[Revision]) -> list[str]:
    shown = revisions[-SHOWN:]
    title = f"The last {len(shown)} of {len(revisions)} revisions, at the times of their authors:"
    return ["", title, "", *table(shown, lambda it: it.metadata["at"], CHANGES_SHOWN), ""]


def _summary(revisions: Sequence[Revision], entries: Sequence[Entry]) -> list[str]:
    records = sum(len(revision.patches) for revision in revisions)
    history = sum(it.bytes for it in History.report(ALIAS))
    full = sum(len(entry.state) for entry in entries)
    return [
        f"{len(entries):,} states are {len(revisions):,} revisions in {records:,} records.",
        f"The history has {_size(history)}, all states in full have {_size(full)}.",
    ]


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 1e6 else f"{count / 1e3:,.1f} KB"


def _verdict(exact: Sequence[bool], numbers: Sequence[int]) -> list[str]:
    lost = [
        f"State {index} (revision {number}) is another one."
        for index, (came_back, number) in enumerate(zip(exact, numbers, strict=True), start=1)
        if not came_back
    ]
    return [*lost[:SHOWN], f"{sum(exact)} of {len(exact)} states came back exactly"]


def _with_progress(items: Sequence[T], label: str) -> Iterator[T]:
    """Yield *items* and draw a bar on standard error, if that is a terminal."""
    drawing = sys.stderr.isatty()
    for done, item in enumerate(items):
        if drawing:
            bar = "#" * (BAR * done // len(items))
            sys.stderr.write(f"\r{label} [{bar:.<{BAR}}] {done}/{len(items)}")
            sys.stderr.flush()
        yield item
    if drawing:
        sys.stderr.write("\r" + " " * (BAR + 35) + "\r")
