"""Records of 1.1 on the timeline of a document."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from bson import ObjectId
from support.books import Bare, Book, Full, Kept
from support.changes import numbers, watch, watched
from support.recipes import Recipe
from support.stories_1_1 import STATES, tracked, walk
from support.wheel_1_1 import Elsewhere

from mongoengine_history import History, RevisionNotFoundError, Version, history_of

connected = watched(Book, Kept, Full, Bare)


class TestRecordsOf11:
    @pytest.fixture
    def recipe(self, released: Elsewhere) -> Recipe:
        """A recipe that 1.1 has saved twice, and the new release then twice."""
        recipe = Recipe(**STATES[0]).save()
        recipe.moments = released.call("walk", recipe.pk, 1, 2)
        return recipe

    def test_they_have_no_number(self, recipe: Recipe) -> None:
        timeline = history_of(recipe)
        assert (len(timeline), list(timeline)) == (0, [])
        with pytest.raises(RevisionNotFoundError):
            timeline[1]
        walk(recipe.pk, 3, 4)
        assert numbers(timeline) == [1, 2]

    def test_legacy_has_them_oldest_first(self, recipe: Recipe) -> None:
        walk(recipe.pk, 3, 4)
        records = history_of(recipe).legacy
        assert all(isinstance(record, History) for record in records)
        assert {(record.revision, record.stamp) for record in records} == {(None, None)}
        times = [record.created_at for record in records]
        assert times == sorted(times)
        assert [record.path for record in records if record.data.get("new") == "B"] == ["t"]
        assert len(records) == History.objects(revision=None).count()
        assert history_of(Recipe, ObjectId()).legacy == []

    def test_a_moment_before_revision_1_is_unwound_through_them(self, recipe: Recipe) -> None:
        moments = [*recipe.moments, *walk(recipe.pk, 3, 4), datetime.now()]
        timeline = history_of(recipe)
        shown = [timeline.as_of(moment) for moment in moments]
        assert [it.title for it in shown] == ["A", "B", "B", "C", "C"]
        assert [it.tags for it in shown] == [
            *(["a", "b", "c"], ["b", "c"], [], ["new", "c", "b"], ["c"])
        ]
        assert [it.facts for it in shown[:3]] == [
            *({"1": [1]}, {"1": [1, 2], "a.b": 0}, {"a.b": {"c": 1}})
        ]

    def test_without_a_revision_they_are_unwound_from_what_is_stored(self, recipe: Recipe) -> None:
        timeline = history_of(recipe)
        assert [timeline.as_of(it).title for it in [*recipe.moments, datetime.now()]] == [
            *("A", "B", "B")
        ]
        assert timeline.state(0)["servings"] == 1

    def test_one_of_the_very_moment_counts(self, recipe: Recipe) -> None:
        """They know milliseconds, by the wall clock."""
        changed = History.objects.get(path="t").created_at
        timeline = history_of(recipe)
        assert timeline.as_of(changed).title == "B"
        assert timeline.as_of(changed - timedelta(milliseconds=1)).title == "A"

    def test_state_zero_is_the_one_in_which_they_end(self, recipe: Recipe) -> None:
        walk(recipe.pk, 3, 3)
        state = history_of(recipe).state(0)
        assert (state["t"], state["servings"], state["facts"]) == ("B", 1, {"a.b": {"c": 1}})
        assert Version.objects.get().revision == 0

    def test_a_deletion_recorded_later_does_not_hide_them(self, recipe: Recipe) -> None:
        watch(Recipe)
        recipe.reload()
        with tracked(recipe):
            recipe.delete()
        timeline = history_of(Recipe, recipe.pk)
        assert [timeline.as_of(it).title for it in recipe.moments] == ["A", "B"]
        assert timeline.as_of(datetime.now()) is None
        assert len(timeline.legacy) == History.objects(revision=None).count() > 0
