"""One call of a method of a collection, its arguments by name."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from re import Pattern
from typing import TYPE_CHECKING, Any, Final

from bson import DBRef, Regex
from pymongo.errors import DuplicateKeyError, OperationFailure, WriteError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from inspect import Signature

    from pymongo.collection import Collection
    from pymongo.database import Database


READING: Final = ("collation", "hint", "let", "sort")
"""The options of a write that a read of the same documents takes, too."""

PREFIX: Final = "Plan executor error during findAndModify :: caused by :: "
"""What the server puts in front of the reason why a find-and-modify failed."""

OF_THE_COMMAND: Final = {13, 262, 11600, 11601, 11602}
"""Codes that an update does not tell as a failure of its own: no right to it, or interrupted."""

TOLD: Final = ("keyPattern", "keyValue", "errInfo")
"""What a failed update tells beside its reason."""


@dataclass(frozen=True, slots=True)
class Call:
    """What an application, or MongoEngine, asks a collection for."""

    name: str
    arguments: Mapping[str, Any]

    @classmethod
    def of(cls, name: str, known: Signature, *args: Any, **kwargs: Any) -> Call:
        """Name the arguments, all but the collection itself."""
        known.bind(None, *args, **kwargs)
        return cls(name, {**dict(zip([*known.parameters][1:], args, strict=False)), **kwargs})

    def __getitem__(self, name: str) -> Any:
        return self.arguments.get(name)

    def having(self, **others: Any) -> Call:
        """Return the same call with some arguments replaced."""
        return replace(self, arguments={**self.arguments, **others})

    def given(self, names: Iterable[str]) -> dict[str, Any]:
        """Return those of some arguments that were given."""
        return {name: self[name] for name in names if self[name] is not None}

    def on(self, collection: Collection[Any]) -> Any:
        """Call the method of a collection."""
        return getattr(collection, self.name)(**self.arguments)

    def limited_to(self, key: Any) -> Call:
        """Return a call that writes to what has a certain key, and makes nothing."""
        others = {"upsert": False} if self["upsert"] else {}
        return self.having(filter={"$and": [self["filter"], {"_id": key}]}, **others)

    @property
    def key(self) -> Any:
        """
        The primary key that the query names; None if it names none, or in another collation.

        ``Document.modify`` names it twice, in ``$and``.
        """
        also = self["filter"].get("$and")
        both = [self["filter"], *(also if isinstance(also, (list, tuple)) else ())]
        named = (each["_id"] for each in both if isinstance(each, Mapping) and "_id" in each)
        key = next(named, None)
        is_asked = isinstance(key, Mapping) and any(str(name).startswith("$") for name in key)
        is_other = isinstance(key, (list, DBRef, Regex, Pattern))
        return None if is_asked or is_other or self["collation"] is not None else key

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Let an error of a find-and-modify look as if it were one of what was asked for."""
        try:
            yield
        except OperationFailure as error:
            said: Any = error.details or {}
            if self.name.startswith("find_one_and") or "errmsg" not in said:
                raise
            text, kind = said["errmsg"].removeprefix(PREFIX), type(error)
            is_write_error = kind in {OperationFailure, DuplicateKeyError}
            if not is_write_error or error.code in OF_THE_COMMAND or "errorLabels" in said:
                raise kind(text, error.code, {**said, "errmsg": text}) from None
            told = {name: said[name] for name in TOLD if name in said}
            details = {"index": 0, "code": error.code, "errmsg": text, **told}
            is_duplicate = kind is DuplicateKeyError
            raise (kind if is_duplicate else WriteError)(text, error.code, details) from None


def settings_of(source: Collection[Any] | Database[Any]) -> dict[str, Any]:
    """Return the options with which the same collection or database can be made."""
    names = ("codec_options", "read_preference", "write_concern", "read_concern")
    return {name: getattr(source, name) for name in names}
