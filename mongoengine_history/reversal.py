"""A whole changeset is taken back: all conflicts are found before the first write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mongoengine import Document, get_connection
from mongoengine.connection import ConnectionFailure

from mongoengine_history.changesets import Changeset, changeset
from mongoengine_history.errors import (
    ChangesetConflictError,
    ChangesetPartlyRevertedError,
    OptionsError,
    UndoConflictError,
)
from mongoengine_history.fieldpaths import with_subclasses
from mongoengine_history.records import History
from mongoengine_history.restoring import Past, shown_conflict, undone
from mongoengine_history.revision import UNDO
from mongoengine_history.sessions import active_session, can_transact
from mongoengine_history.snapshot import loaded
from mongoengine_history.store import Store
from mongoengine_history.values import WIRE, encode, native

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bson import ObjectId
    from pymongo.database import Database

    from mongoengine_history.values import State


def revert_changeset(id: ObjectId | Changeset, *, reason: str | None = None) -> Changeset:  # noqa: A002  # what it is
    """
    Take back all revisions of a changeset, and keep the later ones of others. Saves at once.

    What it created is deleted, what it deleted is brought back, each value that it set gets the
    one from before. All conflicts are found before the first write. Where the server and PyMongo
    (4.17 or later) can, it is one transaction. The writes are a changeset of their own, recorded
    as operation ``undo`` or ``delete``, so that it can be reverted, too.

    Args:
        id: The changeset, or its id: `Revision.changeset`.
        reason: Why, in words.

    Returns:
        The changeset of these writes, to which the block around it belongs.

    Raises:
        OptionsError: no revision is of that changeset, or the class of a document is not imported.
        ChangesetConflictError: later writes changed what it set. Nothing was written.
        ChangesetPartlyRevertedError: a write failed where there are no transactions.
        HistoryError: as `undo` raises them. Nothing was written.
    """
    key = id.id if isinstance(id, Changeset) else id
    client = get_connection()
    atomic = can_transact(client)
    with changeset(reason=reason, atomic=atomic) as own:
        plans = [_Plan.of(*unit) for unit in _units(key)]
        if not plans:
            raise OptionsError("id", key, "no revision belongs to such a changeset")
        errors = [error for plan in plans for error in plan.errors]
        if errors:
            raise ChangesetConflictError(key, errors)
        _carry_out(key, plans, atomic=atomic)
    return own


def _carry_out(key: object, plans: list[_Plan], *, atomic: bool) -> None:
    written: list[tuple[str, object]] = []
    for plan in plans:
        try:
            plan.carry_out()
        except Exception as error:  # whatever MongoEngine or the application raises
            if atomic or not written:
                raise
            raise ChangesetPartlyRevertedError(key, written) from error
        written.append((plan.past.store.document_type, plan.past.store.document_id))


@dataclass(frozen=True)
class _Plan:
    """What is to become of one document."""

    past: Past
    wanted: State | None
    errors: list[UndoConflictError]

    @classmethod
    def of(cls, model: type[Document], key: Any, numbers: list[int]) -> _Plan:
        """Take revisions out of a document, the newest first."""
        store = Store(model, key)
        head, live = store.opening()
        state = stored = live and store.hiding.hidden(live)
        errors = []
        for number in numbers:
            revision = store.revision(number)
            before = revision.before({}) if revision.leaves_nothing else store.state(number - 1)
            state, found = undone(state, revision, before or {})
            if found:
                shown = [shown_conflict(conflict, store.codec) for conflict in found]
                errors.append(UndoConflictError(key, number, shown))
        document = loaded(model, native({"": key}, store.codec)[""], live or state or {})
        return cls(Past(document, store, head, stored, live), state, errors)

    def carry_out(self) -> None:
        document = self.past.document
        if self.wanted is not None:
            self.past.put_back(self.wanted, UNDO)
            document.save()
        elif self.past.live is not None:
            document.delete()


def _units(key: object) -> Iterator[tuple[type[Document], Any, list[int]]]:
    """Yield the documents of a changeset, the one written last first, with their revisions."""
    for database, models in _databases():
        history = database.get_collection(History._get_collection_name(), codec_options=WIRE)
        wanted = ("document_type", "document_id", "revision", "stamp")
        session: Any = active_session(database.client)
        found = history.find({"changeset": key, "position": 0}, wanted, session=session)
        ordered = sorted(found, key=lambda it: (it["stamp"], it["revision"]), reverse=True)
        for (name, _), numbers in _by_document(ordered).items():
            if name not in models:
                raise OptionsError("id", key, f"import the class of the documents in {name!r}")
            yield models[name], numbers[0]["document_id"], [it["revision"] for it in numbers]


def _by_document(
    found: list[Mapping[str, Any]],
) -> dict[tuple[str, bytes], list[Mapping[str, Any]]]:
    units: dict[tuple[str, bytes], list[Mapping[str, Any]]] = {}
    for record in found:
        document = record["document_type"], encode(record["document_id"])
        units.setdefault(document, []).append(record)
    return units


def _databases() -> list[tuple[Database[Any], dict[str, type[Document]]]]:
    """Name the databases of all known classes, and the class of each of their collections."""
    known: dict[tuple[object, str], tuple[Database[Any], dict[str, type[Document]]]] = {}
    for model in with_subclasses(Document):
        if model._meta.get("abstract") or issubclass(model, History):
            continue
        try:
            database = model._get_db()
        except ConnectionFailure:  # to which this process is not connected
            continue
        models = known.setdefault((database.client, database.name), (database, {}))[1]
        # Classes come before those derived from them, and the base knows all of them.
        name = model._get_collection_name()
        if not issubclass(model, models.get(name, ())):
            models[name] = model
    return list(known.values())
