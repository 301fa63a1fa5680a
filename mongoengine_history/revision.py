"""Frozen values: what one write did to one document, and who answers for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final

from mongoengine_history.errors import OptionsError
from mongoengine_history.patching import Patch, apply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mongoengine_history.values import State

CREATE: Final = "create"
UPDATE: Final = "update"
DELETE: Final = "delete"
REVERT: Final = "revert"

EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Context:
    """Who answers for a write, and why; plain BSON values."""

    #: Who, as stored; None is nobody.
    identity: Any = None
    #: Why, in words.
    reason: str | None = None
    #: Anything else that was said about the write.
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Revision:
    """All patches of one write to one document."""

    #: 1, 2, 3, … within the document, without gaps.
    number: int
    #: Microseconds since 1970 UTC, never lower than that of the revision before.
    stamp: int
    #: ``create``, ``update``, ``delete``, ``revert``, or a word of a later release.
    operation: str
    #: Who and why.
    context: Context
    #: What changed, in the order in which it applies.
    patches: tuple[Patch, ...]
    #: Hashes of outermost lists after the revision, by their paths as `path_text` writes them.
    lists: Mapping[str, bytes]

    @property
    def at(self) -> datetime:
        """The moment of the write, aware, in UTC."""
        return EPOCH + self.stamp * MICROSECOND

    def after(self, state: State) -> State:
        """
        Return the state after this revision, given the one before it.

        A creation starts from nothing and a deletion leaves nothing, whatever stood there.

        Raises:
            PatchError: the revision was made for another state.
        """
        if self.operation == DELETE:
            return {}
        return apply(self.patches, {} if self.operation == CREATE else state)


def stamp_of(when: datetime) -> int:
    """
    Return *when* in microseconds since 1970 UTC; a naive time is local time of the process.

    Raises:
        OptionsError: *when* is no datetime.
    """
    if not isinstance(when, datetime):
        raise OptionsError("since or until", when, "it must be a datetime")
    if when.year in (1, 9999):  # no time zone can be told there, and none matters
        when = when.replace(tzinfo=timezone.utc)
    return (when.astimezone(timezone.utc) - EPOCH) // MICROSECOND


def wall_clock(when: datetime) -> datetime:
    """Return a moment as 1.1 wrote it: naive, by the local wall clock, cut to milliseconds."""
    local = when if when.tzinfo is None else when.astimezone().replace(tzinfo=None)
    return local.replace(microsecond=local.microsecond // 1000 * 1000)
