"""What a class asks of its history: one frozen object, checked when it is given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from itertools import product
from typing import TYPE_CHECKING, Any, Final

from mongoengine_history.errors import OptionsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mongoengine import Document

    from mongoengine_history.errors import HistoryNotRecordedError

OPTIONS_ATTRIBUTE: Final = "mongoengine_history:options"
"""
Where a tracked class, and so each of its subclasses, has what `track_history` was given.

No field or attribute of the application can have that name.
"""

SHORTEST_KEY: Final = 16
"""Bytes of a key below which it could be guessed."""

LONGEST_COLLECTION: Final = 255
"""Bytes that MongoDB allows a name, with that of the database."""

SECRETS: Final = ("fingerprint_key", "checksum_key")
"""Options that no message may tell."""

REACTIONS: Final = ("raise", "log")


ADDED_UP: Final = ("exclude", "mask", "volatile")
"""Options that a class adds to those of its bases; of any other one the nearest class counts."""

COLLECTED: Final = (*ADDED_UP, "formerly")
"""Options that are one text, or any collection of them."""


class _NotGiven:
    def __repr__(self) -> str:
        return "..."


NOT_GIVEN: Final[Any] = _NotGiven()
"""Stands for an option that nothing is said of, so that a ``meta`` or a base may say it."""


def _paths(name: str, given: Iterable[str]) -> tuple[str, ...]:
    """Take one path, or any collection of them; names of collections are alike."""
    if not isinstance(given, Iterable) or isinstance(given, Mapping):
        what = "path" if name in ADDED_UP else "name"
        raise OptionsError(name, given, f"it must be a {what}, or a list of them")
    paths = (given,) if isinstance(given, str) else tuple(given)
    for path in paths:
        if not isinstance(path, str) or not all(path.split(".")):
            raise OptionsError(name, path, "it must be names joined by dots")
        if name == "formerly" and not _may_name_collection(path):
            problem = f"no collection has $, \\0 or over {LONGEST_COLLECTION} bytes in its name"
            raise OptionsError(name, path, problem)
    return paths


def _may_name_collection(name: str) -> bool:
    encoded = name.encode(errors="ignore")
    is_short = len(encoded) <= LONGEST_COLLECTION
    return is_short and encoded.decode() == name and not {"$", "\0"} & {*name}


@dataclass(frozen=True, slots=True)
class HistoryOptions:
    """The options of one class, given to `track_history` or as ``meta = {"history": {…}}``."""

    #: Dotted paths, by the names of attributes, that are never stored. ``*`` is any item or key.
    exclude: Iterable[str] = ()
    #: Dotted paths of which only is stored that they changed.
    mask: Iterable[str] = ()
    #: Dotted paths that go on by themselves: they never conflict, and are not put back.
    volatile: Iterable[str] = ()
    #: The key by which equal masked values are recognised.
    fingerprint_key: bytes | None = field(default=None, repr=False)
    #: The key without which nobody can make a checksum.
    checksum_key: bytes | None = field(default=None, repr=False)
    #: A full state is kept with every so many revisions: 1 keeps each one, 0 none.
    version_every: int = 100
    #: Says who answers for a write, where nobody else does.
    identity: Callable[[], object] | None = None
    #: Whether a write that cannot be recorded is refused.
    strict: bool = False
    #: Whether people lead a document back only with a reason.
    reason_required: bool = False
    #: Names that were stored before, of top-level fields and of classes, and those of today.
    renamed: Mapping[str, str] | tuple[tuple[str, str], ...] = ()
    #: Names that the collection had before.
    formerly: Iterable[str] = ()
    #: What happens where a write could not be recorded: ``raise``, ``log``, or what is called with
    #: the error.
    on_error: str | Callable[[HistoryNotRecordedError], object] = "raise"
    #: The class of the records, derived from ``BaseHistory``; None for ``History``.
    history: Any = None
    #: How many revisions of each document `prune` keeps at least …
    keep: int | None = None
    #: … and for how long.
    keep_for: timedelta | None = None

    def __post_init__(self) -> None:
        """Check the values, each alone and all together."""
        every = self.version_every
        if not isinstance(every, int) or isinstance(every, bool) or every < 0:
            raise OptionsError("version_every", every, "it must be 0, 1, 2, …")
        for name in COLLECTED:
            object.__setattr__(self, name, _paths(name, getattr(self, name)))
        self._check_renamed()
        self._check_paths()
        for name in SECRETS:
            self._check_key(name)
        if not (self.identity is None or is_to_ask(self.identity)):
            raise OptionsError("identity", self.identity, "it is a function to call at each write")
        check_flag("strict", self.strict)
        check_flag("reason_required", self.reason_required)
        if self.on_error not in REACTIONS and not callable(self.on_error):
            problem = f"it must be one of {REACTIONS}, or called with the error"
            raise OptionsError("on_error", self.on_error, problem)
        self._check_history()
        self._check_retention()
        if self.strict and self.on_error == "log":
            raise OptionsError("on_error", self.on_error, "a strict history has to raise")

    def is_due(self, number: int) -> bool:
        """Say whether a full state is kept with the revision of a number."""
        return self.version_every > 0 and number % self.version_every == 0

    def _check_renamed(self) -> None:
        try:
            pairs = tuple(dict(self.renamed).items())
        except (TypeError, ValueError):
            pairs = ()
        are_names = all(isinstance(it, str) and it != "_id" for pair in pairs for it in pair)
        if not are_names or (self.renamed and not pairs):
            raise OptionsError("renamed", self.renamed, 'it must be a dict: {"old": "new"}')
        object.__setattr__(self, "renamed", pairs)

    def _check_paths(self) -> None:
        for masked, excluded in product(self.mask, self.exclude):
            first, second = f"{masked}.", f"{excluded}."
            if first.startswith(second) or second.startswith(first):
                problem = f"{excluded!r} is excluded; a path can only be one of both"
                raise OptionsError("mask", masked, problem)

    def _check_history(self) -> None:
        given, meta = self.history, getattr(self.history, "_meta", {})
        is_own = isinstance(given, type) and getattr(given, "_is_history", False)
        if given is not None and (not is_own or meta.get("abstract", True)):
            raise OptionsError("history", given, "it must be a class derived from BaseHistory")
        if meta.get("allow_inheritance"):
            raise OptionsError("history", given, "records have no _cls, so it cannot inherit")

    def _check_retention(self) -> None:
        check_keep(self.keep)
        age = self.keep_for
        if age is not None and (not isinstance(age, timedelta) or age < timedelta(0)):
            raise OptionsError("keep_for", age, "it must be a timedelta: how long revisions stay")

    def _check_key(self, name: str) -> None:
        key = getattr(self, name)
        if key is None:
            return
        if not isinstance(key, bytes) or len(key) < SHORTEST_KEY:
            # The key itself is a secret, which no message may tell.
            raise OptionsError(name, "…", f"it must be {SHORTEST_KEY} bytes or more")


def is_to_ask(given: object) -> bool:
    """Say whether it can be asked who answers; a class would only make something."""
    return callable(given) and not isinstance(given, type)


def check_flag(name: str, given: object) -> None:
    """Raise an OptionsError if an argument is not one of two."""
    if not isinstance(given, bool):
        raise OptionsError(name, given, "it must be True or False")


def check_keep(keep: object) -> None:
    """Raise an OptionsError if *keep* is no number of revisions that stay."""
    if keep is not None and (not isinstance(keep, int) or isinstance(keep, bool) or keep < 1):
        raise OptionsError("keep", keep, "it must be 1, 2, 3, …: how many revisions stay")


DEFAULT: Final = HistoryOptions()
NAMES: Final = {each.name for each in fields(HistoryOptions)}

Given = Mapping[str, Any]


def options_of(model: Document | type[Document]) -> HistoryOptions:
    """
    Return the options of a class, or of a document's class: its own, and those of its bases.

    Raises:
        OptionsError: one does not exist, cannot be used, or contradicts another one.
    """
    known: Any = model if isinstance(model, type) else type(model)
    said = known._meta.get("history"), getattr(known, OPTIONS_ATTRIBUTE, None)
    if said[1] is None and "history" not in known._meta:
        return DEFAULT
    found = _known.get(known)
    if found is None or found[0] is not said[0] or found[1] is not said[1]:
        found = _known[known] = (*said, _united(known))
    return found[2]


_known: Final[dict[type[Document], tuple[object, object, HistoryOptions]]] = {}


def _united(model: type[Document]) -> HistoryOptions:
    """Unite what a class and its bases ask for; the nearer one wins, but no path is lost."""
    united: dict[str, Any] = {}
    for base in reversed(model.__mro__):
        own = own_options(base)
        if own.get("formerly"):
            _check_formerly(base, own["formerly"])
        united = _and(united, own)
    return HistoryOptions(**united)


def _check_formerly(model: type[Any], names: tuple[str, ...]) -> None:
    """Raise an OptionsError where this is not the class with which a collection begins."""
    metas = [getattr(it, "_meta", None) or {"abstract": True} for it in model.__mro__]
    if metas[0].get("abstract") or not all(it.get("abstract") for it in metas[1:]):
        problem = f"{model.__name__} cannot say it, only the class with which the collection begins"
        raise OptionsError("formerly", names, problem)
    if metas[0].get("collection") in names:
        raise OptionsError("formerly", names, "the collection has this name today")


def _and(first: Given, second: Given) -> dict[str, Any]:
    """Add options to those of a base; paths add up."""
    both = {
        name: (*first[name], *second[name]) for name in ADDED_UP if name in first and name in second
    }
    return {**first, **second, **{name: tuple(dict.fromkeys(it)) for name, it in both.items()}}


def own_options(model: type[Any]) -> Given:
    """
    Return what a class itself asks for: in its ``meta``, and by `track_history`.

    Raises:
        OptionsError: the two say different things, or one of them cannot be used.
    """
    meta, given = _in_meta(model), vars(model).get(OPTIONS_ATTRIBUTE) or {}
    for name in meta.keys() & given.keys() - {*ADDED_UP}:
        if meta[name] != given[name]:
            shown = "…" if name in SECRETS else given[name]
            problem = f"meta['history'] of {model.__name__} says something else; say it once"
            raise OptionsError(name, shown, problem)
    return _and(meta, given)


def _in_meta(model: type[Any]) -> Given:
    """Return what stands in the ``meta`` of a class, be it a document or something mixed in."""
    given = _history_in(model)
    if given is None or any(given is _history_in(base) for base in model.__mro__[1:]):
        return {}  # MongoEngine hands it down
    unknown = given.keys() - NAMES if isinstance(given, dict) else given
    if unknown or not isinstance(given, dict):  # no values: keys are secrets
        raise OptionsError("meta['history']", unknown, f"it must be a dict of {sorted(NAMES)}")
    checked = HistoryOptions(**given)
    # What gives its paths only once is asked once.
    given.update({name: getattr(checked, name) for name in COLLECTED if name in given})
    return given


def _history_in(model: type[Any]) -> Any:
    meta = vars(model).get("_meta", vars(model).get("meta"))
    return meta.get("history") if isinstance(meta, dict) else None


def is_tracked(model: type[Document]) -> bool:
    """Say whether all writes to a class are recorded: it, or a base of it, is tracked."""
    return getattr(model, OPTIONS_ATTRIBUTE, None) is not None
