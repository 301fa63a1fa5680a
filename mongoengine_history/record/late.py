"""Records that could not be written in their time, written later: what an error does to `record`.

Each revision gets a number that is free by then. Its first record keeps its ``_id``, by which it is
found where it was written already.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

import mongoengine
from mongoengine import Document
from pymongo.errors import PyMongoError

from mongoengine_history.documents.fieldrules import concrete
from mongoengine_history.documents.options import is_tracked
from mongoengine_history.errors import (
    HistoryError,
    HistoryNotRecordedError,
    OptionsError,
    StateNotKeptError,
)
from mongoengine_history.record.append import append_late
from mongoengine_history.record.change import Change
from mongoengine_history.record.doubt import Doubt, find_out, settle
from mongoengine_history.record.inserts import take_out
from mongoengine_history.record.layout import Base, revision_of, state_of
from mongoengine_history.record.not_recorded import not_recorded
from mongoengine_history.record.place import Place
from mongoengine_history.record.revisions import Revisions
from mongoengine_history.record.signals import tell_recorded
from mongoengine_history.record.states import replayed, state_at
from mongoengine_history.state.merge import check
from mongoengine_history.state.revision import ANEW
from mongoengine_history.state.values import State, identifier

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mongoengine_history.state.revision import StoredRevision

ADDRESS: Final = ("document_class", "alias", "database", "collection")
"""The facts of an error that say where its documents lie."""

Records = list[dict[str, Any]]

Unwound = tuple[Callable[["StoredRevision", int], State], Callable[["StoredRevision"], State]]
"""Ways to take a revision that is not there back from what is: by a number, and by time."""


def write_late(error: HistoryNotRecordedError) -> None:
    """Write the records of an error, as its `record` says."""
    place = place_of(*(getattr(error, name) for name in ADDRESS))
    own, lost, keys = records_of(error), Records(), list[Any]()
    why: Exception = error
    for key, records in own:
        try:
            write_all(Revisions(place, key), [records])
        except (HistoryError, PyMongoError) as failure:
            why, lost, keys = failure, lost + records, [*keys, key]
    if keys:
        raise not_recorded(place, keys, lost, why)


def records_of(error: HistoryNotRecordedError) -> list[tuple[Any, Records]]:
    """Return the records that an error has of each document, by their keys."""
    own: defaultdict[object, Records] = defaultdict(list)
    for each in error.records:
        own[identifier(each["document_id"])].append(each)
    return [(key, own[identifier(key)]) for key in error.document_ids]


def write_all(
    revisions: Revisions, missing: Iterable[Records], is_told: Callable[[], bool] = bool
) -> None:
    """
    Write what is missing of one document, in order, and then what nobody has told of.

    Each of the *missing* is the records of revisions that one write has made, none where what was
    written could not be read. Those that are there already are left. Whether records of what else
    is stored wait elsewhere, *is_told* says.

    Raises:
        HistoryNotRecordedError: they cannot be written yet, or pymongo.errors.PyMongoError.
        HistoryError: the history cannot be read.
    """
    revisions.place.ensure_indexes()
    parted = [records for each in missing for records in _apart(each)]
    newest = revisions.head().number  # before the first of them is written
    known = cache(partial(state_at, revisions))  # asked in several ways
    for index, records in enumerate(parted):
        later = parted[index + 1 :]
        by_time = partial(_unwound_by_time, revisions, newest, later)
        _write(revisions, records, (partial(_unwound, known, later), by_time))
    with suppress(StateNotKeptError):  # then nobody can compare
        find_out(Doubt(revisions), is_told=is_told)  # what nobody has told, or has written over it


def _apart(records: Records) -> list[Records]:
    """Part the records of several revisions of a document, each of which begins with position 0."""
    starts = [index for index, it in enumerate(records) if it["position"] == 0] or [0]
    return [records[start:end] for start, end in zip(starts, [*starts[1:], None], strict=True)]


def place_of(document_class: str, alias: str, database: str, collection: str) -> Place:
    """
    Find the class of documents, and where they lie.

    Raises:
        OptionsError: this process does not know the class.
    """
    named = [it for it in concrete(Document) if it._class_name == document_class]
    if not named:
        problem = "import the module that defines this class, then call record() again"
        raise OptionsError("document_class", document_class, problem)
    # Others may have that name, too: MongoEngine only knows the one that was defined last.
    named.sort(key=lambda it: (it._get_collection_name() == collection, is_tracked(it)))
    return Place(named[-1], mongoengine.get_connection(alias)[database][collection])


def _write(revisions: Revisions, records: Records, unwound: Unwound) -> None:
    """Write the records of one revision."""
    place = revisions.place
    if not records:  # nothing could be read of what was written
        settle(revisions)
    else:
        found = place.history.find_one({"_id": records[0]["_id"]}, {"revision": 1})
        if _has_lost_its_head(revisions, records, found):
            take_out(place, records)
        elif found is None:
            append_late(revisions, *_change(revisions, records, unwound))
        elif found["revision"] == records[0]["revision"]:
            _complete(revisions, records)


def _has_lost_its_head(revisions: Revisions, records: Records, found: object) -> bool:
    """
    Say whether what came before is gone, as by a fail-over.

    The key may lie there by which an insert finds that out; it is no record, and is removed.
    """
    history, number = revisions.place.history, records[0]["revision"] - 1
    nothing = {**revisions.mine, "revision": None, "stamp": None, "created_at": None}
    is_left = history.find_one(nothing, {"_id": 1}) is not None
    if is_left:
        history.delete_many(nothing)
    is_proven = is_left or found is None
    before = {"revision": number, "position": 0}
    return bool(is_proven and number) and not any(revisions.records(before, limit=1))


def _complete(revisions: Revisions, records: Records) -> None:
    """Insert what is missing of a revision of which a part was written under its number."""
    history, wanted = revisions.place.history, {"revision": 1, "position": 1}
    numbers = {"$in": [it["revision"] for it in records]}
    there = history.find({**revisions.mine, "revision": numbers}, wanted)
    places = {(it["revision"], it["position"]) for it in there}
    rest = [it for it in records if (it["revision"], it["position"]) not in places]
    if rest:
        history.insert_many(rest)
        tell_recorded(revisions.place, [it for it in records if it["revision"]])


def _change(
    revisions: Revisions, records: Records, unwound: Unwound
) -> tuple[Change, int, Base | None]:
    """Make the change again that was recorded, with the states before and after it."""
    revision = _revision(records)
    kept = [it for it in records if it["position"] < 0 and not it["revision"]]
    base = Base(state_of(kept)) if kept else None
    before, after = _states(revision, _guesses(revisions, revision, base, unwound))
    change = Change(
        *(revision.operation, revision.context, before, after),
        *(list(revision.patches), revision.stamp),
        record=records[0]["_id"],
    )
    return change, revision.number, base


def _states(revision: StoredRevision, guesses: Iterable[Callable[[], Any]]) -> tuple[State, State]:
    """
    Return the first state of some *guesses* that a revision fits, and the one after it.

    Raises:
        HistoryError: it fits none.
    """
    misfit: HistoryError | None = None
    for guess in guesses:
        try:
            before = guess() or {}
            after = revision.after(before)
            check(after, revision.lists)
        except HistoryError as error:
            misfit = misfit or error
        else:
            return before, after
    raise misfit or ValueError(guesses)


def _guesses(
    revisions: Revisions, revision: StoredRevision, base: Base | None, unwound: Unwound
) -> list[Callable[[], Any]]:
    """Tell what may be the state before a revision that is not there; what is sure comes first."""
    if revision.operation in ANEW:
        return [dict]
    if base is not None:
        return [lambda: base.state]
    numbers = dict.fromkeys((revision.number - 1, revisions.head().number))
    kept = [partial(replayed, revisions, number) for number in numbers]
    by_number, by_time = unwound
    ways = [partial(by_number, revision, number) for number in numbers]
    return [*kept, *ways, partial(by_time, revision), dict]


def _unwound(
    known: Callable[[int], State | None],
    later: Sequence[Records],
    revision: StoredRevision,
    number: int,
) -> State:
    """Take it, and *later* ones that are missing, back from the state at a number."""
    state = known(number) or {}
    for each in [*_newest_first(later), revision]:
        state = each.before(state)
    return state


def _unwound_by_time(
    revisions: Revisions, newest: int, later: Sequence[Records], revision: StoredRevision
) -> State:
    """
    Return the state before it: what is stored, less that and all that was written later.

    Of these some are there, up to the *newest*, and the *later* ones are missing.
    """
    first = revisions.number_at(revision.stamp) + 1
    there = revisions.between(first, newest, newest_first=True)
    lost = (it for it in _newest_first(later) if it.stamp >= revision.stamp)
    # Of one moment the newest first, as they stand here.
    undone = sorted([*lost, *there, revision], key=lambda it: it.stamp, reverse=True)
    state = revisions.recordable() or {}
    for each in undone:
        state = each.before(state)
    return state


def _newest_first(missing: Sequence[Records]) -> Iterator[StoredRevision]:
    return (_revision(records) for records in reversed(missing) if records)


def _revision(records: Records) -> StoredRevision:
    """Make the revision that records lay out, without the full states beside it."""
    return revision_of([it for it in records if it["position"] >= 0])


HistoryNotRecordedError._write_late = write_late
