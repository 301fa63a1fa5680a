"""
Records that the published mongoengine-history 1.1 wrote: read, reverted through and continued.

All of them are written by 1.1 itself, in a process of its own. What it lost for good is not asked
for: bytes (it stored lists of numbers), changes between equal numbers of different types, the
place of a removed key in its dict, whether an empty list or dict was stored or absent, all changes
of a save with a key that starts with a dollar (it raised), and what an earlier save of the same
block had changed, where `since` lies between two saves of one block.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import bson
import dictdiffer
import mongoengine
import pytest
from bson import json_util
from mongoengine import Document
from support.recipes import COOK, NEW, OLD, Leaflet, Recipe, Story
from support.stories_1_1 import STATES, STORIES, tracked, walk
from support.wheel_1_1 import Elsewhere, Start

from mongoengine_history import History, load_history, revert

TOKYO, NEW_YORK = "Asia/Tokyo", "America/New_York"


@pytest.fixture(params=STORIES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def story(name: str) -> Story:
    return STORIES[name]


@pytest.fixture
def document(database: Any, story: Story) -> Document:
    """The document of a story at its beginning, stored."""
    for pk in (OLD, NEW):
        Recipe(pk=pk).save()
    return story.first().save()


@pytest.fixture
def recipe(database: Any) -> Recipe:
    return Recipe(**STATES[0]).save()


def again(document: Any) -> Any:
    """Load the document anew."""
    return type(document).objects.get(pk=document.pk)


def state(document: Any) -> str:
    """Show what is stored by type and value, whatever the order of keys."""
    plain = document._get_collection().with_options(bson.codec_options.CodecOptions())
    return exact(plain.find_one({"_id": document.pk}))


def exact(value: Any) -> str:
    options = json_util.CANONICAL_JSON_OPTIONS
    return json_util.dumps(value, json_options=options, sort_keys=True, indent=1)


def records() -> list[bytes]:
    """Read the records of 1.1, to the byte."""
    raw = bson.codec_options.CodecOptions(document_class=bson.raw_bson.RawBSONDocument)
    history = mongoengine.get_db()["history"].with_options(raw)
    return [record.raw for record in history.find({"revision": None}).sort("_id")]


def numbers() -> list[int]:
    found = History.objects(position=0).order_by("revision")
    return [record.revision for record in found]


def test_records_are_shown_newest_first_with_exact_paths(
    document: Any, name: str, story: Story, released: Elsewhere
) -> None:
    released.call("tell", name, document.pk)
    assert load_history(document) == story.patches


def test_patches_can_be_handed_to_dictdiffer(
    document: Any, name: str, story: Story, released: Elsewhere
) -> None:
    """Where 1.1 recorded each change once, dictdiffer leads to the first state and back."""
    first = again(document).to_mongo().to_dict()
    released.call("tell", name, document.pk)
    now, patches = again(document).to_mongo().to_dict(), load_history(document)
    if story.once:
        assert dictdiffer.revert(patches, now) == first
        assert dictdiffer.patch(reversed(patches), first) == now


def test_reverting_stores_the_first_state(document: Any, name: str, released: Elsewhere) -> None:
    first = state(document)
    released.call("tell", name, document.pk)
    assert state(document) != first
    revert(again(document)).save()
    assert state(document) == first


def test_a_history_is_continued_and_reverted_through_both_kinds(
    document: Any, name: str, released: Elsewhere
) -> None:
    """New revisions count from 1, the old records stay to the byte, the way back is whole."""
    first = state(document)
    released.call("tell", name, document.pk)
    between, old = state(document), records()
    continued = again(document)
    with tracked(continued):
        continued.title = "ours"
        continued.save()
        continued.tags = ["ours", *getattr(continued, "tags", [])]
        continued.save()
    assert numbers() == [1, 2]
    assert records() == old
    revert(again(document), revision=0).save()
    assert state(document) == between
    revert(again(document)).save()
    assert state(document) == first
    assert numbers() == [1, 2, 3, 4]
    assert records() == old


def test_saves_within_one_millisecond_keep_their_order(
    document: Any, name: str, story: Story, released: Elsewhere
) -> None:
    first = state(document)
    released.call("tell_within_a_millisecond", name, document.pk)
    assert len({record.created_at for record in History.objects}) == 1
    assert load_history(document) == story.patches
    revert(again(document)).save()
    assert state(document) == first


@pytest.mark.parametrize("saves_of_1_1", range(1, len(STATES)))
def test_since_reaches_each_moment_of_both_kinds(
    recipe: Recipe, released: Elsewhere, saves_of_1_1: int
) -> None:
    """A moment before a save gives the document as it was then, whoever wrote before and after."""
    walk(recipe.pk, 0, 0)
    moments: list[datetime] = []
    shown = []
    for number in range(1, len(STATES)):
        shown.append(exact(again(recipe).to_mongo()))
        arguments = (recipe.pk, number, number)
        by_1_1 = number <= saves_of_1_1
        moments += released.call("walk", *arguments) if by_1_1 else walk(*arguments)
    old = records()
    for when, before in reversed(list(zip(moments, shown, strict=True))):
        revert(again(recipe), since=when).save()
        assert exact(again(recipe).to_mongo()) == before
    assert records() == old


def test_windows_of_time_cover_both_kinds(recipe: Recipe, released: Elsewhere) -> None:
    before_1_1 = released.call("walk", recipe.pk, 1, 1)[0]
    before_ours = walk(recipe.pk, 3, 3)[0]

    def titles(**window: datetime) -> list[Any]:
        return [data for _, path, data in load_history(recipe, **window) if path == ["t"]]

    old, new = ("A", "B"), ("B", "C")
    assert titles() == [new, old]
    assert titles(since=before_1_1) == [new, old]
    assert titles(since=before_ours) == [new]
    assert titles(until=before_ours) == [old]
    assert titles(until=before_1_1) == []
    assert titles(since=before_1_1, until=before_ours) == [old]


def test_both_ends_of_a_window_count(recipe: Recipe, released: Elsewhere) -> None:
    released.call("walk", recipe.pk, 1, 1)
    created_at = History.objects.get(path="t").created_at
    shown = load_history(recipe, since=created_at, until=created_at)
    assert ("change", ["t"], ("A", "B")) in shown


def test_history_shows_the_records_as_1_1_did(recipe: Recipe, released: Elsewhere) -> None:
    before = datetime.now() - timedelta(milliseconds=1)
    released.call("walk", recipe.pk, 1, 2)
    changed = History.objects(document_id=recipe.pk, document_type="recipe", path="t").get()
    assert changed.identity == COOK
    assert (changed.action, changed.data) == ("change", {"old": "A", "new": "B"})
    assert before <= changed.created_at <= datetime.now()
    assert (changed.revision, changed.stamp, changed.keys) == (None, None, None)
    added = History.objects(identity=COOK, action="add", path="").get()
    assert added.data == {"items": [{"key": "servings", "value": 1}]}
    assert len(History.objects) == len(records())


def test_a_document_without_records_of_its_own_is_not_mixed_up(
    recipe: Recipe, released: Elsewhere
) -> None:
    """Records of the same key in another collection belong to another document."""
    released.call("walk", recipe.pk, 1, 1)
    leaflet = Leaflet(pk=recipe.pk, title="A").save()
    assert load_history(leaflet) == []
    assert revert(leaflet).title == "A"


def test_keys_removed_together_come_back_in_their_order(database: Any, released: Elsewhere) -> None:
    recipe = STORIES["dict_emptied"].first().save()
    first = bson.encode(recipe.facts)
    released.call("tell", "dict_emptied", recipe.pk)
    assert bson.encode(again(revert(again(recipe)).save()).facts) == first


def test_what_was_stored_past_the_history_stays(database: Any, released: Elsewhere) -> None:
    """What 1.1 recorded of a list or dict that was emptied untracked since is passed over."""
    recipe = STORIES["values_of_all_kinds_changed"].first().save()
    released.call("tell", "values_of_all_kinds_changed", recipe.pk)
    recipe.reload()
    recipe.tags, recipe.steps, recipe.facts, recipe.servings = [], [], {}, 9
    recipe.save()
    reverted = again(revert(again(recipe)).save())
    assert (reverted.title, reverted.servings) == ("A", 9)
    assert (reverted.tags, reverted.steps, reverted.facts) == ([], [], {})


def test_a_deleted_document_is_taken_back_from_memory(recipe: Recipe, released: Elsewhere) -> None:
    """1.1 recorded no deletion; the object that is still there can be saved as it was at first."""
    first = state(recipe)
    released.call("walk", recipe.pk, 1, 1)
    shown = load_history(recipe)
    recipe.reload()
    recipe.delete()
    assert load_history(recipe) == shown
    revert(recipe).save()
    assert state(recipe) == first


@pytest.mark.parametrize(
    ("written_in", "read_in"), [(TOKYO, TOKYO), (NEW_YORK, NEW_YORK), (TOKYO, NEW_YORK)]
)
def test_naive_times_mean_what_they_meant_in_1_1(
    recipe: Recipe, start: Start, written_in: str, read_in: str
) -> None:
    """1.1 in the same time zone gives the same answers, also to times that `History` shows."""
    with start(written_in) as writer:
        moments = writer.call("walk", recipe.pk, 1, 4)
    with start(read_in) as old, start(read_in, ours=True) as new:
        shown = old.call("times", recipe.pk)
        assert new.call("times", recipe.pk) == shown
        asked = (recipe.pk, [*moments, *shown])
        answers = new.call("view", *asked)
        assert answers == old.call("view", *asked)
    assert [len(since) for since, _ in answers] == [2, 1, 1, 0, 2, 1]
    assert [len(until) for _, until in answers] == [0, 1, 1, 2, 1, 2]


@pytest.mark.parametrize("zone", [TOKYO, NEW_YORK])
def test_since_means_the_wall_clock_in_old_and_new_records(
    recipe: Recipe, start: Start, zone: str
) -> None:
    """A naive local time, the same time aware, and the time of a record lead to the same state."""
    with start(zone) as old, start(zone, ours=True) as new:
        moments = old.call("walk", recipe.pk, 1, 1)
        moments += new.call("walk", recipe.pk, 3, 3)
        moments += new.call("times", recipe.pk)
        shown = new.call("view", recipe.pk, moments)
        assert new.call("view_aware", recipe.pk, moments) == shown
        for when, title in zip(moments, ["A", "B", "A", "B"], strict=True):
            assert new.call("title_before", recipe.pk, when) == title
            assert new.call("title_before_aware", recipe.pk, when) == title
