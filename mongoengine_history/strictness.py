"""Writes through a tracked class that cannot be recorded, refused where the class is strict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pymongo.database import Database

from mongoengine_history.errors import WriteRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

WRITING: Final = {"delete", "eval", "findAndModify", "insert", "mapReduce", "update"}
"""The commands that write, by the names by which MongoEngine and PyMongo send them."""


class StrictDatabase(Database[Any]):
    """
    The database of a strict class: PyMongo's own, but it sends no command that writes to the class.

    MongoEngine's ``exec_js`` and ``map_reduce`` send commands past the collection.
    """

    _collection_name: str

    @classmethod
    def of(cls, database: Database[Any], collection_name: str) -> StrictDatabase:
        """Return the same database, refusing writes to a collection."""
        strict = cls(
            database.client,
            database.name,
            codec_options=database.codec_options,
            read_preference=database.read_preference,
            write_concern=database.write_concern,
            read_concern=database.read_concern,
        )
        strict._collection_name = collection_name
        return strict

    def command(self, command: Any, *args: Any, **kwargs: Any) -> Any:
        """Send a command, as PyMongo does, unless it writes to the class."""
        value = args[0] if args else 1
        sent = {command: value, **kwargs} if isinstance(command, str) else dict(command)
        if _is_writing(sent, self._collection_name):
            raise WriteRefusedError(self._collection_name, str(next(iter(sent))))
        return super().command(command, *args, **kwargs)


def _is_writing(command: Mapping[str, Any], collection_name: str) -> bool:
    name, target = next(iter(command.items()))
    if name not in WRITING or name == "eval":
        return name == "eval"
    if name == "mapReduce":
        out = command.get("out")
        target = next(iter(out.values()), None) if isinstance(out, dict) else out
    return bool(target == collection_name)


def check_pipeline(pipeline: Iterable[Mapping[str, Any]], collection_name: str) -> None:
    """
    Look at where an aggregation writes its results.

    Raises:
        WriteRefusedError: it is the collection itself.
    """
    for stage in pipeline:
        out = stage.get("$out", stage.get("$merge"))
        target = out.get("into", out.get("coll")) if isinstance(out, dict) else out
        target = target.get("coll") if isinstance(target, dict) else target
        if target == collection_name:
            raise WriteRefusedError(collection_name, "aggregate")
