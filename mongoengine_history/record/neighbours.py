"""Classes of the application that lie where a history lies, which neither of the two survives."""

from __future__ import annotations

from typing import Any, Final

from mongoengine import Document
from mongoengine.connection import DEFAULT_CONNECTION_NAME

from mongoengine_history.documents.fieldrules import with_subclasses
from mongoengine_history.documents.options import OPTIONS_ATTRIBUTE
from mongoengine_history.errors import OptionsError
from mongoengine_history.record.history import kept_by
from mongoengine_history.record.indexes import OWNER

NEIGHBOUR: Final = (
    "the class {} of the application lies in its collection {!r}, and would read records as its "
    "documents. Put the records elsewhere: history=… of track_history, or of meta['history'], with "
    "a class derived from BaseHistory. Derive a class that is to read records from that one, too"
)


def check_apart(model: Document | type[Document]) -> None:
    """
    Check that no class of the application lies in the collection of the history of *model*.

    One that knows whose a record is reads records on purpose.

    Raises:
        OptionsError: there is one.
    """
    kept = kept_by(model)
    collection = kept._meta["collection"]
    alias = kept.kept_at or _alias(model)
    for known in with_subclasses(Document):
        lies_there = (known._meta.get("collection"), _alias(known)) == (collection, alias)
        if lies_there and not _reads_records(known):
            problem = NEIGHBOUR.format(known.__name__, collection)
            raise OptionsError("history", kept.__name__, problem)


def _alias(model: Any) -> str:
    alias: str = model._meta.get("db_alias", DEFAULT_CONNECTION_NAME)
    return alias


def _reads_records(known: Any) -> bool:
    """Say whether a class is one of records, or of versions."""
    is_ours = getattr(known, OPTIONS_ATTRIBUTE, known) is None
    return is_ours or set(known._db_field_map.values()) >= OWNER
