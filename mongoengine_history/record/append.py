"""Appends revisions: gives them their numbers, and keeps a version with every so many of them."""

from __future__ import annotations

import random
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from bson.errors import BSONError
from pymongo.errors import BulkWriteError, PyMongoError, ServerSelectionTimeoutError

from mongoengine_history.documents.formerly import one_of
from mongoengine_history.errors import HistoryError, HistoryNotRecordedError, RevisionConflictError
from mongoengine_history.record.chain import link
from mongoengine_history.record.change import Change, numbered
from mongoengine_history.record.head import Head
from mongoengine_history.record.inserts import duplicate_in, is_unmet, missing, take_out
from mongoengine_history.record.layout import Base, documents_of_revision, state_of
from mongoengine_history.record.not_recorded import LOG, not_recorded
from mongoengine_history.record.reaction import react
from mongoengine_history.record.signals import tell_recorded
from mongoengine_history.record.states import replayed
from mongoengine_history.state.merge import is_relative, overlay
from mongoengine_history.state.patches import outermost_list
from mongoengine_history.state.revision import DELETE, StoredRevision

if TYPE_CHECKING:
    from collections.abc import Callable

    from mongoengine_history.record.place import Place
    from mongoengine_history.record.revisions import Revisions
    from mongoengine_history.state.values import State

NUMBERING_ATTEMPTS: Final = 30

LONGEST_WAIT: Final = 0.05
"""Seconds between two attempts at most."""


class Appended(NamedTuple):
    """A revision that was inserted: what is known of it, and all its documents."""

    head: Head
    documents: list[dict[str, Any]]


Made = TypeVar("Made", Appended, Appended | None)


def append(revisions: Revisions, change: Change, head: Head, base: Base | None) -> Head:
    """
    Number a change and insert it, with one round trip if *head* is the newest; return the new head.

    *base*, the state before where all of it is known, is kept as version 0 if no revision is there
    yet.

    Raises:
        HistoryNotRecordedError: the records could not be written, or other writers were faster
            ``NUMBERING_ATTEMPTS`` times.
        pymongo.errors.PyMongoError: the same inside a transaction, which undoes the write, too.
    """
    try:
        return _recorded(revisions, change, head, base)
    except HistoryNotRecordedError as error:
        react(error, revisions.place)
        return Head()  # nothing is known any more


def append_late(revisions: Revisions, change: Change, number: int, base: Base | None) -> None:
    """
    Number and insert a change that should have become revision *number*.

    Raises:
        HistoryNotRecordedError: as `append`, whatever the class says.
    """
    _in_turn(revisions, lambda: _append(revisions, change, revisions.head(), base, number - 1))


def append_next(revisions: Revisions, change: Change, head: Head, base: Base | None) -> Head:
    """
    Insert a change as the revision after *head*, or not at all; return the new head.

    Raises:
        HistoryNotRecordedError: another revision has that number, or the records were not written.
    """
    return _in_turn(revisions, lambda: _append(revisions, change, head, base, None)).head


def append_made(
    revisions: Revisions, make: Callable[[Head], tuple[Change, Head] | None]
) -> Head | None:
    """
    Insert what is made of the newest revision as the one after it, while no other thread does.

    Args:
        revisions: Of the document.
        make: Returns the change and what is known of the head by then; None for nothing.

    Returns:
        The new head; None if there was nothing to insert.

    Raises:
        HistoryNotRecordedError: as `append_next`.
    """

    def appended() -> Appended | None:
        made = make(revisions.head())
        return made and _append(revisions, *made, None, None)

    made = _in_turn(revisions, appended)
    return made and made.head


def _in_turn(revisions: Revisions, append: Callable[[], Made]) -> Made:
    """Append a revision while no other thread numbers one of that document, and tell of it."""
    with revisions.turn.taken():
        appended = append()
        if appended:
            revisions.turn.head = appended.head
    if appended:
        tell_recorded(revisions.place, appended.documents)
    return appended


def _recorded(revisions: Revisions, change: Change, head: Head, base: Base | None) -> Head:
    place, turn = revisions.place, revisions.turn
    if place.hiding.rules:
        base = base and base._replace(state=place.hiding.hidden(base.state))
        head = replace(head, state=head.state and place.hiding.hidden(head.state))
    if place.in_transaction:  # of which others must know nothing before it is committed
        if base is not None and not head.number:
            _clear_early(revisions)
        appended = _append(revisions, change, head, base, head.number)
        tell_recorded(place, appended.documents)
        return appended.head
    made = _in_turn(
        revisions, lambda: _append(revisions, change, turn.latest(head), base, head.number)
    )
    is_late = not head.number and made.head.number > 1
    if is_late and base is not None and base.moment is not None:
        with suppress(HistoryError, PyMongoError, BSONError):  # all is recorded: no failure
            _mend_beginning(revisions, base, made.head.number)
    return made.head


