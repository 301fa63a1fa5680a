"""What tracking costs in round trips, patches and bytes: exact numbers, no times."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import bson
import pytest
from benchmarks import sizes
from benchmarks.shapes import Item, documents, edit, filled, insert, leaves
from bson import ObjectId
from mongoengine import DynamicDocument, signals

from mongoengine_history import DocumentTrack, track_changes
from mongoengine_history.state.diff import diff
from mongoengine_history.state.patches import record_of

SHAPES = documents("Cost")
MOST = 400  # bytes of a record beyond the values that it holds, and beyond its checksum
CHAINED = len(bson.encode({"salt": bytes(16), "checksum": bytes(32)})) - 5
LONG = 5000  # items of a long list


class CostDynamic(DynamicDocument):
    pass


@pytest.fixture(autouse=True)
def connected(database: Any) -> None:
    """Saves are recorded, and the indexes of the history are there."""
    for kind in [*SHAPES.values(), CostDynamic]:
        signals.post_save.connect(track_changes, sender=kind)
    DocumentTrack(SHAPES["small"]())


@pytest.fixture
def sent(commands: Any) -> Callable[[Callable[[], Any]], list[str]]:
    """Names the commands that an operation sends."""

    def names(operation: Callable[[], Any]) -> list[str]:
        commands.clear()
        operation()
        return list(commands.names)

    return names


def loaded(shape: str) -> Any:
    """Store a document and load it, so that nothing is known of it."""
    kind = SHAPES[shape]
    return kind.objects.get(pk=filled(kind).save().pk)


def save(document: Any, changed: int, number: int = 10_000) -> None:
    """Change some leaves in a block, and save."""
    with DocumentTrack(document):
        edit(leaves(document), changed, number)
        document.save()


def records(database: Any) -> list[dict[str, Any]]:
    return list(database["history"].find({"revision": {"$gte": 1}}))


@pytest.mark.parametrize("changed", [1, 10, 20])
def test_a_save_takes_two_round_trips_however_much_it_changes(sent: Any, changed: int) -> None:
    """The first one of a loaded document takes one more, to learn the newest revision."""
    document = loaded("small")
    assert sent(lambda: save(document, changed)) == ["aggregate", "findAndModify", "insert"]
    assert sent(lambda: save(document, changed, 10_001)) == ["findAndModify", "insert"]
    assert sent(lambda: save(document, changed, 10_002)) == ["findAndModify", "insert"]


def test_a_creation_takes_two_round_trips(sent: Any) -> None:
    document = filled(SHAPES["small"])

    def create() -> None:
        with DocumentTrack(document):
            document.save()

    assert sent(create) == ["insert", "insert"]
    assert sent(lambda: save(document, 1)) == ["findAndModify", "insert"]


@pytest.mark.parametrize("shape", ["small", "medium"])
def test_a_save_without_a_change_sends_nothing(sent: Any, shape: str) -> None:
    document = loaded(shape)
    assert sent(lambda: save(document, 0)) == []
    save(document, 1)
    assert sent(lambda: save(document, 0)) == []


def test_a_save_that_stores_the_same_again_adds_no_record(sent: Any) -> None:
    document = loaded("small")
    save(document, 1)

    def there_and_back() -> None:
        with DocumentTrack(document):
            document.s0, kept = "other", document.s0
            document.s0 = kept
            document.save()

    assert sent(there_and_back) == ["findAndModify"]


def test_an_untracked_save_of_a_connected_class_is_one_command(sent: Any) -> None:
    document = loaded("small")
    edit(leaves(document), 3, 10_000)
    assert sent(document.save) == ["update"]


def test_an_item_at_the_head_of_a_list_is_one_record(sent: Any, database: Any) -> None:
    document = loaded("list")

    def grow() -> None:
        with DocumentTrack(document):
            insert(document, 10_000)
            document.save()

    assert sent(grow) == ["aggregate", "findAndModify", "insert"]
    assert sent(grow) == ["findAndModify", "insert"]
    found = records(database)
    assert [(it["action"], it["keys"], it["size"]) for it in found] == [("add", ["items"], 1)] * 2
    assert max(len(bson.encode(record)) - CHAINED for record in found) <= MOST


@pytest.mark.parametrize("place", [0, LONG // 2, LONG])
def test_one_item_more_in_a_long_list_is_one_patch(place: int) -> None:
    """1.1 has 30,001 patches at the head, which are 5 MB of records."""
    items = [filled(Item, number).to_mongo().to_dict() for number in range(LONG + 1)]
    [patch] = diff({"items": items[:place] + items[place + 1 :]}, {"items": items})
    assert (patch.action, patch.path) == ("add", ("items",))
    assert patch.data == [(place, items[place])]
    assert len(bson.encode(record_of(patch))) <= MOST


def test_scattered_edits_of_a_long_list_are_one_patch_each() -> None:
    old = [filled(Item, number).to_mongo().to_dict() for number in range(LONG)]
    new = list(old)
    for place in range(100, LONG, 1000):
        new.insert(place, {"new": place})
        del new[place + 500]
    patches = diff({"items": old}, {"items": new})
    assert [patch.action for patch in patches] == ["add", "remove"] * 5


def edited_items(items: list[Any], how: str) -> list[Any]:
    chance = random.Random(1)
    if how == "shuffled":
        return chance.sample(items, len(items))
    if how == "half replaced":
        return [chance.choice([item, -chance.randrange(10**6)]) for item in items]
    if how == "a few replaced":
        return [item if chance.randrange(20) else -item for item in items]
    return items[::-1]


@pytest.mark.parametrize("how", ["shuffled", "reversed", "half replaced", "a few replaced"])
def test_patches_of_a_list_are_never_larger_than_the_old_and_the_new_one(how: str) -> None:
    old = list(range(1, 1001))
    new = edited_items(old, how)
    stored = sum(len(bson.encode(record_of(patch))) for patch in diff({"l": old}, {"l": new}))
    whole = {"action": "change", "path": "l", "keys": ["l"], "data": {"old": old, "new": new}}
    assert stored <= len(bson.encode(whole))


@pytest.mark.parametrize("changed", [1, 20])
def test_a_record_is_small_beside_its_values(database: Any, changed: int) -> None:
    document = loaded("small")
    with DocumentTrack(document, ObjectId()):
        edit(leaves(document), changed, 10_000)
        document.save()
    assert len(records(database)) == changed
    assert max(map(overhead, records(database))) <= MOST


def test_a_record_is_small_after_changes_of_many_lists(database: Any) -> None:
    """The hashes of lists that a revision carries are bounded."""
    names = [f"list_{number}" for number in range(30)]
    document = CostDynamic(**{name: [1, 2] for name in names}).save()
    for number in range(2):
        with DocumentTrack(document, ObjectId()):
            for name in names:
                document[name] = [1, 2, number]
            document.save()
    with DocumentTrack(document, ObjectId()):
        document.list_0 = [1]
        document.save()
    assert max(map(overhead, records(database))) <= MOST


def overhead(record: dict[str, Any]) -> int:
    """Count the bytes of a record without the values that it holds, and without its checksum."""
    return sizes.overhead(record) - (CHAINED if "checksum" in record else 0)
