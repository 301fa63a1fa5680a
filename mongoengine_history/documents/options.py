"""What a class asks of its history: one frozen object, checked when it is given."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from itertools import product
from typing import TYPE_CHECKING, Any, Final

from mongoengine_history.errors import OptionsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mongoengine import Document

OPTIONS_ATTRIBUTE: Final = "_history_options"
"""Where a tracked class, and so each of its subclasses, has its options."""

SHORTEST_KEY: Final = 16
"""Bytes of a key below which fingerprints could be guessed."""

REACTIONS: Final = ("raise", "log")


def _paths(name: str, given: Iterable[str]) -> tuple[str, ...]:
    """Take one path, or any collection of them."""
    if not isinstance(given, Iterable):
        raise OptionsError(name, given, "it must be a path, or some of them")
    paths = (given,) if isinstance(given, str) else tuple(given)
    for path in paths:
        if not isinstance(path, str) or not all(path.split(".")):
            raise OptionsError(name, path, "it must be names joined by dots")
    return paths


@dataclass(frozen=True, slots=True)
class HistoryOptions:
    """The options of one class, given to `track_history` or as ``meta = {"history": {…}}``."""

    #: Dotted paths, by the names of attributes, that are never stored. ``*`` is any item or key.
    exclude: Iterable[str] = ()
    #: Dotted paths of which only is stored that they changed.
    mask: Iterable[str] = ()
    #: The key by which equal masked values are recognised.
    fingerprint_key: bytes | None = field(default=None, repr=False)
    #: A full state is kept with every so many revisions: 1 keeps each one, 0 none.
    version_every: int = 100
    #: Says who answers for a write, where nobody else does.
    identity: Callable[[], object] | None = None
    #: Whether a write that cannot be recorded is refused.
    strict: bool = False
    #: What happens where a write could not be recorded: ``raise`` or ``log``.
    on_error: str = "raise"

    def __post_init__(self) -> None:
        """Check the values, each alone and all together."""
        every = self.version_every
        if not isinstance(every, int) or isinstance(every, bool) or every < 0:
            raise OptionsError("version_every", every, "it must be 0, 1, 2, …")
        for name in ("exclude", "mask"):
            object.__setattr__(self, name, _paths(name, getattr(self, name)))
        self._check_paths()
        self._check_key()
        if self.identity is not None and not callable(self.identity):
            raise OptionsError("identity", self.identity, "it is called at each write")
        if not isinstance(self.strict, bool):
            raise OptionsError("strict", self.strict, "it must be True or False")
        if self.on_error not in REACTIONS:
            raise OptionsError("on_error", self.on_error, f"it must be one of {REACTIONS}")
        if self.strict and self.on_error != "raise":
            raise OptionsError("on_error", self.on_error, "a strict history has to raise")

    def is_due(self, number: int) -> bool:
        """Say whether a full state is kept with the revision of a number."""
        return self.version_every > 0 and number % self.version_every == 0

    def _check_paths(self) -> None:
        for masked, excluded in product(self.mask, self.exclude):
            first, second = f"{masked}.", f"{excluded}."
            if first.startswith(second) or second.startswith(first):
                problem = f"{excluded!r} is excluded; a path can only be one of both"
                raise OptionsError("mask", masked, problem)

    def _check_key(self) -> None:
        key = self.fingerprint_key
        if key is None:
            return
        if not isinstance(key, bytes) or len(key) < SHORTEST_KEY:
            # The key itself is a secret, which no message may tell.
            raise OptionsError("fingerprint_key", "…", f"it must be {SHORTEST_KEY} bytes or more")
        if not self.mask:
            raise OptionsError("fingerprint_key", "…", "there is no mask that it could serve")


DEFAULT: Final = HistoryOptions()
NAMES: Final = {each.name for each in fields(HistoryOptions)}


def options_of(model: Document | type[Document]) -> HistoryOptions:
    """
    Return the options of a class, or of a document's class.

    Raises:
        OptionsError: its ``meta`` has an option that does not exist or cannot be used.
    """
    tracked: HistoryOptions | None = getattr(model, OPTIONS_ATTRIBUTE, None)
    if tracked is not None:
        return tracked
    given: Any = model._meta.get("history")
    if given is None:
        return DEFAULT
    unknown = given.keys() - NAMES if isinstance(given, dict) else given
    if unknown or not isinstance(given, dict):  # no values: the key of fingerprints is a secret
        raise OptionsError("meta['history']", unknown, f"it must be a dict of {sorted(NAMES)}")
    return HistoryOptions(**given)


def is_tracked(model: type[Document]) -> bool:
    """Say whether all writes to a class are recorded: it, or a base of it, is tracked."""
    return getattr(model, OPTIONS_ATTRIBUTE, None) is not None
