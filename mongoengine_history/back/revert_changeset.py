"""A whole changeset is taken back: all conflicts are found before the first write."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bson import ObjectId
from mongoengine import Document
from mongoengine.connection import ConnectionFailure
from pymongo.errors import InvalidOperation

from mongoengine_history.back.revert import Past, shown_conflict, undone
from mongoengine_history.capture.changeset import Changeset, changeset
from mongoengine_history.capture.document_track import DocumentTrack
from mongoengine_history.documents.fieldrules import with_subclasses
from mongoengine_history.documents.snapshot import loaded
from mongoengine_history.documents.stand_in import is_stand_in
from mongoengine_history.errors import (
    ChangesetConflictError,
    ChangesetPartlyRevertedError,
    HistoryNotRecordedError,
    MalformedRecordError,
    OptionsError,
    UndoConflictError,
)
from mongoengine_history.record.doubt import settle
from mongoengine_history.record.history import History
from mongoengine_history.record.overview import revisions_of
from mongoengine_history.record.place import (
    Place,
    can_transact,
    in_transaction,
    transaction,
)
from mongoengine_history.record.revisions import Revisions
from mongoengine_history.record.sealed import is_encrypting, sealed
from mongoengine_history.record.sessions import active_session
from mongoengine_history.record.states import state_at
from mongoengine_history.state.merge import differs
from mongoengine_history.state.revision import UNDO
from mongoengine_history.state.values import encode, native

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pymongo.database import Database

    from mongoengine_history.state.values import State

    _Known = tuple[Database[Any], dict[str, type[Document]]]


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
    if not isinstance(key, ObjectId):  # None would mean all that is of no changeset
        raise OptionsError("id", key, "it is an ObjectId, the changeset of a revision")
    concerned = [it for it in _databases() if _is_concerned(it[0], key)]
    if not concerned:
        raise OptionsError("id", key, "no revision belongs to such a changeset")
    with changeset(reason=reason) as own, _together(concerned):
        plans = [_Plan.of(*unit) for it in concerned for unit in _units(key, *it)]
        errors = [error for plan in plans for error in plan.errors]
        if errors:
            raise ChangesetConflictError(key, errors)
        _carry_out(key, [plan for plan in plans if plan.is_needed])
    return own


@contextmanager
def _together(concerned: list[_Known]) -> Iterator[None]:
    """Make the block one transaction, if all databases are of one client and that can."""
    client, places = concerned[0][0].client, [_place_in(models) for _, models in concerned]
    is_one = all(database.client is client for database, _ in concerned)
    if not is_one or in_transaction(client) or not can_transact(client):
        yield
        return
    for place in places:
        place.ensure_indexes()
    with transaction(client):
        yield


def _place_in(models: Mapping[str, type[Document]]) -> Place:
    return Place(next(iter(models.values())))


def _carry_out(key: object, plans: list[_Plan]) -> None:
    written: list[tuple[str, object]] = []
    for plan in plans:
        place = plan.past.revisions.place
        try:
            plan.carry_out()
        except Exception as error:  # whatever MongoEngine or the application raises
            if isinstance(error, HistoryNotRecordedError):
                written.append((place.document_type, plan.pk))
            if not written:
                raise
            raise ChangesetPartlyRevertedError(key, written) from error
        if not place.in_transaction:  # which takes it back itself
            written.append((place.document_type, plan.pk))


@dataclass(frozen=True)
class _Plan:
    """What is to become of one document."""

    past: Past
    #: The primary key as the application has it.
    pk: Any
    wanted: State | None
    errors: list[UndoConflictError]

    @classmethod
    def of(cls, model: type[Document], key: Any, numbers: list[int]) -> _Plan:
        """Take revisions out of a document, the newest first."""
        place = Place(model)
        revisions = Revisions(place, key)
        pk = native({"": key}, place.codec)[""]
        settle(revisions)
        head, live = revisions.opening()
        state = stored = live and place.hiding.hidden(live)
        errors = []
        for number in numbers:
            revision = revisions.revision(number)
            is_deletion = revision.leaves_nothing
            before = revision.before({}) if is_deletion else state_at(revisions, number - 1)
            state, found = undone(state, revision, before)
            if found:
                shown = [shown_conflict(conflict, place.codec) for conflict in found]
                errors.append(UndoConflictError(pk, number, shown))
        document = loaded(model, pk, live or state or {})
        return cls(Past(document, revisions, head, stored, live), pk, state, errors)

    @property
    def is_needed(self) -> bool:
        """Say whether what is wanted is not there already."""
        if self.wanted is None or self.past.stored is None:
            return self.wanted is not self.past.stored
        return differs(self.wanted, self.past.stored)

    def carry_out(self) -> None:
        document = self.past.document
        if self.wanted is not None:
            self.past.put_back(self.wanted, UNDO)
            document.save()
        else:
            with DocumentTrack(document):
                document.delete()


def _is_concerned(database: Database[Any], key: object) -> bool:
    """Say whether revisions of a changeset lie in a database."""
    try:
        return any(revisions_of(key, database, active_session(database.client)).limit(1))
    except InvalidOperation:  # another client has bound a session; one of its own is allowed
        with sealed(database.client).start_session() as session:
            return any(revisions_of(key, database, session).limit(1))


def _units(
    key: object, database: Database[Any], models: Mapping[str, type[Document]]
) -> Iterator[tuple[type[Document], Any, list[int]]]:
    """Yield the documents of a changeset, the one written last first, with their revisions."""
    found = map(_checked, revisions_of(key, database, active_session(database.client)))
    units: dict[tuple[str, bytes], list[Mapping[str, Any]]] = {}
    for it in sorted(found, key=lambda it: (it["stamp"], it["revision"]), reverse=True):
        units.setdefault((it["document_type"], encode(it["document_id"])), []).append(it)
    for (name, _), records in units.items():
        if name not in models:
            raise OptionsError("id", key, f"import the class of the documents in {name!r}")
        yield models[name], records[0]["document_id"], [it["revision"] for it in records]


def _checked(first: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what tells of a revision that it belongs to a changeset, if that can be read."""
    key, number = first.get("document_id"), first.get("revision")
    rightly = {"document_type": str, "document_id": object, "revision": int, "stamp": int}
    for name, kind in rightly.items():
        if not isinstance(first.get(name), kind) or name not in first:
            problem = f"its {name} is {first.get(name)!r}"
            raise MalformedRecordError(key, number, first["_id"], problem)
    return first


def _databases() -> list[_Known]:
    """Name the databases of all known classes, and the class of each of their collections."""
    known: dict[tuple[object, str], _Known] = {}
    for model in with_subclasses(Document):
        if model._meta.get("abstract") or issubclass(model, History):
            continue
        try:
            database = model._get_db()
        except ConnectionFailure:  # to which this process is not connected
            continue
        if is_stand_in(database) or is_encrypting(database.client):  # which have no history
            continue
        models = known.setdefault((database.client, database.name), (database, {}))[1]
        # Classes come before those derived from them, and the base knows all of them.
        name = model._get_collection_name()
        if not issubclass(model, models.get(name, ())):
            models[name] = model
    return list(known.values())
