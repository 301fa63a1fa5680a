"""What handlers and delete rules have written to documents that are taken back themselves."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mongoengine_history.back.steps import Step, put_onto
from mongoengine_history.record.naming import revisions_of
from mongoengine_history.record.sessions import active_session
from mongoengine_history.state.merge import is_same_state
from mongoengine_history.state.revision import DELETE
from mongoengine_history.state.values import identifier

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pymongo.database import Database

    from mongoengine_history.back.reversal import Reversal
    from mongoengine_history.back.subject import Subject
    from mongoengine_history.state.values import State


def unsettled(
    changeset: object, concerned: Iterable[Database[Any]], found: Reversal
) -> Iterator[Step]:
    """
    Yield steps that make documents of a plan again what they should be.

    These are documents with more revisions of the *changeset* of these writes than the plan has
    steps for them, or with a last one that took away what the plan leaves there, or the reverse:
    others, handlers or delete rules, have written them on the way.
    """
    steps: dict[int, list[Step]] = {id(subject): [] for subject in found.subjects}
    for step in found.steps:
        steps[id(step.subject)].append(step)
    newest = {_address(subject): subject.head.number for subject in found.subjects}
    written: defaultdict[tuple[str, str, object], list[tuple[int, str]]] = defaultdict(list)
    for database in concerned:
        for _, it in revisions_of(changeset, database, active_session(database.client)):
            address = database.name, it["document_type"], identifier(it["document_id"])
            if it["revision"] > newest.get(address, it["revision"]):
                written[address].append((it["revision"], it["operation"]))
    for subject in found.subjects:
        mine, own = steps[id(subject)], written[_address(subject)]
        is_there = _wanted(subject, mine) is not None
        if len(own) > len(mine) or (own and (max(own)[1] != DELETE) != is_there):
            yield from _again(subject, mine)


def _wanted(subject: Subject, steps: list[Step]) -> State | None:
    return steps[-1].after if steps else subject.stored


def _address(subject: Subject) -> tuple[str, str, object]:
    return subject.place.database, subject.place.document_type, identifier(subject.key)


def _again(subject: Subject, steps: list[Step]) -> Iterator[Step]:
    """Yield what is left to do of some steps, if anything is."""
    head, live = subject.revisions.opening()
    now = replace(subject, head=head, live=live)
    wanted, before = _wanted(subject, steps), now.stored
    after = wanted
    if wanted is not None and before is not None:
        names = set().union(*(step.names for step in steps)) if steps else {*before, *wanted}
        after = put_onto(before, wanted, names)
    if not is_same_state(before, after):
        yield Step(now, before, after, subject.numbers, 0, 0, is_bypassing=True)
