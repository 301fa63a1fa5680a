"""Stories of single values, dicts and embedded documents."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from bson import DBRef, Decimal128
from support.recipes import NEW, OLD, Herb, Ingredient, Leaflet, Recipe, story


@story(
    lambda: Recipe(title="Soup", servings=2**40, rating=4.5, public=False),
    ("change", ["public"], (False, True)),
    ("change", ["rating"], (4.5, -0.25)),
    ("change", ["servings"], (2**40, 3)),
    ("change", ["t"], ("Soup", "Stew")),
)
def fields_changed(recipe: Recipe) -> None:
    recipe.title, recipe.servings, recipe.rating, recipe.public = "Stew", 3, -0.25, True


@story(
    lambda: Recipe(
        price=Decimal("1.50"),
        cost=Decimal("1.50"),
        cooked=datetime(2020, 2, 29, 12, 0, 0, 123000),
        code=UUID(int=1),
        like=Recipe(pk=OLD),
        unlike=Recipe(pk=OLD),
    ),
    ("change", ["unlike"], (DBRef("recipe", OLD), DBRef("recipe", NEW))),
    ("change", ["like"], (OLD, NEW)),
    ("change", ["code"], (UUID(int=1), UUID(int=2))),
    ("change", ["cooked"], (datetime(2020, 2, 29, 12, 0, 0, 123000), datetime(2021, 1, 1))),
    ("change", ["cost"], (Decimal128("1.50"), Decimal128("2.5"))),
    ("change", ["price"], (1.5, 2.25)),
)
def fields_of_rarer_types_changed(recipe: Recipe) -> None:
    recipe.price, recipe.cost = Decimal("2.25"), Decimal("2.5")
    recipe.cooked, recipe.code = datetime(2021, 1, 1), UUID(int=2)
    recipe.like, recipe.unlike = Recipe(pk=NEW), Recipe(pk=NEW)


@story(lambda: Recipe(title="Soup"), ("add", [], [("servings", 2)]))
def field_added(recipe: Recipe) -> None:
    recipe.servings = 2


@story(
    lambda: Recipe(title="Soup", servings=2, main=Ingredient(name="Leek", grams=1)),
    ("remove", [], [("servings", 2), ("m", {"n": "Leek", "grams": 1, "notes": []})]),
    ("add", [], [("rating", 1.5)]),
)
def fields_removed_and_added(recipe: Recipe) -> None:
    recipe.servings, recipe.main, recipe.rating = None, None, 1.5


@story(
    lambda: Recipe(facts={"1": {"2": "a"}, "a.b": 1, "²": 2, "a": {"c.d": {"e": 1}}, "": {"": 1}}),
    ("change", ["facts", "", ""], (1, 2)),
    ("change", ["facts", "a", "c.d", "e"], (1, 2)),
    ("change", ["facts", "²"], (2, 3)),
    ("change", ["facts", "a.b"], (1, 2)),
    ("change", ["facts", "1", "2"], ("a", "b")),
)
def keys_with_digits_and_dots_changed(recipe: Recipe) -> None:
    recipe.facts = {"1": {"2": "b"}, "a.b": 2, "²": 3, "a": {"c.d": {"e": 2}}, "": {"": 2}}


@story(
    lambda: Recipe(facts={"a": {"b": 1}, "a.b": 2}),
    ("change", ["facts", "a.b"], (2, 3)),
    ("change", ["facts", "a", "b"], (1, 4)),
)
def keys_that_look_the_same_joined_changed(recipe: Recipe) -> None:
    recipe.facts = {"a": {"b": 4}, "a.b": 3}


@story(
    lambda: Recipe(facts={"a.b": {"x": 1}, "a": {"b": {"c": 1}}}),
    ("change", ["facts", "a", "b", "c"], (1, 3)),
    ("change", ["facts", "a", "b", "c"], (1, 2)),
    once=False,
)
def key_that_looks_the_same_joined_changed_twice(recipe: Recipe) -> None:
    recipe.facts["a"]["b"]["c"] = 2
    recipe.save()
    recipe.facts["a"]["b"]["c"] = 3


@story(
    lambda: Recipe(facts={"keep": 1, "0": {"1": None}, "x.y": {"z": [1, {"2": 3}]}}),
    ("remove", ["facts"], [("0", {"1": None}), ("x.y", {"z": [1, {"2": 3}]})]),
    ("add", ["facts"], [("3", {"4": {"5": [6]}}), ("p.q", {})]),
)
def dicts_added_and_removed(recipe: Recipe) -> None:
    recipe.facts = {"keep": 1, "3": {"4": {"5": [6]}}, "p.q": {}}


@story(
    lambda: Recipe(facts={"a": 1, "b": {"c": [2]}}),
    ("remove", ["facts"], [("a", 1), ("b", {"c": [2]})]),
)
def dict_emptied(recipe: Recipe) -> None:
    recipe.facts = {}


@story(
    lambda: Recipe(facts={"a": 1, "b": {"c": 2}, "d": [1], "e": None}),
    ("change", ["facts", "e"], (None, {"f": None})),
    ("change", ["facts", "d"], ([1], {"0": 1})),
    ("change", ["facts", "b"], ({"c": 2}, [2])),
    ("change", ["facts", "a"], (1, {"x": {}})),
)
def values_changed_their_kind(recipe: Recipe) -> None:
    recipe.facts = {"a": {"x": {}}, "b": [2], "d": {"0": 1}, "e": {"f": None}}


@story(
    lambda: Recipe(ingredients=[Ingredient(name=name) for name in "abcd"]),
    ("remove", ["i"], [(1, {"n": "b", "notes": []})]),
    ("remove", ["i"], [(2, {"n": "c", "notes": []})]),
    ("remove", ["i"], [(3, {"n": "d", "notes": []})]),
    ("change", ["i", 0, "n"], ("a", "d")),
)
def embedded_documents_removed_from_a_list(recipe: Recipe) -> None:
    del recipe.ingredients[:3]


@story(
    lambda: Recipe(
        main=Ingredient(name="Leek", grams=1), garnish=Herb(name="Dill"), extra=Herb(name="Mint")
    ),
    ("change", ["extra", "name"], ("Mint", "Sage")),
    ("add", ["garnish"], [("fresh", True)]),
    ("remove", ["m"], [("grams", 1)]),
    ("change", ["m", "n"], ("Leek", "Onion")),
)
def embedded_documents_changed(recipe: Recipe) -> None:
    recipe.main.name, recipe.main.grams = "Onion", None
    recipe.garnish.fresh, recipe.extra.name = True, "Sage"


@story(
    lambda: Recipe(garnish=Herb(name="Dill", fresh=True), extra=Ingredient(name="Leek", grams=1)),
    (
        "remove",
        [],
        [
            ("garnish", {"_cls": "Herb", "name": "Dill", "fresh": True}),
            ("extra", {"n": "Leek", "grams": 1, "notes": [], "_cls": "Ingredient"}),
        ],
    ),
    ("add", [], [("m", {"n": "Oil", "notes": ["x"]})]),
)
def embedded_documents_added_and_removed(recipe: Recipe) -> None:
    recipe.garnish, recipe.extra = None, None
    recipe.main = Ingredient(name="Oil", notes=["x"])


@story(
    lambda: Recipe(by_name={"1": Ingredient(name="a"), "b.c": Ingredient(name="b", notes=["x"])}),
    ("remove", ["by_name"], [("1", {"n": "a", "notes": []})]),
    ("add", ["by_name"], [("new", {"n": "c", "notes": []})]),
    ("add", ["by_name", "b.c", "notes"], [(1, "y")]),
)
def map_of_embedded_documents_changed(recipe: Recipe) -> None:
    kept = recipe.by_name["b.c"]
    recipe.by_name = {
        "b.c": Ingredient(name=kept.name, notes=["x", "y"]),
        "new": Ingredient(name="c"),
    }


@story(
    lambda: Leaflet(title="A", pages=3, 名前="x", odd={"1": [1, 2, 3, 4]}, gone=[0]),
    ("remove", [], [("gone", [0])]),
    ("add", [], [("color", {"r": 1})]),
    ("remove", ["odd", "1"], [(1, 2)]),
    ("remove", ["odd", "1"], [(2, 3)]),
    ("remove", ["odd", "1"], [(3, 4)]),
    ("change", ["名前"], ("x", 1)),
    ("change", ["pages"], (3, "three")),
    ("change", ["title"], ("A", "B")),
)
def dynamic_fields_changed(leaflet: Leaflet) -> None:
    leaflet.title, leaflet.pages, leaflet.名前 = "B", "three", 1
    leaflet.odd = {"1": [1]}
    leaflet.color = {"r": 1}
    del leaflet.gone


@story(
    lambda: Leaflet(title="A", odd=[1, 2], sub={"x": 1}),
    ("remove", ["sub"], [("x", 1)]),
    ("remove", ["odd"], [(0, 1)]),
    ("remove", ["odd"], [(1, 2)]),
    once=False,
)
def dynamic_list_and_dict_emptied(leaflet: Leaflet) -> None:
    leaflet.odd, leaflet.sub = [], {}
