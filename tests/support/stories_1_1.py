"""
What documents go through under mongoengine-history 1.1, and what its records are to show later.

The tests import this file, and so does the process in which 1.1 runs: what both versions export is
all that it uses of the package.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from bson import DBRef, Decimal128, ObjectId
from mongoengine import Document, DynamicDocument, EmbeddedDocument, fields, signals

from mongoengine_history import DocumentTrack, History, load_history, revert, track_changes

Patch = tuple[str, list[str | int], Any]

COOK = ObjectId("c00c00c00c00c00c00c00c00")
OLD, NEW = ObjectId("aaaaaaaaaaaaaaaaaaaaaaaa"), ObjectId("bbbbbbbbbbbbbbbbbbbbbbbb")
PAUSE = 0.02  # seconds, so that moments between two saves differ in their milliseconds


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
    public = fields.BooleanField()
    price = fields.DecimalField(precision=2)
    cost = fields.Decimal128Field()
    cooked = fields.DateTimeField()
    code = fields.UUIDField(binary=True)
    like = fields.ReferenceField("self")
    unlike = fields.ReferenceField("self", dbref=True)
    tags = fields.ListField(fields.StringField())
    steps = fields.ListField()
    facts = fields.DictField()
    main = fields.EmbeddedDocumentField(Ingredient, db_field="m")
    garnish = fields.EmbeddedDocumentField(Garnish)
    extra = fields.GenericEmbeddedDocumentField()
    ingredients = fields.EmbeddedDocumentListField(Ingredient, db_field="i")
    by_name = fields.MapField(fields.EmbeddedDocumentField(Ingredient))


class Leaflet(DynamicDocument):
    title = fields.StringField()


class Story(NamedTuple):
    """What happens to one document under 1.1."""

    #: The document before it is tracked.
    first: Callable[[], Document]
    #: Edits it inside a block, after which it is saved once more.
    edit: Callable[[Any], None]
    #: What `load_history` is to show, the newest first.
    patches: list[Patch]
    #: Whether dictdiffer alone can take the patches back: 1.1 did not record a change twice.
    once: bool


STORIES: dict[str, Story] = {}


def story(
    first: Callable[[], Document], *patches: Patch, once: bool = True
) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """Keep the decorated function, which edits what *first* makes, as a story of its name."""

    def keep(edit: Callable[[Any], None]) -> Callable[[Any], None]:
        STORIES[edit.__name__] = Story(first, edit, list(patches), once)
        return edit

    return keep


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


@story(lambda: Recipe(tags=["a"]), ("add", ["tags"], [(1, "b")]))
def list_grown_by_one(recipe: Recipe) -> None:
    recipe.tags.append("b")


@story(lambda: Recipe(tags=[]), ("add", ["tags"], [(0, "a"), (1, "b"), (2, "c"), (3, "d")]))
def list_filled(recipe: Recipe) -> None:
    recipe.tags = ["a", "b", "c", "d"]


@story(
    lambda: Recipe(tags=["a", "b", "c"]),
    ("add", ["tags"], [(3, "c")]),
    ("change", ["tags", 2], ("c", "b")),
    ("change", ["tags", 1], ("b", "a")),
    ("change", ["tags", 0], ("a", "new")),
)
def item_inserted_at_the_head(recipe: Recipe) -> None:
    recipe.tags.insert(0, "new")


@story(lambda: Recipe(tags=["a", "b"]), ("remove", ["tags"], [(1, "b")]))
def list_shrunk_by_one(recipe: Recipe) -> None:
    recipe.tags.pop()


@story(
    lambda: Recipe(tags=["a", "b", "c", "d"]),
    ("remove", ["tags"], [(2, "c")]),
    ("remove", ["tags"], [(3, "d")]),
)
def list_shrunk_by_two(recipe: Recipe) -> None:
    del recipe.tags[2:]


@story(
    lambda: Recipe(tags=["a", "b", "c", "d", "e"]),
    ("remove", ["tags"], [(1, "b")]),
    ("remove", ["tags"], [(2, "c")]),
    ("remove", ["tags"], [(3, "d")]),
    ("remove", ["tags"], [(4, "e")]),
    ("change", ["tags", 0], ("a", "e")),
)
def list_shrunk_at_the_head(recipe: Recipe) -> None:
    del recipe.tags[:4]


@story(
    lambda: Recipe(tags=["a", "b", "c"]),
    ("remove", ["tags"], [(0, "a")]),
    ("remove", ["tags"], [(1, "b")]),
    ("remove", ["tags"], [(2, "c")]),
)
def list_emptied(recipe: Recipe) -> None:
    recipe.tags = []


@story(
    lambda: Recipe(steps=[[1, [2]], {"0": [3], "a.b": {"c": [4, 5, 6, 7]}}, []]),
    ("add", ["steps", 2], [(0, {"1": []})]),
    ("remove", ["steps", 1, "a.b", "c"], [(1, 5)]),
    ("remove", ["steps", 1, "a.b", "c"], [(2, 6)]),
    ("remove", ["steps", 1, "a.b", "c"], [(3, 7)]),
    ("change", ["steps", 1, "0", 0], (3, 8)),
    ("add", ["steps", 0, 1], [(1, 9)]),
)
def nested_lists_changed(recipe: Recipe) -> None:
    recipe.steps = [[1, [2, 9]], {"0": [8], "a.b": {"c": [4]}}, [{"1": []}]]


@story(
    lambda: Recipe(
        ingredients=[Ingredient(name="Leek", grams=1), Ingredient(name="Oil", notes=["a"])]
    ),
    ("add", ["i", 1], [("grams", 5)]),
    ("remove", ["i", 1, "notes"], [(0, "a")]),
    ("change", ["i", 0, "n"], ("Leek", "Onion")),
)
def embedded_documents_changed_inside_a_list(recipe: Recipe) -> None:
    recipe.ingredients[0].name = "Onion"
    recipe.ingredients[1].grams, recipe.ingredients[1].notes = 5, []


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


@story(
    lambda: Recipe(title="A", tags=["a"]),
    ("add", ["tags"], [(1, "b"), (2, "c")]),
    ("change", ["t"], ("A", "C")),
    ("add", ["tags"], [(1, "b")]),
    ("change", ["t"], ("A", "B")),
    once=False,
)
def list_grown_in_two_saves(recipe: Recipe) -> None:
    recipe.title = "B"
    recipe.tags.append("b")
    recipe.save()
    recipe.title = "C"
    recipe.tags.append("c")


@story(
    lambda: Recipe(tags=["a", "b", "c", "d"]),
    ("remove", ["tags"], [(1, "b")]),
    ("remove", ["tags"], [(2, "c")]),
    ("remove", ["tags"], [(3, "d")]),
    ("remove", ["tags"], [(2, "c")]),
    ("remove", ["tags"], [(3, "d")]),
    ("remove", ["tags"], [(3, "d")]),
    once=False,
)
def list_shrunk_in_three_saves(recipe: Recipe) -> None:
    recipe.tags.pop()
    recipe.save()
    recipe.tags.pop()
    recipe.save()
    recipe.tags.pop()


@story(
    lambda: Recipe(tags=["a", "b"]),
    ("add", ["tags"], [(2, "c")]),
    ("remove", ["tags"], [(1, "b")]),
    ("change", ["tags", 0], ("a", "b")),
    once=False,
)
def list_shrunk_then_grown(recipe: Recipe) -> None:
    del recipe.tags[0]
    recipe.save()
    recipe.tags = ["a", "b", "c"]


@story(
    lambda: Recipe(tags=["a", "b"]),
    ("change", ["tags", 1], ("b", "c")),
    ("remove", ["tags"], [(0, "a")]),
    ("remove", ["tags"], [(1, "b")]),
    once=False,
)
def list_emptied_then_filled(recipe: Recipe) -> None:
    recipe.tags = []
    recipe.save()
    recipe.tags = ["a", "c"]


@story(
    lambda: Recipe(servings=5, facts={"a": {"b": 1}}),
    ("add", [], [("rating", 2.0)]),
    ("add", ["facts"], [("c", {"d": 2})]),
    ("change", ["facts", "a", "b"], (1, 3)),
    ("change", ["servings"], (5, 7)),
    ("remove", [], [("servings", 5)]),
    ("add", [], [("rating", 1.0)]),
    ("remove", ["facts"], [("a", {"b": 1})]),
    ("add", ["facts"], [("c", {"d": 1})]),
    once=False,
)
def fields_removed_and_set_again(recipe: Recipe) -> None:
    recipe.servings, recipe.rating, recipe.facts = None, 1.0, {"c": {"d": 1}}
    recipe.save()
    recipe.servings, recipe.rating, recipe.facts = 7, 2.0, {"a": {"b": 3}, "c": {"d": 2}}


@story(
    lambda: Recipe(title="A"),
    ("change", ["t"], ("A", "C")),
    ("change", ["t"], ("A", "C")),
    ("change", ["t"], ("A", "B")),
    once=False,
)
def field_changed_after_the_block(recipe: Recipe) -> None:
    with DocumentTrack(recipe, COOK):
        recipe.title = "B"
        recipe.save()
    recipe.title = "C"
    recipe.save()


@story(
    lambda: Recipe(title="A", tags=["a"], steps=[1, 2, 3], facts={"1": {"2": 3}}),
    ("add", ["facts"], [("new", 1)]),
    ("change", ["facts", "1", "2"], (3, 4)),
    ("remove", ["steps"], [(1, 2)]),
    ("remove", ["steps"], [(2, 3)]),
    ("add", ["tags"], [(1, "c")]),
    ("change", ["tags", 0], ("a", "b")),
    ("change", ["t"], ("A", "B")),
)
def values_of_all_kinds_changed(recipe: Recipe) -> None:
    recipe.title, recipe.tags, recipe.steps = "B", ["b", "c"], [1]
    recipe.facts = {"1": {"2": 4}, "new": 1}


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
