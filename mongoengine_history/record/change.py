"""A change: what one write did, its patches, and what it is as the next revision."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from mongoengine_history.state.diff import diff
from mongoengine_history.state.hiding import settled
from mongoengine_history.state.merge import collapse, is_relative, list_hash, remember
from mongoengine_history.state.patches import ADD, REMOVE, Patch, outermost_list
from mongoengine_history.state.redaction import left, unsaid
from mongoengine_history.state.revision import (
    ANEW,
    DELETE,
    UNCHANGING,
    UPDATE,
    StoredRevision,
    nothing_done,
)
from mongoengine_history.state.values import find

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mongoengine_history.record.head import Head
    from mongoengine_history.state.context import Context
    from mongoengine_history.state.hiding import Hiding
    from mongoengine_history.state.values import Path, State


class Change(NamedTuple):
    """What one write did, before it has a number."""

    operation: str
    context: Context
    before: State
    after: State
    patches: list[Patch]
    #: Microseconds since 1970 UTC.
    stamp: int
    #: Dicts that were sent as a whole, so that nothing of others was left in them.
    complete: frozenset[Path] = frozenset()
    #: The ``_id`` of the first record, where it has one already.
    record: Any = None


def patched(change: Change, hiding: Hiding) -> Change:
    """Return a change as it is recorded, with its patches; a mere key that comes has one, too."""
    before, after = hiding.pair(change.before, change.after)
    patches = diff(before, after)
    is_gone = change.operation == DELETE  # maybe one of which all is hidden
    if not patches and (is_gone or (change.operation != UPDATE and not change.before)):
        patches = [Patch(REMOVE if is_gone else ADD, (), [])]
    if not hiding.rules:
        return change._replace(patches=patches)
    before, after = settled(before), settled(after)
    patches = [replace(patch, data=settled(patch.data)) for patch in patches]
    return change._replace(before=before, after=after, patches=patches)


def numbered(change: Change, head: Head, known: int | None = None) -> StoredRevision:
    """
    Make a change the revision after *head*; patches are kept where they fit for sure.

    The newest one when the change was made was *known*; None if that is *head*.
    """
    is_alone = known is None or known == head.number
    if head.redacted:
        before, after, patches = unsaid(*change[2:5], head.redacted)
        change = change._replace(before=before, after=after, patches=patches)
    whole = {*_sent_whole(change, is_alone=is_alone), *_unlike(change, head)}
    if change.operation in UNCHANGING and head.number:
        change = change._replace(patches=[nothing_done(is_gone=head.operation == DELETE)])
    before, after, patches = change[2:5]
    if whole:
        patches = collapse(patches, whole, before, after)
    is_anew = change.operation in ANEW or change.operation == DELETE
    lists = remember({} if is_anew else head.lists, patches, after)
    stamp = max(change.stamp, head.stamp)
    number = head.number + 1
    said = number, stamp, change.operation, change.context, tuple(patches), lists
    return StoredRevision(*said, left(head.redacted, before, after))


def _sent_whole(change: Change, *, is_alone: bool) -> Iterator[Path]:
    """Name the dicts that were sent as a whole, where another writer was numbered first."""
    for path in () if is_alone else change.complete:
        both = find(change.before, path), find(change.after, path)
        if all(isinstance(it, dict) for it in both):
            yield path


def _unlike(change: Change, head: Head) -> Iterator[Path]:
    """Name the lists that the history has otherwise than the patches that name their indexes."""
    for path in {outermost_list(patch.path) for patch in change.patches if is_relative(patch)}:
        if head.list_hash(path) != list_hash(find(change.before, path)):
            yield path
