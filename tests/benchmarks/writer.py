"""One of many writers: it edits its own copies of documents, and saves after each edit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from random import Random
from typing import Any, Final

from benchmarks.trips import trips
from mongoengine import DictField, Document, ListField, StringField, signals

from mongoengine_history import DocumentTrack, HistoryNotRecordedError, track_changes

SHORTEST: Final = 2
"""Items that stay in the list: MongoEngine would unset an empty one."""

RELOADING: Final = 0.1
"""How often a writer looks at what the others did."""


class Ledger(Document):
    """What all of them write to."""

    #: Another text with each save, by which the save is found in the oplog and in the history.
    mark = StringField()
    entries = ListField(StringField())
    notes = DictField()


signals.post_save.connect(track_changes, sender=Ledger)

Edit = Callable[[Ledger, Random, str], None]


def append(copy: Ledger, _: Random, mark: str) -> None:
    copy.entries.append(mark)


def insert(copy: Ledger, random: Random, mark: str) -> None:
    copy.entries.insert(random.randrange(len(copy.entries)), mark)


def remove(copy: Ledger, random: Random, _: str) -> None:
    if len(copy.entries) > SHORTEST:
        copy.entries.pop(random.randrange(len(copy.entries)))


def write_own_key(copy: Ledger, _: Random, mark: str) -> None:
    copy.notes[mark.partition("-")[0]] = mark


def write_shared_key(copy: Ledger, _: Random, mark: str) -> None:
    copy.notes["shared"] = mark


EDITS: Final[list[Edit]] = [append, insert, remove, write_own_key, write_shared_key]


class Writer:
    """
    Saves copies of documents that others save, too.

    Args:
        name: Another one for each writer.
        keys: The documents; each save is of one of them, by chance.
        plain: Whether the mark is all that it writes.
    """

    def __init__(self, name: str, keys: Sequence[Any], *, plain: bool = False) -> None:
        self._copies = [Ledger.objects.get(pk=key) for key in keys]
        self._random, self._marks = Random(name), (f"{name}-{number}" for number in count())
        self._edits = [] if plain else EDITS
        self._name = name

    def save(self) -> bool:
        """Edit and save once; False if the save was not recorded."""
        copy, mark = self._random.choice(self._copies), next(self._marks)
        if self._random.random() < RELOADING:
            copy.reload()
        try:
            with DocumentTrack(copy, identity=self._name):
                self._edit(copy, mark)
                copy.save()
        except HistoryNotRecordedError:
            return False
        return True

    def _edit(self, copy: Ledger, mark: str) -> None:
        copy.mark = mark
        if self._edits:
            self._random.choice(self._edits)(copy, self._random, mark)


def ready() -> None:
    """Answer as soon as this process is up, so that all of them begin at once."""


def write(name: str, keys: Sequence[Any], saves: int, plain: bool = False) -> list[int]:
    """Save so many times; return how many saves were recorded, and the trips to the history."""
    writer, before = Writer(name, keys, plain=plain), trips.counts["history"]
    recorded = sum(writer.save() for _ in range(saves))
    return [recorded, trips.counts["history"] - before]
