"""What a writer has seen of a document, so that a stale copy is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from mongoengine_history.documents.fieldpaths import hiding_of
from mongoengine_history.documents.snapshot import decoded, key_in, loaded, snapshot
from mongoengine_history.errors import StaleDocumentError
from mongoengine_history.state.patches import outermost_list
from mongoengine_history.state.updates import path_in
from mongoengine_history.state.values import ABSENT, find, same

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mongoengine import Document

    from mongoengine_history.capture.call import Call
    from mongoengine_history.state.values import Path, State

    T = TypeVar("T")

WRITING_ATTEMPTS: Final = 30
"""How often to write where the stored values change, but not what the document shows of them."""


class Guard:
    """Refuses to overwrite what somebody has changed since a document had it in memory."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._seen: State = {}
        self.renew()

    def renew(self) -> None:
        """Take what the document has in memory now for what was seen."""
        self._seen = decoded(snapshot(self._document))

    def write(
        self, call: Call, write: Callable[[Call], T | None], read: Callable[[], State | None]
    ) -> T | None:
        """
        Update where each value that is overwritten is as it was seen.

        Memory shows defaults, and nothing of the order in which keys are stored. So where the
        values as they were seen are not found, those that look the same are tried.

        Args:
            call: The update.
            write: Does it; None where the document, or what else was asked of it, is not found.
            read: Reads the stored document.

        Raises:
            StaleDocumentError: a value is another one. Nothing was written.
        """
        named = [path for values in call["update"].values() for path in values]
        paths = {outermost_list(path_in(self._seen, path)) for path in named}
        expected = {path: find(self._seen, path) for path in paths}
        for _ in range(WRITING_ATTEMPTS):
            as_seen = {"$and": [call["filter"], {"$expr": _equals(expected)}]}
            done = write(call.having(filter=as_seen, upsert=False))
            if done is not None:
                return done
            found = self._checked(read(), paths)
            if all(same(found[path], expected[path]) for path in paths):
                return None
            expected = found
        return None

    def _checked(self, stored: State | None, paths: set[Path]) -> dict[Path, Any]:
        """Return the stored values, all of which look as they were seen."""
        document = self._document
        key, hide = key_in(document), hiding_of(document).hidden
        if stored is None:
            raise StaleDocumentError(key, (), hide(self._seen), ABSENT)
        shown = decoded(snapshot(loaded(type(document), key, stored)))
        for path in sorted(paths):
            if not same(find(self._seen, path), find(shown, path)):
                seen, found = (find(hide(state), path) for state in (self._seen, stored))
                raise StaleDocumentError(key, path, seen, found)
        return {path: find(stored, path) for path in paths}


def _equals(values: Mapping[Path, Any]) -> dict[str, Any]:
    """Return the expression that all values are the same, lists whole; ``$eq`` looks into them."""
    return {"$and": [_equal(path, value) for path, value in values.items()]}


def _equal(path: Path, value: object) -> dict[str, Any]:
    field: Any = "$$ROOT"
    for name in path:  # which may hold dots and dollars
        field = {"$getField": {"field": {"$literal": name}, "input": field}}
    if value is ABSENT:
        return {"$eq": [{"$type": field}, "missing"]}
    return {"$eq": [field, {"$literal": value}]}
