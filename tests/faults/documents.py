"""What all writers write: documents of two classes, one for each style of tracking."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final, NamedTuple

from mongoengine import DictField, Document, ListField, StringField, signals

from mongoengine_history import DocumentTrack, changeset, track_changes, track_history

OPTIONS: Final = {"version_every": 10}


class Sheet(Document):
    """Made of values that tell who wrote them, see `faults.marks`."""

    meta = {"abstract": True, "auto_create_index": False, "history": OPTIONS}
    key = StringField(primary_key=True)
    title = StringField()
    lines = ListField(StringField())
    facts = DictField()


@track_history
class TrackedSheet(Sheet):
    """All its writes are recorded."""

    meta = {"collection": "faults_tracked"}


class WatchedSheet(Sheet):
    """What is saved and deleted in a block is recorded."""

    meta = {"collection": "faults_watched"}


signals.post_save.connect(track_changes, sender=WatchedSheet)
signals.post_delete.connect(track_changes, sender=WatchedSheet)


class Style(NamedTuple):
    """A way to have writes recorded."""

    model: Any
    #: Opens a block, of a document and the mark of a write, which it names as identity.
    block: Callable[[Any, str], AbstractContextManager[Any]]
    #: Whether writes by queries are recorded, too.
    is_automatic: bool


STYLES: Final = {
    "tracked": Style(TrackedSheet, lambda _, mark: changeset(mark), is_automatic=True),
    "watched": Style(WatchedSheet, DocumentTrack, is_automatic=False),
}

MODELS: Final = {style.model._get_collection_name(): style.model for style in STYLES.values()}
"""The classes by the names of their collections."""
