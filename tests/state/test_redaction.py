"""What stands for erased values: patches go on over it, and comparisons do not tell it."""

from __future__ import annotations

from typing import Any

import pytest

from mongoengine_history.errors import PatchError
from mongoengine_history.state.mask import BLANK
from mongoengine_history.state.patches import ADD, CHANGE, REMOVE, Patch, apply
from mongoengine_history.state.redaction import Forgotten, covered, erased_in, unsaid
from mongoengine_history.state.rules import MASK

INSIDE = [
    Patch(CHANGE, ("a", "b"), (BLANK, BLANK)),
    Patch(CHANGE, ("a", "b", "c"), (BLANK, BLANK)),
    Patch(ADD, ("a",), [("x", BLANK)]),
    Patch(REMOVE, ("a", "b"), [("x", BLANK)]),
    Patch(ADD, ("a",), [(0, BLANK)]),
    Patch(REMOVE, ("a",), [(7, "clear")]),
    Patch(CHANGE, ("a", 3), (BLANK, BLANK)),
]


@pytest.mark.parametrize("patch", INSIDE)
def test_what_is_set_inside_of_a_mask_is_erased_with_it(patch: Patch) -> None:
    assert apply([patch], {"a": BLANK}) == {"a": BLANK}


def test_a_mask_fits_any_item_but_not_a_missing_one() -> None:
    assert apply([Patch(REMOVE, ("a",), [(0, BLANK)])], {"a": [1]}) == {"a": []}
    assert apply([Patch(REMOVE, ("a",), [(0, {"b": 1})])], {"a": [{"b": BLANK}]}) == {"a": []}
    with pytest.raises(PatchError):
        apply([Patch(REMOVE, ("a",), [(1, BLANK)])], {"a": [1]})
    with pytest.raises(PatchError):
        apply([Patch(REMOVE, ("a",), [(0, {"c": 1})])], {"a": [{"b": BLANK}]})


CASES: list[tuple[Any, Any, Any]] = [
    ({"a": 1}, {"a": BLANK}, {"a": BLANK}),
    ({"a": {"b": 1, "c": 2}}, {"a": {"b": BLANK}}, {"a": {"b": BLANK, "c": 2}}),
    ({"a": [1, 2]}, {"a": [BLANK, 2]}, {"a": [BLANK, 2]}),
    ({"a": [1, 2, 3]}, {"a": [BLANK, 2]}, {"a": BLANK}),
    ({"a": [1, 2, 3]}, {"a": [1, 2]}, {"a": [1, 2, 3]}),
    ({}, {"a": BLANK}, {}),
]


@pytest.mark.parametrize(("stored", "state", "wanted"), CASES)
def test_what_is_stored_is_covered(stored: Any, state: Any, wanted: Any) -> None:
    assert covered(stored, state) == wanted


def test_names_with_dots_keep_their_hashes() -> None:
    forgotten = Forgotten({"a": {"b": MASK}})
    lists = {"a.b": b"1", "a\\.b": b"2", "a": b"3", "a.c": b"4", "b": b"5"}
    assert forgotten.lists(lists) == {"a\\.b": b"2", "a.c": b"4", "b": b"5"}


def test_no_part_of_what_was_there_is_told_as_new() -> None:
    before, after = {"a": {"b": "x", "c": "y"}}, {"a": {"b": "x", "c": "z"}}
    patches = [Patch(CHANGE, ("a", "c"), ("y", "z"))]
    was, is_now, told = unsaid(before, after, patches, [("a",)])
    assert (was, is_now) == ({"a": BLANK}, {"a": {"b": BLANK, "c": "z"}})
    assert told == [Patch(CHANGE, ("a",), (BLANK, {"b": BLANK, "c": "z"}))]
    assert erased_in(is_now) == [("a", "b")]
