"""What MongoEngine sends when a document is saved, seen where it is sent.

While a document is watched, its own ``_save_create``, ``_save_update`` and ``_get_update_doc`` are
covered by instance attributes, as MongoEngine itself covers ``_get_collection`` in ``switch_db``.
So a write is known exactly and for free: no second ``to_mongo()``, no guess which fields were sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from mongoengine_history.documents.snapshot import decoded, memory
from mongoengine_history.state.patches import Draft
from mongoengine_history.state.values import ABSENT, encode, find, same

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mongoengine import Document

    from mongoengine_history.state.values import Path, State

SIMPLE = {"$set", "$unset"}
"""The operators that MongoEngine itself sends; `updated` works them out."""

COVERED = ("_save_create", "_save_update", "_get_update_doc", "reload", "modify")


@dataclass(frozen=True, slots=True)
class Write:
    """One write that succeeded; exactly one of the two is given."""

    #: The whole document, where it was inserted or replaced.
    inserted: Any = None
    #: The ``$set`` and ``$unset`` that were sent.
    update: Any = None
    #: An update that found no document and so made one of what it set.
    upserted: bool = False


class Watcher(Protocol):
    """Is told of each write of a watched document."""

    def before_insert(self, inserted: Any, *, force: bool) -> tuple[Any, bool]:
        """
        Be told that *inserted* will be written, without a look at what is there if *force*.

        Return the document to write, and whether it must not be there yet.
        """

    def before_update(self, update: dict[str, Any]) -> dict[str, Any]:
        """Be told of an update, maybe empty, that will be sent; return the one to send."""

    def after(self, write: Write) -> None:
        """Be told that the server has done it."""

    def reloaded(self, *, whole: bool) -> None:
        """Be told that the document, or only a part of it, was loaded anew."""


class Watch:
    """Covers the methods of one document and tells a watcher."""

    def __init__(self, document: Document, watcher: Watcher) -> None:
        self._document = document
        self._watcher = watcher
        self._update: dict[str, Any] = {}
        for name in COVERED:
            document.__dict__[name] = getattr(self, name)

    def end(self) -> None:
        """Uncover the methods."""
        for name in COVERED:
            self._document.__dict__.pop(name, None)

    def _save_create(self, doc: Any, force_insert: bool, *args: Any, **kwargs: Any) -> Any:
        doc, force_insert = self._watcher.before_insert(doc, force=force_insert)
        document = self._document
        object_id = type(document)._save_create(document, doc, force_insert, *args, **kwargs)
        self._watcher.after(Write(inserted=doc))
        return object_id

    def _save_update(self, *args: Any, **kwargs: Any) -> Any:
        document = self._document
        object_id, created = type(document)._save_update(document, *args, **kwargs)
        if self._update:
            self._watcher.after(Write(update=self._update, upserted=created))
        return object_id, created

    def _get_update_doc(self) -> dict[str, Any]:
        update = type(self._document)._get_update_doc(self._document)
        self._update = self._watcher.before_update(update)
        return self._update

    def reload(self, *fields: Any, **kwargs: Any) -> Any:
        """Load the document anew, as MongoEngine does."""
        document = type(self._document).reload(self._document, *fields, **kwargs)
        self._watcher.reloaded(whole=not any(isinstance(field, str) for field in fields))
        return document

    def modify(self, *args: Any, **kwargs: Any) -> Any:
        """Modify the document on the server and load it anew, as MongoEngine does."""
        modified = type(self._document).modify(self._document, *args, **kwargs)
        if modified:
            self._watcher.reloaded(whole=True)
        return modified


class UnknownOperatorError(Exception):
    """An update holds more than ``$set`` and ``$unset``."""


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

    def update(self, document: Document, update: dict[str, Any]) -> dict[str, Any]:
        """Return *update* with the wanted values instead of what MongoEngine sends for them."""
        self._edited(document)
        sent: dict[str, Any] = {"$set": {}, "$unset": {}}
        for operator, values in update.items():
            kept = {path: values[path] for path in values if root(path) not in self.wanted}
            sent[operator] = kept
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

    def done(self, document: Document) -> None:
        """Take back the marks of change, at which MongoEngine would fetch what references name."""
        changed = document._changed_fields
        document._changed_fields = [path for path in changed if root(path) not in self.wanted]


def _shown(document: Document) -> dict[str, bytes]:
    return {key: encode(value) for key, value in decoded(memory(document)).items()}


def _value(document: Document, key: str) -> object:
    return document._data.get(document._reverse_db_field_map.get(key, key))


def root(path: str) -> str:
    """Return the top-level key of a dotted path as ``$set`` takes it."""
    return path.partition(".")[0]


def updated(state: State, update: dict[str, Any]) -> State:
    """
    Return what ``$set`` and ``$unset`` make of *state*, as the server does.

    New keys go to the end of their dict in the order of the server, an unset item of a list becomes
    null, a list that is too short is filled up with null:
    https://www.mongodb.com/docs/manual/reference/operator/update/set/

    Raises:
        LookupError: a path leads through a list that *state* does not have.
        UnknownOperatorError: the class of the document sends more than MongoEngine does.
    """
    if update.keys() - SIMPLE:
        raise UnknownOperatorError
    draft = Draft(state)
    paths = {tuple(dotted.split(".")): value for dotted, value in update.get("$set", {}).items()}
    for path in sorted(paths, key=_server_order):
        _set(draft, list(path), paths[path])
    for dotted in update.get("$unset", {}):
        _unset(draft, dotted.split("."))
    return draft.state


def dicts_in(update: dict[str, Any], state: State) -> frozenset[Path]:
    """Name the dicts, those inside of lists apart, that an update sets as a whole."""
    paths = {
        _path(state, dotted.split("."))
        for dotted, value in update.get("$set", {}).items()
        if isinstance(value, dict)
    }
    return frozenset(path for path in paths if all(isinstance(key, str) for key in path))


def seems_idle(state: State, update: dict[str, Any]) -> bool:
    """Say whether an update writes something that *state* has already, so that it may hide more."""
    return any(
        same(find(state, _path(state, dotted.split("."))), value)
        for dotted, value in _targets(update)
    )


def with_overwritten(state: State, update: dict[str, Any], stored: State) -> State:
    """
    Return the state before an update as far as the server knows better.

    What the update writes although *state* has it already was not there, if *stored* says so.
    """
    real: dict[str, Any] = {"$set": {}, "$unset": {}}
    for dotted, value in _targets(update):
        names = dotted.split(".")
        was, known = (find(each, _path(each, names)) for each in (stored, state))
        if same(known, value) and not same(known, was):
            real["$unset" if was is ABSENT else "$set"][dotted] = was
    return updated(state, real)


def _targets(update: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what an update makes of which dotted paths."""
    yield from update.get("$set", {}).items()
    yield from dict.fromkeys(update.get("$unset", {}), ABSENT).items()


