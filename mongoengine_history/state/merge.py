"""Values of one state over those of another, path by path; and what the history knows of lists.

That is a hash of each, so that index patches are never misapplied. Two copies of a document may
both change a list, the last writer wins. A patch that names indexes is kept only where the list it
was made for is the one that the history has; else the whole list is.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from mongoengine_history.errors import Conflict, PatchError
from mongoengine_history.state.patches import CHANGE, Draft, Patch, touched
from mongoengine_history.state.values import ABSENT, Path, State, encode, find, same, unordered

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

LARGEST_HASHES: Final = 90
"""Bytes of hashes that a revision carries: of the lists changed last, and of one at least."""


def differs(first: State, second: State) -> bool:
    """Say whether two states differ in more than the order of their fields."""
    return first.keys() != second.keys() or any(not same(first[key], second[key]) for key in first)


def is_same_state(first: State | None, second: State | None) -> bool:
    """Say whether two states, None without a document, differ in no more than their order."""
    if first is None or second is None:
        return first is second
    return not differs(first, second)


def conflicts(stored: State, expected: State, paths: Iterable[Path]) -> list[Conflict]:
    """
    Name what keeps values from being put back at *paths*, the shortest path first.

    That is a value that is not as *expected*, or a dict on the way to it that is gone.
    """
    found = {_conflict(path, stored, expected) for path in paths}
    ordered = sorted(filter(None, found), key=lambda path: (len(path), path))
    return [Conflict(path, find(expected, path), find(stored, path)) for path in ordered]


def _conflict(path: Path, stored: State, expected: State) -> Path | None:
    """Return where the way to a value differs, or the path itself if the value does."""
    for length in range(1, len(path)):
        was, is_now = find(expected, path[:length]), find(stored, path[:length])
        if isinstance(was, dict) and not isinstance(is_now, dict):
            return path[:length]
    return None if same(find(expected, path), find(stored, path)) else path


def collapse(
    patches: list[Patch], paths: Iterable[Path], before: State, after: State
) -> list[Patch]:
    """Replace the patches at and inside of *paths* by one change of each from *before*."""
    left: dict[Path, list[Patch]] = {
        path: [Patch(CHANGE, path, (find(before, path), find(after, path)))]
        for path in sorted(paths, key=len)
    }
    result: list[Patch] = []
    for patch in patches:
        path = next((path for path in left if patch.path[: len(path)] == path), None)
        result += [patch] if path is None else left[path]
        if path is not None:
            left[path] = []  # once is enough
    return result


def overlay(stored: State, head: State, target: State, paths: Iterable[Path]) -> State:
    """
    Return *stored* with the values of *target* at *paths*.

    A key that is stored as it is in *head* becomes what it is in *target*, whole.
    """
    draft = Draft(stored)
    paths = sorted(paths, key=len)
    for key in {str(path[0]): None for path in paths}:
        if same(find(stored, (key,)), find(head, (key,))):
            put(draft, (key,), find(target, (key,)))
            continue
        for path in paths:
            if path[0] == key:
                put_back(draft, path, target)
    return draft.state


def put_back(draft: Draft, path: Path, target: State) -> None:
    """Put a value of *target* back, or the whole it lies in where another kind is stored now."""
    for length in range(1, len(path)):
        found = find(draft.state, path[:length])
        if found is not ABSENT and not isinstance(found, dict):
            path = path[:length]
            break
    put(draft, path, find(target, path))


def put(draft: Draft, path: Path, value: object) -> None:
    """Put a value at a path, or take it away where it is `ABSENT`."""
    if value is not ABSENT:
        draft.dict_at(path[:-1])[str(path[-1])] = value
    elif find(draft.state, path) is not ABSENT:
        draft.dict_at(path[:-1]).pop(str(path[-1]))


def path_text(path: Path) -> str:
    """Write a path of keys as one text; dots inside keys are escaped, so no two are alike."""
    return ".".join(str(key).replace("\\", "\\\\").replace(".", "\\.") for key in path)


def path_names(text: str) -> list[str]:
    """Part what `path_text` wrote, or what somebody did, into names."""
    names = [""]
    for sign in re.findall(r"\\.|.", text, re.DOTALL):
        if sign == ".":
            names.append("")
        else:
            names[-1] += sign[-1]  # without the backslash before it
    return names


def list_hash(value: object) -> bytes:
    """Hash a list by type and value of its items; the order of keys in them does not count."""
    return b"" if value is ABSENT else sha256(encode(unordered(value))).digest()[:8]


def check(state: State, lists: Mapping[str, bytes]) -> None:
    """
    Compare the lists of a rebuilt state with the hashes that its last revision carries.

    Raises:
        PatchError: a list is another one.
    """
    for path, value in _lists_in(state, ()) if lists else ():
        known = lists.get(path_text(path))
        if known is not None and known != list_hash(value):
            raise PatchError(path, f"a list with the hash {known.hex()}", value)


def _lists_in(state: State, root: Path) -> Iterator[tuple[Path, list[Any]]]:
    for key, value in state.items():
        if isinstance(value, list):
            yield (*root, key), value
        elif isinstance(value, dict):
            yield from _lists_in(value, (*root, key))


def is_relative(patch: Patch) -> bool:
    """Say whether a patch names an index, so that it fits one list only."""
    return patch.is_of_list or any(isinstance(key, int) for key in patch.path)


def remember(
    lists: Mapping[str, bytes], patches: Iterable[Patch], after: State
) -> dict[str, bytes]:
    """Return the hashes to carry after a revision, the lists changed last at the end."""
    if not lists and not any(isinstance(it, (dict, list)) for it in after.values()):
        return {}  # a short cut, no other result
    hashes = dict(lists)
    for path in {path: None for patch in patches for path in touched(patch)}:
        value = find(after, path)
        if not hashes and not isinstance(value, list):
            continue
        text = path_text(path)
        for known in [known for known in hashes if _is_along(known, text)]:
            del hashes[known]
        if isinstance(value, list):
            hashes[text] = list_hash(value)
    return _newest(hashes)


def _is_along(first: str, second: str) -> bool:
    """Say whether one of two paths leads through the other: what is set there makes it unknown."""
    return f"{first}.".startswith(f"{second}.") or f"{second}.".startswith(f"{first}.")


def _newest(hashes: dict[str, bytes]) -> dict[str, bytes]:
    kept: list[tuple[str, bytes]] = []
    size = 0
    for text, value in reversed(hashes.items()):
        size += len(text.encode()) + len(value) + 8  # BSON adds 7 to a binary value, 1 to a key
        if kept and size > LARGEST_HASHES:
            break
        kept.insert(0, (text, value))
    return dict(kept)
