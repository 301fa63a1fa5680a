"""What stands in front of the methods of one document: while it is watched, or to be reverted.

The methods are covered by attributes of the document, as MongoEngine itself covers
``_get_collection`` in ``switch_db``. While it writes itself, its collection is one that records.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final

from mongoengine_history.capture.collection import RecordingCollection
from mongoengine_history.capture.tracker import Origin, Tracker
from mongoengine_history.documents.options import is_tracked
from mongoengine_history.documents.stand_in import is_warned_of
from mongoengine_history.errors import HistoryNotRecordedError
from mongoengine_history.record.origin import on_its_own
from mongoengine_history.state.values import ABSENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mongoengine import Document

COVERED: Final = ("_save_create", "_save_update", "_get_update_doc", "reload", "modify")

KEYS_TOO: Final = {"reload", "modify"}
"""Those that a DynamicDocument may have as keys: then nobody can call the method."""


def cover(document: Document) -> None:
    """Cover the methods of a document, if that is of use: it is watched, guarded or reverted."""
    tracker = Tracker.of(document)
    is_of_use = tracker.exact or tracker.guard or not is_tracked(type(document))
    if is_of_use and not is_covered(document):
        _Cover(document)


def uncover(document: Document) -> None:
    """Uncover the methods of a document, unless they still are of use, or may be again."""
    tracker = Tracker.of(document)
    if is_covered(document) and not (tracker.blocks or tracker.exact):
        end_writing(document)
        for name in [name for name in COVERED if _is_cover(document.__dict__.get(name))]:
            del document.__dict__[name]


def is_covered(document: Document) -> bool:
    """Say whether the methods of a document are covered now."""
    return _is_cover(document.__dict__.get(COVERED[0]))


def _is_cover(method: Any) -> bool:
    return isinstance(getattr(method, "__self__", None), _Cover)


class _Own:
    """Stands in for ``_get_collection`` of a document, which records what that writes itself."""

    def __init__(self, document: Document, *, is_save: bool) -> None:
        self.beneath = document.__dict__.get("_get_collection", ABSENT)
        tracker, collection = Tracker.of(document), document._get_collection()
        if not is_warned_of(collection):
            origin = Origin(tracker, tracker.said, is_save)
            collection = RecordingCollection.of(collection, type(document), origin)
        self._collection = collection

    def __call__(self) -> Any:
        return self._collection


def begin_writing(document: Document, *, is_save: bool) -> None:
    """Let a document save or delete itself by a collection that records, until `end_writing`."""
    end_writing(document)
    if not is_tracked(type(document)):
        document.__dict__["_get_collection"] = _Own(document, is_save=is_save)


def end_writing(document: Document) -> None:
    """Give a document its own collection back, if nobody has switched to another one since."""
    own = document.__dict__.get("_get_collection")
    if isinstance(own, _Own):
        del document.__dict__["_get_collection"]
        if own.beneath is not ABSENT:
            document.__dict__["_get_collection"] = own.beneath


class _Cover:
    def __init__(self, document: Document) -> None:
        self._document, self._tracker = document, Tracker.of(document)
        for name in COVERED:
            if name not in KEYS_TOO or name not in document.__dict__:
                document.__dict__[name] = getattr(self, name)

    def _beneath(self, name: str) -> Any:
        return getattr(type(self._document), name).__get__(self._document)

    def _save_create(self, doc: Any, force_insert: bool, *args: Any, **kwargs: Any) -> Any:
        if self._tracker.exact:  # which brings back what is gone, and nothing else
            doc, force_insert = self._tracker.exact.insert(self._document, doc), True
        with self._saving():
            return self._beneath("_save_create")(doc, force_insert, *args, **kwargs)

    def _save_update(self, *args: Any, **kwargs: Any) -> Any:
        with self._saving():
            return self._beneath("_save_update")(*args, **kwargs)

    @contextmanager
    def _saving(self) -> Iterator[None]:
        if self._tracker.is_recording or self._tracker.guard:
            begin_writing(self._document, is_save=True)
        try:
            yield
        except HistoryNotRecordedError:
            self._tracker.written()
            raise
        finally:
            end_writing(self._document)
        self._tracker.written()
        uncover(self._document)

    def _get_update_doc(self) -> Any:
        exact = self._tracker.exact
        with on_its_own():  # fields are asked for their values, which may write something
            with exact.looked_past(self._document) if exact else nullcontext():
                update: dict[str, Any] = self._beneath("_get_update_doc")()
            exact = self._tracker.exact
            if exact and not exact.is_marked(self._document):  # it was loaded anew by its class
                exact = self._tracker.exact = None
            return exact.update(self._document, update) if exact else update

    def reload(self, *args: Any, **kwargs: Any) -> Any:
        """Load the document anew, as MongoEngine does."""
        document = self._beneath("reload")(*args, **kwargs)
        self._loaded_anew()
        return document

    def modify(self, *args: Any, **kwargs: Any) -> Any:
        """Modify the document on the server and load it anew, as MongoEngine does."""
        modified = self._beneath("modify")(*args, **kwargs)
        if modified:
            self._loaded_anew()
        return modified

    def _loaded_anew(self) -> None:
        self._tracker.reloaded()
        uncover(self._document)
