"""What goes on by itself, as a time of the last change: in nobody's way, and not put back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import mongoengine as me
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mongoengine import Document
from support.documents import raw

from mongoengine_history import (
    ChangesetConflictError,
    OptionsError,
    UndoConflictError,
    changeset,
    history_of,
    restore,
    revert,
    revert_changeset,
    track_history,
    undo,
    untrack_history,
)

TICKS = count(1)


class Step(me.EmbeddedDocument):
    text = me.StringField()
    ticks = me.IntField(db_field="t")


class Plan(Document):
    meta = {"collection": "plans", "auto_create_index": False, "allow_inheritance": True}
    title = me.StringField()
    text = me.StringField()
    saves = me.IntField(db_field="n", default=0)
    seen = me.DictField()
    step = me.EmbeddedDocumentField(Step)
    steps = me.EmbeddedDocumentListField(Step)

    def clean(self) -> None:
        """Count, as many applications do."""
        self.saves += 1
        self.seen = {**self.seen, "last": next(TICKS)}
        for step in self.steps:
            step.ticks = next(TICKS)


class Detailed(Plan):
    meta = {"history": {"volatile": ["details"]}}
    details = me.IntField()


PATHS = ["saves", "seen.last", "step.ticks", "steps.ticks"]


@pytest.fixture(autouse=True)
def tracked(database: Any) -> Iterator[None]:
    track_history(Plan, volatile=PATHS)
    yield
    untrack_history(Plan)


def written(plan: Any, **values: Any) -> Any:
    for name, value in values.items():
        setattr(plan, name, value)
    return plan.save()


def made() -> Any:
    """Make a plan with three revisions: created, its title changed, its text changed."""
    plan = Plan(title="1", text="1", seen={"first": 0}, steps=[Step(text="a"), Step(text="b")])
    for values in ({}, {"title": "2"}, {"text": "2"}):
        written(plan, **values)
    return plan


def moving(plan: Any) -> list[Any]:
    state = raw(plan)
    return [state["n"], state["seen"]["last"], [step["t"] for step in state["steps"]]]


def by_hand(way: Callable[[Any], Any]) -> Callable[[Any], None]:
    """Save what a way back has made, without what the class does at a save."""
    return lambda plan: way(plan).save(clean=False) and None


WAYS: dict[str, Callable[[Any], None]] = {
    "undo": by_hand(lambda plan: undo(plan, 2)),
    "revert": by_hand(lambda plan: revert(plan, history_of(plan)[2].at)),
    "revert to a revision": by_hand(lambda plan: revert(plan, revision=1)),
}


@pytest.mark.parametrize("way", WAYS)
def test_it_is_neither_in_the_way_nor_put_back(way: str) -> None:
    plan = made()
    before = moving(plan)
    WAYS[way](plan)
    assert raw(plan)["title"] == "1"
    assert raw(plan)["text"] == ("2" if way == "undo" else "1")
    assert moving(plan) == before


def test_a_changeset_is_taken_back_though_it_went_on() -> None:
    plan = made()
    with changeset() as unit:
        written(plan, title="3")
        written(plan, steps=[*plan.steps, Step(text="c")])
    written(plan, text="3")
    assert not revert_changeset(unit, dry_run=True).conflicts
    revert_changeset(unit)
    state = raw(plan)
    assert (state["title"], state["text"], len(state["steps"])) == ("2", "3", 2)


def test_a_document_that_a_changeset_made_goes_though_it_went_on() -> None:
    with changeset() as unit:
        plan = Plan(title="1").save()
    Plan.objects.update(inc__saves=1)
    revert_changeset(unit)
    assert not Plan.objects(pk=plan.pk)


def test_without_the_option_it_is_in_the_way_and_the_error_says_what_helps() -> None:
    untrack_history(Plan)
    track_history(Plan)
    with pytest.raises(UndoConflictError, match="volatile") as caught:
        undo(made(), 2)
    assert {conflict.path[0] for conflict in caught.value.conflicts} == {"n", "seen", "steps"}


def test_all_else_still_is_in_the_way() -> None:
    plan = made()
    written(plan, title="other")
    with pytest.raises(UndoConflictError) as caught:
        undo(plan, 2)
    assert [conflict.path for conflict in caught.value.conflicts] == [("title",)]


def test_what_was_deleted_comes_back_whole() -> None:
    plan = made()
    wanted = raw(plan)
    plan.delete()
    restore(Plan, plan.pk).save(clean=False)
    assert raw(plan) == wanted


def taken_back(way: str, plan: Any, unit: Any) -> None:
    """Take the second revision back, which is that changeset, past what the class does."""
    if way == "changeset":
        revert_changeset(unit, bypass_methods=True)
    else:
        back = undo(plan, 2) if way == "undo" else revert(plan, history_of(plan)[2].at)
        back.save(clean=False)


BACK = pytest.mark.parametrize("way", ["undo", "revert", "changeset"])


@BACK
def test_an_item_that_was_removed_comes_back_with_it(way: str) -> None:
    """There is no live one that it could be left to; that of the other item goes on."""
    plan = Plan(steps=[Step(text="a"), Step(text="b")]).save()
    gone = raw(plan)["steps"][0]
    with changeset("ada") as unit:
        plan.steps.pop(0)
        plan.save()
    live = raw(plan)["steps"][0]
    taken_back(way, plan, unit)
    assert raw(plan)["steps"] == [gone, live]


@BACK
def test_in_an_embedded_document_it_stays_and_comes_back_with_the_whole(way: str) -> None:
    plan = Plan(step=Step(text="a", ticks=1)).save()
    with changeset() as unit:
        Plan.objects.update(step__text="b", step__ticks=2)
    Plan.objects.update(step__ticks=3, title="x")
    taken_back(way, plan, unit)
    assert raw(plan)["step"] == {"text": "a", "t": 3}
    with changeset() as unit:
        Plan.objects.update(unset__step=1)
    undo(plan, -1).save(clean=False)
    assert raw(plan)["step"] == {"text": "a", "t": 3}


@BACK
@pytest.mark.parametrize("is_drift", [False, True])
def test_what_set_nothing_else_of_a_list_is_in_nobodys_way(way: str, is_drift: bool) -> None:
    """A list is one value, but not for what goes on by itself inside of it."""
    plan = Plan(title="1", steps=[Step(text="a", ticks=1), Step(text="b")]).save()
    with changeset() as unit:
        Plan.objects.update(set__steps__0__ticks=-1, title="2")
    later = {"$set": {"steps.0.text": "c", "steps.1.t": -2}}
    (plans() if is_drift else Plan._get_collection()).update_one({}, later)
    items = raw(plan)["steps"]
    taken_back(way, plan, unit)
    if way == "revert" and not is_drift:  # which takes back the later one, too
        items[0]["text"] = "a"
    assert (raw(plan)["title"], raw(plan)["steps"]) == ("1", items)


@BACK
def test_what_else_was_set_of_a_list_still_is_in_the_way(way: str) -> None:
    plan = Plan(steps=[Step(text="a", ticks=1), Step(text="b")]).save()
    with changeset() as unit:
        Plan.objects.update(set__steps__0__ticks=-1, set__steps__1__text="c")
    plans().update_one({}, {"$set": {"steps.0.text": "d"}})
    if way == "revert":  # a list is one value
        taken_back(way, plan, unit)
        assert [it["text"] for it in raw(plan)["steps"]] == ["a", "b"]
        return
    with pytest.raises((UndoConflictError, ChangesetConflictError)):
        taken_back(way, plan, unit)


def plans() -> Any:
    """Return the collection, past which nothing is recorded."""
    return Plan._get_db().client[Plan._get_db().name]["plans"]


def test_it_is_recorded_and_every_state_has_it() -> None:
    plan = made()
    assert [history_of(plan).state(number)["n"] for number in (1, 2, 3)] == [1, 2, 3]


def test_a_subclass_has_its_own() -> None:
    plan = Detailed(title="1", details=1).save()
    written(plan, title="2", details=2)
    written(plan, details=3)
    undo(plan, 2).save(clean=False)
    assert (raw(plan)["title"], raw(plan)["details"]) == ("1", 3)
    other = made()
    written(other, title="3")
    undo(other, -1).save(clean=False)
    assert raw(other)["title"] == "2"


@pytest.mark.parametrize("path", ["nothing", "seen.", "", "pk", "_cls", 7])
def test_a_path_that_means_nothing_is_refused(path: Any) -> None:
    untrack_history(Plan)
    try:
        with pytest.raises(OptionsError, match="volatile"):
            track_history(Plan, volatile=[path])
    finally:
        track_history(Plan)


@given(st.lists(st.sampled_from(["title", "text"]), min_size=1, max_size=5), st.data())
def test_of_revisions_of_different_fields_each_can_be_undone(names: list[str], data: Any) -> None:
    """The newest of each field, whatever was saved since."""
    plan = Plan().save()
    for number, name in enumerate(names):
        written(plan, **{name: str(number)})
    name = data.draw(st.sampled_from(sorted(set(names))))
    newest = max(place for place, it in enumerate(names) if it == name)
    earlier = [str(place) for place, it in enumerate(names[:newest]) if it == name]
    undo(plan, newest + 2).save(clean=False)
    assert raw(plan).get(name) == (earlier[-1] if earlier else None)
    assert raw(plan)["n"] == len(names) + 1
