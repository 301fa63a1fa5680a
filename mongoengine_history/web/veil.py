"""What stands in the place of values that somebody may not see, or change."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from mongoengine_history.documents.fieldpaths import attributes
from mongoengine_history.state.mask import BLANK
from mongoengine_history.state.patches import CHANGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from mongoengine import Document

    from mongoengine_history.errors import Conflict
    from mongoengine_history.state.patches import DictdifferPatch
    from mongoengine_history.state.revision import Revision
    from mongoengine_history.state.values import Path


@dataclass(frozen=True)
class Veil:
    """
    Masks values at paths, as the history masks them.

    Args:
        model: The class, by whose names of attributes paths are asked for.
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
            self._known[keys] = self.may(".".join(map(str, attributes(self.model, keys))))
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

    def revision(self, revision: Revision) -> Revision:
        """Return a revision with masks in it."""
        return replace(revision, patches=tuple(map(self.patch, revision.patches)))

    def patch(self, patch: DictdifferPatch) -> DictdifferPatch:
        """Return one of dictdiffer's patches with masks in it."""
        action, root, data = patch
        path = tuple(root)
        if action == CHANGE:
            return action, root, tuple(self.value(path, it) for it in data)
        return action, root, [(key, self.value((*path, key), it)) for key, it in data]

    def conflict(self, conflict: Conflict) -> Conflict:
        """Return a conflict with masks in it."""
        sides = (self.value(conflict.path, it) for it in (conflict.expected, conflict.found))
        return replace(conflict, **dict(zip(("expected", "found"), sides, strict=True)))

    def kept_from(self, patches: Sequence[DictdifferPatch]) -> list[str]:
        """Name the paths that patches set and that are not free."""
        found = dict.fromkeys(path for patch in patches for path in _set_by(patch))
        closed = (attributes(self.model, path) for path in found if not self.allows(path))
        return [".".join(map(str, names)) for names in closed]


def _set_by(patch: DictdifferPatch) -> Iterator[Path]:
    action, root, data = patch
    pairs = [((*root,), it) for it in data] if action == CHANGE else []
    pairs = pairs or [((*root, key), it) for key, it in data]
    return (path for above, value in pairs for path in _below(above, value))


def _below(path: Path, value: Any) -> Iterator[Path]:
    yield path
    pairs: Iterable[Any] = value.items() if isinstance(value, dict) else ()
    pairs = enumerate(value) if isinstance(value, list) else pairs
    for key, it in pairs:
        yield from _below((*path, key), it)