def _clear_early(revisions: Revisions) -> None:
    """Take away a version 0 that was kept early: in a transaction a duplicate key would end it."""
    history, session = revisions.place.history, revisions.place.session
    early = {**revisions.mine, "revision": 0}
    if history.find_one(early, {"_id": 1}, session=session):  # not everybody may remove
        history.delete_many(early, session=session)


def _mend_beginning(revisions: Revisions, base: Base, number: int) -> None:
    """
    Let version 0 be the state before this write, if it was done before the one recorded first.

    Where the first writes of a document overlap, the clock of a replica set tells their order.
    Lists on which patches build that were recorded meanwhile are replayed from as they were.
    """
    place = revisions.place
    whole = {"revision": 0, "position": -1, "parts": None, "part_of": None}
    for _ in range(NUMBERING_ATTEMPTS):
        later = {**revisions.mine, **whole, "moment": {"$gt": base.moment}}
        version = place.history.find_one(later, session=place.session)
        if version is None:
            return
        earlier = [patch for it in revisions.between(1, number - 1) for patch in it.patches]
        lists = {outermost_list(patch.path) for patch in earlier if is_relative(patch)}
        with revisions.reading([version]):
            start = overlay(base.state, {}, state_of([version], starting=True), lists)
        mended = {"state": base.state, "start": start, "moment": base.moment}
        same = {"_id": version["_id"], "moment": version["moment"]}
        if place.history.update_one(same, {"$set": mended}, session=place.session).modified_count:
            return


def _append(
    revisions: Revisions, change: Change, head: Head, base: Base | None, known: int | None
) -> Appended:
    """Append it, though others were faster; only as the next one where nothing is *known*."""
    place, attempts = revisions.place, NUMBERING_ATTEMPTS if known is not None else 1
    known = head.number if known is None else known
    documents: list[dict[str, Any]] = []
    least, is_gone = min(known, head.number), False
    for attempt in range(attempts):
        try:
            if attempt or head.is_contended:
                head = _looked_again(revisions, head, attempt)
            if is_gone or head.number < least:
                base = _beginning_anew(revisions, change, head, least)
                known = least = head.number
            revision, state = _with_state(revisions, numbered(change, head, known), head)
            documents = _laid_out(revisions, revision, head, state, None if head.number else base)
            if change.record is not None:
                documents[0]["_id"] = change.record
            is_inserted = _insert(revisions, documents, head)
            if is_inserted:
                _clear_former(revisions, documents)
                return Appended(_head_after(revision, state, head, documents), documents)
            is_gone = is_inserted is None
        except PyMongoError as error:
            if place.in_transaction:
                raise
            if _is_done(place, documents, head, error):  # only the answer was lost
                return Appended(_head_after(revision, state, head, documents), documents)
            documents = documents or _laid_out(revisions, numbered(change, head, known), head)
            raise not_recorded(place, [revisions.key], documents, error) from error
    with suppress(PyMongoError):  # a number that may still be free when they are inserted later
        head = revisions.head()
        documents = _laid_out(revisions, numbered(change, head, known), head)
    conflict = RevisionConflictError(revisions.key, attempts)
    raise not_recorded(place, [revisions.key], documents, conflict) from conflict


def _is_done(
    place: Place, documents: list[dict[str, Any]], head: Head, error: PyMongoError
) -> bool:
    """Say whether a failed insert is done all the same; else take out what there is of it."""
    if not documents or isinstance(error, ServerSelectionTimeoutError):
        return False
    probe = _probe(head, {})
    with suppress(PyMongoError):
        # Where the head is gone its key was not refused: it lies there, and is no record.
        is_gone = any(place.history.find_one({**it, "revision": None}) for it in probe)
        if not is_gone and not missing(place, documents):
            return not is_unmet(error)
        take_out(place, [*documents, *(probe if is_gone else [])])
    return False


