"""Changes of many documents, numbered and laid out; what is alike is worked out once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mongoengine_history.layout import documents_of_revision
from mongoengine_history.ledger import Head
from mongoengine_history.revision import UPDATE
from mongoengine_history.store import Change, numbered, patched
from mongoengine_history.values import State, encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mongoengine_history.place import Place
    from mongoengine_history.revision import Context

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


class Entries:
    """
    Turns changes of documents of one write into what is inserted for them.

    Args:
        place: Where they and their history lie; the key does not count.
        operation: What the write was.
        context: Who answers for it, and why.
    """

    def __init__(self, place: Place, operation: str, context: Context) -> None:
        self._place, self._operation, self._context = place, operation, context
        self._stamp = time.time_ns() // 1000
        #: Changes by the states before and after, which many documents of one write share …
        self._changes: dict[bytes, Change] = {}
        #: … and what they look like in the history, but for the key of the document.
        self._documents: dict[tuple[int, int], list[dict[str, Any]]] = {}

    def of(self, changes: Iterable[tuple[Found, State, State]]) -> Iterator[Entry]:
        """Lay out changes: of each the document as it was, and what was and is there of it."""
        for found, before, after in changes:
            change = self._change(before, after)
            if change.patches:
                yield self._entry(found, change)

    def _change(self, before: State, after: State) -> Change:
        states = encode([before, after])
        change = self._changes.get(states)
        if change is None:
            change = Change(self._operation, self._context, before, after, [], self._stamp)
            change = self._changes[states] = patched(change, self._place.hiding)
        return change

    def _entry(self, found: Found, change: Change) -> Entry:
        head, options, hiding = found.head, self._place.options, self._place.hiding
        base = state = None
        if change.operation == UPDATE and not head.number and options.version_every:
            base = hiding.hidden(found.state)
        if options.is_due(head.number + 1):
            state = hiding.hidden(_after(found.state, change))
        is_alike = base is None and state is None and not head.lists and head.stamp <= change.stamp
        documents = self._documents.get((id(change), head.number)) if is_alike else None
        if documents is None:
            owner = {"document_type": self._place.document_type, "document_id": found.key}
            documents = documents_of_revision(numbered(change, head), owner, state, base)
            if is_alike:
                self._documents[id(change), head.number] = documents
        own = [{**document, "document_id": found.key} for document in documents]
        return Entry(found, change, base, own)


def _after(state: State, change: Change) -> State:
    """Return the whole state after a change of which only a part may be known."""
    if change.operation != UPDATE:
        return change.after
    gone = change.before.keys() - change.after.keys()
    kept = {key: value for key, value in state.items() if key not in gone}
    return {**kept, **change.after}
