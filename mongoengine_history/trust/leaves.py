"""Where the leaves of checkpoints are kept: pages of them, each found by the root over it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import bson
from bson.codec_options import CodecOptions
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument
from pymongo import WriteConcern
from pymongo.errors import BulkWriteError

from mongoengine_history.record.inserts import DUPLICATE_KEY
from mongoengine_history.record.overview import batches
from mongoengine_history.state.values import WIRE
from mongoengine_history.trust.merkle import EMPTY_ROOT, leaf_hash, path_to, root_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pymongo.collection import Collection

PAGE: Final = 256
"""Leaves of a page, and roots of pages in one document above them: a power of two."""

PAGES_AT_ONCE: Final = 32
"""Pages that are written at once."""

DIGEST: Final = 32
"""Bytes of a hash."""

RAW: Final = CodecOptions(document_class=RawBSONDocument)


class Page(NamedTuple):
    """Some leaves of a tree that follow each other."""

    #: As BSON; None where the page is gone, or is not what its root was made of.
    leaves: list[bytes] | None
    #: The roots on each level above, the highest first, and which of them leads here.
    trail: tuple[tuple[list[bytes], int], ...]

    def path_to(self, index: int) -> list[bytes]:
        """Return the audit path of a leaf from here to the root of the tree."""
        hashes = [leaf_hash(leaf) for leaf in self.leaves or ()]
        steps = [(hashes, index), *reversed(self.trail)]
        return [it for roots, at in steps for it in path_to(roots, at)]


class Leaves:
    """A collection in which leaves and texts are kept. Nothing is ever changed in it."""

    def __init__(self, collection: Collection[Any]) -> None:
        concern = WriteConcern(w="majority")
        self._kept: Collection[Any] = collection.with_options(WIRE, write_concern=concern)

    def keep(self, leaves: Iterable[bytes]) -> tuple[bytes, int]:
        """
        Write the leaves of a tree that are not there yet; return its root and their number.

        In memory are a few pages, and the roots of all.
        """
        roots, size = list[bytes](), 0
        for some in batches(leaves, PAGE * PAGES_AT_ONCE):
            size += len(some)
            pages = batches(some, PAGE)
            roots += self._written([(list(map(leaf_hash, it)), "leaves", it) for it in pages])
        while len(roots) > 1:
            roots = self._written([(it, "roots", it) for it in batches(roots, PAGE)])
        return (roots[0] if roots else EMPTY_ROOT), size

    def _written(self, pages: list[tuple[list[bytes], str, list[bytes]]]) -> list[bytes]:
        """Write documents, each below the root over its hashes; return the roots."""
        made = [{"_id": root_of(hashes), name: b"".join(it)} for hashes, name, it in pages]
        try:  # a single root is that of its page, so it is there already
            self._kept.insert_many(made, ordered=False)
        except BulkWriteError as error:
            if any(it["code"] != DUPLICATE_KEY for it in error.details["writeErrors"]):
                raise
        return [bytes(it["_id"]) for it in made]

    def pages(self, root: bytes) -> Iterator[Page]:
        """Read the pages of a tree in order, each checked against its root; holds one level."""
        return self._walk([root], ()) if root != EMPTY_ROOT else iter(())

    def _walk(
        self, roots: list[bytes], above: tuple[tuple[list[bytes], int], ...]
    ) -> Iterator[Page]:
        found = {it["_id"]: it for it in self._kept.find({"_id": {"$in": roots}})}
        for index, root in enumerate(roots):
            trail, document = (*above, (roots, index)), found.get(root, {})
            inner = _parted(document.get("roots"))
            if inner and root_of(inner) == root:
                yield from self._walk(inner, trail)
                continue
            leaves = _documents(document.get("leaves"))
            is_right = root_of(list(map(leaf_hash, leaves))) == root
            yield Page(leaves if is_right else None, trail)

    def keep_text(self, text: str) -> None:
        """Write the text of a checkpoint."""
        self._kept.insert_one({"text": text})

    def last_text(self) -> str | None:
        """Read the text that was written last; None if there is none."""
        newest = [("_id", -1)]  # pages have binary ones, which come before
        found = self._kept.find_one({"text": {"$type": "string"}}, sort=newest)
        return found and found["text"]


def _parted(hashes: object) -> list[bytes] | None:
    if not isinstance(hashes, bytes):
        return None
    return [hashes[start : start + DIGEST] for start in range(0, len(hashes), DIGEST)]


def _documents(page: object) -> list[bytes]:
    if not isinstance(page, bytes):
        return []
    try:
        return [bytes(it.raw) for it in bson.decode_all(page, RAW)]
    except BSONError:
        return []
