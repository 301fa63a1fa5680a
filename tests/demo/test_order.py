"""How the demo prints a timeline, and compares what is stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from mongoengine_history.demo.order import WIDTH, compare, table
from mongoengine_history.state.context import Context
from mongoengine_history.state.patches import ADD, CHANGE, Patch
from mongoengine_history.state.revision import Revision, StoredRevision


def revision(*patches: Patch, who: Any = "ann", why: str | None = None) -> Revision:
    return StoredRevision(1, 1_700_000_000_123_456, "update", Context(who, why), patches).shown()


class TestTheTable:
    def test_a_long_change_fits_and_shows_where_the_values_differ(self) -> None:
        path = ("packages", "node_modules/x.y", "dependencies", "left-pad")
        change = Patch(CHANGE, path, ("x" * 300 + "old", "x" * 300 + "new"))
        *_, line = table([revision(change, who="w" * 50, why="y" * 50)])
        assert len(line) <= WIDTH
        assert line.endswith(' ...es.left-pad: ...old" -> ...new"')

    def test_no_text_moves_the_cursor(self) -> None:
        patch = Patch(ADD, ("a\x1b[2J", 0), [("b\n", "c\x9b\u202e")])
        *_, line = table([revision(patch, who="d\x07", why="e\r\nf\t\x00")])
        assert line.isprintable()
        assert "  d  " in line
        assert "  e  f  " in line

    def test_a_path_tells_keys_from_indexes(self) -> None:
        patch = Patch(CHANGE, ("a-b", 0, "0", "c.d", ""), (1, 2))
        assert table([revision(patch)])[-1].endswith('~ a-b[0]["0"]["c.d"][""]: 1 -> 2')

    def test_nobody_and_no_reason_are_a_dash(self) -> None:
        *_, line = table([revision(Patch(ADD, (), [("a", None)]), who=None)])
        assert line == "  1  2023-11-14 22:13:20.123  -    -    + a: null"

    def test_many_changes_are_counted(self) -> None:
        lines = table([revision(Patch(ADD, (), [(f"k{n}", n) for n in range(1234)]))], most=3)
        assert [line.strip() for line in lines[-2:]] == ["+ k1: 1", "... and 1,232 more"]


@pytest.mark.parametrize(
    "after",
    [
        {"_id": 1, "n": 1.0, "d": {"a": 1, "b": 2}},
        {"_id": 1, "n": True, "d": {"a": 1, "b": 2}},
        {"_id": 1, "n": 1, "d": {"b": 2, "a": 1}},
        {"_id": 1, "n": 1},
        {"_id": 1, "n": 1, "d": {"a": 1, "b": 2}, "new": None},
        {"_id": 2, "n": 1, "d": {"a": 1, "b": 2}},
    ],
)
def test_what_differs_in_one_byte_is_another_one(after: Mapping[str, Any]) -> None:
    before = {"d": {"a": 1, "b": 2}, "n": 1, "_id": 1}
    assert compare(before, dict(reversed(before.items())))[0]
    assert not compare(before, after)[0]
