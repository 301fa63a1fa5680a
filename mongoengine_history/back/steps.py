"""The steps by which a changeset is taken back: the reverse order of writing, as few as may be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from mongoengine_history.back.subject import has_own, is_heard, misses_arguments
from mongoengine_history.documents.options import is_tracked
from mongoengine_history.record.overview import MOST
from mongoengine_history.state.merge import differs
from mongoengine_history.state.values import ABSENT, State, identifier, same

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence, Set

    from mongoengine import Document

    from mongoengine_history.back.subject import Subject

LOOKED_BACK: Final = 20
"""How many batches before the last one a step may still join."""


@dataclass(frozen=True)
class Step:
    """One write to one document, from one state to another; None is no document."""

    subject: Subject
    before: State | None
    after: State | None
    #: The revisions that it takes back, the newest first.
    numbers: tuple[int, ...]
    #: Where it stands, and the last place of those without anything between.
    position: int
    until: int
    #: Whether it is written past the application's own methods, validation and signals.
    is_bypassing: bool = False

    @property
    def kind(self) -> str:
        """What it does to the document."""
        if self.after is None:
            return "delete"
        return "insert" if self.before is None else "update"

    @cached_property
    def names(self) -> set[str]:
        """The top-level names that it sets."""
        old, new = self.before or {}, self.after or {}
        both = {**old, **new}
        return {it for it in both if not same(old.get(it, ABSENT), new.get(it, ABSENT))}

    @cached_property
    def model(self) -> type[Document]:
        """The class of the document, as it is taken away or as it will be."""
        return self.subject.home.class_of(self.after if self.before is None else self.before)

    @cached_property
    def written_as(self) -> type[Document]:
        """The class as which it is written: the one that it had before the changeset."""
        return self.subject.home.class_of(self.before if self.after is None else self.after)

    @property
    def is_unique(self) -> bool:
        """Say whether it may take or free a value of which no two documents may have the same."""
        unique = self.subject.home.unique
        return bool(unique) and (self.kind != "update" or bool(unique & self.names))

    @property
    def is_free(self) -> bool:
        """Say whether it may be done earlier or later: nothing else of the changeset minds it."""
        return self.kind == "update" and not self.is_unique and not self.names & _ruled(self.model)

    @cached_property
    def is_by_methods(self) -> bool:
        """Say whether only the document's own methods do all that the application wants."""
        if self.is_bypassing:
            return False
        model = self.written_as
        if not is_tracked(model) or model._meta.get("cascade"):
            return True
        is_deletion = self.kind == "delete"
        return has_own(model, deletion=is_deletion) or is_heard(model, deletion=is_deletion)

    @property
    def spreads(self) -> bool:
        """Say whether other documents may be written with it: by handlers, or by delete rules."""
        has_rules = self.kind == "delete" and bool(self.written_as._meta.get("delete_rules"))
        return not self.is_bypassing and (self.is_by_methods or has_rules)

    def onto(self, stored: State | None) -> State:
        """Return what is *stored* with what the step sets; others may have written more."""
        after = self.after or {}
        return after if stored is None else put_onto(stored, after, self.names)

    def then(self, step: Step) -> Step:
        """Return one step that does what this and the next one of the document do."""
        position, until = self.position, self.until
        if self.is_free and not step.is_free:
            position, until = step.position, step.until
        elif step.position == until + 1:
            until = step.until
        numbers = (*self.numbers, *step.numbers)
        return replace(self, after=step.after, numbers=numbers, position=position, until=until)


def put_onto(stored: State, wanted: State, names: Set[str]) -> State:
    """Return what is *stored* with what is *wanted* under some names, the order of keys kept."""
    kept = {name: it for name, it in stored.items() if name not in names or name in wanted}
    return {**kept, **{name: it for name, it in wanted.items() if name in names}}


def _ruled(model: type[Document]) -> set[str]:
    """Name the fields that a delete rule minds: what they refer to may be kept from going."""
    return {
        field.db_field
        for field in model._fields.values()
        if any(getattr(it, "reverse_delete_rule", 0) for it in (field, getattr(field, "field", 0)))
    }


def steps_of(subject: Subject, states: Sequence[State | None], *, is_bypassing: bool) -> list[Step]:
    """
    Return the steps that lead a document from what is stored through *states*, one a revision.

    What was made and is gone again needs nothing. What is there before and after is never away, or
    only so long that others can take a unique value.
    """
    first, last = subject.stored, states[-1] if states else None
    steps: list[Step] = []
    if first is None and last is None:
        return steps
    taken = list(zip(states, subject.numbers, subject.positions, strict=True))
    gone = [place for place, (state, *_) in enumerate(taken) if state is None]
    if last is None:
        taken = taken[: gone[0] + 1]
    elif first is None and gone:
        taken = taken[gone[-1] + 1 :]
    before = first
    for state, number, position in taken:
        step = Step(subject, before, state, (number,), position, position, is_bypassing)
        _add(steps, step)
        before = state
    return [step for step in steps if step.kind != "update" or _is_change(step)]