def _probe(head: Head, owner: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what the server refuses as long as the head is there, where that is remembered."""
    is_known = head.is_remembered and head.record is not None
    return [{"_id": head.record, **owner}] if is_known else []


def _looked_again(revisions: Revisions, head: Head, attempt: int) -> Head:
    """
    Read the newest revision, after a random pause that grows with each attempt.

    Who met another writer looks first from then on, until nobody has come in between.
    """
    if attempt:
        longest = min(LONGEST_WAIT, 0.0005 * 2**attempt)
        time.sleep(random.random() * longest)  # noqa: S311  # spreads writers, no secret
    newest = revisions.head()
    if (newest.number, newest.record) == (head.number, head.record):
        return replace(head, is_contended=False)  # whose state may be known
    return replace(newest, is_contended=True)


def _with_state(
    revisions: Revisions, revision: StoredRevision, head: Head
) -> tuple[StoredRevision, State | None]:
    """Return a new revision and the state after it, if that is known or a version needs it."""
    is_due = revisions.place.options.is_due(revision.number)
    if head.state is None and not is_due:
        return revision, None
    try:
        before = replayed(revisions, head.number) if head.state is None else head.state
        return revision, revision.after(before or {})
    except HistoryError:  # records were lost: what is stored is a new beginning
        state = (revisions.recordable() or {}) if is_due else None
        return revision._replace(lists={}), state


def _laid_out(
    revisions: Revisions,
    revision: StoredRevision,
    head: Head,
    state: State | None = None,
    base: Base | None = None,
) -> list[dict[str, Any]]:
    """Return all that is inserted with a revision: its records first, version 0 at last."""
    options, owner = revisions.place.options, revisions.owner
    version = state if options.is_due(revision.number) else None
    base = base if options.version_every else None
    documents = documents_of_revision(revision, owner, version, base)
    documents[0].update(link(revision, owner, head.checksum, options.checksum_key))
    return documents


def _beginning_anew(revisions: Revisions, change: Change, head: Head, known: int) -> Base | None:
    """Tell that revisions are gone; return what was there before the change if all of them are."""
    LOG.warning(
        "Revision %d of %s %r is gone from its history, which goes on after revision %d: it was "
        "erased or rolled back.",
        *(known, revisions.place.document_type, revisions.key, head.number),
    )
    if head.number or not change.before:
        return None
    stored = revisions.recordable() or {}
    others = {key: value for key, value in stored.items() if key not in change.after}
    return Base({**others, **change.before})


def _insert(revisions: Revisions, documents: list[dict[str, Any]], head: Head) -> bool | None:
    """
    Insert the documents of a revision; False if its number is taken, None if its head is gone.

    Where the head is remembered, the key of its first record is inserted once more at the end. The
    server has to refuse that, so one round trip tells that the revision before is still there.
    """
    history, session = revisions.place.history, revisions.place.session
    probe = _probe(head, revisions.owner)
    try:
        history.insert_many([*documents, *probe], session=session)
        if probe:
            take_out(revisions.place, [*documents, *probe])
            return None
    except BulkWriteError as error:
        index = duplicate_in(error)
        if revisions.place.in_transaction or index is None:
            raise
        if index == 0:
            return False
        if index == len(documents):
            return True
        # Parts or a version are left of records that were deleted: these take their place.
        taken = [documents[0]["revision"], documents[-1]["revision"]]
        ours = {"$nin": [document["_id"] for document in documents]}
        leftovers = {**revisions.mine, "revision": {"$in": taken}, "_id": ours}
        rest = documents[index:]
        if not revisions.place.clear(leftovers):  # then a version that was kept early stays
            rest = [it for it in rest if it["revision"]]
        if rest:
            history.insert_many(rest, session=session)
    return True


def _clear_former(revisions: Revisions, documents: list[dict[str, Any]]) -> None:
    """Take away a version 0 that was kept early, under a name that the collection had before."""
    place = revisions.place
    former = place.names[1:]
    if former and documents[-1]["revision"] == 0:
        early = {**revisions.mine, "document_type": one_of(former), "revision": 0}
        place.history.delete_many(early, session=place.session)


def _head_after(
    revision: StoredRevision, state: State | None, head: Head, documents: list[dict[str, Any]]
) -> Head:
    number, stamp, operation, _, _, lists, redacted = revision
    operation = DELETE if revision.leaves_nothing else operation
    known = number, stamp, lists, redacted, state, operation, head.is_contended
    return Head(*known, documents[0]["checksum"], documents[0]["_id"], is_remembered=True)
