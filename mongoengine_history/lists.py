"""What the history knows of lists: a hash of each, so that index patches are never misapplied.

Two copies of a document may both change a list, the last writer wins. A patch that names indexes
is kept only where the list it was made for is the one that the history has; else the whole list is.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from mongoengine_history.errors import PatchError
from mongoengine_history.patching import Patch, touched
from mongoengine_history.values import ABSENT, Path, State, encode, find, unordered

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

LARGEST_HASHES: Final = 90
"""Bytes of hashes that a revision carries: of the lists changed last, and of one at least."""


def path_text(path: Path) -> str:
    """Write a path of keys as one text; dots inside keys are escaped, so no two are alike."""
    return ".".join(str(key).replace("\\", "\\\\").replace(".", "\\.") for key in path)


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
    if any(isinstance(key, int) for key in patch.path):
        return True
    return patch.is_of_list


def remember(
    lists: Mapping[str, bytes], patches: Iterable[Patch], after: State
) -> dict[str, bytes]:
    """Return the hashes to carry after a revision, the lists changed last at the end."""
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
