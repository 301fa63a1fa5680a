"""One call of a method of a collection, its arguments by name."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from inspect import signature
from re import Pattern
from typing import TYPE_CHECKING, Any, Final

from bson import DBRef, Regex
from bson.raw_bson import RawBSONDocument
from pymongo.errors import DuplicateKeyError, OperationFailure, WriteError

from mongoengine_history.state.redaction import covered
from mongoengine_history.state.updates import is_completed, only, roots_of, updated
from mongoengine_history.state.values import same, wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from bson.codec_options import CodecOptions
    from pymongo.collection import Collection

    from mongoengine_history.state.values import State

READING: Final = ("collation", "hint", "let", "sort")
"""The options of a write that a read of the same documents takes, too."""

VALUES: Final = ("filter", "update", "replacement", "array_filters", "let")
"""Arguments that hold values of the application."""

PREFIX: Final = "Plan executor error during findAndModify :: caused by :: "
"""What the server puts in front of the reason why a find-and-modify failed."""

OF_THE_COMMAND: Final = {13, 262, 11600, 11601, 11602}
"""Codes that an update does not tell as a failure of its own: no right to it, or interrupted."""

TOLD: Final = ("keyPattern", "keyValue", "errInfo")
"""What a failed update tells beside its reason."""

OUR_OWN: Final = {
    *("upsert", "projection", "return_document", "session", "bypass_document_validation")
}
"""Arguments that are not handed on as they are to what gives an image."""

ALIASES: Final = {"fields": "projection", "new": "return_document"}
"""What the command of a find-and-modify calls arguments, which may be given by these names, too."""

KINDS: Final[dict[str, Any]] = {
    "filter": Mapping,
    "update": (Mapping, list),
    "replacement": Mapping,
    "array_filters": (list, type(None)),
    "upsert": bool,
    "return_document": bool,
    "requests": list,
    "document": (MutableMapping, RawBSONDocument),
}
"""Types of arguments; PyMongo refuses others before anything is sent."""


@dataclass(frozen=True, slots=True)
class Call:
    """What an application, or MongoEngine, asks a collection for."""

    name: str
    arguments: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        name: str,
        positional: Callable[..., tuple[str, ...] | None],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> Call | None:
        """Name the arguments, all but the collection; None if the method does not take them."""
        if kwargs.keys() & ALIASES.keys():
            kwargs = {ALIASES.get(name, name): value for name, value in kwargs.items()}
        names = positional(len(args), tuple(kwargs))
        return (
            cls(name, {**dict(zip(names, args, strict=True)), **kwargs})
            if names is not None
            else None
        )

    @property
    def is_sound(self) -> bool:
        """Say whether PyMongo takes the values; if not, it tells what is wrong with them."""
        given = self.arguments
        if not all(isinstance(given[name], KINDS[name]) for name in given.keys() & KINDS.keys()):
            return False
        update, replacement = self["update"], self["replacement"] or {}
        is_update = not isinstance(update, Mapping) or _begins_with_operator(update)
        return is_update and not _begins_with_operator(replacement)

    def __getitem__(self, name: str) -> Any:
        return self.arguments.get(name)

    def having(self, **others: Any) -> Call:
        """Return the same call with some arguments replaced."""
        return replace(self, arguments={**self.arguments, **others})

    def given(self, names: Iterable[str]) -> dict[str, Any]:
        """Return those of some arguments that were given."""
        return {name: self[name] for name in names if self[name] is not None}

    def wired(self, codec: CodecOptions[Any]) -> Call:
        """Return the same call with its values as the server would store them."""
        return self.having(**wire(self.given(VALUES), codec))

    def on(self, collection: Collection[Any]) -> Any:
        """Call the method of a collection."""
        return getattr(collection, self.name)(**self.arguments)

    @property
    def image_method(self) -> str:
        """The method that does the same and gives what it has overwritten."""
        if self["update"] is not None:
            return "find_one_and_update"
        return "find_one_and_delete" if self["replacement"] is None else "find_one_and_replace"

    def image_on(self, collection: Collection[Any], **options: Any) -> Any:
        """Do the same by `image_method`, of which the *options* are; return what was there."""
        given = self.given(self.arguments.keys() - OUR_OWN)
        if self["bypass_document_validation"] is not None:
            given["bypassDocumentValidation"] = self["bypass_document_validation"]
        return getattr(collection, self.image_method)(**given, **options)

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

    def outcome(self, before: State) -> State | None:
        """Work out what the call makes of a state; None where only the server can tell."""
        update, after = self["update"], self["replacement"]
        try:
            if after is None and roots_of(update) is not None:
                after = updated(before, update)
        except LookupError:  # or an operator that is not worked out
            return None
        if after is None or is_completed(after):
            return None
        return {name: value for name, value in after.items() if name != "_id"}

    def outcome_in(
        self, before: State, stored: State | None, hide: Callable[[State], State]
    ) -> State | None:
        """
        Return what of *stored* the call has made of *before*, the newest state that is recorded.

        None where that does not show it: others have overwritten it, or write meanwhile, or were
        faster, so that it was not done; or a pipeline did it.
        """
        if self.image_method == "find_one_and_delete":
            return {} if stored is None else None
        if stored is None:
            return None
        after, names = self.outcome(before), roots_of(self["update"])
        now = covered(hide(stored), before)
        if after is None:  # what others wrote to the same names cannot be told apart
            is_same = names is None or same(only(now, names), only(before, names))
            return None if is_same else now
        is_alike = same(only(hide(after), names), only(now, names))
        # Of hidden values only this is known: done once more, it would change nothing.
        return after if is_alike and same(self.outcome(stored), stored) else None

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


def positional(method: Callable[..., Any]) -> Callable[..., tuple[str, ...] | None]:
    """
    Return what names the arguments that a method is given by position.

    It takes how many they are and the keywords beside them, and gives None if the method does not.
    """
    known = signature(method)

    @lru_cache  # it takes longer than all else that is done with a call
    def names(count: int, keywords: tuple[str, ...]) -> tuple[str, ...] | None:
        try:
            known.bind(None, *range(count), **dict.fromkeys(keywords))
        except TypeError:
            return None
        return tuple(known.parameters)[1 : 1 + count]

    return names


def _begins_with_operator(values: Mapping[str, Any]) -> bool:
    return str(next(iter(values), "")).startswith("$")
