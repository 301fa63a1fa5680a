"""Records of 1.1 from before a migration that renamed fields."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import mongoengine as me
import pytest
from support.recipes import Recipe
from support.stories_1_1 import STATES

from mongoengine_history import (
    History,
    as_of,
    history_of,
    revert,
    track_history,
    untrack_history,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.wheel_1_1 import Elsewhere

RENAMED = {"t": "heading", "tags": "labels", "facts": "notes"}

NAMES = {"title": "heading", "tags": "labels", "facts": "notes"}


class Dish(me.Document):
    meta = {"collection": "recipe", "auto_create_index": False, "strict": False}
    heading = me.StringField(db_field="h")
    labels = me.ListField(me.StringField())
    notes = me.DictField()
    servings = me.IntField()
    rating = me.FloatField()
    steps = me.ListField()
    ingredients = me.ListField(db_field="i")
    by_name = me.DictField()


@pytest.fixture(params=["before the first revision", "past the history", "recorded", "not at all"])
def dish(request: pytest.FixtureRequest, released: Elsewhere, database: Any) -> Iterator[Any]:
    """A recipe that 1.1 has saved four times, as what it is called now."""
    recipe = Recipe(**STATES[0]).save()
    moments = released.call("walk", recipe.pk, 1, 4)
    fields = {**RENAMED, "t": "h"}
    if request.param == "before the first revision":
        database.recipe.update_many({}, {"$rename": fields})
    track_history(renamed=RENAMED)(Dish)
    collection = Dish._get_collection() if request.param == "recorded" else database.recipe
    collection.update_many({}, {"$set": {"servings": 7}})
    if request.param not in {"before the first revision", "not at all"}:
        collection.update_many({}, {"$rename": fields})
    Dish._get_collection().update_many({}, {"$set": {"servings": 8}})
    yield recipe.pk, moments
    untrack_history(Dish)


def expected(number: int) -> dict[str, Any]:
    """Return what the fields were that the stories tell of, by the names of today."""
    names = ("title", "tags", "facts")
    return {NAMES[name]: STATES[number][name] for name in names}


def shown(document: Any) -> dict[str, Any]:
    return {name: getattr(document, name) for name in ("heading", "labels", "notes")}


def test_the_past_is_shown_under_the_names_of_today(dish: Any) -> None:
    pk, moments = dish
    timeline = history_of(Dish, pk)
    assert [shown(timeline.as_of(it)) for it in moments] == [expected(it) for it in range(4)]
    assert shown(timeline.as_of(datetime.now())) == expected(4)
    (document,) = as_of(Dish, moments[1])
    assert shown(document) == expected(1)


@pytest.mark.parametrize("number", range(4))
def test_it_comes_back_under_the_names_of_today(dish: Any, database: Any, number: int) -> None:
    pk, moments = dish
    revert(Dish.objects.get(pk=pk), moments[number]).save()
    assert shown(Dish.objects.get(pk=pk)) == expected(number)
    assert not {*RENAMED} & {*database.recipe.find_one()}
    assert history_of(Dish, pk)[-1].operation == "revert"


def test_who_set_what_is_found_by_the_name_of_today(dish: Any) -> None:
    pk, _ = dish
    found = History.objects.of(Dish, pk).touching("heading").filter(revision=None)
    assert [it.data["new"] for it in found.order_by("created_at") if it.path == "t"] == ["B", "C"]
