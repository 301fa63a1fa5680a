"""Changes in words: short lines that a person can read."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from bson import Decimal128, ObjectId
from hypothesis import given
from hypothesis import strategies as st
from support.strategies import states

from mongoengine_history.state.diff import diff
from mongoengine_history.state.values import WIRE, wire
from mongoengine_history.state.wording import changes, readable, shortened


@pytest.mark.parametrize(
    ("patch", "lines"),
    [
        (("change", ["a"], (1, 2)), ["~ a: 1 -> 2"]),
        (("change", ["a", "b"], ("x", None)), ['~ a.b: "x" -> null']),
        (("change", ["l", 0, "qty"], (1, True)), ["~ l[0].qty: 1 -> true"]),
        (("add", [], [("a", 1), ("b", "x")]), ["+ a: 1", '+ b: "x"']),
        (("add", ["l"], [(0, "x"), (1, "y")]), ['+ l[0]: "x"', '+ l[1]: "y"']),
        (("remove", ["d"], [("k", {"x": [1]})]), ['- d.k: {"x": [1]}']),
        (("remove", [], [("a.b", 1)]), ['- ["a.b"]: 1']),
        (("change", ["d", "0"], (1, 2)), ['~ d["0"]: 1 -> 2']),
        (("change", ["ä"], ("ö", "ü")), ['~ ä: "ö" -> "ü"']),
        (("add", [], [("at", datetime(2020, 1, 2))]), ['+ at: "2020-01-02 00:00:00"']),
        (("add", [], [("id", ObjectId("5" * 24))]), [f'+ id: "{"5" * 24}"']),
        (("add", [], [("price", Decimal128("1.50"))]), ['+ price: "1.50"']),
    ],
)
def test_a_change_is_a_line_for_each_value(patch: Any, lines: list[str]) -> None:
    assert changes([patch], room=80, most=10) == lines


def test_what_two_long_texts_begin_with_is_left_out() -> None:
    old, new = "the same beginning " * 5 + "old", "the same beginning " * 5 + "new"
    [line] = changes([("change", ["text"], (old, new))], room=60, most=1)
    assert "old" in line
    assert "new" in line


def test_a_long_path_loses_its_beginning() -> None:
    path = [f"level_{number}" for number in range(30)]
    [line] = changes([("change", path, (1, 2))], room=60, most=1)
    assert "level_29: 1 -> 2" in line
    assert "level_0." not in line


@pytest.mark.parametrize(("count", "most"), [(3, 3), (4, 3), (1000, 3), (2, 1), (0, 3)])
def test_what_is_too_much_is_counted(count: int, most: int) -> None:
    items = [(f"k{number}", number) for number in range(count)]
    lines = changes([("add", ["d"], [item]) for item in items], room=60, most=most)
    assert len(lines) == min(count, most)
    if count > most:
        assert lines[-1] == f"... and {count - most + 1:,} more"


@given(states, states, st.integers(20, 100), st.integers(1, 5))
def test_lines_fit_and_hold_no_sign_that_moves_a_cursor(
    before: Any, after: Any, room: int, most: int
) -> None:
    patches = [it.as_dictdiffer() for it in diff(wire(before, WIRE), wire(after, WIRE))]
    lines = changes(patches, room=room, most=most)
    assert len(lines) <= most
    assert bool(lines) == bool(patches)
    for line in lines:
        assert len(line) <= room
        assert line.isprintable()
        assert line[0] in "~+-."


@given(states)
def test_every_value_has_a_line(state: Any) -> None:
    patches = [it.as_dictdiffer() for it in diff({}, wire(state, WIRE))]
    assert len(changes(patches, room=60, most=10_000)) == len(state)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("a",), "a"),
        (("a", "b"), "a.b"),
        (("lines", 0, "count"), "lines[0].count"),
        (("notes", "paid.by"), 'notes["paid.by"]'),
        (("notes", "0"), 'notes["0"]'),
        (("paid-by",), "paid-by"),
        (("",), '[""]'),
        (("$x", "ß"), '["$x"].ß'),
        ((0, 1), "[0][1]"),
        (("a b",), '["a b"]'),
    ],
)
def test_a_path_is_written_for_people(path: Any, text: str) -> None:
    assert readable(path) == text


@given(
    st.lists(st.sampled_from(["a", "b", "a.b", "0", "", "a]", '"', "[0]"]) | st.integers(0, 1)),
    st.lists(st.sampled_from(["a", "b", "a.b", "0", "", "a]", '"', "[0]"]) | st.integers(0, 1)),
)
def test_no_two_paths_are_written_alike(first: list[Any], second: list[Any]) -> None:
    assert (readable(tuple(first)) == readable(tuple(second))) == (first == second)


@given(st.text(), st.integers(3, 40))
def test_a_text_is_cut_to_its_cell(text: str, width: int) -> None:
    cut = shortened(text, width)
    assert len(cut) <= width
    assert cut.isprintable()
    if len(text) <= width and text.isprintable():
        assert cut == text
