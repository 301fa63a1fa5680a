"""The way back of a changeset: what it did is read, and taken out of what is stored."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from mongoengine_history.back.changeset_plan import PlanStep
from mongoengine_history.back.revert import shown_conflict, undone
from mongoengine_history.back.steps import Step, problem_of, steps_of
from mongoengine_history.back.subject import Home, Subject
from mongoengine_history.documents.renamed import check_single
from mongoengine_history.errors import MalformedRecordError, OptionsError, UndoConflictError
from mongoengine_history.record.complete import complete
from mongoengine_history.record.doubt import settle_all
from mongoengine_history.record.head import NO_HEAD
from mongoengine_history.record.layout import revision_of
from mongoengine_history.record.naming import revisions_of
from mongoengine_history.record.overview import (
    SMALL,
    batches,
    heads,
    near,
    state_near,
)
from mongoengine_history.record.place import Place
from mongoengine_history.record.sessions import active_session
from mongoengine_history.record.states import state_before
from mongoengine_history.state.diff import diff
from mongoengine_history.state.patches import as_dictdiffer
from mongoengine_history.state.revision import ANEW
from mongoengine_history.state.values import encode, identifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from pymongo.database import Database

    from mongoengine_history.back.databases import Databases
    from mongoengine_history.record.revisions import Revisions
    from mongoengine_history.state.revision import StoredRevision
    from mongoengine_history.state.values import State


WHICH: Final = (
    "no single class is known to be that of the documents in {!r} of the database {!r} and to keep "
    "its records in {!r}: import it, call this where a class is switched to them by "
    "switch_collection or switch_db, or track a class that has this collection"
)


@dataclass(frozen=True)
class Reversal:
    """All that has to be known to take a changeset back."""

    subjects: list[Subject]
    steps: list[Step]
    conflicts: list[UndoConflictError]
    #: Steps that will be refused, and why.
    problems: list[tuple[Step, str]]

    @classmethod
    def of(
        cls, key: object, concerned: Iterable[Database[Any]], known: Databases, *, bypass: bool
    ) -> Reversal:
        """
        Read what a changeset did and what is stored now. Writes nothing.

        Raises:
            OptionsError: the class of a document is not known.
            HistoryError: the history cannot be read.
        """
        subjects, steps, conflicts = [], [], []
        for subject, found in _read(key, concerned, known):
            states, own = _taken_out(subject, found)
            subjects.append(subject)
            conflicts += own
            steps += steps_of(subject, states, is_bypassing=bypass) if not own else []
        steps.sort(key=lambda step: step.position)
        problems = ((step, problem_of(step)) for step in steps)
        return cls(subjects, steps, conflicts, [(it, why) for it, why in problems if why])

    def shown(self) -> Iterator[PlanStep]:
        """Return the steps as data."""
        problems = {id(step): why for step, why in self.problems}
        for step in self.steps:
            place, codec = step.subject.place, step.subject.place.codec
            patches = diff(*place.hiding.pair(step.before or {}, step.after or {}))
            method = "delete()" if step.kind == "delete" else "save()"
            yield PlanStep(
                step.written_as.__name__,
                place.database,
                *step.subject.address,
                step.kind,
                step.numbers,
                tuple(as_dictdiffer(patches, codec)),
                method if step.is_by_methods else None,
                problems.get(id(step)),
            )


def _taken_out(
    subject: Subject, walked: Iterable[tuple[StoredRevision, State | None]]
) -> tuple[list[State | None], list[UndoConflictError]]:
    """Take revisions out of a document, the newest first; return each state, and all conflicts."""
    check_single(subject.place.model, subject.pk, subject.live)
    states, errors, state = [], [], subject.stored
    for revision, before in reversed([*walked]):
        state, found = undone(state, revision, before, subject.place)
        states.append(state)
        if found:
            shown = [shown_conflict(conflict, subject.place.codec) for conflict in found]
            errors.append(UndoConflictError(subject.pk, revision.number, shown))
    return states, errors


def _walked(
    revisions: Revisions, numbers: tuple[int, ...], found: list[Mapping[str, Any]]
) -> Iterator[tuple[StoredRevision, State | None]]:
    """Yield revisions of some *numbers*, the oldest first, and the state before each."""
    first, state, is_known = numbers[-1], None, False
    with revisions.reading(found):
        records = [it for it in found if it["position"] >= 0 and it["revision"] >= first]
    for group in complete(revisions, records, 1, first, numbers[0]):
        revision = revisions.made(revision_of, group)
        if revision.leaves_nothing:
            state = revision.before({})
        elif revision.operation in ANEW:
            state = None
        elif not is_known:
            state = state_near(revisions, revision.number - 1, found, _read_before(revision))
        if revision.number in numbers:
            yield revision, state
        state = None if revision.leaves_nothing else revision.after(state or {})
        is_known = True


def _read_before(revision: StoredRevision) -> Callable[[Revisions, int], State | None]:
    return lambda revisions, _: state_before(revisions, revision)


def _read(
    key: object, concerned: Iterable[Database[Any]], known: Databases
) -> Iterator[tuple[Subject, Iterator[tuple[StoredRevision, State | None]]]]:
    """Yield all documents of a changeset, with its revisions and the states before them."""
    firsts = [
        (first, database, history)
        for database in concerned
        for history, first in _firsts(key, database)
    ]
    # One write of many documents has one time; there the order of keys tells.
    order = sorted(firsts, key=lambda it: (it[0]["stamp"], encode(it[0]["_id"])), reverse=True)
    units: dict[tuple[Any, str, str], dict[object, list[tuple[int, Any, int]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for position, (first, database, history) in enumerate(order):
        name, document = known.name_today(database, first["document_type"]), first["document_id"]
        units[database, name, history][identifier(document)].append(
            (first["revision"], document, position)
        )
    for (database, name, history), found in units.items():
        models = known.classes(database, name, history)
        if not models:
            raise OptionsError("id", key, WHICH.format(name, database.name, history))
        homes = [home_of(model, database, name) for model in models]
        for some in batches(found.values(), SMALL):
            yield from _subjects(homes, some)


def _firsts(key: object, database: Database[Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    found = revisions_of(key, database, active_session(database.client))
    return ((history, _checked(first)) for history, first in found)


def _subjects(
    homes: list[Home], units: list[list[tuple[int, Any, int]]]
) -> Iterator[tuple[Subject, Iterator[tuple[StoredRevision, State | None]]]]:
    """Read some documents of one collection, and their histories."""
    place, keys = homes[0].place, {identifier(unit[0][1]): unit[0][1] for unit in units}
    settle_all(place, keys.values())
    known, live = heads(place, [*keys.values()]), _live(place, [*keys.values()])
    numbers = {
        identifier(unit[0][1]): sorted((it for it, *_ in unit), reverse=True) for unit in units
    }
    before = {key: each[-1] - 1 for key, each in numbers.items()}
    until = {key: each[0] for key, each in numbers.items()}
    records = dict(near(place, keys, before, until))
    for unit in units:
        name = identifier(unit[0][1])
        positions = tuple(sorted(position for *_, position in unit))
        head, now = known.get(name, NO_HEAD), live.get(name)
        subject = Subject(homes[0], keys[name], head, now, (*numbers[name],), positions)
        walked = [*_walked(subject.revisions, subject.numbers, records.get(name, []))]
        if len(homes) > 1:
            states = [now, *(state or it.after({}) for it, state in walked)]
            subject = replace(subject, home=_fitting(homes, next(filter(None, states), {})))
        yield subject, iter(walked)


def _fitting(homes: list[Home], state: State) -> Home:
    """Choose the class of which a document is, of those that share a collection."""
    name = state.get("_cls")
    for home in homes:
        is_of = home.model._meta.get("allow_inheritance") and name in home.model._subclasses
        if is_of or (name is None and not home.model._meta.get("allow_inheritance")):
            return home
    return homes[0]


def _live(place: Place, keys: list[Any]) -> dict[object, State]:
    found = place.documents.find({"_id": {"$in": keys}}, session=place.session)
    return {identifier(it.pop("_id")): it for it in found}


def home_of(model: type[Any], database: Database[Any], name: str) -> Home:
    """Return the collection of a class in a database, and what its indexes say."""
    is_switched = model._get_db() != database or model._get_collection_name() != name
    collection = database[name] if is_switched else None
    place = Place(model, collection)
    with place.client.start_session() as apart:  # no transaction lists indexes
        indexes = [*place.documents.list_indexes(session=apart)]
    unique = {path.partition(".")[0] for it in indexes if it.get("unique") for path in it["key"]}
    return Home(model, place, collection, frozenset(unique - {"_id"}))


def _checked(first: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what tells of a revision that it belongs to a changeset, if that can be read."""
    key, number = first.get("document_id"), first.get("revision")
    rightly = {"document_type": str, "document_id": object, "revision": int, "stamp": int}
    for name, kind in rightly.items():
        if not isinstance(first.get(name), kind) or name not in first:
            problem = f"its {name} is {first.get(name)!r}"
            raise MalformedRecordError(key, number, first["_id"], problem)
    return first
