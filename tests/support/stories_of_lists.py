"""Stories of lists, and of several saves."""

from __future__ import annotations

from support.recipes import COOK, Ingredient, Recipe, story

from mongoengine_history import DocumentTrack


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
