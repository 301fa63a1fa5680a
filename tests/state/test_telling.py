"""What a revision tells programs and people: all that it changed, each value once."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from bson import ObjectId, json_util
from bson.binary import Binary
from hypothesis import given
from hypothesis import strategies as st
from support.strategies import states, values

from mongoengine_history import Revision
from mongoengine_history.state.diff import diff
from mongoengine_history.state.mask import BLANK, SIGN, SUBTYPE
from mongoengine_history.state.values import WIRE, encode, wire

MASK = Binary(SIGN + bytes(16), SUBTYPE)


def revision(*patches: Any, identity: Any = None, **metadata: Any) -> Revision:
    at = datetime(2020, 1, 2, tzinfo=timezone.utc)
    return Revision(1, at, identity, "update", None, metadata, ObjectId("5" * 24), patches)


def between(before: Any, after: Any) -> Revision:
    patches = diff(wire(before, WIRE), wire(after, WIRE))
    return revision(*(patch.as_dictdiffer() for patch in patches))


def of_patches(patches: Any) -> Counter[Any]:
    found = []
    for action, path, data in patches:
        if action == "change":
            found += [("old", path, data[0]), ("new", path, data[1])]
        else:
            side = "old" if action == "remove" else "new"
            found += [(side, [*path, key], value) for key, value in data]
    return Counter((side, *map(encode, rest)) for side, *rest in found)


def of_changes(changes: Any) -> Counter[Any]:
    found = []
    for change in changes:
        keys = {"old": change["keys"], "new": change["keys"]}
        if change["kind"] == "moved":
            index = int(change["from"][change["from"].rindex("[") + 1 : -1])
            keys["old"] = [*change["keys"][:-1], index]
        found += [(side, keys[side], change[side]) for side in keys if side in change]
    return Counter((side, *map(encode, rest)) for side, *rest in found)


lines = st.lists(st.fixed_dictionaries({"_id": st.integers(0, 4), "n": st.integers(0, 1)}))
documents = states | st.builds(lambda items: {"lines": items}, lines)


@given(documents, documents)
def test_all_that_patches_say_is_told_once(before: Any, after: Any) -> None:
    shown = between(before, after)
    assert of_changes(shown.to_dict()["changes"]) == of_patches(shown.patches)


@given(documents, documents, values | st.sampled_from([MASK, BLANK, Decimal(1), UUID(int=1)]))
def test_json_takes_whatever_is_stored(before: Any, after: Any, value: Any) -> None:
    shown = between(before, after).patches
    shown = revision(*shown, ("add", [], [("x", [value])]), identity=value, said=value)
    text = json.dumps(shown.to_dict(json=True), allow_nan=False)
    assert len(json.loads(text)["changes"]) == len(shown.to_dict()["changes"])
    assert SIGN.hex() not in text


def test_values_are_extended_json_and_own_fields_texts() -> None:
    shown = revision(("change", ["a"], (ObjectId("1" * 24), MASK)), identity=ObjectId("2" * 24))
    told = shown.to_dict(json=True)
    assert (told["at"], told["changeset"]) == ("2020-01-02T00:00:00+00:00", "5" * 24)
    assert json_util.loads(json.dumps(told))["identity"] == shown.identity
    [change] = told["changes"]
    assert change["new"] == {"$masked": "00" * 16}
    assert json_util.loads(json.dumps(change["old"])) == ObjectId("1" * 24)


def test_an_item_that_is_taken_out_and_put_in_elsewhere_is_moved() -> None:
    tea, milk = {"_id": 1, "sku": "t"}, {"_id": 2, "sku": "m"}
    patches = [("remove", ["l"], [(0, tea), (1, milk)]), ("add", ["l"], [(7, {**tea, "sku": "x"})])]
    moved, removed = revision(*patches).to_dict()["changes"]
    assert (moved["kind"], moved["path"], moved["from"]) == ("moved", "l[7]", "l[0]")
    assert (moved["old"]["sku"], moved["new"]["sku"]) == ("t", "x")
    assert (removed["kind"], removed["path"], removed["old"]) == ("removed", "l[1]", milk)
    kinds = [it["kind"] for it in revision(*patches).to_dict(item_key="sku")["changes"]]
    assert kinds == ["removed", "removed", "added"]


@pytest.mark.parametrize("key", ["_id", "sku"])
def test_items_of_a_list_that_was_replaced_are_told_by_their_key(key: str) -> None:
    before = [{key: name, "n": 1} for name in "abcd"]
    after = [{key: "c", "n": 1}, {key: "a", "n": 2}, {key: "b", "n": 1}, {key: "e", "n": 1}]
    [change] = revision(("change", ["l"], (before, after))).to_dict(item_key=key)["changes"]
    found = {(it["kind"], it["index"], it.get("from")) for it in change["items"]}
    assert found == {("removed", 3, None), ("moved", 0, 2), ("edited", 1, None), ("added", 3, None)}


@pytest.mark.parametrize("items", [[1, 2], [{"n": 1}], [{"_id": 1}, {"_id": 1}]])
def test_items_without_a_key_of_their_own_are_not_told_apart(items: Any) -> None:
    [change] = revision(("change", ["l"], (items, [{"_id": 1}]))).to_dict()["changes"]
    assert change["kind"] == "edited"
    assert "items" not in change


@given(states)
def test_the_full_format_has_a_line_for_each_value(state: Any) -> None:
    first, *lines = format(between({}, state), "full").split("\n")
    assert first == "1. 2020-01-02 00:00:00.000 UTC, update"
    assert len(lines) == len(state)


def test_the_full_format_cuts_nothing() -> None:
    shown = between({}, {"text": "x" * 999 + "\n1. forged"})
    assert f"{shown:full}".split("\n")[1:] == [f'  + text: "{"x" * 999}\\n1. forged"']
    assert f"{shown}" == str(shown)
    with pytest.raises(ValueError, match="format"):
        f"{shown:fuller}"


def test_items_are_told_whatever_types_an_application_reads() -> None:
    first, second = UUID(int=1), UUID(int=2)
    before = [{"_id": first, "price": Decimal(1)}, {"_id": second, "price": 1}]
    after = [{"_id": first, "price": Decimal(2)}, {"_id": second, "price": 1.0}]
    [change] = revision(("change", ["l"], (before, after))).to_dict()["changes"]
    assert [(it["kind"], it["index"]) for it in change["items"]] == [("edited", 0), ("edited", 1)]
    patches = ("remove", ["l"], [(0, before[0])]), ("add", ["l"], [(3, before[0])])
    [change] = revision(*patches).to_dict()["changes"]
    assert (change["kind"], change["from"]) == ("moved", "l[0]")
