"""Wherever a tracked class writes, by whatever kind of query: it is on record, and there."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import mongoengine as me
import pytest
from mongoengine.context_managers import no_dereference, switch_collection, switch_db
from mongoengine.queryset import QuerySet, queryset_manager
from mongoengine.queryset.base import BaseQuerySet
from support.changes import automatic
from support.twins import Twins, numbers, recorded

from mongoengine_history import (
    History,
    changeset,
    history_of,
)


class Publishing(QuerySet):
    """A kind of query of an application."""

    def publish(self) -> int:
        return self.filter(state="draft").update(set__state="published")

    def update(self, *args: Any, **kwargs: Any) -> Any:
        kwargs["inc__version"] = 1
        return super().update(*args, **kwargs)


class Article(me.Document):
    meta = {"collection": "articles", "auto_create_index": False, "queryset_class": Publishing}
    text = me.StringField(primary_key=True)
    state = me.StringField(default="draft")
    version = me.IntField()

    @queryset_manager
    def drafts(doc_cls, queryset: Any) -> Any:  # noqa: N805  # MongoEngine gives the class
        return queryset.filter(state="draft")


class Vessel(me.Document):
    meta = {"collection": "vehicles", "auto_create_index": False, "allow_inheritance": True}
    name = me.StringField(primary_key=True)
    wheels = me.IntField()


class Ferry(Vessel):
    doors = me.IntField()


class Van(Ferry):
    meta = {"queryset_class": Publishing}
    load = me.ListField(me.StringField())
    version = me.IntField()
    state = me.StringField()


MODELS = [Article, Vessel]


tracking = automatic(*MODELS)


@pytest.fixture(autouse=True)
def filled(database: Any) -> None:
    Article.objects.insert([Article(text=text) for text in "abc"])
    Vessel(name="cart", wheels=2).save()
    Ferry(name="mini", wheels=4, doors=3).save()
    Van(name="bus", wheels=6, load=["x"]).save()


def told(model: type[me.Document], key: Any) -> list[str]:
    return [revision.operation for revision in history_of(model, key)]


QUERIES: dict[str, Callable[[], Any]] = {
    "own method": lambda: Article.objects().publish(),
    "manager": lambda: Article.drafts.update(state="published"),
    "manager with own method": lambda: Article.drafts(text__ne="z").publish(),
    "without a cache": lambda: Article.objects.no_cache().update(inc__version=1),
    "cached again": lambda: Article.objects.no_cache().cache().update(inc__version=1),
    "cloned": lambda: Article.objects.clone().all().update(state="published"),
    "of a document": lambda: Article.objects.get(text="a")._qs.update(state="published"),
    "made by hand": lambda: BaseUpdating(Article, Article._get_collection()).update(version=7),
    "scalar": lambda: Article.objects.scalar("text").update(state="published"),
    "with a read concern": lambda: Article.objects.read_concern({"level": "local"}).publish(),
}


class BaseUpdating(BaseQuerySet):
    """The barest kind of query."""


@pytest.mark.parametrize("query", QUERIES)
def test_each_kind_of_query_is_recorded(query: str) -> None:
    with recorded(Article):
        QUERIES[query]()
    assert {tuple(found) for found in numbers(Article).values()} == {(1, 2)}


def test_a_class_of_queries_keeps_its_methods_and_results() -> None:
    assert isinstance(Article.objects, Publishing)
    assert Article.objects.publish() == 3
    assert Article.objects.publish() == 0
    assert set(Article.objects.scalar("version")) == {1}


@pytest.mark.parametrize("model", [Vessel, Ferry, Van])
def test_a_query_of_a_subclass_is_recorded(model: type[me.Document]) -> None:
    with recorded(Vessel):
        model.objects.update(inc__wheels=1)
    with recorded(Vessel):
        model.objects.modify(inc__wheels=1)
    with recorded(Vessel):
        model.objects(name="bus").delete()
    assert told(Vessel, "bus")[-1] == "delete"


@pytest.mark.parametrize("model", [Vessel, Ferry, Van])
def test_an_upsert_of_a_subclass_has_its_class_on_record(model: type[me.Document]) -> None:
    twins = Twins(allow_inheritance=True)
    with twins.tracking():
        twins.both(lambda twin: twin.objects(name="new").update_one(upsert=True, number=1))
        twins.both(lambda twin: twin.objects(name="other").upsert_one(number=1))
    with recorded(Vessel):
        made = model.objects(name="new").upsert_one(wheels=3)
    assert type(made) is model
    assert history_of(made).at(1)._class_name == model._class_name


def test_only_the_class_itself_is_written_without_its_subclasses() -> None:
    with recorded(Vessel):
        assert Ferry.objects.no_sub_classes().update(wheels=9) == 1
    assert numbers(Vessel) == {"cart": [1], "mini": [1, 2], "bus": [1]}


@pytest.mark.parametrize(
    "classes",
    [
        "Vessel.Ferry",
        {"$in": ["Vessel.Ferry", "Vessel.Ferry.Van"]},
        {"$eq": "Vessel.Ferry"},
        {"$ne": "Vessel"},
        {"$exists": True},
        {"$in": [re.compile("Ferry")]},
        re.compile("^Vessel"),
        None,
        "Vessel",
    ],
)
def test_a_key_and_a_class_asked_for_in_any_way_mean_what_the_server_says(classes: Any) -> None:
    query = {"_id": "mini", "_cls": classes}
    collection = Vessel._get_collection()
    matching = collection.count_documents(query)
    with recorded(Vessel):
        assert collection.update_many(query, {"$inc": {"wheels": 1}}).modified_count == matching
    with recorded(Vessel):
        assert collection.delete_one(query).deleted_count == matching


def test_a_key_means_what_the_collation_of_the_collection_says() -> None:
    me.get_db().create_collection("collated", collation={"locale": "en", "strength": 2})
    with switch_collection(Article, "collated"):
        Article(text="anna").save()
        with recorded(Article):
            assert Article.objects(text="ANNA").update(state="published") == 1
        with recorded(Article):
            assert Article.objects(text="ANNA").delete() == 1
    me.get_db().drop_collection("collated")


def history_in(alias: str) -> list[Any]:
    """Of what there are revisions in a database, and which ones."""
    found = me.get_db(alias)["history"].find({"position": 0})
    return [(each["document_type"], each["operation"]) for each in found]


def test_what_is_written_to_another_database_is_on_record_there() -> None:
    me.get_db()["history"].delete_many({})
    other = Article.objects.using("other")
    other.insert(Article(text="z"))
    other.update(state="published")
    other.filter(text="z").modify(inc__version=1)
    other.delete()
    assert history_in("default") == []
    operations = ["create", "update", "update", "delete"]
    assert history_in("other") == [("articles", operation) for operation in operations]
    with switch_db(Article, "other"):
        assert told(Article, "z") == operations
    assert Article.objects.count() == 3


def test_a_document_in_another_database_has_its_history_there() -> None:
    article = Article(text="a").switch_db("other")
    article.save()
    article.state = "published"
    article.save()
    article.update(inc__version=1)
    article.modify(inc__version=1)
    operations = ["create", "update", "update", "update"]
    assert [it.operation for it in history_of(article)] == operations
    article.delete()
    assert history_in("other") == [("articles", each) for each in [*operations, "delete"]]
    assert told(Article, "a") == ["create"]


def test_a_document_in_another_collection_has_a_history_of_its_own() -> None:
    article = Article.objects.get(text="a")
    article.switch_collection("archive", keep_created=False)
    article.save()
    article.state = "archived"
    article.save()
    article.delete()
    assert told(Article, "a") == ["create"]
    assert [it.operation for it in history_of(article)] == ["create", "update", "delete"]
    assert Article.objects.get(text="a").state == "draft"


def test_a_class_in_another_place_for_a_while_is_recorded_there() -> None:
    with switch_db(Article, "other") as there:
        there(text="y").save()
        there.objects.update(inc__version=1)
    with switch_collection(Article, "archive") as there:
        there(text="x").save()
        there.objects.create(text="w")
        there.objects(text="w").delete()
    assert history_in("other") == [("articles", "create"), ("articles", "update")]
    assert Article.objects.update(state="published") == 3
    archived = History.objects(document_type="archive").order_by("id")
    assert [(it.document_id, it.operation) for it in archived] == [
        ("x", "create"),
        ("w", "create"),
        ("w", "delete"),
    ]
    assert told(Article, "a") == ["create", "update"]


def test_the_context_managers_of_mongoengine_change_nothing_about_it() -> None:
    with no_dereference(Article), recorded(Article):
        Article.objects.update(state="published")
    with me.context_managers.no_sub_classes(Vessel), recorded(Vessel):
        Vessel.objects.update(wheels=1)


def test_an_inherited_document_keeps_its_options_and_identity() -> None:
    with changeset("anna"):
        Van.objects(name="bus").update(push__load="y", wheels=8)
        Ferry.objects.get(name="mini").update(doors=5)
    found = History.objects(identity="anna")
    assert {(it.document_id, it.path) for it in found} == {
        ("bus", ""),  # where the version is added
        ("bus", "load"),
        ("bus", "wheels"),
        ("mini", "doors"),
    }
