"""The algebra of patches: apply them, invert them, keep them as records. Pure functions.

A patch is dictdiffer's ``(action, path, data)`` and one thing more: where in its dict a key stood.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

from mongoengine_history.errors import PatchError
from mongoengine_history.state.mask import is_blank, may_be
from mongoengine_history.state.values import ABSENT, Path, State, encode, find, native, same

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bson.codec_options import CodecOptions

ADD: Final = "add"
CHANGE: Final = "change"
REMOVE: Final = "remove"
PATCH_ACTIONS: Final = {ADD, CHANGE, REMOVE}
Action = Literal["add", "change", "remove"]
DictdifferPatch = tuple[str, list[str | int], Any]


@dataclass(frozen=True, slots=True)
class Patch:
    """One step from a state to the next."""

    #: ``add``, ``change`` or ``remove``.
    action: Action
    #: The value changed, or the dict or list to which or from which items are added or removed.
    path: Path
    #: ``(old, new)`` for a change, else ``[(key or index, value), ...]``, indexes ascending.
    data: Any
    #: For keys of a nested dict that do not stand at its end: their places, ascending.
    places: tuple[int, ...] | None = None

    @property
    def is_of_list(self) -> bool:
        """Say whether items of a list are added or removed."""
        return self.action != CHANGE and any(isinstance(key, int) for key, _ in self.data[:1])

    def as_dictdiffer(self) -> DictdifferPatch:
        """Return what `dictdiffer.patch` and `dictdiffer.revert` take."""
        return self.action, list(self.path), self.data


def apply(patches: Iterable[Patch], state: State) -> State:
    """
    Return the state after *patches*. The given state stays as it is.

    Keys are absolute: a changed key gets its new value whatever stood there, a key to be removed
    may be missing. Indexes of lists are relative: the list must be the one the patch was made for.
    A value that was erased fits any value; what is set inside of one is erased with it.

    Raises:
        PatchError: a list is missing, too short, or holds another item.
    """
    draft = Draft(state)
    apply_to(draft, patches)
    return draft.state


def apply_to(draft: Draft, patches: Iterable[Patch]) -> None:
    """Do to *draft* what `apply` does to a state."""
    for patch in patches:
        try:
            _apply(patch, draft)
        except LookupError as error:
            if _is_erased(patch, draft.state):
                continue
            raise PatchError(patch.path, _before(patch), find(draft.state, patch.path)) from error


def invert(patches: Sequence[Patch]) -> list[Patch]:
    """Return the patches that take *patches* back: what was done last is undone first."""
    return [_inverted(patch) for patch in reversed(patches)]


def growth(patches: Sequence[Patch]) -> int:
    """Return by about how many bytes a state grows; negative where it shrinks."""
    put = [it.data[1] if it.action == CHANGE else it.data for it in patches if it.action != REMOVE]
    gone = [it.data[0] if it.action == CHANGE else it.data for it in patches if it.action != ADD]
    return len(encode(put)) - len(encode(gone))


def _inverted(patch: Patch) -> Patch:
    if patch.action == CHANGE:
        old, new = patch.data
        return Patch(CHANGE, patch.path, (new, old))
    action: Action = REMOVE if patch.action == ADD else ADD
    return Patch(action, patch.path, patch.data, patch.places)


def _before(patch: Patch) -> object:
    if patch.action == CHANGE:
        return patch.data[0]
    return ABSENT if patch.action == ADD or not patch.data else patch.data[0][1]


def _apply(patch: Patch, draft: Draft) -> None:
    if is_blank(_last_value(patch)) and _is_erased(patch, draft.state):
        return
    if patch.action == CHANGE:
        _change(patch, draft)
    elif patch.is_of_list:
        _edit_list(patch, draft.list_at(patch.path))
    elif patch.action == REMOVE:
        parent = draft.dict_at(patch.path)
        for key, _ in patch.data:
            parent.pop(key, None)
    else:
        _add_keys(patch, draft.dict_at(patch.path))


def _last_value(patch: Patch) -> object:
    if patch.action == CHANGE:
        return patch.data[1]
    return patch.data[-1][1] if patch.data else ABSENT


def _is_erased(patch: Patch, state: State) -> bool:
    """Say whether a mask stands in the place of the dict or list that a patch is made for."""
    path = patch.path[:-1] if patch.action == CHANGE else patch.path
    return _is_masked(state, path)


def _is_masked(state: State, path: Path) -> bool:
    return any(is_blank(find(state, path[:end])) for end in range(1, len(path) + 1))


def _change(patch: Patch, draft: Draft) -> None:
    key = patch.path[-1]
    if isinstance(key, int):
        items = draft.list_at(patch.path[:-1])
        _expect(items, key, patch.data[0], patch.path)
        items[key] = patch.data[1]
    else:
        draft.dict_at(patch.path[:-1])[key] = patch.data[1]


def _edit_list(patch: Patch, items: list[Any]) -> None:
    if patch.action == REMOVE:
        for index, value in reversed(patch.data):
            _expect(items, index, value, (*patch.path, index))
            del items[index]
        return
    for index, value in patch.data:
        if index > len(items):
            raise PatchError(patch.path, f"at least {index} items", items)
        items.insert(index, value)


def _expect(items: list[Any], index: int, value: object, path: Path) -> None:
    found = items[index] if index < len(items) else ABSENT
    if not same(found, value) and not may_be(found, value):
        raise PatchError(path, value, found)


def _add_keys(patch: Patch, parent: dict[str, Any]) -> None:
    for key, value in patch.data:
        if patch.places is not None:
            parent.pop(key, None)
        parent[key] = value  # what another writer has put there keeps its place, as on the server
    if patch.places is not None:
        _put_in_place(parent, [key for key, _ in patch.data], patch.places)


def _put_in_place(parent: dict[str, Any], added: list[str], places: tuple[int, ...]) -> None:
    keys = list(parent)[: -len(added)]
    for place, key in zip(places, added, strict=True):
        keys.insert(place, key)
    ordered = {key: parent[key] for key in keys}
    parent.clear()
    parent.update(ordered)


def touched(patch: Patch) -> list[Path]:
    """
    Name the paths whose values a patch sets, each cut off at the outermost list on its way.

    The value of a list is one thing here, since indexes mean nothing without the list around them.
    """
    outer = outermost_list(patch.path)
    if patch.action == CHANGE:
        return [outer]
    is_inside = patch.is_of_list or outer != patch.path
    return [outer if is_inside else (*outer, key) for key, _ in patch.data]


def paths_of(patches: Iterable[Patch]) -> set[Path]:
    """Name the paths that patches set, as `touched` does for each."""
    return {path for patch in patches for path in touched(patch)}


def outermost_list(path: Path) -> Path:
    """Cut *path* at its first index, which leaves the path of the outermost list on the way."""
    for index, key in enumerate(path):
        if isinstance(key, int):
            return path[:index]
    return path


def record_of(patch: Patch) -> dict[str, Any]:
    """Return the fields of a record that hold *patch*; the shapes of ``data`` are those of 1.1."""
    fields: dict[str, Any] = {
        "action": patch.action,
        "path": ".".join(map(str, patch.path)),
        "keys": list(patch.path),
    }
    if patch.action == CHANGE:
        fields["data"] = {"old": patch.data[0], "new": patch.data[1]}
    else:
        fields["data"] = {"items": [{"key": key, "value": value} for key, value in patch.data]}
    if patch.places is not None:
        fields["places"] = list(patch.places)
    return fields


def patch_of(record: Mapping[str, Any]) -> Patch:
    """
    Return the patch that `record_of` stored.

    Raises:
        ValueError: it is none; or LookupError, TypeError.
    """
    action, keys, data = dictdiffer_patch(record)
    places = None if action == CHANGE else record.get("places")
    if not places:
        return Patch(action, tuple(keys), data)  # type: ignore[arg-type]  # was looked at
    if len(places) != len(data) or not all(isinstance(place, int) for place in places):
        raise ValueError(places)
    return Patch(action, tuple(keys), data, tuple(places))  # type: ignore[arg-type]  # the same


def dictdiffer_patch(record: Mapping[str, Any]) -> DictdifferPatch:
    """Return what `Patch.as_dictdiffer` gives for the patch of a record; raises as `patch_of`."""
    action, keys, data = record["action"], record["keys"], record["data"]
    if action == CHANGE:
        _check_keys(keys, keys)
        if not keys:
            raise ValueError(keys)
        return action, keys, (data["old"], data["new"])
    items = [(item["key"], item["value"]) for item in data["items"]]
    names = [key for key, _ in items]
    _check_keys(keys, [*keys, *names])
    is_mixed = len(set(map(type, names))) > 1 and len({isinstance(it, int) for it in names}) > 1
    if is_mixed or action not in PATCH_ACTIONS:
        raise ValueError(action, names)
    return action, keys, items


def _check_keys(keys: object, names: Sequence[object]) -> None:
    """Raise an error unless all names may stand in a state, of which the first is a field."""
    if not isinstance(keys, list) or (names and not isinstance(names[0], str)):
        raise TypeError(keys)
    for name in names:
        if "\x00" in name if isinstance(name, str) else not (isinstance(name, int) and name >= 0):
            raise ValueError(name)


def as_dictdiffer(patches: Sequence[Patch], codec: CodecOptions[Any]) -> list[DictdifferPatch]:
    """Return patches as dictdiffer has them, with values as an application with *codec* reads."""
    values = native({"data": [patch.data for patch in patches]}, codec)["data"]
    pairs = zip(patches, values, strict=True)
    return [replace(patch, data=_shaped(patch, data)).as_dictdiffer() for patch, data in pairs]


def _shaped(patch: Patch, data: Any) -> Any:
    """Make tuples again of what BSON keeps as lists."""
    return tuple(data) if patch.action == CHANGE else [tuple(item) for item in data]


def dictdiffer_paths(patches: Iterable[DictdifferPatch]) -> list[Path]:
    """Name what patches say something about, in their order."""
    return list(dict.fromkeys(it for patch in patches for it in _paths(*patch)))


def _paths(action: str, path: Sequence[str | int], data: Any) -> list[Path]:
    return [tuple(path)] if action == CHANGE else [(*path, key) for key, _ in data]


class Draft:
    """Edits a copy of a state; the original and all that it shares stay untouched."""

    def __init__(self, state: State) -> None:
        self.state: State = dict(state)
        #: Containers copied already, by identity; the draft keeps them alive, so ids are unique.
        self._own: dict[int, Any] = {id(self.state): self.state}

    def at(self, path: Path, kind: Any = (dict, list)) -> Any:
        """
        Return the dict or list at *path*, ready to be edited.

        As ``$set`` does, dicts that are missing on the way are made. They are made in the place of
        lists, too: keys are absolute, and another writer may have stored another kind of value.

        Raises:
            LookupError: the path leads through a list that is not there or too short.
        """
        node: Any = self.state
        kinds = [list if isinstance(key, int) else dict for key in path[1:]]
        for key, expected in zip(path, [*kinds, kind], strict=False):
            if isinstance(node, list) != isinstance(key, int):
                raise LookupError(path)
            child: Any = node.get(key) if isinstance(node, dict) else node[key]
            if isinstance(node, dict) and expected is not list and not isinstance(child, expected):
                child = {}
            node = self._owned(node, key, child)
        return node

    def dict_at(self, path: Path) -> dict[str, Any]:
        """Return the dict at *path*, as `at` does; LookupError if a list of lists has another."""
        node: dict[str, Any] = self.at(path, dict)
        if not isinstance(node, dict):
            raise LookupError(path)
        return node

    def list_at(self, path: Path) -> list[Any]:
        """Return the list at *path*, as `at` does; LookupError if there is none."""
        if _is_masked(self.state, path):
            raise LookupError(path)
        node = self.at(path)
        if not isinstance(node, list):
            raise LookupError(path)
        return node

    def _owned(self, parent: Any, key: str | int, child: Any) -> Any:
        if id(child) not in self._own:
            if not isinstance(child, dict | list):
                raise LookupError(key)
            child = child.copy()
            self._own[id(child)] = child
            parent[key] = child
        return child
