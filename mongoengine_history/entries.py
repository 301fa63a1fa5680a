"""Changes of many documents, numbered and laid out; what is alike is worked out once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mongoengine_history.layout import documents_of_revision
from mongoengine_history.state.revision import UPDATE
from mongoengine_history.state.values import State, encode
from mongoengine_history.store import Change, numbered, patched
from mongoengine_history.turns import Head

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mongoengine_history.place import Place
    from mongoengine_history.state.revision import Context

NO_HEAD: Final = Head()


class Found(NamedTuple):
    """One document as it was stored, or a part of it, and its newest revision."""

    key: Any
    state: State
    head: Head = NO_HEAD

    @classmethod
    def of(cls, document: State) -> Found:
        """Take what the server has sent, decoded by `WIRE`."""
        return cls(document.pop("_id"), document)


class Entry(NamedTuple):
    """A change of one document on its way into the history."""

    found: Found
    change: Change
    base: State | None
    documents: list[dict[str, Any]]


def entries_of(
    place: Place, operation: str, context: Context, changes: Iterable[tuple[Found, State, State]]
) -> Iterator[Entry]:
    """
    Turn changes of documents of one write into what is inserted for them.

    Args:
        place: Where they and their history lie.
        operation: What the write was.
        context: Who answers for it, and why.
        changes: Of each document as it was, and what was and is there of it.
    """
    stamp = time.time_ns() // 1000
    # Many documents of one write share the states before and after, and so what is recorded.
    alike: dict[bytes, Change] = {}
    laid_out: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for found, before, after in changes:
        states = encode([before, after])
        if states not in alike:
            change = Change(operation, context, before, after, [], stamp)
            alike[states] = patched(change, place.hiding)
        if alike[states].patches:
            yield _entry(place, found, alike[states], laid_out)


def _entry(
    place: Place,
    found: Found,
    change: Change,
    laid_out: dict[tuple[int, int], list[dict[str, Any]]],
) -> Entry:
    head, options, hiding = found.head, place.options, place.hiding
    base = state = None
    if change.operation == UPDATE and not head.number and options.version_every:
        base = hiding.hidden(found.state)
    if options.is_due(head.number + 1):
        state = hiding.hidden(_after(found.state, change))
    is_alike = base is None and state is None and not head.lists and head.stamp <= change.stamp
    documents = laid_out.get((id(change), head.number)) if is_alike else None
    if documents is None:
        revision, owner = numbered(change, head), place.owner(found.key)
        documents = documents_of_revision(revision, owner, state, base)
        if is_alike:
            laid_out[id(change), head.number] = documents
    own = [{**document, "document_id": found.key} for document in documents]
    return Entry(found, change, base, own)


def _after(state: State, change: Change) -> State:
    """Return the whole state after a change of which only a part may be known."""
    if change.operation != UPDATE:
        return change.after
    gone = change.before.keys() - change.after.keys()
    kept = {key: value for key, value in state.items() if key not in gone}
    return {**kept, **change.after}
