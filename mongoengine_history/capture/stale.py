"""What a writer has seen of a document, so that a stale copy is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from bson import Decimal128

from mongoengine_history.documents.fieldpaths import hiding_of
from mongoengine_history.documents.snapshot import decoded, key_in, loaded, memory, snapshot
from mongoengine_history.errors import StaleDocumentError
from mongoengine_history.record.sealed import readable
from mongoengine_history.state.patches import outermost_list
from mongoengine_history.state.updates import SIMPLE, path_in, updated
from mongoengine_history.state.values import ABSENT, WIRE, find, same

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mongoengine import Document

    from mongoengine_history.capture.call import Call
    from mongoengine_history.state.values import Path, State

    T = TypeVar("T")

WRITING_ATTEMPTS: Final = 30
"""How often to write where the stored values change, but not what the document shows of them."""


DEEPEST_COMPARED: Final = 50
"""Names of a path that one comparison follows; expressions nest no deeper than 100."""


class Guard:
    """Refuses to overwrite what somebody has changed since a document had it in memory."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self.seen = decoded(snapshot(document))

    def renew(self) -> None:
        """Take what the document has in memory now for what was seen."""
        self.seen = decoded(memory(self._document))

    def write(
        self, call: Call, write: Callable[[Call], T | None], read: Callable[[], State | None]
    ) -> T | None:
        """
        Update where each value that is overwritten is as it was seen.

        Memory shows defaults, and nothing of the order in which keys are stored. So where the
        values as they were seen are not found, those that look the same are tried.

        *write* gives None where the document, or what else was asked of it, is not found.

        Raises:
            StaleDocumentError: a value is another one. Nothing was written.
        """
        # Other operators, of a class of the application's own, build on what they find.
        sent = {name: values for name, values in call["update"].items() if name in SIMPLE}
        named = [path for values in sent.values() for path in values]
        paths = {outermost_list(path_in(self.seen, path))[:DEEPEST_COMPARED] for path in named}
        if not paths:
            return write(call)
        expected = {path: find(self.seen, path) for path in paths}
        for _ in range(WRITING_ATTEMPTS):
            as_seen = {"$and": [call["filter"], {"$expr": _equals(expected)}]}
            done = write(call.having(filter=as_seen, upsert=False))
            if done is not None:
                self._wrote(sent)
                return done
            found = self._checked(read(), paths)
            if all(same(found[path], expected[path]) for path in paths) and not call["upsert"]:
                return None  # it is the application's own condition that is not met
            expected = found
        path, hide = min(paths), hiding_of(self._document).hidden
        states = (find(hide(it), path) for it in (self.seen, read() or {}))
        raise StaleDocumentError(key_in(self._document), path, *states)

    def _wrote(self, sent: dict[str, Any]) -> None:
        try:
            self.seen = updated(self.seen, sent)
        except LookupError:
            self.renew()

    def _checked(self, stored: State | None, paths: set[Path]) -> dict[Path, Any]:
        """Return the stored values, all of which look as they were seen."""
        key, hide = key_in(self._document), hiding_of(self._document).hidden
        if stored is None:
            raise StaleDocumentError(key, (), hide(self.seen), ABSENT)
        collection = self._document._get_collection()
        seen, read = (readable(state, collection, WIRE) for state in (self.seen, stored))
        shown = [decoded(snapshot(loaded(type(self._document), key, read))) for _ in range(2)]
        ways = {path[:end] for path in paths for end in range(1, len(path))}
        gone = [way for way in ways if _is_dict(self.seen, way) and not _is_dict(stored, way)]
        others = [
            path for path in paths if not _alike(*(find(state, path) for state in (seen, *shown)))
        ]
        for path in [*sorted(others), *sorted(gone)]:
            states = (find(hide(state), path) for state in (self.seen, stored))
            raise StaleDocumentError(key, path, *states)
        return {path: find(stored, path) for path in paths}


def _is_dict(state: State, path: Path) -> bool:
    return isinstance(find(state, path), dict)


def _alike(seen: Any, first: Any, second: Any) -> bool:
    """Say whether what is loaded looks as it was seen; each load makes other numbers and times."""
    if same(first, second):
        return same(seen, first)
    values = (seen, first, second)
    if all(isinstance(it, dict) for it in values):
        return all(
            _alike(*(it.get(key, ABSENT) for it in values)) for key in {**seen, **first, **second}
        )
    if all(isinstance(it, list) for it in values):
        return len(seen) == len(first) == len(second) and all(map(_alike, *values))
    return not any(isinstance(it, dict | list) for it in values)


def _equals(values: Mapping[Path, Any]) -> dict[str, Any]:
    """Return the expression that all values are the same, lists whole; ``$eq`` looks into them."""
    return {"$and": [_equal(path, value) for path, value in values.items()]}


def _equal(path: Path, value: object) -> dict[str, Any]:
    field: Any = "$$ROOT"
    for name in path:  # which may hold dots and dollars
        field = {"$getField": {"field": {"$literal": name}, "input": field}}
    literal = {"$literal": value}
    if value is ABSENT:
        return {"$eq": [{"$type": field}, "missing"]}
    if isinstance(value, (int, float, Decimal128)):  # 1, 1.0 and True are equal, and three values
        return {"$eq": [[field, {"$type": field}], [literal, {"$type": literal}]]}
    return {"$eq": [field, literal]}
