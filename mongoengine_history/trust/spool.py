"""What could not be recorded waits in a local file, and is recorded later."""

from __future__ import annotations

import os
import sys
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections import defaultdict
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import bson
from bson.errors import BSONError
from pymongo.errors import PyMongoError

from mongoengine_history.errors import HistoryError, HistoryNotRecordedError, OptionsError
from mongoengine_history.record.late import ADDRESS, place_of, records_of, write_all
from mongoengine_history.record.not_recorded import LOG
from mongoengine_history.record.revisions import Revisions
from mongoengine_history.state.values import WIRE, encode, identifier

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

CHECKSUM: Final = 64
"""What a line begins with: the SHA-256 of the rest."""

_File = str | os.PathLike[str]


class Flushed(NamedTuple):
    """What became of the entries of a spool, each of which is what one write did to a document."""

    #: Recorded, now or before.
    recorded: int
    #: Still in the file, since they cannot be recorded yet; the log says why.
    left: int
    #: Lines that are still in the file and are no entries: their writer died.
    torn: int


@dataclass(frozen=True)
class Spool:
    """Takes what could not be recorded to the end of a file; see `spool`."""

    #: The file; its path is absolute.
    path: Path

    def __call__(self, error: HistoryNotRecordedError) -> None:
        """
        Append what an error has to the file, which is on the disk then.

        Raises:
            OSError: it cannot be written.
        """
        entries = [
            {**_address(error), "document_id": key, "records": records}
            for key, records in records_of(error)
        ]
        _append(self.path, b"".join(dict.fromkeys(map(_line, entries))))


def spool(path: _File) -> Spool:
    """
    Keep what cannot be recorded in a file: ``track_history(on_error=spool(path))``.

    The write of the document goes on as if all was well: once it returns, its records are on the
    disk. `flush_spool` records them. Where the file cannot be written either, a
    HistoryNotRecordedError is raised.

    Args:
        path: A file of this machine, in a folder that exists; it is made with the first entry, for
            this user only. Threads and processes may share it. Beside it lie two files that only
            serve as locks.

    Returns:
        What ``on_error`` takes. It can be pickled and compared.

    Raises:
        OptionsError: *path* is no path, its folder is missing, or the system has no locks of files.
    """
    return Spool(_checked(path))


def flush_spool(path: _File) -> Flushed:
    """
    Record what a spool holds. Reads and writes; in no transaction.

    Each entry is recorded once, also if a flush was broken off, with a number that is free by then;
    those of one document in the order of their writes. What is stored then and still not in the
    history becomes a revision ``external``. Entries that cannot be recorded stay, and with them the
    later ones of the same document. Writers need not wait: what they append meanwhile stays.

    Args:
        path: The file, as `spool` has it; one that is not there holds nothing.

    Returns:
        How many entries were recorded, how many are left, and how many lines are torn.

    Raises:
        OptionsError: *path* is no path, its folder is missing, or the system has no locks of files.
        OSError: the file cannot be read or written. What was recorded is not recorded again.
    """
    file = _checked(path)
    with _locked(file, ".flush"):
        known, torn = _known(file)
        done = [it for own in known for it in _recorded(file, own)]
        if done:
            _drop(file, {it.digest for it in done})
    return Flushed(len(done), sum(map(len, known)) - len(done), torn)


