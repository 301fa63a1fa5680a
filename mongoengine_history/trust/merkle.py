"""Merkle trees as RFC 6962 hashes them. Knows no database."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

EMPTY_ROOT: Final = sha256().digest()
"""The root of a tree without leaves."""


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash of a leaf, 32 bytes."""
    return sha256(b"\0" + leaf).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """
    Return the root over hashes, be they of leaves or of whole trees of one size.

    The last of such trees may be smaller: the root is the same as over all leaves.
    """
    root = EMPTY_ROOT
    for level in _levels(hashes):
        root = level[0]
    return root


def path_to(hashes: Sequence[bytes], index: int) -> list[bytes]:
    """Return the audit path of one of the hashes: its neighbours, from the lowest to the root."""
    path = list[bytes]()
    for level in _levels(hashes):
        path += level[index ^ 1 : (index ^ 1) + 1]  # the last one may have none
        index //= 2
    return path


def _levels(hashes: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    level = hashes
    while level:
        yield level
        if len(level) == 1:
            return
        pairs = (level[start : start + 2] for start in range(0, len(level), 2))
        level = [sha256(b"\1" + b"".join(it)).digest() if len(it) > 1 else it[0] for it in pairs]
