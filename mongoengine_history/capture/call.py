"""One call of a method of a collection, its arguments by name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from inspect import Signature

    from pymongo.collection import Collection


READING: Final = ("collation", "hint", "let", "sort")
"""The options of a write that a read of the same documents takes, too."""


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