def rewrite(path: _File, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """
    Put other entries into the place of those that a spool holds; what is torn stays.

    Args:
        path: The file, as `spool` has it; one that is not there holds nothing.
        change: Returns what an entry becomes, given it: where its document lies and its records.
    """
    file = _checked(path)
    with _locked(file, ".flush"), suppress(FileNotFoundError):
        _rewritten(file, lambda line: _changed(line, change))


def _changed(line: bytes, change: Callable[[dict[str, Any]], dict[str, Any]]) -> bytes:
    entry = _entry(line)
    if entry is None:
        return line
    made = change(entry)
    return line if encode(made) == encode(entry) else _line(made)


class _Entry(NamedTuple):
    """Where an entry stands, and when its write was."""

    stamp: int
    start: int
    digest: bytes


def _checked(path: _File) -> Path:
    if sys.platform == "win32":
        raise OptionsError("path", path, "this system has no locks of files that a spool needs")
    try:
        file = Path(path).absolute()
    except TypeError:
        raise OptionsError("path", path, "it must be the path of a file") from None
    if not file.parent.is_dir() or file.is_dir():
        raise OptionsError("path", path, "it must be a file, in a folder that exists")
    return file


def _address(error: HistoryNotRecordedError) -> dict[str, str]:
    return {name: getattr(error, name) for name in ADDRESS}


def _line(entry: dict[str, Any]) -> bytes:
    """Return an entry in one line, by which what is torn ends where the next one begins."""
    text = b64encode(bson.encode(entry, codec_options=WIRE))
    return sha256(text).hexdigest().encode() + b" " + text + b"\n"


def _entry(line: bytes) -> dict[str, Any] | None:
    """Return the entry of a line; None if it is torn."""
    digest, text = line[:CHECKSUM], line[CHECKSUM:].strip()
    if sha256(text).hexdigest().encode() != digest:
        return None
    with suppress(NotBase64, BSONError):
        return bson.decode(b64decode(text), codec_options=WIRE)
    return None


@contextmanager
def _locked(path: Path, kind: str = ".lock") -> Iterator[None]:
    """Keep others out, be they threads or processes; who dies leaves nothing locked."""
    with open(f"{path}{kind}", "ab", opener=_private) as lock:
        if sys.platform != "win32":
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _append(path: Path, lines: bytes) -> None:
    """Append lines, which are on the disk then; none of them where that fails."""
    with _locked(path), open(path, "a+b", buffering=0, opener=_private) as file:
        end = file.seek(0, os.SEEK_END)
        if end:
            file.seek(end - 1)
            lines = lines if file.read(1) == b"\n" else b"\n" + lines
        try:
            _write(file, lines)
        except BaseException:  # a full disk, or a signal
            os.ftruncate(file.fileno(), end)
            raise
        if not end:
            _sync_folder(path)


def _write(file: Any, lines: bytes) -> None:
    rest = memoryview(lines)
    while rest:
        rest = rest[file.write(rest) :]
    os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    """Let the name of a new file be on the disk, too."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _known(path: Path) -> tuple[list[list[_Entry]], int]:
    """Read where the entries of each document stand, in the order of their writes."""
    own: defaultdict[tuple[object, ...], list[_Entry]] = defaultdict(list)
    start = torn = 0
    for line in _lines(path):
        entry = _entry(line)
        if entry is not None:
            records = entry["records"]
            stamp = records[0]["stamp"] if records else sys.maxsize
            own[_whose(entry)].append(_Entry(stamp, start, line[:CHECKSUM]))
        elif line.strip():
            torn += 1
            LOG.warning("What begins at byte %d of the spool %s is torn, and stays.", start, path)
        start += len(line)
    return [sorted(entries) for entries in own.values()], torn


def _whose(entry: dict[str, Any]) -> tuple[object, ...]:
    return (*(entry[name] for name in ADDRESS[1:]), identifier(entry["document_id"]))


def _has_more(path: Path, own: list[_Entry], whose: tuple[object, ...]) -> bool:
    """Say whether a document has entries by now that were appended behind its *own* ones."""
    known, start = {it.digest for it in own}, min(it.start for it in own)
    later = (line for line in _lines(path, start) if line[:CHECKSUM] not in known)
    return any(_whose(it) == whose for it in map(_entry, later) if it is not None)


def _lines(path: Path, start: int = 0) -> Iterator[bytes]:
    """Read the lines that are whole now, from a byte on; none of a file that is not there."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        with _locked(path):
            end = os.fstat(file.fileno()).st_size
        file.seek(start)
        while file.tell() < end:
            yield file.readline()


def _recorded(path: Path, own: list[_Entry]) -> list[_Entry]:
    """Record the entries of one document; return them, none if that failed."""
    found = []
    with path.open("rb") as file:
        for it in own:
            file.seek(it.start)
            found.append(_entry(file.readline()) or {})
    last = found[-1]
    try:
        place = place_of(*(last[name] for name in ADDRESS))
        if place.in_transaction:
            raise OptionsError("session", "active", "a spool is flushed in no transaction")
        is_told = partial(_has_more, path, own, _whose(last))
        write_all(Revisions(place, last["document_id"]), [it["records"] for it in found], is_told)
    except (HistoryError, PyMongoError) as why:
        LOG.warning("What the spool has of document %r stays in it: %s", last["document_id"], why)
        return []
    return own


def _drop(path: Path, digests: Collection[bytes]) -> None:
    """Leave some entries out."""
    _rewritten(path, lambda line: b"" if line[:CHECKSUM] in digests else line)


def _rewritten(path: Path, change: Callable[[bytes], bytes]) -> None:
    """Put a file of other lines into the place of the spool."""
    new = path.with_name(f"{path.name}.new")
    with _locked(path):
        with path.open("rb") as file, open(new, "wb", opener=_private) as rest:
            rest.writelines(map(change, file))
            rest.flush()
            os.fsync(rest.fileno())
        new.replace(path)
        _sync_folder(path)
