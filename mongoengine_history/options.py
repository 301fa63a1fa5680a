"""What a class asks of its history: one frozen object, checked when it is read."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from mongoengine_history.errors import OptionsError

if TYPE_CHECKING:
    from mongoengine import Document


@dataclass(frozen=True, slots=True)
class HistoryOptions:
    """The options of one class: ``meta = {"history": {"version_every": 1}}``, and inherited."""

    #: A full state is kept with every so many revisions: 1 keeps each one, 0 none.
    version_every: int = 100

    def __post_init__(self) -> None:
        """Check the values."""
        every = self.version_every
        if not isinstance(every, int) or isinstance(every, bool) or every < 0:
            raise OptionsError("version_every", every, "it must be 0, 1, 2, …")


DEFAULT: Final = HistoryOptions()
NAMES: Final = {field.name for field in fields(HistoryOptions)}


def options_of(model: Document | type[Document]) -> HistoryOptions:
    """
    Return the options of a class, or of a document's class.

    Raises:
        OptionsError: its ``meta`` has an option that does not exist or cannot be used.
    """
    given: Any = model._meta.get("history")
    if given is None:
        return DEFAULT
    if not isinstance(given, dict) or given.keys() - NAMES:
        raise OptionsError("meta['history']", given, f"it must be a dict of {sorted(NAMES)}")
    return HistoryOptions(**given)
