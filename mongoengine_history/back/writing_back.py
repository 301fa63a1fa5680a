"""Steps of a plan are written: by the application's own methods, or many at once."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from mongoengine.queryset import QuerySet
from pymongo import InsertOne, ReplaceOne, UpdateOne, WriteConcern
from pymongo.errors import BulkWriteError

from mongoengine_history.back.past import Past
from mongoengine_history.back.revert import shown_conflict
from mongoengine_history.back.subject import has_own
from mongoengine_history.capture.blocks import is_untracked
from mongoengine_history.capture.document_track import DocumentTrack
from mongoengine_history.capture.tracker import context_at
from mongoengine_history.errors import HistoryNotRecordedError, UndoConflictError
from mongoengine_history.record.append_many import Bulk
from mongoengine_history.record.entries import Found
from mongoengine_history.record.states import as_recorded
from mongoengine_history.state.merge import conflicts
from mongoengine_history.state.redaction import covered
from mongoengine_history.state.revision import CREATE, DELETE, UNDO
from mongoengine_history.state.values import ABSENT, State, identifier, same

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pymongo.collection import Collection

    from mongoengine_history.back.steps import Batch, Step
    from mongoengine_history.record.place import Place

    Done = list[tuple[str, Any]]


def write(batch: Batch, done: Done, *, strictly: bool) -> str | None:
    """
    Write the steps of a batch; of each that is written its document is named in *done*.

    Args:
        batch: The steps.
        done: Collections and primary keys.
        strictly: Whether it is refused to write over what others have written since the plan.

    Returns:
        What the application's own method has done instead, if it has not written the step.

    Raises:
        UndoConflictError: others have.
        Exception: whatever MongoEngine or the application raises.
    """
    first = batch.first
    if first.is_by_methods:
        return _by_methods(first, done)
    if first.kind == "delete" and not first.is_bypassing:
        _by_query(batch.steps, done)
    else:
        _Exactly(batch.steps, done, strictly=strictly).write()
    return None


def _by_methods(step: Step, done: Done) -> str | None:
    """Let a document save or delete itself, from what is stored now."""
    revisions, subject = step.subject.revisions, step.subject
    head, live = revisions.opening()
    stored = as_recorded(revisions, head, live)
    try:
        if step.after is not None:
            if step.before is None and stored is not None:
                raise _conflict(step, stored, {()})
            wanted = step.onto(stored)
            revealed = subject.place.revealed(wanted, live)
            document = subject.home.document(subject.pk, revealed)
            Past(document, revisions, head, stored, live).put_back(wanted, UNDO)
            document.save()
        elif live is not None:
            document = subject.home.document(subject.pk, live)
            with DocumentTrack(document):
                document.delete()
    except HistoryNotRecordedError:
        done.append(subject.address)
        raise
    done.append(subject.address)
    return _left_undone(step)


def _left_undone(step: Step) -> str | None:
    """Say what a method of the application's own did, if it is nothing of what is planned."""
    is_deletion = step.kind == "delete"
    if not has_own(step.written_as, deletion=is_deletion):
        return None
    stored = step.subject.revisions.recordable()
    if is_deletion and stored is not None:
        return "its delete() has left it where it was"
    old, now = step.before or {}, stored or {}
    is_as_ever = all(same(old.get(it, ABSENT), now.get(it, ABSENT)) for it in step.names)
    if not is_deletion and is_as_ever and (stored is None or step.before is not None):
        return "its save() has left it as it was"
    return None


def _by_query(steps: Sequence[Step], done: Done) -> None:
    """Delete documents as MongoEngine does by a query: with delete rules."""
    home, model = steps[0].subject.home, steps[0].written_as
    collection = home.collection_of(model)
    keys = [step.subject.key for step in steps]
    QuerySet(model, collection).filter(__raw__={"_id": {"$in": keys}}).delete()
    done += [step.subject.address for step in steps]


def _conflict(step: Step, stored: State | None, paths: set[Any]) -> UndoConflictError:
    codec = step.subject.place.codec
    found = conflicts(stored or {}, step.before or {}, paths)
    shown = [shown_conflict(conflict, codec) for conflict in found]
    return UndoConflictError(step.subject.pk, step.numbers[0], shown)


