"""
Records that the published mongoengine-history 1.1 wrote: read, reverted through and continued.

Each story is told by 1.1 itself in a process of its own, which imports this file. What 1.1 lost for
good cannot come back and is not asked for: bytes (it stored lists of numbers), changes between
equal numbers of different types, the place of a removed key in its dict, whether an empty list
was stored or absent, and all changes of a save with a key that starts with a dollar (it raised).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import bson
import dictdiffer
import pytest
from bson import DBRef, Decimal128, ObjectId
from mongoengine import (
    Document,
    DynamicDocument,
    EmbeddedDocument,
    fields,
    get_db,
    signals,
)
from wheel_1_1 import Elsewhere, fetch

from mongoengine_history import DocumentTrack, History, load_history, revert, track_changes

COOK = ObjectId("0123456789ab0123456789ab")
EDITOR = ObjectId("ba9876543210ba9876543210")
OTHER = ObjectId("aaaaaaaaaaaaaaaaaaaaaaaa")
THIRD = ObjectId("bbbbbbbbbbbbbbbbbbbbbbbb")
PAUSE = 0.02  # so that moments between two saves differ in their milliseconds


class Ingredient(EmbeddedDocument):
    name = fields.StringField(db_field="n")
    grams = fields.IntField()
    notes = fields.ListField(fields.StringField())


class Garnish(EmbeddedDocument):
    meta = {"allow_inheritance": True}
    name = fields.StringField()


class Herb(Garnish):
    fresh = fields.BooleanField()


class Recipe(Document):
    title = fields.StringField(db_field="t")
    servings = fields.IntField()
    rating = fields.FloatField()
    price = fields.DecimalField(precision=2)
    cost = fields.Decimal128Field()
    public = fields.BooleanField()
    first_cooked = fields.DateTimeField()
    code = fields.UUIDField(binary=True)
    tags = fields.ListField(fields.StringField())
    steps = fields.ListField()
    facts = fields.DictField()
    main = fields.EmbeddedDocumentField(Ingredient, db_field="m")
    garnish = fields.EmbeddedDocumentField(Garnish)
    anything = fields.GenericEmbeddedDocumentField()
    ingredients = fields.EmbeddedDocumentListField(Ingredient, db_field="i")
    by_name = fields.MapField(fields.EmbeddedDocumentField(Ingredient))
    like = fields.ReferenceField("self")
    unlike = fields.ReferenceField("self", dbref=True)


class Leaflet(DynamicDocument):
    title = fields.StringField()


class Story(NamedTuple):
    """What happens to one document under 1.1."""

    #: The class of the document and the fields that it has at first.
    model: type[Document]
    first: dict[str, Any]
    #: Edits it inside a block; it is saved once more at the end.
    edit: Callable[[Any], None]
    #: What `load_history` is to show, the newest first.
    patches: list[tuple[str, list[str | int], Any]]


STORIES: dict[str, Story] = {}


def story(
    model: type[Document], first: dict[str, Any], *patches: tuple[str, list[str | int], Any]
) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """Keep the decorated function as a story of that name."""

    def keep(edit: Callable[[Any], None]) -> Callable[[Any], None]:
        STORIES[edit.__name__] = Story(model, first, edit, list(patches))
        return edit

    return keep


@story(
    Recipe,
    {"title": "Soup", "servings": 2**40, "rating": 4.5, "public": False},
    ("change", ["public"], (False, True)),
    ("change", ["rating"], (4.5, -0.25)),
    ("change", ["servings"], (2**40, 3)),
    ("change", ["t"], ("Soup", "Stew")),
)
def fields_changed(recipe: Recipe) -> None:
    recipe.title, recipe.servings, recipe.rating, recipe.public = "Stew", 3, -0.25, True


@story(
    Recipe,
    {
        "price": Decimal("1.50"),
        "cost": Decimal("1.5"),
        "first_cooked": datetime(2020, 2, 29, 12, 0, 0, 123000),
        "code": UUID(int=1),
        "like": OTHER,
        "unlike": DBRef("recipe", OTHER),
    },
    ("change", ["unlike"], (DBRef("recipe", OTHER), DBRef("recipe", THIRD))),
    ("change", ["like"], (OTHER, THIRD)),
    ("change", ["code"], (UUID(int=1), UUID(int=2))),
    ("change", ["first_cooked"], (datetime(2020, 2, 29, 12, 0, 0, 123000), datetime(2021, 1, 1))),
    ("change", ["cost"], (Decimal128("1.5"), Decimal128("2.5"))),
    ("change", ["price"], (1.5, 2.25)),
)
def fields_of_other_types_changed(recipe: Recipe) -> None:
    recipe.price, recipe.cost = Decimal("2.25"), Decimal("2.5")
    recipe.first_cooked, recipe.code = datetime(2021, 1, 1), UUID(int=2)
    recipe.like, recipe.unlike = THIRD, DBRef("recipe", THIRD)


@story(Recipe, {"title": "Soup"}, ("add", [], [("servings", 2), ("facts.", 1)][:1]))
def field_added(recipe: Recipe) -> None:
    recipe.servings = 2


@story(
    Recipe,
    {"title": "Soup", "servings": 2, "main": Ingredient(name="Leek", grams=1)},
    ("remove", [], [("m", {"n": "Leek", "grams": 1, "notes": []}), ("servings", 2)]),
    ("add", [], [("rating", 1.5)]),
)
def fields_removed_and_added(recipe: Recipe) -> None:
    recipe.servings, recipe.main, recipe.rating = None, None, 1.5


@story(
    Recipe,
    {"facts": {"1": {"2": "a"}, "a.b": 1, "²": 2, "a": {"b": 1, "c.d": {"e": 1}}, "": 1}},
    ("change", ["facts", ""], (1, 2)),
)
def nested_keys_changed(recipe: Recipe) -> None:
    recipe.facts = {"1": {"2": "b"}, "a.b": 2, "²": 3, "a": {"b": 1, "c.d": {"e": 2}}, "": 2}
