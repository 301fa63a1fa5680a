"""What is left of values of which a part was erased: one digest over all of it in a history.

The checksum of a revision is still made of the digest of such a value as it was, so it does not
prove what stands there now. That is proven by the revision that says what was erased. What went by
retention is in the mark of it, so that the rest can be proven.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from bson import Int64

from mongoengine_history.record.chain import values
from mongoengine_history.state.revision import REDACT
from mongoengine_history.state.values import encode

if TYPE_CHECKING:
    from mongoengine_history.state.revision import StoredRevision

LEFT: Final = "left"
"""Where the metadata of a revision of operation ``redact``, and a mark, have the digest."""

NOTHING_LEFT: Final = bytes(32)
"""The digest over nothing."""


class Remainders:
    """Goes through the revisions of one history in order, each with its first record."""

    def __init__(self) -> None:
        #: The digest over all that was added, 32 bytes.
        self.digest = self._said = NOTHING_LEFT

    @property
    def is_right(self) -> bool:
        """Say whether the last revision ``redact`` proves all that is left in the history."""
        return hmac.compare_digest(self._said, self.digest)

    def add(self, revision: StoredRevision, first: Mapping[str, Any]) -> None:
        """
        Add the next revision; one without erased values changes nothing.

        With a mark of retention all begins anew.

        Raises:
            ValueError: its digests are none; or another one of ``UNREADABLE``.
        """
        mark = first.get("pruned")
        if isinstance(mark, Mapping):
            self.digest = self._said = _bytes_in(mark) or NOTHING_LEFT
        kept = first.get("digests", {})
        found = values(revision) if kept else []
        for index in sorted(map(int, kept)):
            value = encode([Int64(revision.number), Int64(index), found[index]])
            self.digest = sha256(self.digest + value).digest()
        if revision.operation == REDACT:
            self._said = _bytes_in(revision.context.metadata) or self._said


def _bytes_in(said: Mapping[str, Any]) -> bytes | None:
    found = said.get(LEFT)
    return found if isinstance(found, bytes) else None
