"""What stands in the place of values that somebody may not see, or change."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from mongoengine.fields import ListField

from mongoengine_history.documents.fieldrules import Lookup, with_subclasses
from mongoengine_history.documents.renamed import stored_today
from mongoengine_history.state.mask import BLANK
from mongoengine_history.state.patches import CHANGE
from mongoengine_history.state.values import items_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from mongoengine import Document

    from mongoengine_history import Conflict, Revision
    from mongoengine_history.state.patches import DictdifferPatch
    from mongoengine_history.state.values import Path


@dataclass(frozen=True)
class Veil:
    """
    Masks values at paths, as the history masks them.

    Args:
        model: The class, by whose names of attributes paths are asked for, and by those of classes
            below it: of what is stored under one name all have to be free.
        may: Says whether a path is free: names joined by dots, without indexes of items. It is
            asked for each one above it, too.
    """

    model: type[Document]
    may: Callable[[str], bool]
    _known: dict[tuple[str, ...], bool] = field(default_factory=dict)

    def allows(self, path: Iterable[str | int]) -> bool:
        """Say whether a path, and each one above it, is free."""
        keys = tuple(key for key in path if isinstance(key, str))
        return all(self._allows(keys[:end]) for end in range(1, len(keys) + 1))

    def _allows(self, keys: tuple[str, ...]) -> bool:
        if keys not in self._known:
            self._known[keys] = all(map(self.may, sorted(_namings(self.model, keys))))
        return self._known[keys]

    def value(self, path: Path, value: Any) -> Any:
        """Return a value, with masks inside, or the mask."""
        if not self.allows(path):
            return BLANK
        if isinstance(value, dict):
            return {key: self.value((*path, key), it) for key, it in value.items()}
        if isinstance(value, list):
            return [self.value((*path, index), it) for index, it in enumerate(value)]
        return value

    def shown(self, path: Iterable[str | int]) -> Path:
        """Return a path up to the first key that is not free: others are a part of its value."""
        path = tuple(path)
        ends = (end for end in range(1, len(path)) if not self.allows(path[:end]))
        return path[: next(ends, len(path))]

    def revision(self, revision: Revision) -> Revision:
        """Return a revision with masks in it."""
        return replace(revision, patches=tuple(self.patches(revision.patches)))

    def patches(self, patches: Iterable[DictdifferPatch]) -> Iterator[DictdifferPatch]:
        """Yield dictdiffer's patches with masks in them, one for all that is inside of a mask."""
        masked: set[Path] = set()
        for patch in patches:
            path = self.shown(patch[1])
            if self.allows(path):
                yield self._patch(patch)
            elif path not in masked:
                masked.add(path)
                yield CHANGE, [*path], (BLANK, BLANK)

    def _patch(self, patch: DictdifferPatch) -> DictdifferPatch:
        action, root, data = patch
        path = tuple(root)
        if action == CHANGE:
            return action, root, tuple(self.value(path, it) for it in data)
        return action, root, [(key, self.value((*path, key), it)) for key, it in data]

    def conflict(self, conflict: Conflict) -> Conflict:
        """Return a conflict with masks in it."""
        sides = (self.value(conflict.path, it) for it in (conflict.expected, conflict.found))
        masked = dict(zip(("expected", "found"), sides, strict=True))
        return replace(conflict, path=self.shown(conflict.path), **masked)

    def closed_in(self, patches: Sequence[DictdifferPatch]) -> list[Path]:
        """Return the paths of stored names that patches set and that are not free."""
        found = dict.fromkeys(path for patch in patches for path in _set_by(patch))
        return [path for path in found if not self.allows(path)]


def _set_by(patch: DictdifferPatch) -> Iterator[Path]:
    action, root, data = patch
    pairs = [((*root,), it) for it in data] if action == CHANGE else []
    pairs = pairs or [((*root, key), it) for key, it in data]
    return (path for above, value in pairs for path in _below(above, value))


def _below(path: Path, value: Any) -> Iterator[Path]:
    yield path
    for key, it in items_in(value):
        yield from _below((*path, key), it)


def _namings(model: type[Document], keys: tuple[str, ...]) -> set[str]:
    """Return each name by which classes know a path of stored keys, those of before among them."""
    known = [stored_today(it) for it in with_subclasses(model)]
    first = {names[keys[0]] for names in known if keys[0] in names} or {keys[0]}
    lookup = Lookup()
    ways = (_ways(lookup, (model,), (key, *keys[1:])) for key in first)
    return {".".join(names) for way in ways for names in way}


def _ways(lookup: Lookup, inside: Any, keys: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if not keys:
        yield ()
        return
    for name, below in _steps(lookup, inside, keys[0]):
        yield from ((name, *names) for names in _ways(lookup, below, keys[1:]))


def _steps(lookup: Lookup, inside: Any, key: str) -> Iterable[tuple[str, Any]]:
    """Return the names of what has a stored *key*, and what lies there; items need no index."""
    while isinstance(inside, ListField):
        inside = lookup.inside(inside.field)
    classes = (inside,) if isinstance(inside, type) else inside
    if not isinstance(classes, tuple):
        return [(key, lookup.inside(getattr(inside, "field", None)))]
    fields = ((name, it) for _, name, it in lookup.attributes(classes) if it.db_field == key)
    found = {(name, id(it)): (name, lookup.inside(it)) for name, it in fields}
    return found.values() or [(key, lookup.inside(None))]
