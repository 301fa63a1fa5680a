"""A path may come from a request: what is too long for one is refused, the rest is cheap."""

from __future__ import annotations

from typing import Any

import bson
import mongoengine as me
import pytest
from support.changes import edited, watched

from mongoengine_history import History, OptionsError, history_of
from mongoengine_history.record.touching import conditions


class Tree(me.Document):
    meta = {"collection": "trees", "strict": False, "auto_create_index": False}
    root = me.DictField()


connected = watched(Tree)


def nested(names: list[str], leaf: Any = 1) -> dict[str, Any]:
    for name in reversed(names[1:]):
        leaf = {name: leaf}
    return {names[0]: leaf}


def found(tree: Tree, path: Any) -> list[int]:
    return sorted(History.objects.of(tree).touching(path).distinct("revision"))


def size(path: Any) -> int:
    return len(bson.encode({"$or": conditions(path)}))


REFUSED = {
    "101 names": ".".join("a" * 101),
    "101 keys": ["a"] * 101,
    "a million names": "a." * 1_000_000,
    "4097 letters": "a" * 4097,
    "4098 bytes": "ä" * 2049,
    "4097 letters in keys": ["a" * 4000, "b" * 96],
    "40,000 letters": "a" * 40_000,
    "a surrogate": "\ud800",
    "a surrogate in a key": ["a", "\udfff"],
    "a larger integer than BSON holds": ["root", 2**63],
    "a smaller one": [-(2**63) - 1],
}


@pytest.mark.parametrize("path", REFUSED.values(), ids=REFUSED)
def test_what_no_document_can_have_is_refused_before_anything_is_read(
    path: Any, commands: Any
) -> None:
    tree = edited(Tree(root={"a": 1}))
    timeline = history_of(Tree, tree.pk)
    commands.clear()
    for ask in (History.objects.touching, History.objects.of(tree).touching, timeline.blame):
        with pytest.raises(OptionsError) as caught:
            ask(path)
        assert caught.value.value == path
        assert len(str(caught.value)) < 400
    assert commands.names == []


@pytest.mark.parametrize(
    "path",
    [
        ".".join("a" * 100),
        ["a"] * 100,
        ".".join("1" * 100),
        "a" * 4096,
        ".".join(["ä" * 19] * 100),
        ".".join(["(*" * 10] * 99),
        ".".join(["$" * 20] * 99),
        "9" * 20,
        f"root.{'9' * 20}",
        f"root.{'9' * 9}",
        ["root", 2**63 - 1],
        [-(2**63)],
    ],
    ids=lambda path: f"{len(path)} {path[:12]}",
)
def test_what_is_as_long_as_it_may_be_finds_nothing(path: Any) -> None:
    tree = edited(Tree(root={"a": [{"9": 1}]}))
    assert found(tree, path) == []
    assert history_of(Tree, tree.pk).blame(path) is None


@pytest.mark.parametrize("depth", [2, 9, 10, 11, 12, 30, 60])
def test_a_deep_path_is_as_exact_as_a_short_one(depth: int) -> None:
    names = [f"n{number}" for number in range(depth)]
    tree = edited(Tree(root=nested(names)))
    edited(tree, root=nested(names, 2))
    keys = ["root", *names]
    for path in (keys, ".".join(keys), keys[:-1], ".".join(keys[:-1])):
        assert found(tree, path) == [1, 2]
    for path in ([*keys[:-1], "other"], [*keys[:1], "other", *keys[2:]]):
        assert found(tree, path) == found(tree, ".".join(path)) == []


@pytest.mark.parametrize("joined", [2, 5, 50])
def test_names_with_many_dots_are_found(joined: int) -> None:
    name = ".".join(f"n{number}" for number in range(joined))
    tree = edited(Tree(root={"x": 1}))
    edited(tree, root={"x": 1, name: {"last": 1}})
    escaped = name.replace(".", r"\.")
    for path in (f"root.{name}.last", f"root.{name}"):
        assert found(tree, path) == [2]
    for path in (f"root.{escaped}.last", ["root", name]):  # nobody can look for them in revision 1
        assert found(tree, path) == [1, 2]
    assert found(tree, f"root.{name[:-1]}") == []


def test_a_query_does_not_grow_faster_than_the_square_of_the_names() -> None:
    for path in (["a"] * 100, ["abcdefghij"] * 100):
        for whole, half in ((path, path[:50]), (".".join(path), ".".join(path[:50]))):
            assert size(whole) < 5 * size(half)
    assert size(".".join("a" * 100)) < 200_000
    assert size(".".join(["a" * 40] * 99)) < 2_000_000