def _server_order(path: tuple[str, ...]) -> list[tuple[bytes, int, bytes]]:
    """Sort as MongoDB processes paths: by bytes, but what begins with 1 to 9 by length first."""
    names = [name.encode() for name in path]
    return [
        (b"1", len(name), name) if name[:1] in b"123456789" and name else (name, 0, b"")
        for name in names
    ]


def _set(draft: Draft, parts: list[str], value: object) -> None:
    parent = draft.at(_path(draft.state, parts[:-1]))
    if isinstance(parent, dict):
        parent[parts[-1]] = value
        return
    index = int(parts[-1])
    parent.extend([None] * (index + 1 - len(parent)))
    parent[index] = value


def _unset(draft: Draft, parts: list[str]) -> None:
    path = _path(draft.state, parts)
    if find(draft.state, path) is ABSENT:
        return
    parent = draft.at(path[:-1])
    if isinstance(parent, dict):
        parent.pop(parts[-1])
    else:
        parent[int(parts[-1])] = None


def _path(state: State, parts: list[str]) -> Path:
    """Tell indexes from keys that look like one, by what stands there."""
    path: Path = ()
    for part in parts:
        is_index = part.isdecimal() and isinstance(find(state, path), list)
        path = (*path, int(part) if is_index else part)
    return path
