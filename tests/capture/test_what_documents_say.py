"""What a save, an update and a deletion of a document answer, or raise, is what they always do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import mongoengine as me
import pytest
from support.saying import NEW, filled_for, on, same
from support.twins import IDS, Act, Model, Twins

from mongoengine_history import history_of

TWINS = Twins()

tracking = TWINS.recording()
filled = filled_for(TWINS)


def loaded(model: Model, **values: Any) -> Any:
    document = model.objects.get(pk=IDS[1])
    for name, value in values.items():
        setattr(document, name, value)
    return document


def saved_after_a_deletion(model: Model) -> Any:
    document = loaded(model, name="b")
    model._get_db()[model._get_collection_name()].delete_one({"_id": document.pk})
    return document.save()


def saved_over(model: Model, **stored: Any) -> Any:
    document = loaded(model)
    document.facts["a"], document.name = 5, "b"
    model._get_db()[model._get_collection_name()].update_one({"_id": IDS[1]}, {"$set": stored})
    return document.save()


UNMET = {"w": 40}

DOCUMENTS: dict[str, Act] = {
    "save": lambda model: loaded(model, name="b", number=None, facts={"x": 1}).save(),
    "save a taken value": lambda model: loaded(model, code=3).save(),
    "save a condition": lambda model: loaded(model, name="b").save(save_condition={"number": 2}),
    "miss a condition": lambda model: loaded(model, name="b").save(save_condition={"number": 3}),
    "save, not waited for": lambda model: loaded(model, name="b").save(write_concern={"w": 0}),
    "create a taken value": lambda model: model(code=3).save(),
    "create a taken value by key": lambda model: model(pk=NEW, code=3).save(),
    "update": lambda model: loaded(model).update(set__name="b", full_result=True),
    "update nothing": lambda model: loaded(model).update(set__name="name 2", full_result=True),
    "update what is no list": lambda model: loaded(model).update(__raw__={"$push": {"name": 1}}),
    "update a taken value": lambda model: loaded(model).update(set__code=3),
    "upsert": lambda model: model(pk=NEW).update(name="b", upsert=True, full_result=True),
    "modify": lambda model: loaded(model).modify(inc__number=1),
    "modify a taken value": lambda model: loaded(model).modify(code=3),
    "modify what is no number": lambda model: loaded(model).modify(__raw__={"$inc": {"name": 1}}),
    "delete": lambda model: loaded(model).delete(),
    "by key, full": lambda model: model.objects(pk=IDS[1]).update(name="b", full_result=True),
    "first of a query": lambda model: model.objects(number__gt=2).update_one(
        inc__number=1, full_result=True
    ),
    "by key of a taken value": lambda model: model.objects(pk=IDS[1]).update(code=3),
    "by key with position": lambda model: model.objects(pk=IDS[1], lines__sku="s2").update(
        set__lines__S__qty=9, full_result=True
    ),
}


@pytest.mark.parametrize("case", DOCUMENTS)
def test_documents_say_what_they_always_do(filled: None, case: str) -> None:
    same(TWINS, DOCUMENTS[case])


PAST_THE_HISTORY: dict[str, Act] = {
    "save after a deletion": saved_after_a_deletion,
    "save through a scalar": lambda model: saved_over(model, facts=5),
    "save through null": lambda model: saved_over(model, facts=None),
    "save, never met": lambda model: loaded(model, name="b").save(write_concern=UNMET),
    "create, never met": lambda model: model(pk=NEW, name="b").save(write_concern=UNMET),
    "update, never met": lambda model: loaded(model).update(name="b", write_concern=UNMET),
    "delete, never met": lambda model: loaded(model).delete(w=40),
}
"""Others write at the same time, or what is written is told as if it were not."""


@pytest.mark.parametrize("case", PAST_THE_HISTORY)
def test_an_answer_is_the_same_whatever_happens_meanwhile(filled: None, case: str) -> None:
    same(TWINS, PAST_THE_HISTORY[case], is_recorded=False)


@pytest.mark.parametrize("case", ["save", "update", "delete"])
def test_what_is_told_as_never_met_is_recorded_where_it_was_done(filled: None, case: str) -> None:
    if history_of(TWINS.tracked, IDS[1]):  # else nothing tells what was there
        same(TWINS, PAST_THE_HISTORY[f"{case}, never met"])


@contextmanager
def validating(rule: dict[str, Any]) -> Iterator[None]:
    """Let the server take only documents that obey a rule."""
    names = [it._get_collection_name() for it in (TWINS.plain, TWINS.tracked)]
    database = me.get_db()
    for name in names:
        database.command("collMod", name, validator=rule)
    try:
        yield
    finally:
        for name in names:
            database.command("collMod", name, validator={})


RULES = [{"name": {"$ne": "b"}}, {"$jsonSchema": {"properties": {"name": {"enum": ["name 2"]}}}}]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("case", ["save", "update", "modify", "by key", "upsert", "before", "new"])
def test_a_rule_of_the_server_is_told_as_ever(filled: None, rule: Any, case: str) -> None:
    act = {
        "save": lambda model: loaded(model, name="b").save(),
        "update": lambda model: loaded(model).update(name="b"),
        "modify": lambda model: loaded(model).modify(name="b"),
        "by key": on(lambda it: it.update_one({"_id": IDS[1]}, {"$set": {"name": "b"}})),
        "upsert": on(lambda it: it.update_one({"_id": NEW}, {"$set": {"name": "b"}}, upsert=True)),
        "before": on(lambda it: it.find_one_and_update({"number": 2}, {"$set": {"name": "b"}})),
        "new": lambda model: model(pk=NEW, name="b").save(),
    }[case]
    with validating(rule):
        same(TWINS, act)


@pytest.mark.parametrize("retries", [True, False])
def test_a_large_document_is_written_and_told_as_a_small_one(
    filled: None, mongodb_uri: str, retries: bool
) -> None:
    """Whether the server keeps what it overwrites, for a retry, or not."""
    me.connect(
        me.get_db().name,
        alias="by_retries",
        host=mongodb_uri,
        retryWrites=retries,
        uuidRepresentation="standard",
    )
    twins = Twins(db_alias="by_retries")
    with twins.tracking():
        for model in (twins.plain, twins.tracked):
            model(pk=IDS[0], name="large", tags=["x" * 1_000_000]).save()
        for write in (
            lambda model: model.objects.get().update(inc__number=1, full_result=True),
            lambda model: model.objects.get().modify(push__tags="y"),
            lambda model: loaded_large(model, name="b", number=2).save() and None,
            lambda model: loaded_large(model).delete(),
        ):
            same(twins, write)
    me.disconnect("by_retries")


def loaded_large(model: Model, **values: Any) -> Any:
    document = model.objects.get()
    for name, value in values.items():
        setattr(document, name, value)
    return document
