"""A collection of which nobody has the class: its documents have a history all the same."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from mongoengine import Document
from mongoengine.connection import DEFAULT_CONNECTION_NAME
from mongoengine.fields import DynamicField

from mongoengine_history import BaseHistory, History, history_of, track_history
from mongoengine_history.state.patches import dictdiffer_paths

if TYPE_CHECKING:
    from typing_extensions import Self

    from mongoengine_history.state.values import Path


class Classless(Document):  # type: ignore[misc]  # MongoEngine has no types
    """
    Knows the primary key of a document and nothing else.

    What is stored has names and types that no class knows, such as ``save`` or a ``_cls``. What
    `revert`, `undo` and `restore` store is exact all the same: they go past the fields.
    """

    id = DynamicField(primary_key=True)

    meta = {  # noqa: RUF012  # MongoEngine's way to configure a class
        "abstract": True,
        "strict": False,
        "auto_create_index": False,
    }

    @classmethod
    def _from_son(cls, son: Any, **options: Any) -> Self:
        made: Self = super()._from_son({"_id": son["_id"]}, **options)
        return made


@cache
def classless(
    collection: str, *, alias: str = DEFAULT_CONNECTION_NAME, history: str = "history"
) -> type[Document]:
    """
    Return a class for a collection whose own class is not there; the same one each time.

    By it a history is read, and led back to the byte. It knows no rule of the own class: neither
    its keys nor what it hides. `unknown_of` names what it must not be led back over.

    Args:
        collection: Its name.
        alias: MongoEngine's name of the connection.
        history: Name of the collection of the records.
    """
    meta = {"collection": collection, "db_alias": alias}
    name = collection.replace(".", "_")  # to MongoEngine a dot is for classes below others
    made: type[Document] = type(name, (Classless,), {"meta": meta, "__module__": __name__})
    made.__name__ = collection  # by which people tell it from any other
    return track_history(made, history=history_named(history))


@cache
def history_named(collection: str) -> type[BaseHistory]:
    """Return the class of the records in a collection; the same one each time."""
    if collection == History._meta["collection"]:
        return History
    attributes = {"meta": {"collection": collection}, "__module__": __name__}
    return type("ClasslessHistory", (BaseHistory,), attributes)


def unknown_of(document: Document) -> list[Path]:
    """
    Name what is stored of a document otherwise than its history has it. Reads.

    It was written past the history, or its own class hides it: without that class a revert would
    take it away, and record it in clear.
    """
    timeline = history_of(document)
    patches = timeline.compare(-1, None) if len(timeline) else []
    return dictdiffer_paths(patches)
