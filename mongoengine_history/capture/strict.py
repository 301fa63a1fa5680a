"""Writes through a tracked class that cannot be recorded, refused where the class is strict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pymongo.database import Database

from mongoengine_history.capture.blocks import is_untracked
from mongoengine_history.capture.kinds import in_place_of
from mongoengine_history.errors import WriteRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ANYTHING: Final = {"$eval", "applyOps", "dropDatabase", "eval"}
"""The commands that may write to any collection …"""

ONE: Final = {
    *("convertToCapped", "delete", "drop", "findAndModify", "findandmodify", "insert", "update")
}
"""… and those that write to the one that they name."""

ACTIONS: Final = ("replace", "merge", "reduce")
"""What ``mapReduce`` does with the collection that it writes to."""

Output = tuple[object, object]
"""A database, None for the one at hand, and a collection."""


class StrictDatabase(Database[Any]):
    """
    The database of a strict class: PyMongo's own, but it sends no command that writes to the class.

    MongoEngine's ``exec_js`` and ``map_reduce`` send commands past the collection.
    """

    _beneath: Database[Any]
    _collection_name: str

    @classmethod
    def of(cls, database: Database[Any], collection_name: str) -> StrictDatabase:
        """Return the same database, refusing writes to a collection."""
        strict = in_place_of(database, cls)
        strict._beneath, strict._collection_name = database, collection_name
        return strict

    def with_options(self, *args: Any, **options: Any) -> StrictDatabase:
        """Return the same with other options, as PyMongo does."""
        return StrictDatabase.of(
            self._beneath.with_options(*args, **options), self._collection_name
        )

    def command(self, command: Any, *args: Any, **kwargs: Any) -> Any:
        """Send a command, as PyMongo does, unless it writes to the class."""
        self._check(command, args, kwargs)
        return super().command(command, *args, **kwargs)

    def cursor_command(self, command: Any, *args: Any, **kwargs: Any) -> Any:
        """Send a command that answers with a cursor, unless it writes to the class."""
        self._check(command, args, kwargs)
        return super().cursor_command(command, *args, **kwargs)

    def aggregate(self, pipeline: Any, *args: Any, **kwargs: Any) -> Any:
        """Aggregate without a collection, as PyMongo does, unless it writes to the class."""
        check_pipeline(pipeline, self.name, self._collection_name)
        return super().aggregate(pipeline, *args, **kwargs)

    def drop_collection(self, name_or_collection: Any, *args: Any, **kwargs: Any) -> Any:
        """Drop a collection, as PyMongo does, unless it is that of the class and not empty."""
        name = getattr(name_or_collection, "name", name_or_collection)
        if name == self._collection_name and self[name].find_one({}, {"_id": 1}):
            self._check("drop", (name,), {})
        return super().drop_collection(name_or_collection, *args, **kwargs)

    def _check(self, command: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        value = args[0] if args else kwargs.get("value", 1)
        sent = {command: value, **kwargs} if isinstance(command, str) else dict(command)
        if not is_untracked() and _is_writing(sent, self.name, self._collection_name):
            raise WriteRefusedError(self._collection_name, str(next(iter(sent))))


def check_pipeline(pipeline: Any, database_name: str, collection_name: str) -> None:
    """
    Look at where an aggregation writes its results.

    Raises:
        WriteRefusedError: it is the collection itself.
    """
    command = {"aggregate": 1, "pipeline": pipeline}
    if not is_untracked() and _is_writing(command, database_name, collection_name):
        raise WriteRefusedError(collection_name, "aggregate")


def _is_writing(command: Mapping[str, Any], database_name: str, collection_name: str) -> bool:
    name, target = next(iter(command.items()), ("", None))
    if name in ANYTHING:
        return True
    outputs: Iterable[Output] = [(None, target)] if name in ONE else []
    if name in {"mapReduce", "mapreduce"}:
        outputs = _outputs_of_map_reduce(command.get("out"))
    elif name == "aggregate" and isinstance(command.get("pipeline"), list):
        outputs = _outputs_of(command["pipeline"])
    return any(
        (database or database_name, collection) == (database_name, collection_name)
        for database, collection in outputs
    )


def _outputs_of_map_reduce(out: Any) -> Iterator[Output]:
    if isinstance(out, Mapping):
        yield from ((out.get("db"), out[action]) for action in ACTIONS if action in out)
    else:
        yield None, out


def _outputs_of(pipeline: list[Any]) -> Iterator[Output]:
    for stage in pipeline:
        if not isinstance(stage, Mapping):  # the server says what is wrong with it
            continue
        out = stage.get("$out", stage.get("$merge"))
        into = out.get("into", out) if isinstance(out, Mapping) else out
        yield (into.get("db"), into.get("coll")) if isinstance(into, Mapping) else (None, into)