class _Exactly:
    """Writes documents as they were, past all methods, and records it."""

    def __init__(self, steps: Sequence[Step], done: Done, *, strictly: bool) -> None:
        self._steps = {identifier(step.subject.key): step for step in steps}
        self._done, self._strictly = done, strictly
        self._place: Place = steps[0].subject.place
        self._context = context_at(self._place, None)
        self._bulk = Bulk(self._place, self._context)
        self._kind, self._operation = steps[0].kind, steps[0].subject.operation

    def write(self) -> None:
        """Write all of it."""
        if self._kind == "insert":
            made = [Found(it.subject.key, self._revealed(it, None)) for it in self._steps.values()]
            requests = [InsertOne({"_id": it.key, **it.state}) for it in made]
            self._send(made, requests, CREATE, lambda _: self._inserted(made))
            return
        batches = self._bulk.batches(
            {"_id": {"$in": [it.subject.key for it in self._steps.values()]}}
        )
        if self._kind == "delete":
            for batch in batches:
                self._delete(batch)
            return
        found = {identifier(it.key): it for batch in batches for it in batch}
        for key, step in self._steps.items():
            if self._strictly and key not in found and not self._is_own_work(step):
                raise _conflict(step, None, {(name,) for name in step.names})
        # In their order: one may take the unique value that another one has left.
        self._update([found[key] for key in self._steps if key in found])

    def _revealed(self, step: Step, live: State | None) -> State:
        stored = live and self._place.hiding.hidden(live)
        return self._place.revealed(step.onto(stored), live)

    def _inserted(self, made: list[Found]) -> None:
        self._bulk.inserted(self._arrived(made), operation=self._operation)

    def _arrived(self, made: list[Found]) -> list[Found]:
        stored = self._bulk.stored(made)
        return [it for it in made if same(stored.get(identifier(it.key)), it.state)]

    def _update(self, batch: list[Found]) -> None:
        requests, roots = [], set()
        for found in batch:
            step = self._steps[identifier(found.key)]
            self._check(step, found)
            request = _request(found, self._revealed(step, found.state))
            if request is None:  # all that differs is hidden, and stays
                self._name([found])
                continue
            requests.append((found, request))
            roots |= step.names
        if requests:
            changed = [found for found, _ in requests]
            record = partial(self._bulk.updated, changed, roots, operation=UNDO)
            self._send(changed, [request for _, request in requests], UNDO, record)

    def _check(self, step: Step, found: Found) -> None:
        if not self._strictly:
            return
        before = step.before or {}
        stored = covered(self._place.hiding.hidden(found.state), before)
        others = {it for it in step.names if not same(stored.get(it, 0), before.get(it, 0))}
        if others and not self._is_own_work(step):
            raise _conflict(step, stored, {(it,) for it in others})

    def _is_own_work(self, step: Step) -> bool:
        """Say whether all that was recorded since the plan was done on this way, as by handlers."""
        subject, own = step.subject, self._context.changeset
        since = list(subject.revisions.between(subject.head.number + 1))
        return bool(since) and all(it.context.changeset == own for it in since)

    def _delete(self, batch: list[Found]) -> None:
        keys = [found.key for found in batch]
        record = partial(self._bulk.deleted, batch)
        delete = partial(_plain(self._place).delete_many, {"_id": {"$in": keys}})
        self._written(batch, DELETE, lambda: delete(session=self._session).deleted_count, record)
        self._name(batch)

    @property
    def _session(self) -> Any:
        return self._place.session

    def _send(
        self,
        batch: list[Found],
        requests: list[Any],
        operation: str,
        record: Callable[[int | None], None],
    ) -> None:
        try:
            send = partial(_plain(self._place).bulk_write, requests, session=self._session)
            self._written(batch, operation, lambda: send().modified_count, record)
        except BulkWriteError as error:
            self._name(batch[: error.details["writeErrors"][0]["index"]])
            raise
        except HistoryNotRecordedError:
            self._name(batch)
            raise
        self._name(batch)

    def _written(
        self,
        batch: list[Found],
        operation: str,
        write: Callable[[], int],
        record: Callable[[int | None], None],
    ) -> None:
        if is_untracked():
            write()
            return
        try:
            count = write()
        except BaseException as error:
            if not self._place.in_transaction:
                self._bulk.settle({operation: batch}, error, lambda: record(None))
            raise
        with self._bulk.recording({operation: batch}):
            record(count)
        self._bulk.react()

    def _name(self, batch: list[Found]) -> None:
        self._done += [self._steps[identifier(it.key)].subject.address for it in batch]


def _request(found: Found, wanted: State) -> Any:
    """Return what makes a document as it is wanted; what others write to other names stays."""
    was = found.state
    gone = [name for name in was if name not in wanted]
    set_to = {it: wanted[it] for it in wanted if not same(was.get(it, ABSENT), wanted[it])}
    if any(not name or "." in name or name[0] == "$" for name in (*gone, *set_to)):
        return ReplaceOne({"_id": found.key}, wanted)  # no operator can name them
    update = {"$set": set_to, "$unset": dict.fromkeys(gone, 1)}
    sent = {operator: values for operator, values in update.items() if values}
    return UpdateOne({"_id": found.key}, sent) if sent else None


def _plain(place: Place) -> Collection[Any]:
    """Return the collection of PyMongo's own, not recording; it waits until the server is done."""
    documents = place.documents
    is_waiting = documents.write_concern.acknowledged
    return documents if is_waiting else documents.with_options(write_concern=WriteConcern(w=1))
