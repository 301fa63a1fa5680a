"""What is left of values of which a part was erased: one digest over all of it in a history.

The checksum of a revision is still made of the digest of such a value as it was, so it does not
prove what stands there now. That is proven by the revision that says what was erased.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from bson import Int64

from mongoengine_history.record.chain import values
from mongoengine_history.state.revision import REDACT
from mongoengine_history.state.values import encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mongoengine_history.state.revision import StoredRevision

LEFT: Final = "left"
"""Where the metadata of a revision of operation ``redact`` has the digest."""


class Remainders:
    """Goes through the revisions of one history in order, each with its first record."""

    def __init__(self) -> None:
        self._made = sha256()
        self._said = self.digest
        self._first = 0

    @property
    def digest(self) -> bytes:
        """Return the digest over all that was added, 32 bytes."""
        return self._made.digest()

    @property
    def is_right(self) -> bool:
        """
        Say whether the last revision ``redact`` proves all that is left in the history.

        Where the oldest revisions were pruned nobody can say.
        """
        return self._first > 1 or hmac.compare_digest(self._said, self.digest)

    def add(self, revision: StoredRevision, first: Mapping[str, Any]) -> None:
        """
        Add the next revision; one without erased values changes nothing.

        Raises:
            ValueError: its digests are none; or another one of ``UNREADABLE``.
        """
        self._first = self._first or revision.number
        kept = first.get("digests", {})
        found = values(revision) if kept else []
        for index in sorted(map(int, kept)):
            self._made.update(encode([Int64(revision.number), Int64(index), found[index]]))
        said = revision.context.metadata.get(LEFT) if revision.operation == REDACT else None
        if isinstance(said, bytes):
            self._said = said
