"""What a save stores after a revert: given values, to the byte."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mongoengine_history.documents.snapshot import decoded, memory
from mongoengine_history.state.updates import root
from mongoengine_history.state.values import ABSENT, encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mongoengine import Document


class ExactWrite:
    """
    Stores given values exactly, where MongoEngine would store what it makes of them.

    MongoEngine sends ``$unset`` for an empty list and writes embedded documents in the order of
    their class. A key that was edited since then is left to MongoEngine.
    """

    def __init__(self, document: Document, wanted: Mapping[str, Any], operation: str) -> None:
        #: Stored names and values; `ABSENT` for a key that shall go.
        self.wanted = dict(wanted)
        #: As what the write is recorded.
        self.operation = operation
        self._shown = _shown(document)
        again = _shown(document)
        #: Values of fields that MongoEngine never writes twice alike, such as encrypted ones.
        self._unstable = {
            key: _value(document, key) for key in self._shown if again[key] != self._shown[key]
        }

    def _edited(self, document: Document) -> set[str]:
        """Name the keys that were edited since; they are wanted no longer."""
        now = _shown(document)
        edited = {
            key
            for key in {**self._shown, **now}
            if now.get(key) != self._shown.get(key)
            and not (key in self._unstable and _value(document, key) is self._unstable[key])
        }
        self.wanted = {key: value for key, value in self.wanted.items() if key not in edited}
        return edited

    def update(
        self, document: Document, update: dict[str, Any]
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """Return *update* with the wanted values instead of what MongoEngine sends for them."""
        self._edited(document)
        if any(map(_is_odd, self.wanted)):
            roots = {root(path) for values in update.values() for path in values}
            now = decoded(memory(document)) if roots - self.wanted.keys() else {}
            edits = {key: now.get(key, ABSENT) for key in roots}
            return [_setting(key, value) for key, value in {**edits, **self.wanted}.items()]
        sent: dict[str, Any] = {"$set": {}, "$unset": {}}
        for operator, values in update.items():
            sent[operator] = {it: values[it] for it in values if root(it) not in self.wanted}
        for key, value in self.wanted.items():
            sent["$unset" if value is ABSENT else "$set"][key] = 1 if value is ABSENT else value
        return {operator: values for operator, values in sent.items() if values}

    def insert(self, document: Document, inserted: Mapping[str, Any]) -> dict[str, Any]:
        """Return the whole document to insert; of *inserted* only what was edited is in it."""
        keys = [*self.wanted, *inserted]
        edited = self._edited(document)
        edits = {key: value for key, value in inserted.items() if key in edited}
        values = {**self.wanted, **edits}
        exact = {key: values[key] for key in keys if key in values}
        return {"_id": inserted["_id"], **exact}

    def is_marked(self, document: Document) -> bool:
        """Say whether the document still counts as changed; loading it anew ends that."""
        return any({path, root(path)} & self.wanted.keys() for path in document._changed_fields)

    @contextmanager
    def looked_past(self, document: Document) -> Iterator[None]:
        """Take marks of names with dots off for the block: MongoEngine would follow them."""
        odd = [name for name in document._changed_fields if name in self.wanted and _is_odd(name)]
        document._changed_fields = [it for it in document._changed_fields if it not in odd]
        yield
        document._changed_fields += odd

    def done(self, document: Document) -> None:
        """Take back the marks of change, at which MongoEngine would fetch what references name."""
        changed = document._changed_fields
        document._changed_fields = [
            path for path in changed if not {path, root(path)} & self.wanted.keys()
        ]


def _is_odd(name: str) -> bool:
    """Say whether a name would be a path, or an operator, where an update sets it."""
    return not name or "." in name or name.startswith("$")


def _setting(name: str, value: Any) -> dict[str, Any]:
    """Return the stage that sets or removes a value under any name, as MongoDB 5.0 can."""
    exact = "$$REMOVE" if value is ABSENT else {"$literal": value}
    field = {"field": {"$literal": name}, "input": "$$ROOT", "value": exact}
    return {"$replaceWith": {"$setField": field}}


def _shown(document: Document) -> dict[str, bytes]:
    return {key: encode(value) for key, value in decoded(memory(document)).items()}


def _value(document: Document, key: str) -> object:
    return document._data.get(document._reverse_db_field_map.get(key, key))
