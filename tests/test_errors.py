"""Errors travel from process to process: type, message and facts arrive."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

from mongoengine_history import ABSENT, Conflict, HistoryError, OptionsError, errors
from mongoengine_history.errors import UndoConflictError

UNDO = UndoConflictError(1, 2, [Conflict(("a",), ABSENT, 2)])

FACTS: dict[str, Any] = {
    "document_ids": [1, 2],
    "records": [{"document_id": 1}],
    "path": ("a", 0),
    "conflicts": UNDO.conflicts,
    "errors": [UNDO],
    "refused": [("a", 1, "why")],
    "written": [("a", 1)],
    "keys": ["a"],
    "found": ABSENT,
    "number": 3,
    "newest": 4,
    "oldest": 5,
    "attempts": 3,
}


def below(kind: type[HistoryError]) -> Iterator[type[HistoryError]]:
    for known in kind.__subclasses__():
        yield known
        yield from below(known)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, HistoryError):
        return type(one) is type(other) and str(one) == str(other) and same(vars(one), vars(other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one is other if one is ABSENT else bool(one == other)


@pytest.mark.parametrize("kind", sorted(set(below(HistoryError)), key=lambda it: it.__name__))
def test_every_error_arrives_with_its_facts(kind: type[HistoryError]) -> None:
    names = list(inspect.signature(kind).parameters)
    error = kind(**{name: FACTS.get(name, "x") for name in names})
    assert same(pickle.loads(pickle.dumps(error)), error)


@pytest.mark.parametrize("name", errors.__all__)
def test_each_is_pickled_and_told_by_the_name_that_it_is_imported_by(name: str) -> None:
    assert getattr(errors, name).__module__ == errors.__name__ == "mongoengine_history.errors"


def test_a_fact_that_cannot_travel_arrives_as_its_text() -> None:
    error = OptionsError("identity", lambda: None, "why")
    arrived = pickle.loads(pickle.dumps(error))
    assert (str(arrived), arrived.name) == (str(error), "identity")
    assert "lambda" in arrived.value
