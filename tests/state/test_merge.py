"""Values of one state over another: what comes, what stays, and what contradicts."""

from __future__ import annotations

from typing import Any

from hypothesis import assume, example, given
from hypothesis import strategies as st
from support.strategies import states, values

from mongoengine_history.errors import Conflict
from mongoengine_history.state.diff import diff
from mongoengine_history.state.merge import conflicts, differs, overlay, path_names, path_text
from mongoengine_history.state.patches import paths_of
from mongoengine_history.state.values import ABSENT, WIRE, Path, encode, find, same, wire


def by_key(state: dict[str, Any]) -> dict[str, Any]:
    """Sort the top level, the only place where order does not count."""
    return {key: state[key] for key in sorted(state)}


def paths_between(before: dict[str, Any], after: dict[str, Any]) -> set[Path]:
    return paths_of(diff(before, after))


normal = states.map(lambda state: wire(state, WIRE))
#: Few keys and small values, so that writes meet.
small = st.recursive(
    st.sampled_from([None, 1, True, "x", []]),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
meeting = st.dictionaries(st.sampled_from("abc"), small, max_size=3)


class TestDiffers:
    @given(normal, normal)
    def test_it_tells_what_diff_tells(self, first: Any, second: Any) -> None:
        assert differs(first, second) == bool(diff(first, second))

    @given(normal)
    def test_the_order_of_fields_does_not_count(self, state: Any) -> None:
        assert not differs(state, dict(reversed(state.items())))

    def test_a_key_with_none_is_not_a_missing_one(self) -> None:
        assert differs({"a": None}, {})
        assert differs({"a": None}, {"b": None})


class TestConflicts:
    @given(meeting, meeting)
    def test_there_is_none_where_all_is_as_expected(self, before: Any, after: Any) -> None:
        assert conflicts(after, after, paths_between(before, after)) == []

    @given(meeting, meeting, meeting)
    def test_each_value_that_is_not_as_expected_is_one(
        self, before: Any, after: Any, stored: Any
    ) -> None:
        """At its path, or at one above it."""
        paths = paths_between(before, after)
        found = conflicts(stored, after, paths)
        for path in paths:
            named = [it for it in found if path[: len(it.path)] == it.path]
            assert bool(named) or same(find(stored, path), find(after, path))
        for conflict in found:
            assert not same(conflict.expected, conflict.found)
            assert any(path[: len(conflict.path)] == conflict.path for path in paths)
            assert same(conflict.found, find(stored, conflict.path))
            assert same(conflict.expected, find(after, conflict.path))

    @given(meeting, meeting, meeting)
    def test_each_path_is_told_once_the_shortest_first(
        self, before: Any, after: Any, stored: Any
    ) -> None:
        paths = [it.path for it in conflicts(stored, after, paths_between(before, after))]
        assert paths == sorted(set(paths), key=lambda path: (len(path), path))

    def test_a_value_in_the_place_of_a_dict_is_one(self) -> None:
        """The key that was removed is in neither, but what it was in is another thing now."""
        assert conflicts({"a": 5}, {"a": {"c": 1}}, [("a", "b")]) == [Conflict(("a",), {"c": 1}, 5)]

    def test_a_dict_that_is_gone_is_one(self) -> None:
        assert conflicts({}, {"a": {"c": 1}}, [("a", "b")]) == [Conflict(("a",), {"c": 1}, ABSENT)]


class TestOverlay:
    @given(normal, normal)
    def test_without_drift_it_is_the_target(self, head: Any, target: Any) -> None:
        result = overlay(head, head, target, paths_between(target, head))
        assert same(by_key(result), by_key(target))

    @given(meeting, meeting, meeting)
    def test_each_path_gets_its_value_from_the_target(
        self, stored: Any, head: Any, target: Any
    ) -> None:
        paths = paths_between(head, target)
        result = overlay(stored, head, target, paths)
        for path in paths:
            assert same(find(result, path), find(target, path)), path

    @given(normal, normal, normal)
    def test_fields_that_no_path_names_stay(self, stored: Any, head: Any, target: Any) -> None:
        paths = paths_between(head, target)
        result = overlay(stored, head, target, paths)
        for key in {*stored, *result} - {path[0] for path in paths}:
            assert same(find(result, (key,)), find(stored, (key,)))

    @given(meeting, st.dictionaries(st.sampled_from("abc"), small), st.data())
    def test_drift_beside_a_path_stays(self, head: Any, target: Any, data: st.DataObject) -> None:
        paths = [path for path in paths_between(head, target) if len(path) > 1]
        assume(paths)
        path = data.draw(st.sampled_from(paths))
        parent = find(head, path[:-1])
        assume(isinstance(parent, dict))
        stored = wire(head, WIRE)
        find(stored, path[:-1])["drift"] = 1
        result = overlay(stored, head, target, paths_between(head, target))
        above = any(other == path[: len(other)] for other in paths if other != path)
        assert above or find(result, (*path[:-1], "drift")) == 1

    @given(normal, normal, normal)
    def test_states_are_never_changed_in_place(self, stored: Any, head: Any, target: Any) -> None:
        kept = [encode(state) for state in (stored, head, target)]
        overlay(stored, head, target, paths_between(head, target))
        assert [encode(state) for state in (stored, head, target)] == kept

    @given(normal)
    def test_without_a_path_nothing_changes(self, stored: Any) -> None:
        assert same(overlay(stored, {"a": 1}, {"b": 2}, []), stored)

    @given(st.dictionaries(st.sampled_from("abc"), values, min_size=1))
    def test_a_key_comes_back_in_its_place(self, inner: Any) -> None:
        """Where nothing else has changed inside of the field."""
        target = wire({"d": inner}, WIRE)
        key = next(iter(inner))
        head = {"d": {name: value for name, value in target["d"].items() if name != key}}
        stored = {**head, "drift": 1}
        result = overlay(stored, head, target, paths_between(target, head))
        assert same(result, {**target, "drift": 1})


class TestUndoing:
    """Both together: what `undo` does with three states."""

    @given(meeting, meeting, meeting)
    @example({"a": {"b": 1, "c": 1}}, {"a": {"c": 1}}, {"a": 5})
    @example({"a": {"b": 1, "c": 1}}, {"a": {"c": 1}}, {})
    def test_it_loses_no_later_write(self, before: Any, after: Any, stored: Any) -> None:
        paths = paths_between(before, after)
        assume(not conflicts(stored, after, paths))
        result = overlay(stored, after, before, paths)
        for path in paths:
            assert same(find(result, path), find(before, path))
        for later in paths_between(after, stored):
            inside = [path for path in paths if path[: len(later)] == later]
            if inside:
                assert isinstance(find(stored, later), dict)
            else:
                assert same(find(result, later), find(stored, later))

    @given(normal, normal)
    def test_of_the_newest_it_is_the_state_before(self, before: Any, after: Any) -> None:
        paths = paths_between(before, after)
        assert conflicts(after, after, paths) == []
        assert not differs(overlay(after, after, before, paths), before)

    @given(meeting, meeting, meeting)
    def test_twice_it_is_what_was(self, before: Any, after: Any, stored: Any) -> None:
        paths = paths_between(before, after)
        assume(not conflicts(stored, after, paths))
        undone = overlay(stored, after, before, paths)
        again = paths_between(stored, undone)
        assert conflicts(undone, undone, again) == []
        assert not differs(overlay(undone, undone, stored, again), stored)


class TestPathText:
    @given(st.lists(st.text(alphabet="a.\\\n", min_size=1) | st.text(), min_size=1))
    @example(["a\\", "b"])
    def test_it_is_read_as_the_names_that_it_was_made_of(self, names: list[str]) -> None:
        assert path_names(path_text(tuple(names))) == names
