"""Watchers at work in threads, and what others write meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import mongoengine as me
from bson import ObjectId
from mongoengine import Document

from mongoengine_history import Reconciled, history_of, watch

PATIENCE = 60.0
"""Seconds that a condition may take on a busy machine."""


class Bin(Document):
    meta = {"collection": "bins", "auto_create_index": False}
    name = me.StringField()
    count = me.IntField()
    tags = me.ListField(me.StringField())


class Shelf(Document):
    meta = {"collection": "shelves", "auto_create_index": False, "db_alias": "other"}
    name = me.StringField()


def db() -> Any:
    """Return the database as other programs have it."""
    return me.get_db()


def bins() -> Any:
    return db()["bins"]


def keep_images(on: bool) -> None:
    db().command("collMod", "bins", changeStreamPreAndPostImages={"enabled": on})


class Watch:
    """A watcher at work in a thread."""

    def __init__(self, *models: type[Document]) -> None:
        self.watcher = watch(*models)
        self.found: list[Reconciled] = []
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            for it in self.watcher:
                self.found.append(it)
        except BaseException as error:  # to be told by the test
            self.error = error

    def start(self) -> None:
        self._thread.start()
        until(lambda: self.error or self.is_at_work)

    @property
    def is_at_work(self) -> bool:
        followed = self.watcher._followed
        return all(it._stream.is_open and not it._stream.is_lost for it in followed)

    def rest(self) -> None:
        """Wait until all that was written by now is gone through."""
        sign = ObjectId()
        bins().insert_one({"_id": sign, "name": "sign"})
        until(lambda: any(it.document_id == sign for it in self.found) or self.error)
        until(lambda: self.watcher.lag == 0.0 or self.error)
        assert self.error is None
        self.found = [it for it in self.found if it.document_id != sign]

    def stop(self) -> None:
        self.watcher.stop()
        self._thread.join(PATIENCE)


def until(happens: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happens():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.02)


@contextmanager
def watching(*models: type[Document]) -> Iterator[Watch]:
    made = Watch(*(models or (Bin,)))
    made.start()
    try:
        yield made
    finally:
        made.stop()


def write(document: Bin, **values: Any) -> None:
    bins().update_one({"_id": document.pk}, {"$set": values})


def names(document: Bin) -> list[Any]:
    timeline = history_of(document)
    return [timeline.state(it.number).get("name") for it in timeline]
