"""The laws of patches: there and back, exactly, for all states that BSON can hold."""

from __future__ import annotations

from typing import Any

import bson
import dictdiffer
import pytest
from bson import Int64
from hypothesis import example, given
from hypothesis import strategies as st
from support.strategies import keys, states, values

from mongoengine_history.state.diff import diff
from mongoengine_history.state.patches import Patch, apply, invert, patch_of, record_of
from mongoengine_history.state.values import WIRE, encode, same, wire


def by_key(state: dict[str, Any]) -> dict[str, Any]:
    """Sort the top level, the only place where order does not count."""
    return {key: state[key] for key in sorted(state)}


def by_key_everywhere(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: by_key_everywhere(value[key]) for key in sorted(value)}
    return [by_key_everywhere(item) for item in value] if isinstance(value, list) else value


@st.composite
def related(draw: st.DrawFn) -> tuple[Any, Any]:
    """Two lists of which the second is an edit of the first: inserted, removed, moved, changed."""
    items = draw(st.lists(values, max_size=8))
    edited = list(items)
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(edited)))
        if draw(st.booleans()):
            edited.insert(place, draw(values))
        elif place < len(edited):
            item = edited.pop(place)
            if draw(st.booleans()):
                edited.insert(draw(st.integers(0, len(edited))), item)
    return items, edited


pairs = st.tuples(states, states) | related().map(lambda two: ({"l": two[0]}, {"l": two[1]}))


def normal(state: dict[str, Any]) -> dict[str, Any]:
    return wire(state, WIRE)


@given(pairs)
@example(({"d": {"a": 1, "b": 2}}, {"d": {"b": 2, "a": 1}}))
@example(({"l": [0, 1, 2]}, {"l": []}))
def test_applied_patches_give_the_state_after(pair: tuple[Any, Any]) -> None:
    before, after = map(normal, pair)
    assert same(by_key(apply(diff(before, after), before)), by_key(after))


@given(pairs)
def test_inverted_patches_give_the_state_before(pair: tuple[Any, Any]) -> None:
    before, after = map(normal, pair)
    assert same(by_key(apply(invert(diff(before, after)), after)), by_key(before))


@given(states)
def test_a_state_does_not_differ_from_itself(state: dict[str, Any]) -> None:
    assert diff(normal(state), normal(state)) == []


@given(values, values)
def test_two_values_differ_exactly_if_their_bson_does(first: Any, second: Any) -> None:
    before, after = normal({"v": first}), normal({"v": second})
    assert (diff(before, after) == []) == (bson.encode(before) == bson.encode(after))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (1, 1.0),
        (1, True),
        (0, False),
        (5, Int64(5)),
        (0.0, -0.0),
        (2**53, 2**53 + 1),
        (0.3, 0.1 + 0.2),
    ],
)
def test_values_that_python_or_dictdiffer_call_equal_are_told_apart(
    first: Any, second: Any
) -> None:
    patches = diff(normal({"v": first}), normal({"v": second}))
    assert [patch.path for patch in patches] == [("v",)]


@given(pairs)
def test_patches_survive_storage(pair: tuple[Any, Any]) -> None:
    before, after = map(normal, pair)
    stored = [bson.encode(record_of(patch)) for patch in diff(before, after)]
    patches = [patch_of(bson.decode(record, codec_options=WIRE)) for record in stored]
    assert same(by_key(apply(patches, before)), by_key(after))
    assert same(by_key(apply(invert(patches), after)), by_key(before))


@given(pairs)
def test_states_are_never_changed_in_place(pair: tuple[Any, Any]) -> None:
    before, after = map(normal, pair)
    kept = encode(before), encode(after)
    patches = diff(before, after)
    apply(patches, before), apply(invert(patches), after)
    assert (encode(before), encode(after)) == kept


@given(pairs)
def test_dictdiffer_itself_can_use_the_patches(pair: tuple[Any, Any]) -> None:
    """Users of 1.1 fed them to dictdiffer; it does not keep the order of keys, so none counts."""
    before, after = map(normal, pair)
    patches = [patch.as_dictdiffer() for patch in diff(before, after)]
    forward, back = dictdiffer.patch(patches, before), dictdiffer.revert(patches[::-1], after)
    assert same(by_key_everywhere(forward), by_key_everywhere(after))
    assert same(by_key_everywhere(back), by_key_everywhere(before))


@given(st.lists(st.integers(0, 999), min_size=1, max_size=40, unique=True), st.data())
def test_one_inserted_item_is_one_patch(items: list[int], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(items)))
    after = [*items[:place], "new", *items[place:]]
    assert diff({"l": items}, {"l": after}) == [Patch("add", ("l",), [(place, "new")])]


def test_a_moved_item_is_removed_and_added() -> None:
    before = [{"sku": f"sku-{number}"} for number in range(10)]
    after = [*before[1:], before[0]]
    actions = [patch.action for patch in diff({"l": before}, {"l": after})]
    assert actions == ["remove", "add"]


def test_a_shuffled_list_becomes_one_change_since_patches_would_be_larger() -> None:
    before, after = list(range(50)), list(range(49, -1, -1))
    assert diff({"l": before}, {"l": after}) == [Patch("change", ("l",), (before, after))]


def test_a_leaf_inside_a_list_of_dicts_is_one_small_patch() -> None:
    before = {"l": [{"sku": n, "qty": 1, "note": "x" * 50} for n in range(20)]}
    after = {"l": [dict(item) for item in before["l"]]}
    after["l"][7]["qty"] = 2
    assert diff(before, after) == [Patch("change", ("l", 7, "qty"), (1, 2))]


@given(st.dictionaries(keys, values, min_size=1, max_size=5))
def test_keys_come_back_in_their_places(inner: dict[str, Any]) -> None:
    before = normal({"d": inner})
    for key in inner:
        after = normal({"d": {other: value for other, value in inner.items() if other != key}})
        assert same(apply(invert(diff(before, after)), after), before)
        assert same(apply(diff(after, before), after), before)
