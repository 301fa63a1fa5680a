"""
What documents go through under mongoengine-history 1.1, and what its records are to show later.

The tests import this file, and so does the process in which 1.1 runs: what both versions export is
all that it uses of the package.
"""

from __future__ import annotations

import importlib
import time
from datetime import datetime, timezone
from typing import Any

from bson import ObjectId
from mongoengine import Document, signals
from support import stories_of_lists, stories_of_values  # noqa: F401  # which fills STORIES
from support.recipes import COOK, STORIES, Patch, Recipe

from mongoengine_history import DocumentTrack, History, load_history, revert, track_changes

PAUSE = 0.02  # seconds, so that moments between two saves differ in their milliseconds


def tell(name: str, pk: ObjectId) -> None:
    """Run a story on a stored document."""
    edit, kind = STORIES[name].edit, type(STORIES[name].first())
    document = kind.objects.get(pk=pk)
    with tracked(document):
        edit(document)
        document.save()


def tracked(document: Document) -> DocumentTrack:
    """Open a block for a document of any class."""
    signals.post_save.connect(track_changes, sender=type(document))
    return DocumentTrack(document, COOK)


def tell_within_a_millisecond(name: str, pk: ObjectId) -> None:
    """Run a story while the clock of 1.1 stands still."""
    module = importlib.import_module(DocumentTrack.__module__)

    class Stopped(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime(2020, 1, 2, 3, 4, 5, 678000)

    module.datetime = Stopped
    try:
        tell(name, pk)
    finally:
        module.datetime = datetime


#: The states of a recipe on its way, as fields; each is saved in a block of its own.
STATES: list[dict[str, Any]] = [
    {"title": "A", "tags": ["a", "b", "c"], "facts": {"1": [1]}},
    {"title": "B", "tags": ["b", "c"], "facts": {"1": [1, 2], "a.b": 0}},
    {"title": "B", "tags": [], "facts": {"a.b": {"c": 1}}, "servings": 1},
    {"title": "C", "tags": ["new", "c", "b"], "facts": {}, "servings": None},
    {"title": "C", "tags": ["c"], "facts": {"2": {}}, "rating": 1.0},
]


def walk(pk: ObjectId, first: int, last: int) -> list[datetime]:
    """Save some of `STATES`, each loaded anew; return a naive local moment before each save."""
    moments = []
    for state in STATES[first : last + 1]:
        recipe = Recipe.objects.get(pk=pk)
        time.sleep(PAUSE)
        moments.append(datetime.now())
        time.sleep(PAUSE)
        with tracked(recipe):
            for name, value in state.items():
                setattr(recipe, name, value)
            recipe.save()
    return moments


def view(pk: ObjectId, moments: list[datetime]) -> list[list[Any]]:
    """Tell what `load_history` shows since and until each moment, in either version."""
    recipe = Recipe.objects.get(pk=pk)
    return [
        [_rows(load_history(recipe, since=when)), _rows(load_history(recipe, until=when))]
        for when in moments
    ]


def view_aware(pk: ObjectId, moments: list[datetime]) -> list[list[Any]]:
    """Tell the same of times that say what their zone is; 1.1 understood none."""
    return view(pk, [when.astimezone(timezone.utc) for when in moments])


def _rows(patches: list[Patch]) -> list[list[Any]]:
    return [[action, data[1]] for action, path, data in patches if path == ["t"]]


def title_before(pk: ObjectId, when: datetime) -> str:
    """Tell the title that `revert` gives, in either version."""
    return revert(Recipe.objects.get(pk=pk), since=when).title


def title_before_aware(pk: ObjectId, when: datetime) -> str:
    """Tell the same of a time that says what its zone is."""
    return title_before(pk, when.astimezone(timezone.utc))


def times(pk: ObjectId) -> list[datetime]:
    """Tell when the title changed, as `History` shows it in either version."""
    return [record.created_at for record in History.objects(document_id=pk, path="t")]
