"""Only some paths are put back: what lies there, and nothing else."""

from __future__ import annotations

from typing import Any

import mongoengine as me
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mongoengine import Document, EmbeddedDocument
from support.changes import automatic
from support.strategies import examples

from mongoengine_history import OptionsError, UndoConflictError, history_of, revert, undo


class Door(EmbeddedDocument):
    meta = {"strict": False}
    colour = me.StringField(db_field="c")
    width = me.IntField()


class House(Document):
    meta = {"collection": "chosen_houses", "auto_create_index": False}
    name = me.StringField(db_field="n")
    rooms = me.IntField()
    door = me.EmbeddedDocumentField(Door)
    tags = me.ListField(me.StringField())
    facts = me.DictField()
    floor = me.IntField()
    secret = me.StringField(history="mask")


tracking = automatic(House)


@pytest.fixture(autouse=True)
def stored(database: Any) -> None:
    """All is stored in a database of its own."""


def state(house: House) -> dict[str, Any]:
    found = House._get_collection().find_one({"_id": house.pk})
    assert found
    return found


@pytest.fixture
def house() -> House:
    made = House(name="a", rooms=1, door=Door(colour="red", width=1), tags=["x"], secret="s").save()
    made.name, made.rooms, made.door.colour, made.door.width = "b", 2, "blue", 2
    made.tags, made.facts, made.secret = ["y"], {"p.q": 1, "r": {"s": 2}}, "t"
    made.floor = 1
    return made.save()


def test_of_an_earlier_state_they_come_back_alone(house: House) -> None:
    before = state(house)
    revert(house, revision=1, paths=["name", "door.colour"]).save()
    assert state(house) == {**before, "n": "a", "door": {"c": "red", "width": 2}}
    newest = history_of(house)[-1]
    assert newest.operation == "revert"
    assert {it["path"] for it in newest.to_dict()["changes"]} == {"n", "door.c"}


def test_what_was_not_there_goes_and_lists_are_whole(house: House) -> None:
    revert(house, revision=1, paths=["floor", ["tags"], ["door", "c"]]).save()
    found = state(house)
    assert "floor" not in found
    assert (found["tags"], found["door"], found["n"]) == (["x"], {"c": "red", "width": 2}, "b")


def test_keys_may_have_dots(house: House) -> None:
    revert(house, revision=1, paths=[r"facts.p\.q", ["facts", "r", "s"]]).save()
    assert state(house)["facts"] == {"r": {}}


def test_hidden_values_stay_as_they_are(house: House) -> None:
    revert(house, revision=1, paths=["name"]).save()
    assert state(house)["secret"] == "t"


def test_of_one_revision_they_are_undone_alone(house: House) -> None:
    before = state(house)
    undo(house, 2, paths=["rooms"]).save()
    assert state(house) == {**before, "rooms": 1}
    assert history_of(house)[-1].operation == "undo"


def test_later_work_elsewhere_is_in_nobodys_way(house: House) -> None:
    house.update(name="later")
    with pytest.raises(UndoConflictError):
        undo(house, 2)
    undo(house, 2, paths=["rooms", "door"]).save()
    found = state(house)
    assert (found["n"], found["rooms"], found["door"]) == ("later", 1, {"c": "red", "width": 1})
    with pytest.raises(UndoConflictError):
        undo(house, 2, paths=["name"])


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        "name",
        ["nowhere"],
        ["door.nowhere"],
        ["tags.0"],
        [["tags", 0]],
        [3],
        [""],
        [[]],
        {"name"},
    ],
)
def test_what_is_no_path_is_refused(house: House, wrong: Any) -> None:
    for going in (
        lambda: revert(house, revision=1, paths=wrong),
        lambda: undo(house, 2, paths=wrong),
    ):
        with pytest.raises(OptionsError, match="paths"):
            going()
    assert house.name == "b"


def test_what_a_revision_did_not_set_cannot_be_undone(house: House) -> None:
    house.update(rooms=3)
    with pytest.raises(OptionsError, match="revision 3 set nothing there"):
        undo(house, 3, paths=["name"])


def test_of_what_is_gone_no_path_comes_back(house: House) -> None:
    house.delete()
    for going in (
        lambda: revert(house, revision=1, paths=["name"]),
        lambda: undo(house, 3, paths=["name"]),
    ):
        with pytest.raises(OptionsError, match="as a whole"):
            going()


NAMES = st.sets(st.sampled_from(["n", "rooms", "tags", "facts", "door"]), min_size=1)
STATES = st.fixed_dictionaries(
    {},
    optional={
        "n": st.text(max_size=2).filter(lambda it: "\x00" not in it),
        "rooms": st.integers(0, 3),
        "tags": st.lists(st.sampled_from("ab"), max_size=2),
        "facts": st.dictionaries(st.sampled_from("ab"), st.integers(0, 2), max_size=2),
    },
)


@examples(40)
@given(STATES, STATES, NAMES)
def test_each_state_is_made_of_the_two(database: Any, old: Any, new: Any, names: set[str]) -> None:
    made = House(rooms=9).save()
    for wanted in (old, new):
        fields = {"$set": wanted} if wanted else {}
        gone = {name: 1 for name in ("n", "rooms", "tags", "facts") if name not in wanted}
        House.objects(pk=made.pk).update(__raw__={**fields, **({"$unset": gone} if gone else {})})
    there = [name for name in names if name in old or name in new]
    if not there:
        return
    if old == new:
        return
    number = next(it.number for it in history_of(made) if history_of(made).state(it.number) == old)
    revert(made.reload(), revision=number, paths=there).save()
    found = state(made)
    del found["_id"]
    assert found == {
        **{name: it for name, it in new.items() if name not in there},
        **{name: it for name, it in old.items() if name in there},
    }


def test_what_lies_in_another_kind_of_value_comes_back_with_the_whole_of_it() -> None:
    house = House(facts={"garden": {"trees": 3, "pond": True}}).save()
    house.facts["garden"] = "sold"
    house.save()
    revert(house, revision=1, paths=["facts.garden.trees"]).save()
    assert house.facts == {"garden": {"trees": 3, "pond": True}}
    revert(house, revision=2, paths=["facts.garden"]).save()
    assert house.reload().facts == {"garden": "sold"}