def _is_change(step: Step) -> bool:
    return differs(step.before or {}, step.after or {})


def _add(steps: list[Step], step: Step) -> None:
    """Add a step, or make it one with the last one where nothing of others can come between."""
    if steps and _are_one(steps[-1], step):
        steps[-1] = steps[-1].then(step)
    else:
        steps.append(step)


def _are_one(last: Step, step: Step) -> bool:
    if last.is_free or step.is_free or step.position == last.until + 1:
        return True
    return last.kind == "delete" and not last.then(step).is_unique


def problem_of(step: Step) -> str | None:
    """Say why the application will refuse a step, as far as is known; None if it will not."""
    live, is_deletion = step.subject.live, step.kind == "delete"
    if step.is_bypassing or (is_deletion and not step.is_by_methods):
        return None
    problem = _refusal_of(step, live if is_deletion else step.after)
    is_as_bad = problem and live is not None and not step.is_by_methods and _refusal_of(step, live)
    return None if is_as_bad else problem


def _refusal_of(step: Step, state: State | None) -> str | None:
    """Say why a state cannot be saved, or deleted."""
    subject = step.subject
    revealed = subject.place.revealed(state or {}, subject.live)
    try:
        document = subject.home.document(subject.pk, revealed)
        method = document.delete if step.kind == "delete" else document.save
        if misses_arguments(method):
            return f"{type(document).__name__}.{method.__name__}() wants arguments"
        if step.kind != "delete":
            document.validate()
    except Exception as error:  # MongoEngine's, or one of the application's own
        return told(step, error)
    return None


def told(step: Step, error: Exception) -> str:
    """Return what may be told of an error: where values are secret, only its kind."""
    kind, is_secret = type(error).__name__, bool(step.subject.place.hiding.rules)
    return kind if is_secret else f"{kind}: {error}".rstrip(".")


def batches(steps: Iterable[Step]) -> list[Batch]:
    """Part steps into those that can be written together, in an order in which each can be."""
    parts: list[Batch] = []
    for step in steps:
        part = _part_for(step, parts) or Batch()
        if not part.steps:
            parts.append(part)
        part.add(step)
    return parts


def _part_for(step: Step, parts: list[Batch]) -> Batch | None:
    for part in reversed(parts[-LOOKED_BACK:]):
        if part.takes(step):
            return part
        if part.hinders(step):
            return None
    return None


class Batch:
    """Steps of one kind, of documents of one class in one collection, that are written together."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._keys: set[object] = set()

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    @property
    def first(self) -> Step:
        """The one that all others are like."""
        return self.steps[0]

    def add(self, step: Step) -> None:
        """Add a step."""
        self.steps.append(step)
        self._keys.add(identifier(step.subject.key))

    def takes(self, step: Step) -> bool:
        """Say whether a step can be written with these."""
        is_full = len(self.steps) >= MOST or identifier(step.subject.key) in self._keys
        return not is_full and _is_joinable(step) and _sort(step) == _sort(self.first)

    def hinders(self, step: Step) -> bool:
        """Say whether a step must not be done before these, which come earlier."""
        first, is_deletion = self.first, step.kind == "delete"
        if first.is_by_methods or step.is_by_methods:  # of which nobody knows what they do
            return True
        if first.subject.home is step.subject.home:
            is_alike = first.kind == step.kind != "update"
            is_taken = identifier(step.subject.key) in self._keys
            if is_taken or (step.is_unique and first.is_unique and not is_alike):
                return True
        if is_deletion:
            return _minds(step.written_as, first.written_as)
        return first.kind == "delete" and _minds(first.written_as, step.written_as)


def _sort(step: Step) -> tuple[object, ...]:
    return step.kind, step.written_as, id(step.subject.home), step.subject.operation


def _is_joinable(step: Step) -> bool:
    """Say whether it may be written with others, after these."""
    if step.is_by_methods:
        return False
    is_ruled = step.kind == "delete" and _minds(step.written_as, step.written_as)
    return not is_ruled or step.is_bypassing


def _minds(model: type[Document], other: type[Document]) -> bool:
    """Say whether a delete rule looks at documents of another class when one of a class goes."""
    rules: dict[Any, Any] = model._meta.get("delete_rules") or {}
    return any(issubclass(other, it) or issubclass(it, other) for it, _ in rules)
