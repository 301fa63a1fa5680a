"""Blame agrees with a slow and simple reading of the same revisions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from support.strategies import states

from mongoengine_history.read.setters import setters
from mongoengine_history.state.context import Context
from mongoengine_history.state.diff import diff
from mongoengine_history.state.patches import paths_of
from mongoengine_history.state.revision import CREATE, UPDATE, StoredRevision
from mongoengine_history.state.values import WIRE, Path, find, same, wire


def revisions(lives: list[dict[str, Any]]) -> list[StoredRevision]:
    """Make the revisions that lead through some states, the oldest first."""
    made = []
    for place, after in enumerate(lives[1:]):
        before = lives[place]
        patches = diff(before, after)
        if patches:
            operation = UPDATE if before else CREATE
            number = len(made) + 1
            made.append(StoredRevision(number, number, operation, Context(), tuple(patches)))
    return made


def leaves(state: dict[str, Any], above: Path = ()) -> Iterator[Path]:
    for key, value in state.items():
        if value and isinstance(value, dict):
            yield from leaves(value, (*above, key))
        else:
            yield (*above, key)


def slowly(made: list[StoredRevision], leaf: Path) -> int:
    """Find the last revision that sets a path at, above or below a leaf; 0 without one."""
    numbers = [
        revision.number
        for revision in made
        for path in paths_of(revision.patches)
        if path[: len(leaf)] == leaf or leaf[: len(path)] == path
    ]
    return max(numbers, default=0)


normal = states.map(lambda state: wire(state, WIRE))
many = st.lists(normal, min_size=1, max_size=6)


@given(many, st.booleans())
@example([{}, {"a": {"b": {}}}, {"a": {"b": {"c": 1}}}, {"a": {"b": {}}}], False)
@example([{"a": {"x": 1, "y": 1}}, {"a": {"x": 1, "y": 2}}, {"a": {"x": 1}}], False)
def test_each_value_has_the_last_revision_that_set_it(
    lives: list[dict[str, Any]], is_created: bool
) -> None:
    lives = [{}, *lives] if is_created else lives
    made = revisions(lives)
    blamed = setters(reversed(made), lives[-1])
    assert {leaf: blamed[leaf].number for leaf in blamed} == {
        leaf: slowly(made, leaf) for leaf in leaves(lives[-1]) if slowly(made, leaf)
    }


@given(many)
def test_a_value_has_not_changed_since_and_one_left_out_never(lives: list[dict[str, Any]]) -> None:
    made = revisions(lives)
    blamed = setters(reversed(made), lives[-1])
    distinct = [lives[0]]
    for state in lives:
        if diff(distinct[-1], state):
            distinct.append(state)
    for leaf in leaves(lives[-1]):
        since = blamed[leaf].number if leaf in blamed else 0
        for state in distinct[since:]:
            assert same(find(state, leaf), find(lives[-1], leaf))


@given(many)
def test_a_document_that_was_created_has_one_for_each_value(lives: list[dict[str, Any]]) -> None:
    lives = [{}, *lives]
    assert list(setters(reversed(revisions(lives)), lives[-1])) == list(leaves(lives[-1]))


@given(many)
def test_no_more_revisions_are_taken_than_needed(lives: list[dict[str, Any]]) -> None:
    lives = [{}, *lives]
    made = revisions(lives)
    taken = []

    def newest_first() -> Iterator[StoredRevision]:
        for revision in reversed(made):
            taken.append(revision.number)
            yield revision

    blamed = setters(newest_first(), lives[-1])
    oldest = min((revision.number for revision in blamed.values()), default=len(made) + 1)
    assert taken == list(range(len(made), oldest - 1, -1))


def test_an_empty_state_takes_none() -> None:
    assert setters(iter(revisions([{}, {"a": 1}])), {}) == {}


def test_a_list_is_one_value_and_a_dict_inside_of_it_none() -> None:
    lives = [{}, {"l": [{"a": 1}]}, {"l": [{"a": 1}, {"b": 2}]}, {"l": [{"a": 3}, {"b": 2}]}]
    [(path, revision)] = setters(reversed(revisions(lives)), lives[-1]).items()
    assert (path, revision.number) == (("l",), 3)


def test_who_removed_a_key_has_not_set_the_others() -> None:
    lives = [{}, {"d": {"a": 1, "b": 1}}, {"d": {"a": 1}}]
    blamed = setters(reversed(revisions(lives)), lives[-1])
    assert {path: revision.number for path, revision in blamed.items()} == {("d", "a"): 1}


def test_who_emptied_a_dict_has_set_it() -> None:
    lives = [{}, {"d": {"a": 1}}, {"d": {}}]
    blamed = setters(reversed(revisions(lives)), lives[-1])
    assert {path: revision.number for path, revision in blamed.items()} == {("d",): 2}
