"""The database of a tracked class: where its collection is dropped, that is recorded."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from pymongo.database import Database

from mongoengine_history.capture.call import like
from mongoengine_history.capture.collection import RecordingCollection

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
        recording = like(database, cls)
        recording._beneath, recording._model = database, model
        return recording

    def drop_collection(self, name_or_collection: Any, *args: Any, **kwargs: Any) -> Any:
        """Drop a collection, as PyMongo does."""
        name = getattr(name_or_collection, "name", name_or_collection)
        if name == self._model._get_collection_name():
            RecordingCollection.of(self._beneath[name], self._model).drop()
        return self._beneath.drop_collection(name_or_collection, *args, **kwargs)
