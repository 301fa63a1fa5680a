"""The database of a tracked class: where its collection is dropped, that is recorded."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from pymongo.database import Database

from mongoengine_history.capture.blocks import is_untracked
from mongoengine_history.capture.collection import RecordingCollection
from mongoengine_history.capture.kinds import in_place_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mongoengine import Document

is_dropping: ContextVar[bool] = ContextVar("mongoengine_history_dropping", default=False)
"""Whether a class's own ``drop_collection`` is under way, which a strict class may do, too."""


@contextmanager
def dropping() -> Iterator[None]:
    """Let the class drop its collection inside the block."""
    token = is_dropping.set(True)
    try:
        yield
    finally:
        is_dropping.reset(token)


class RecordingDatabase(Database[Any]):
    """PyMongo's own, but dropping the collection of a class records that its documents go."""

    _beneath: Database[Any]
    _model: type[Document]

    @classmethod
    def of(cls, database: Database[Any], model: type[Document]) -> RecordingDatabase:
        """Return the same database, recording where the collection of a class is dropped."""
        recording = in_place_of(database, cls)
        recording._beneath, recording._model = database, model
        return recording

    def with_options(self, *args: Any, **options: Any) -> RecordingDatabase:
        """Return the same with other options, as PyMongo does."""
        return RecordingDatabase.of(self._beneath.with_options(*args, **options), self._model)

    def drop_collection(
        self, name_or_collection: Any, session: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        """Drop a collection, as PyMongo does."""
        name = getattr(name_or_collection, "name", name_or_collection)
        if name == self._model._get_collection_name() and not is_untracked():
            RecordingCollection.of(self._beneath[name], self._model).empty(session)
        return super().drop_collection(name_or_collection, session, *args, **kwargs)
