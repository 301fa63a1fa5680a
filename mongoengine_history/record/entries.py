"""Changes of many documents on their way into the history."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from mongoengine_history.record.chain import link
from mongoengine_history.record.change import Change, numbered, patched
from mongoengine_history.record.head import NO_HEAD, Head
from mongoengine_history.record.layout import Base, documents_of_revision
from mongoengine_history.state.revision import DELETE, UNDO, UPDATE, StoredRevision
from mongoengine_history.state.values import State, encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bson import Timestamp

    from mongoengine_history.record.place import Place
    from mongoengine_history.state.context import Context
    from mongoengine_history.state.hiding import Hiding


class Found(NamedTuple):
    """One document as it was stored, or a part of it, and its newest revision."""

    key: Any
    state: State
    head: Head = NO_HEAD
    #: When it was read, by the server's clock; None where that is not known.
    moment: Timestamp | None = None

    @classmethod
    def of(cls, document: State, moment: Timestamp | None = None) -> Found:
        """Take what the server has sent, decoded by `WIRE`."""
        return cls(document.pop("_id"), document, moment=moment)


LaidOut = dict[tuple[Any, ...], tuple[StoredRevision, list[dict[str, Any]]]]


class Entry(NamedTuple):
    """A change of one document on its way into the history."""

    found: Found
    change: Change
    base: Base | None
    documents: list[dict[str, Any]]


def entries_of(
    place: Place, operation: str, context: Context, changes: Iterable[tuple[Found, State, State]]
) -> Iterator[Entry]:
    """Lay out changes of one write: of each the document as it was, what was and is there of it."""
    stamp = time.time_ns() // 1000
    # Many documents of one write share the states before and after, and so what is recorded.
    alike: dict[bytes, Change] = {}
    laid_out: LaidOut = {}
    for found, before, after in changes:
        states = encode([before, after]) if before and after else b""  # none comes or goes alike
        change = alike.get(states)
        if change is None:
            change = patched(Change(operation, context, before, after, [], stamp), place.hiding)
            alike.update({states: change} if states else {})
        if change.patches:
            yield _entry(place, found, change, laid_out)


def _entry(
    place: Place,
    found: Found,
    change: Change,
    laid_out: LaidOut,
) -> Entry:
    head, options, hiding = found.head, place.options, place.hiding
    base = state = None
    if change.operation == UPDATE and not head.number and options.version_every:
        base = Base(hiding.hidden(found.state), found.moment)
    if options.is_due(head.number + 1) and not head.redacted:  # of which only replay knows all
        state = _kept(found, change, hiding)
    is_alike = base is None and state is None and head.stamp <= change.stamp
    owner = place.owner(found.key)
    alike = (id(change), head.number, head.redacted, *head.lists.items())
    known = laid_out.get(alike) if is_alike else None
    if known is None:
        revision = numbered(change, head)
        known = revision, documents_of_revision(revision, owner, state, base)
        if is_alike:
            laid_out[alike] = known
    revision, documents = known
    own = [{**document, "document_id": found.key} for document in documents]
    own[0].update(link(revision, owner, head.checksum, options.checksum_key))
    return Entry(found, change, base, own)


def _kept(found: Found, change: Change, hiding: Hiding) -> State:
    """Return the state after a change: what revisions lead to, or a new beginning without them."""
    is_update = change.operation in {UPDATE, UNDO} and found.head.operation != DELETE
    if not is_update:
        return change.after
    if found.head.state is not None:
        return numbered(change, found.head).after(found.head.state)
    gone = change.before.keys() - change.after.keys()
    left = {key: value for key, value in found.state.items() if key not in gone}
    return hiding.hidden({**left, **change.after})
