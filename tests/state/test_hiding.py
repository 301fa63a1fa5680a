"""Laws of what a history must not hold: no secret passes, nothing else is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from bson import Code, DBRef
from hypothesis import given
from hypothesis import strategies as st
from support.strategies import examples, scalars, values
from support.vault import Paths, planted

from mongoengine_history.record.change import Change, patched
from mongoengine_history.state.context import Context
from mongoengine_history.state.hiding import Binary, Hiding, without_masks
from mongoengine_history.state.mask import BLANK, SUBTYPE, fingerprint_of, has_masks, is_mask
from mongoengine_history.state.patches import apply, invert, record_of
from mongoengine_history.state.revision import UPDATE
from mongoengine_history.state.values import State, encode
from mongoengine_history.state.wording import changes

KEY = b"sixteen bytes or more"

names = st.sampled_from(["a", "b", "c", "0"])
nested = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=15,
)
states = st.dictionaries(names, nested, max_size=4)
paths = st.lists(st.sampled_from(["a", "b", "c", "*"]), min_size=1, max_size=3).map(tuple)
rules = st.tuples(st.lists(paths, max_size=3), st.lists(paths, max_size=3)).filter(any)
keys = st.sampled_from([None, KEY])


@st.composite
def hidings(draw: st.DrawFn) -> tuple[Hiding, Paths]:
    """Rules as they may overlap, and all of their paths."""
    exclude, mask = draw(rules)
    return Hiding.of(exclude, mask, draw(keys)), (*exclude, *mask)


def secrets(mark: str) -> Callable[[], Any]:
    """Make texts, and dicts and lists of them, each another one."""
    numbers = count()

    def secret() -> Any:
        number = next(numbers)
        text = f"{mark}-{number}-{mark}"
        return [text, {text: [text]}, [text, {"a": text}]][number % 3]

    return secret


def recorded(before: State, after: State, hiding: Hiding) -> Change:
    return patched(Change(UPDATE, Context(), before, after, [], 0), hiding)


def by_key(state: State) -> dict[str, bytes]:
    """Each field as bytes: only at the top the order of keys does not count."""
    return {key: encode(value) for key, value in state.items()}


def masks_in(value: Any) -> Iterator[Binary]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    yield from [value] if is_mask(value) else ()
    for item in inner:
        yield from masks_in(item)


@given(states, hidings())
def test_hiding_twice_is_hiding_once(state: State, hiding: tuple[Hiding, Paths]) -> None:
    once = hiding[0].hidden(state)
    assert encode(hiding[0].hidden(once)) == encode(once)


def test_what_is_said_of_any_key_of_an_item_holds_where_others_are_named() -> None:
    hide = Hiding.of([], [("a", "a", "a"), ("a", "*", "*")])
    assert hide.hidden({"a": [{"a": "secret", "b": 1}]}) == {"a": [{"a": BLANK, "b": BLANK}]}


@given(states, states, hidings())
@examples(300)
def test_no_secret_is_in_a_state_nor_in_a_patch(
    before: State, after: State, hiding: tuple[Hiding, Paths]
) -> None:
    hide, rules = hiding
    secret = secrets("Zsecret1")
    before, after = planted(before, rules, secret), planted(after, rules, secret)
    change = recorded(before, after, hide)
    kept = [hide.hidden(before), hide.hidden(after), change.before, change.after]
    kept += map(record_of, change.patches)
    assert b"Zsecret1" not in encode(kept)


@given(states, states, hidings())
@examples(300)
def test_the_patches_lead_from_one_hidden_state_to_the_other_and_back(
    before: State, after: State, hiding: tuple[Hiding, Paths]
) -> None:
    first, second = (hiding[0].hidden(each) for each in (before, after))
    patches = recorded(before, after, hiding[0]).patches
    assert by_key(apply(patches, first)) == by_key(second)
    assert by_key(apply(invert(patches), second)) == by_key(first)


@given(states, rules, keys)
def test_a_change_of_what_is_excluded_is_none_and_one_of_what_is_masked_is_one(
    state: State, rules: Any, key: bytes | None
) -> None:
    paths = (*rules[0], *rules[1])
    one, other = (planted(state, paths, secrets(mark)) for mark in ("Zsecret1", "Z2"))
    assert recorded(one, other, Hiding.of(paths, (), key)).patches == []
    is_masked = encode(one) != encode(other)
    assert bool(recorded(one, other, Hiding.of((), paths, key)).patches) == is_masked


@given(values, values)
def test_fingerprints_are_equal_where_the_values_are(first: Any, second: Any) -> None:
    hiding = Hiding.of((), [("a",)], KEY)
    one, other = (hiding.hidden({"a": value})["a"] for value in (first, second))
    assert (one == other) == (encode(first) == encode(second))
    assert is_mask(one)
    assert len(fingerprint_of(one)) == 16
    assert one != Hiding.of((), [("a",)], KEY[::-1]).hidden({"a": first})["a"]


def test_without_a_key_a_mask_tells_nothing() -> None:
    hiding = Hiding.of((), [("a",)])
    assert hiding.hidden({"a": "secret"}) == hiding.hidden({"a": 1}) == {"a": BLANK}
    assert is_mask(BLANK)
    assert fingerprint_of(BLANK) == b""


@given(states, hidings())
@examples(300)
def test_what_was_hidden_comes_back_to_the_byte(state: State, hiding: tuple[Hiding, Paths]) -> None:
    hide = hiding[0]
    assert encode(hide.revealed(hide.hidden(state), state)) == encode(state)


@given(states, states, hidings())
@examples(300)
def test_an_earlier_state_comes_back_but_for_what_is_hidden(
    early: State, live: State, hiding: tuple[Hiding, Paths]
) -> None:
    """Also one that was recorded before there was a rule."""
    hide, rules = hiding
    early, live = planted(early, rules, secrets("Zsecret1")), planted(live, rules, secrets("Z2"))
    visible = Hiding.of(rules, ()).hidden
    for recorded in (hide.hidden(early), early):
        shown = hide.revealed(recorded, live)
        assert encode(visible(shown)) == encode(visible(early))
        assert b"Zsecret1" not in encode(shown)
        assert not list(masks_in(shown))


@given(states, hidings())
def test_without_masks_no_mask_is_left_and_all_else_is(
    state: State, hiding: tuple[Hiding, Paths]
) -> None:
    hide, rules = hiding
    bare = without_masks(hide.hidden(state))
    assert not list(masks_in(bare))
    assert not has_masks(bare)
    assert encode(hide.revealed(hide.hidden(state), None)) == encode(bare)
    visible = Hiding.of(rules, ()).hidden
    assert encode(visible(bare)) == encode(visible(state))


items = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2)), unique_by=lambda item: item[0])


def lines(drawn: list[tuple[int, int]], id_key: str, key: str) -> State:
    """Items with ids of their own, each with a secret of its own."""
    return {"l": [{id_key: number, "q": q, key: f"of {number}"} for number, q in drawn]}


@given(items, items, st.sampled_from(["_id", "id"]), st.booleans(), keys)
def test_no_item_of_a_list_gets_a_secret_of_another(
    early: Any, live: Any, id_key: str, excluded: bool, key: bytes | None
) -> None:
    """However items were moved, edited, put in and taken out, at once."""
    path = [("l", "*", "s")]
    hiding = Hiding.of(path, (), key) if excluded else Hiding.of((), path, key)
    then, now = lines(early, id_key, "s"), lines(live, id_key, "s")
    shown = hiding.revealed(hiding.hidden(then), now)["l"]
    there = {number for number, _ in live}
    assert [item[id_key] for item in shown] == [number for number, _ in early]
    for item, (number, q) in zip(shown, early, strict=True):
        assert item["q"] == q
        assert item.get("s") == (f"of {number}" if number in there else None)


@given(st.permutations(range(6)), st.integers(0, 6), keys)
def test_without_ids_an_item_is_recognised_by_what_is_not_hidden(
    order: list[int], size: int, key: bytes | None
) -> None:
    hiding = Hiding.of((), [("l", "s")], key)
    live = lines([(number, 0) for number in range(6)], "sku", "s")
    early = lines([(number, 0) for number in order[:size]], "sku", "s")
    assert hiding.revealed(hiding.hidden(early), live) == early


@given(st.dictionaries(st.integers(0, 9), st.booleans(), max_size=5), keys, st.booleans())
def test_an_item_that_shows_one_value_only_keeps_what_it_hides_in_its_place(
    values: dict[int, bool], key: bytes | None, excluded: bool
) -> None:
    path = [("l", "s")]
    hiding = Hiding.of(path, (), key) if excluded else Hiding.of((), path, key)
    early = [{"q": [q, False], "s": place} for place, q in enumerate(values)]
    live = [{"q": [q, values[q]], "s": place} for place, q in enumerate(values)]
    assert hiding.revealed(hiding.hidden({"l": early}), {"l": live}) == {"l": early}


RESEMBLANCES: list[tuple[Any, Any, list[Any]]] = [
    (["a1", "b2", "c3"], ["a1", "b9", "c3"], [0, 1, 2]),
    (["a1", "b2", "c3"], ["c9", "n8", "b7", "a6"], [3, 2, 0]),
    (["a1", "b2"], ["n1", "a9"], [1, None]),
    (["a1", "b2"], ["n3", "a1"], [1, None]),
    (["a1"], ["n1"], [0]),
    (["a1"], ["n2"], [None]),
    (["a1", "b2"], ["a2", "b1"], [0, 1]),
    (["a1", "a2"], ["a8", "a9"], [0, 1]),
    (["a1", "a2"], ["a8", "a9", "a7"], [None, None]),
    (["a", "b"], ["n", "b"], [None, 1]),
    (["a1", "b2"], ["a2"], [0, None]),
]


@pytest.mark.parametrize(("early", "live", "expected"), RESEMBLANCES)
def test_without_ids_an_edited_item_is_the_one_that_resembles_it(
    early: Any, live: Any, expected: Any
) -> None:
    def items(texts: list[str]) -> list[dict[str, Any]]:
        numbers = [{"q": int(text[1:])} if text[1:] else {} for text in texts]
        return [
            {"on": True, "no": None, "sku": text[0], **number, "s": place}
            for place, (text, number) in enumerate(zip(texts, numbers, strict=True))
        ]

    hiding = Hiding.of((), [("l", "s")])
    shown = hiding.revealed(hiding.hidden({"l": items(early)}), {"l": items(live)})["l"]
    assert [item.get("s") for item in shown] == expected


def test_without_ids_a_secret_of_an_item_that_was_moved_is_not_given_to_one_in_its_place() -> None:
    hiding = Hiding.of((), [("l", "s")])
    live = lines([(1, 0), (2, 0), (3, 0)], "sku", "s")
    early = lines([(9, 0), (2, 0), (3, 0), (1, 0)], "sku", "s")
    shown = hiding.revealed(hiding.hidden(early), live)["l"]
    assert [item.get("s") for item in shown] == [None, "of 2", "of 3", "of 1"]


def test_with_fingerprints_items_that_look_the_same_are_told_apart() -> None:
    hiding = Hiding.of((), [("l", "s")], KEY)
    live = {"l": [{"q": 1, "s": "one"}, {"q": 1, "s": "two"}]}
    for early in ({"l": live["l"][1:]}, {"l": live["l"][::-1]}, {"l": live["l"][:1]}):
        assert hiding.revealed(hiding.hidden(early), live) == early


def test_an_item_that_is_there_once_gives_its_secret_once() -> None:
    hiding = Hiding.of((), [("l", "s")], KEY)
    early = {"l": [{"q": 1, "s": "one"}, {"q": 1, "s": "two"}]}
    shown = hiding.revealed(hiding.hidden(early), {"l": early["l"][1:]})
    assert shown == {"l": [{"q": 1}, {"q": 1, "s": "two"}]}


def test_masked_ids_and_masks_from_before_there_was_a_key_hinder_nobody() -> None:
    live = {"l": [{"id": 1, "q": 1, "s": "one"}, {"id": 2, "q": 2, "s": "two"}]}
    masks = [("l", "s"), ("l", "id")]
    early = Hiding.of((), masks).hidden({"l": live["l"][::-1]})
    for key in (None, KEY):
        assert Hiding.of((), masks, key).revealed(early, live) == {"l": live["l"][::-1]}


def test_what_is_hidden_stays_though_it_was_not_there_and_goes_with_what_it_lies_in() -> None:
    hiding = Hiding.of([("x",), ("d", "x")], [("m",), ("d", "m"), ("l",)])
    live = {"x": 1, "m": 2, "l": [3], "d": {"x": 4, "m": 5}, "e": 6}
    assert hiding.revealed({}, live) == {"x": 1, "m": 2, "l": [3]}
    assert hiding.revealed({"d": {"a": 0}}, live)["d"] == {"x": 4, "m": 5, "a": 0}


def test_keys_stand_where_they_stood_then_and_hidden_ones_where_they_stand_now() -> None:
    hiding = Hiding.of([("d", "x"), ("d", "y")], ())
    live = {"d": {"y": 0, "a": 1, "x": 2, "b": 3}}
    for early, expected in [
        ({"a": 1, "b": 2}, ["y", "a", "x", "b"]),
        ({"b": 2, "a": 1}, ["y", "b", "a", "x"]),
        ({"b": 2, "c": 1}, ["y", "x", "b", "c"]),
    ]:
        shown = hiding.revealed({"d": early}, live)["d"]
        assert list(shown) == expected
        assert {key: shown[key] for key in early} == early


@pytest.mark.parametrize("key", [None, KEY])
def test_what_was_masked_by_a_former_rule_is_as_it_is_now(key: bytes | None) -> None:
    then = Hiding.of((), [("m",), ("l", "s"), ("gone",)], key)
    live = {"m": 1, "l": [{"id": 1, "s": 2}, {"id": 2, "s": 3}]}
    early = then.hidden({**live, "l": live["l"][::-1], "gone": 4})
    assert Hiding().revealed(early, live) == {"m": 1, "l": live["l"][::-1]}


PATHS: list[tuple[str, Any, Any]] = [
    ("a", {"a": 1, "b": 2}, {"b": 2}),
    ("a.b", {"a": {"b": 1, "c": 2}}, {"a": {"c": 2}}),
    ("a.b", {"a": 7}, {"a": 7}),
    ("*", {"a": 1, "b": {"c": 2}}, {}),
    ("*.c", {"a": {"c": 1, "d": 2}, "b": 3}, {"a": {"d": 2}, "b": 3}),
    ("a.*", {"a": {"b": 1}, "b": 2}, {"a": {}, "b": 2}),
    ("a.*", {"a": [1, {"b": 2}]}, {"a": []}),
    ("a.*.b", {"a": {"x": {"b": 1, "c": 2}}}, {"a": {"x": {"c": 2}}}),
    ("a.*.b", {"a": [{"b": 1, "c": 2}, 3]}, {"a": [{"c": 2}, 3]}),
    ("a.b", {"a": [{"b": 1, "c": 2}, [{"b": 3}]]}, {"a": [{"c": 2}, [{}]]}),
    ("a.*.*.b", {"a": [[{"b": 1}], {"x": {"b": 2}}]}, {"a": [[{}], {"x": {}}]}),
    ("a.b.*", {"a": [{"b": {"x": 1}, "c": 2}]}, {"a": [{"b": {}, "c": 2}]}),
    ("a.0", {"a": [1, {"0": 2}], "0": 3}, {"a": [1, {}], "0": 3}),
]


@pytest.mark.parametrize(("path", "state", "expected"), PATHS)
def test_a_path_hides_what_it_names(path: str, state: Any, expected: Any) -> None:
    assert Hiding.of([tuple(path.split("."))], ()).hidden(state) == expected
    if expected != state:
        assert list(masks_in(Hiding.of((), [tuple(path.split("."))]).hidden(state)))


def test_what_hides_the_whole_hides_its_parts_and_what_is_said_of_any_key_holds_for_each() -> None:
    state = {"a": {"b": 1, "c": 2}, "d": {"b": 3, "c": 4}}
    assert Hiding.of([("a",), ("a", "b")], ()).hidden(state) == {"d": state["d"]}
    both = Hiding.of([("*", "b")], [("a", "c")])
    assert both.hidden(state) == {"a": {"c": BLANK}, "d": {"c": 4}}
    assert Hiding.of([("a",)], [("a",), ("*", "c")]).hidden(state) == {"d": {"b": 3, "c": BLANK}}


@pytest.mark.parametrize(
    "closed", [DBRef("c", 1, None, a="Zsecret1"), Code("f", {"a": "Zsecret1"})]
)
def test_values_that_rules_cannot_look_into_are_masked_where_rules_lead_there(closed: Any) -> None:
    hiding = Hiding.of([("a", "b", "a")], ())
    state = {"a": {"b": closed}, "c": closed}
    assert hiding.hidden(state) == {"a": {"b": BLANK}, "c": closed}
    assert hiding.revealed(hiding.hidden(state), state) == state


@pytest.mark.parametrize("size", [0, 9, 16, 32])
def test_a_binary_of_an_application_is_no_mask(size: int) -> None:
    own = Binary(bytes(size), SUBTYPE)
    assert not is_mask(own)
    assert Hiding.of((), [("a",)]).hidden({"a": own, "b": own}) == {"a": BLANK, "b": own}
    assert without_masks({"a": own}) == {"a": own}
    assert Hiding().revealed({"a": own}, {"a": 1}) == {"a": own}
    assert "masked" not in changes([("change", ["a"], (1, own))], room=60, most=1)[0]


def test_without_a_rule_a_state_is_the_same_object() -> None:
    state = {"a": 1}
    hiding = Hiding()
    assert hiding.hidden(state) is hiding.revealed(state, {}) is state
    assert hiding.pair(state, state) == (state, state)


def test_the_key_of_fingerprints_is_not_shown() -> None:
    assert "sixteen" not in repr(Hiding.of((), [("a",)], KEY))


KEPT: dict[str, tuple[tuple[str, ...], State, State, State]] = {
    "a list that came since": (("a",), {}, {"a": [1]}, {"a": [1]}),
    "items of a list that went": (("a", "*"), {"a": [1, 2]}, {}, {"a": [1, 2]}),
    "an item that has it": (
        ("a", "*", "t"),
        {"a": [{"id": 1, "n": 1, "t": 1}]},
        {"a": [{"id": 1, "n": 2, "t": 2}]},
        {"a": [{"id": 1, "n": 1, "t": 2}]},
    ),
    "an item that has it no more": (
        ("a", "*", "t"),
        {"a": [{"id": 1, "n": 1, "t": 1}]},
        {"a": [{"id": 1, "n": 2}]},
        {"a": [{"id": 1, "n": 1}]},
    ),
    "an item that went": (
        ("a", "*", "t"),
        {"a": [{"id": 1, "t": 1}]},
        {"a": []},
        {"a": [{"id": 1, "t": 1}]},
    ),
}


@pytest.mark.parametrize("case", KEPT)
def test_what_rules_name_is_as_the_live_document_has_it(case: str) -> None:
    path, state, live, kept = KEPT[case]
    assert Hiding.of([path], []).kept(state, live) == kept
