"""What a writer tried and what it was told, a line each in a file that survives the writer."""

from __future__ import annotations

import json
import logging
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from faults.marks import keys_in, marks_in

from mongoengine_history import HistoryNotRecordedError

ACKNOWLEDGED: Final = "acknowledged"
NOTHING: Final = "nothing to write to"
RAISED: Final = "raised"
CUT: Final = "cut by a kill"
"""How a write may end."""

EXPECTED: Final = ("pymongo.", "mongoengine.", "mongoengine_history.", "faults.documents.")
"""The modules of errors that an application is told to expect."""


class Journal(logging.Handler):
    """
    Appends lines to a file, each with one write to it, so that a kill leaves whole lines.

    It is a handler of the logger of the library, too.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def _write(self, **line: Any) -> None:
        os.write(self._file, json.dumps({**line, "at": time.time()}).encode() + b"\n")

    def tries(self, mark: str, action: str, keys: Sequence[str]) -> None:
        """Say what comes next: a write of *keys*."""
        self._write(mark=mark, action=action, keys=list(keys))

    def ends(self, mark: str, result: object) -> None:
        """Say that it returned; a false *result* if it found no document."""
        self._write(mark=mark, outcome=ACKNOWLEDGED if result else NOTHING)

    def fails(self, mark: str, error: Exception) -> None:
        """Say what it raised, and what that holds."""
        is_told = isinstance(error, HistoryNotRecordedError)
        told = sorted(marks_in(error.records)) if is_told else []
        name = f"{type(error).__module__}.{type(error).__name__}"
        self._write(
            mark=mark, outcome=RAISED, error=name, text=str(error)[:500], told=told, is_told=is_told
        )

    def emit(self, record: logging.LogRecord) -> None:
        """Say what the library has logged."""
        text, told = record.getMessage(), marks_in(getattr(record, "records", ()))
        self._write(text=text, keys=sorted(keys_in(text)), told=sorted(told))


@dataclass
class Attempt:
    """One write."""

    mark: str
    action: str
    keys: list[str]
    #: Seconds since 1970.
    at: float
    outcome: str = CUT
    #: Class of what it raised, and the message.
    error: str = ""
    text: str = ""
    #: Whether the error said that it is not in the history.
    is_told: bool = False

    @property
    def is_unexpected(self) -> bool:
        """Say whether it raised what no page of the documentation prepares for."""
        return bool(self.error) and not self.error.startswith(EXPECTED)


@dataclass
class Told:
    """All that writers tried, and all that the library told them."""

    attempts: dict[str, Attempt] = field(default_factory=dict)
    #: The same by the keys of the documents that they write.
    attempts_at: dict[str, list[Attempt]] = field(default_factory=lambda: defaultdict(list))
    #: Marks that are in records which an error or a line of the log has handed over.
    marks: set[str] = field(default_factory=set)
    #: When a line of the log last named a key.
    keys: dict[str, float] = field(default_factory=dict)
    #: The lines of the log.
    lines: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, folder: Path) -> Told:
        """Read all journals of a folder."""
        told = cls()
        for line in _lines(sorted(folder.glob("*.journal"))):
            told._take(line)
        return told

    def _take(self, line: dict[str, Any]) -> None:
        self.marks |= set(line.get("told", ()))
        if "action" in line:
            attempt = self.attempts[line["mark"]] = Attempt(**line)
            for key in attempt.keys:
                self.attempts_at[key].append(attempt)
        elif "outcome" in line:
            attempt = self.attempts[line["mark"]]
            for name in ("outcome", "error", "text", "is_told"):
                setattr(attempt, name, line.get(name, getattr(attempt, name)))
        else:
            self.lines.append(line["text"])
            self.keys |= dict.fromkeys(line["keys"], line["at"])

    def knows(self, key: str, attempt: Attempt) -> bool:
        """Say whether somebody was told that the history of *key* lacks a write."""
        is_logged = self.keys.get(key, 0.0) >= attempt.at
        return attempt.is_told or attempt.mark in self.marks or is_logged


def _lines(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    for path in paths:
        for line in path.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)
