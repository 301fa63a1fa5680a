"""Documents that have a history under 1.1, and stories of what happens to one there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from bson import ObjectId
from mongoengine import Document, DynamicDocument, EmbeddedDocument, fields

Patch = tuple[str, list[str | int], Any]


COOK = ObjectId("c00c00c00c00c00c00c00c00")


OLD, NEW = ObjectId("aaaaaaaaaaaaaaaaaaaaaaaa"), ObjectId("bbbbbbbbbbbbbbbbbbbbbbbb")


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
