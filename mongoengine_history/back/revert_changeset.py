"""A whole changeset is taken back: all conflicts are found before the first write."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, overload

from bson import ObjectId
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    InvalidOperation,
    OperationFailure,
    PyMongoError,
)

from mongoengine_history.back.changeset_plan import ChangesetPlan
from mongoengine_history.back.databases import Databases
from mongoengine_history.back.reversal import Reversal
from mongoengine_history.back.settling import unsettled
from mongoengine_history.back.steps import batches, told
from mongoengine_history.back.writing_back import write
from mongoengine_history.capture.changeset import Changeset, changeset
from mongoengine_history.documents.options import check_flag
from mongoengine_history.documents.snapshot import check_progress
from mongoengine_history.errors import (
    ChangesetConflictError,
    ChangesetPartlyRevertedError,
    ChangesetRefusedError,
    HistoryError,
    OptionsError,
    WriteConflictError,
)
from mongoengine_history.record.naming import clients_of, revisions_of
from mongoengine_history.record.sealed import sealed
from mongoengine_history.record.sessions import (
    active_session,
    can_transact,
    in_transaction,
    transacted,
    transiently,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pymongo import MongoClient
    from pymongo.database import Database

    from mongoengine_history.back.steps import Batch, Step

LARGEST_TRANSACTION: Final = 5_000
"""Revisions that are taken back at once: a transaction has a minute, and takes up memory."""


OF_ANOTHER: Final = (
    "a session is active here, such as that of an atomic changeset, and documents of it have "
    "another connection, which cannot join in. Call it outside of that block, or let the block be "
    "of the connection that the classes of all its documents have"
)
"""Why a changeset cannot be taken back as a part of a transaction."""


@overload
def revert_changeset(
    id: ObjectId | str | Changeset,
    *,
    reason: str | None = None,
    dry_run: Literal[False] = False,
    bypass_methods: bool = False,
    progress: Callable[[int], object] | None = None,
) -> Changeset: ...
@overload
def revert_changeset(
    id: ObjectId | str | Changeset,
    *,
    reason: str | None = None,
    dry_run: Literal[True],
    bypass_methods: bool = False,
    progress: Callable[[int], object] | None = None,
) -> ChangesetPlan: ...
def revert_changeset(
    id: ObjectId | str | Changeset,  # noqa: A002  # what it is
    *,
    reason: str | None = None,
    dry_run: bool = False,
    bypass_methods: bool = False,
    progress: Callable[[int], object] | None = None,
) -> Changeset | ChangesetPlan:
    """
    Take back all revisions of a changeset, and keep the later ones of others. Saves at once.

    What it created is deleted, what it deleted is brought back, each value that it set gets the
    one from before, in the reverse order of writing. All conflicts are found before the first
    write. Where the server and PyMongo (4.17 or later) can, it is one transaction, which is tried
    again where others write meanwhile, for 30 seconds; of more than 5,000 revisions each part is
    one. The writes are a changeset of their own, recorded as operation ``undo`` or ``delete``, so
    that it can be reverted, too.

    Args:
        id: The changeset, or its id, which may be a text: `Revision.changeset`.
        reason: Why, in words.
        dry_run: Whether nothing is to be written, and the plan is returned.
        bypass_methods: Whether to write past the application's own ``save()`` and ``delete()``,
            validation, signals and delete rules, to what the plan says, exactly.
        progress: Is called after each part with how many documents were written so far. A
            transaction that is tried again begins anew.

    Returns:
        The changeset of these writes, to which the block around it belongs; or the plan.

    Raises:
        OptionsError: no revision is of that changeset, the class of a document is not imported, or
            a registered connection does not answer.
        ChangesetConflictError: later writes changed what it set. Nothing was written.
        ChangesetRefusedError: the application's own methods, or validation, refuse it. Nothing was
            written.
        ChangesetPartlyRevertedError: a write failed where it could not be one transaction.
        WriteConflictError: others wrote to the same documents for 30 seconds. Nothing was written.
        HistoryError: as `undo` raises them. Nothing was written.
    """
    key = _key(id)
    check_progress(progress, "a number")
    check_flag("dry_run", dry_run)
    check_flag("bypass_methods", bypass_methods)
    task = _Task(key, bypass=bypass_methods, progress=progress)
    if dry_run:
        return task.plan()
    with changeset(reason=reason) as own:
        task.carry_out(own)
    return own


def _key(given: object) -> ObjectId:
    key = given.id if isinstance(given, Changeset) else given
    if isinstance(key, str) and ObjectId.is_valid(key):
        return ObjectId(key)
    if not isinstance(key, ObjectId):  # None would mean all that is of no changeset
        raise OptionsError("id", key, "it is an ObjectId, the changeset of a revision")
    return key


@dataclass
class _Task:
    """A changeset on its way back."""

    key: ObjectId
    bypass: bool
    progress: Callable[[int], object] | None
    known: Databases = field(default_factory=Databases)

    def __post_init__(self) -> None:
        names = [(database, self._collections(database)) for database in self.known]
        self._concerned = [database for database, found in names if found]
        self.is_large = sum(found.total() for _, found in names) > LARGEST_TRANSACTION
        if not self._concerned:
            raise OptionsError("id", self.key, "no revision belongs to such a changeset")
        #: Databases, collections in them, and the histories that have records of these.
        self.concerning = [(database, *it) for database, found in names for it in found]
        try:
            clients = self._clients()
        except InvalidOperation as error:  # PyMongo's, of a client that is not the session's
            raise OptionsError("id", self.key, OF_ANOTHER) from error
        is_one = all(client is self.client for client in clients)
        self.can_transact = is_one and not self.is_inside and can_transact(self.client)

    def _clients(self) -> list[MongoClient[Any]]:
        """Return the clients of the documents and, unless a transaction is active, of histories."""
        clients = [self.known.client(*it) for it in self.concerning]
        self.client: MongoClient[Any] = clients[0]
        self.is_inside = {in_transaction(it) for it in clients} == {True}
        for database in self.concerned if not self.is_inside else ():
            clients += clients_of(self.key, database)
        return clients

    @property
    def concerned(self) -> list[Database[Any]]:
        """The databases that have a part of it, as they can be reached at the moment."""
        return [self.known.nearest(it) for it in self._concerned]

    def _collections(self, database: Database[Any]) -> Counter[tuple[Any, str]]:
        """Count the revisions of the changeset in a database, by collections and histories."""
        try:
            return _counted(self.key, database)
        except (ConnectionFailure, OperationFailure) as error:
            if self.known.has_classes(database):
                raise
            problem = f"the database {database.name!r} does not say whether a part of it is there "
            problem += "(disconnect() the alias if there is none)"
            raise OptionsError("id", self.key, f"{problem}: {error}") from error

    def _read(self) -> Reversal:
        return Reversal.of(self.key, self.concerned, self.known, bypass=self.bypass)

    def plan(self) -> ChangesetPlan:
        """Say what would be done."""
        found = self._read()
        is_atomic = self.is_inside or (self.can_transact and not self.is_large)
        return ChangesetPlan(self.key, (*found.shown(),), (*found.conflicts,), is_atomic)

    def carry_out(self, own: Changeset) -> None:
        """Do it, in one transaction or part by part."""
        if self.is_inside:
            transiently(lambda: self._in_parts(own))
            return
        if self.is_large or not self.can_transact:
            self._in_parts(own)
            return
        self._ensure_indexes()
        transacted(self.client, lambda: self._write_all(own))

    def _ensure_indexes(self) -> None:
        for it in self.concerning:
            place = self.known.place(*it)
            if place is not None:
                place.ensure_indexes()

    def _write_all(self, own: Changeset) -> None:
        """Write all of it, as a part of the transaction that is active."""
        found = self._checked()
        writing = _Writing(self, own, found, strictly=False)
        for part in batches(found.steps):
            writing.write([part])
        writing.settle()

    def _in_parts(self, own: Changeset) -> None:
        found = self._checked()
        writing = _Writing(self, own, found, strictly=not self.is_inside)
        for parts in _parted(batches(found.steps)):
            writing.commit(parts)
        writing.settle()

    def _checked(self) -> Reversal:
        """Read all, and find out what keeps it from being written."""
        found = self._read()
        if found.conflicts:
            raise ChangesetConflictError(self.key, found.conflicts)
        if found.problems:
            raise ChangesetRefusedError(
                self.key, [(*step.subject.address, why) for step, why in found.problems]
            )
        return found


def _parted(whole: list[Batch]) -> Iterator[list[Batch]]:
    """Part batches into what one transaction can take."""
    part: list[Batch] = []
    for each in whole:
        if part and sum(len(it.steps) for it in (*part, each)) > LARGEST_TRANSACTION:
            yield part
            part = []
        part.append(each)
    if part:
        yield part


class _Writing:
    """What was written of a changeset on its way back."""

    def __init__(self, task: _Task, own: Changeset, found: Reversal, *, strictly: bool) -> None:
        self._task, self._own, self._found, self._strictly = task, own, found, strictly
        self._kept: list[tuple[str, Any]] = []
        self._count = 0

    def commit(self, parts: Sequence[Batch]) -> None:
        """Write some batches: in a transaction of their own, if there can be one."""
        if not self._task.can_transact:
            self.write(parts)
            return
        try:
            self._kept += transacted(self._task.client, lambda: self.write(parts))
        except WriteConflictError as error:
            self._raise(parts[0].first, error)

    def write(self, parts: Iterable[Batch]) -> list[tuple[str, Any]]:
        """Write some batches; what is written in a transaction is not kept if that fails."""
        done: list[tuple[str, Any]] = []
        is_kept = not (self._task.can_transact or self._task.is_inside)
        for part in parts:
            written: list[tuple[str, Any]] = []
            try:
                refusal = write(part, written, strictly=self._strictly)
            except Exception as error:
                self._kept += written if is_kept else []
                self._raise(part.first, error)
            self._kept += written if is_kept else []
            if refusal is not None:  # but the method may have written something else
                self._raise(part.first, _refused(self._task.key, part.first, refusal))
            done += written
            self._told(len(self._kept) + (0 if is_kept else len(done)))
        return done

    def _told(self, count: int) -> None:
        if self._task.progress:
            self._task.progress(count)

    def _raise(self, step: Step, error: Exception) -> None:
        """Raise an error that says what is written, and what the way past it is."""
        if self._kept:
            raise ChangesetPartlyRevertedError(self._task.key, self._kept, self._own.id) from error
        is_servers = isinstance(error, PyMongoError) and not isinstance(error, BulkWriteError)
        if is_servers or isinstance(error, HistoryError):
            raise error
        raise _refused(self._task.key, step, told(step, error)) from error

    def settle(self) -> None:
        """Put right what handlers and delete rules have written to documents of the changeset."""
        if any(step.spreads for step in self._found.steps):
            steps = unsettled(self._own.id, self._task.concerned, self._found)
            self.write(batches(steps))


def _refused(key: object, step: Step, why: str) -> ChangesetRefusedError:
    return ChangesetRefusedError(key, [(*step.subject.address, why)])


def _counted(key: object, database: Database[Any]) -> Counter[tuple[Any, str]]:
    try:
        found = [*revisions_of(key, database, active_session(database.client))]
    except InvalidOperation:  # another client has bound a session; one of its own is allowed
        with sealed(database.client).start_session() as session:
            found = [*revisions_of(key, database, session)]
    return Counter((it.get("document_type"), history) for history, it in found)
