"""What a write answers, or raises, is what the server says where nobody records it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pymongo import WriteConcern
from support.saying import AFTER, NEW, filled_for, on, same
from support.twins import IDS, Twins

TWINS = Twins()
NO_CASE = {"locale": "en", "strength": 2}

tracking = TWINS.recording()
filled = filled_for(TWINS)

UPDATES: dict[str, Any] = {
    "set": {"$set": {"name": "b", "facts.deep.b.1.c": 5, "lines.0.qty": 7, "new.er": {"x": []}}},
    "set the same": {"$set": {"name": "name 2"}},
    "unset": {"$unset": {"name": "", "facts.a": 1, "tags": 1}},
    "count": {"$inc": {"number": 10}, "$mul": {"facts.b": 3}, "$min": {"facts.a": 0}},
    "lists": {"$push": {"tags": {"$each": ["p", "q"], "$position": 1}}, "$pull": {"lines": {}}},
    "rename": {"$rename": {"name": "renamed"}},
    "only for new ones": {"$setOnInsert": {"name": "b"}},
    "pipeline": [{"$set": {"number": {"$add": ["$number", 1]}}}, {"$unset": "tags"}],
}

WRONG: dict[str, Any] = {
    "a taken value": {"$set": {"code": 3}},
    "what is no number": {"$inc": {"name": 1}},
    "what is no list": {"$push": {"name": 1}},
    "through a scalar": {"$set": {"name.deep": 1}},
    "through a list": {"$set": {"tags.deep": 1}},
    "a key": {"$set": {"_id": NEW}},
    "no such operator": {"$no": {"name": 1}},
    "no operator": {"name": 1},
    "two at one path": {"$set": {"name": 1}, "$inc": {"name": 1}},
    "an empty name": {"$set": {"": 1}},
    "nothing": {},
    "no document": {"$set": 5},
    "a pipeline that fails": [{"$set": {"number": {"$divide": [1, 0]}}}],
    "no such stage": [{"$match": {}}],
}
"""What the server, or PyMongo, refuses."""

FOUND: dict[str, Any] = {
    "by key": {"_id": IDS[1]},
    "by a query": {"number": {"$in": [2, 12]}},
    "by key and more": {"_id": IDS[1], "place.type": "Point"},
}

QUERIES = {**FOUND, "no match": {"_id": NEW}, "no match of a query": {"number": 99}}

SOME_FIELDS = {"name": 1, "lines.qty": 1, "_id": 0}

METHODS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "update_one": lambda it, query, update: it.update_one(query, update),
    "update_many": lambda it, query, update: it.update_many(query, update),
    "before": lambda it, query, update: it.find_one_and_update(query, update),
    "after": lambda it, query, update: by_name(it.find_one_and_update(query, update, **AFTER)),
    "some fields": lambda it, query, update: it.find_one_and_update(
        query, update, SOME_FIELDS, **AFTER
    ),
    "some fields before": lambda it, query, update: it.find_one_and_update(
        query, update, {"tags": {"$slice": 1}}
    ),
}

UPSERTS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "one": lambda it, query, update: it.update_one(query, update, upsert=True),
    "many": lambda it, query, update: it.update_many(query, update, upsert=True),
    "before": lambda it, query, update: it.find_one_and_update(query, update, upsert=True),
    "after": lambda it, query, update: by_name(
        it.find_one_and_update(query, update, upsert=True, **AFTER)
    ),
}


def by_name(found: Any) -> Any:
    """Sort fields, of which a test of its own tells the order."""
    return dict(sorted(found.items())) if isinstance(found, dict) else found


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("update", UPDATES)
def test_updates_say_what_they_always_do(filled: None, update: str, method: str) -> None:
    for query in QUERIES.values():
        same(TWINS, on(lambda it, query=query: METHODS[method](it, query, UPDATES[update])))


@pytest.mark.parametrize("method", UPSERTS)
@pytest.mark.parametrize("update", UPDATES)
def test_upserts_say_what_they_always_do(filled: None, update: str, method: str) -> None:
    for query in QUERIES.values():
        same(TWINS, on(lambda it, query=query: UPSERTS[method](it, query, UPDATES[update])))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("update", WRONG)
def test_what_is_refused_is_told_as_ever(filled: None, update: str, method: str) -> None:
    for query in FOUND.values():
        same(TWINS, on(lambda it, query=query: METHODS[method](it, query, WRONG[update])))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("update", WRONG)
def test_what_is_wrong_is_told_also_where_nothing_is_found(
    filled: None, update: str, method: str
) -> None:
    for query in ({"_id": NEW}, {"number": 99}):
        same(TWINS, on(lambda it, query=query: METHODS[method](it, query, WRONG[update])))


@pytest.mark.parametrize("method", ["one", "many"])
@pytest.mark.parametrize("update", WRONG)
def test_what_cannot_be_made_is_told_as_ever(filled: None, update: str, method: str) -> None:
    for query in ({"_id": NEW}, {"number": 99}):
        same(TWINS, on(lambda it, query=query: UPSERTS[method](it, query, WRONG[update])))


@pytest.mark.parametrize("update", UPDATES)
def test_what_is_returned_after_has_the_order_of_what_is_stored(filled: None, update: str) -> None:
    for query in FOUND.values():
        same(
            TWINS,
            on(lambda it, query=query: it.find_one_and_update(query, UPDATES[update], **AFTER)),
        )


REPLACEMENTS: dict[str, Any] = {
    "some fields": {"name": "b", "new": [1]},
    "the same key": {"_id": IDS[1], "name": "b"},
    "another key": {"_id": IDS[5], "name": "b"},
    "nothing": {},
    "a taken value": {"code": 3},
    "an operator": {"$set": {"name": "b"}},
    "what is no document": 5,
}

REPLACING: dict[str, Callable[[Any, Any, Any], Any]] = {
    "replace_one": lambda it, query, new: it.replace_one(query, new),
    "upsert": lambda it, query, new: it.replace_one(query, new, upsert=True),
    "before": lambda it, query, new: it.find_one_and_replace(query, new),
    "after": lambda it, query, new: it.find_one_and_replace(query, new, **AFTER),
    "some fields": lambda it, query, new: it.find_one_and_replace(query, new, {"name": 1}, **AFTER),
}


@pytest.mark.parametrize("method", REPLACING)
@pytest.mark.parametrize("new", REPLACEMENTS)
def test_replacements_say_what_they_always_do(filled: None, new: str, method: str) -> None:
    for query in QUERIES.values():
        same(TWINS, on(lambda it, query=query: REPLACING[method](it, query, REPLACEMENTS[new])))


SORT = [("number", -1)]
UP = {"$inc": {"number": 1}}
SOME = {"number": {"$gt": 2}}
NOTHING = {"_id": 0, "no such field": 1}

OPTIONS: dict[str, Callable[[Any], Any]] = {
    "sort": lambda it: it.find_one_and_update(SOME, UP, sort=SORT),
    "sort and some fields": lambda it: it.find_one_and_update(SOME, UP, {"name": 1}, sort=SORT),
    "sort a deletion": lambda it: it.find_one_and_delete(SOME, sort=SORT),
    "sort a deletion and some fields": lambda it: it.find_one_and_delete(SOME, {"a": 1}, sort=SORT),
    "sort by key": lambda it: it.find_one_and_update({"_id": IDS[1]}, UP, sort=SORT),
    "hint": lambda it: it.update_one(SOME, UP, hint="_id_"),
    "hint by key": lambda it: it.update_one({"_id": IDS[1]}, UP, hint=[("_id", 1)]),
    "wrong hint": lambda it: it.update_one(SOME, UP, hint="no such index"),
    "wrong hint by key": lambda it: it.update_one({"_id": IDS[1]}, UP, hint="no such index"),
    "wrong hint of a deletion": lambda it: it.delete_one({"_id": IDS[1]}, hint="no such index"),
    "hint of a deletion": lambda it: it.delete_one(SOME, hint="_id_"),
    "collation": lambda it: it.update_one({"name": "NAME 3"}, UP, collation=NO_CASE),
    "collation of an upsert": lambda it: it.update_one(
        {"name": "NAME 9"}, UP, upsert=True, collation=NO_CASE
    ),
    "collation by key": lambda it: it.update_one({"_id": IDS[1]}, UP, collation=NO_CASE),
    "wrong collation": lambda it: it.update_one(SOME, UP, collation={"locale": "no such"}),
    "collation of a deletion": lambda it: it.delete_one({"name": "NAME 3"}, collation=NO_CASE),
    "filters": lambda it: it.update_one(
        SOME, {"$set": {"lines.$[a].qty": 9}}, array_filters=[{"a.sku": "s2"}]
    ),
    "filters by key": lambda it: it.update_one(
        {"_id": IDS[1]}, {"$set": {"lines.$[a].qty": 9}}, array_filters=[{"a.sku": "s2"}]
    ),
    "a filter that is missing": lambda it: it.update_one(
        {"_id": IDS[1]}, {"$set": {"lines.$[b].qty": 9}}, array_filters=[{"a.sku": "s2"}]
    ),
    "filters of an upsert": lambda it: it.find_one_and_update(
        {"_id": NEW, "lines": [{"sku": "s"}]},
        {"$set": {"lines.$[a].qty": 9}},
        array_filters=[{"a.sku": "s"}],
        upsert=True,
        **AFTER,
    ),
    "by position": lambda it: it.update_one({"lines.sku": "s2"}, {"$set": {"lines.$.qty": 9}}),
    "by position and key": lambda it: it.update_one(
        {"_id": IDS[1], "lines.sku": "s2"}, {"$set": {"lines.$.qty": 9}}
    ),
    "by position without a query": lambda it: it.update_one(
        {"_id": IDS[1]}, {"$set": {"lines.$.qty": 9}}
    ),
    "by position, some fields": lambda it: it.find_one_and_update(
        {"lines.sku": "s2"}, {"$inc": {"lines.$.qty": 9}}, {"lines.$": 1}
    ),
    "all positions": lambda it: it.update_one({"_id": IDS[1]}, {"$inc": {"lines.$[].qty": 9}}),
    "let": lambda it: it.update_one(
        {"$expr": {"$eq": ["$number", "$$n"]}}, UP, let={"n": 3}, comment="c"
    ),
    "let of a pipeline": lambda it: it.update_one(
        {"_id": IDS[1]}, [{"$set": {"number": "$$n"}}], let={"n": 70}
    ),
    "let of an upsert": lambda it: it.update_one(
        {"_id": NEW}, [{"$set": {"number": "$$n"}}], let={"n": 70}, upsert=True
    ),
    "let of a deletion": lambda it: it.delete_one(
        {"$expr": {"$eq": ["$number", "$$n"]}}, let={"n": 3}
    ),
    "no such variable": lambda it: it.update_one({"$expr": {"$eq": ["$number", "$$m"]}}, UP),
    "nothing of it": lambda it: it.find_one_and_update({"_id": IDS[1]}, UP, NOTHING),
    "nothing of one": lambda it: it.find_one_and_update(SOME, UP, NOTHING, sort=SORT),
    "nothing of what is there": lambda it: it.find_one_and_update(SOME, UP, NOTHING, upsert=True),
    "nothing of what is made": lambda it: it.find_one_and_update(
        {"_id": NEW}, UP, NOTHING, upsert=True, **AFTER
    ),
    "some fields of what is made": lambda it: it.find_one_and_update(
        {"_id": NEW, "name": "b"}, UP, {"name": 1}, upsert=True, **AFTER
    ),
    "nothing of what is gone": lambda it: it.find_one_and_delete(SOME, NOTHING),
    "in time": lambda it: it.find_one_and_update({"_id": IDS[1]}, UP, maxTimeMS=20_000),
    "in too short a time": lambda it: it.find_one_and_update(
        {"_id": IDS[1], "$where": "sleep(300) || true"}, UP, maxTimeMS=20
    ),
    "an option that is none": lambda it: it.find_one_and_update(SOME, UP, nonsense=True),
    "without validation": lambda it: it.update_one(SOME, UP, bypass_document_validation=True),
    "delete": lambda it: it.delete_one({"_id": IDS[1]}),
    "delete none": lambda it: it.delete_one({"_id": NEW}),
    "delete by a query": lambda it: it.delete_one(SOME),
    "delete wrong": lambda it: it.delete_one({"$no": 1}),
    "delete wrong by key": lambda it: it.delete_one({"_id": IDS[1], "number": {"$no": 1}}),
    "upsert what is taken": lambda it: it.update_one({"_id": NEW}, {"$set": {"code": 3}}, True),
    "upsert by operators": lambda it: it.update_one(
        {"number": {"$in": [77]}, "name": "new"}, {"$push": {"tags": "t"}}, upsert=True
    ),
    "a key asked for": lambda it: it.update_one({"_id": {"$in": [IDS[1]]}}, UP),
    "one of two keys": lambda it: it.update_one({"$or": [{"_id": IDS[1]}, {"_id": IDS[2]}]}, UP),
    "two keys": lambda it: it.update_one({"$and": [{"_id": IDS[1]}, {"_id": IDS[2]}]}, UP),
    "an empty condition": lambda it: it.update_one({"$and": []}, UP),
    "not waited for": lambda it: unwaited(it, lambda at: at.update_one({"_id": IDS[1]}, UP)),
    "not waited for, wrong": lambda it: unwaited(
        it, lambda at: at.update_one({"_id": IDS[1]}, {"$set": {"name": "b"}})
    ),
    "not waited for, deleted": lambda it: unwaited(it, lambda at: at.delete_one({"_id": IDS[1]})),
    "in a session": lambda it: in_session(it, lambda s: it.update_one(SOME, UP, session=s)),
    "in a transaction": lambda it: in_transaction(
        it, lambda s: it.update_one({"_id": IDS[1]}, UP, session=s)
    ),
    "deleted in a transaction": lambda it: in_transaction(
        it, lambda s: it.delete_one({"_id": IDS[1]}, session=s)
    ),
    "after in a transaction": lambda it: in_transaction(
        it, lambda s: by_name(it.find_one_and_update(SOME, UP, session=s, **AFTER))
    ),
    "wrong in a transaction": lambda it: in_transaction(
        it, lambda s: it.update_one({"_id": IDS[1]}, {"$inc": {"name": 1}}, session=s)
    ),
    "taken in a transaction": lambda it: in_transaction(
        it, lambda s: it.update_one({"_id": IDS[1]}, {"$set": {"code": 3}}, session=s)
    ),
    "upserted in a transaction": lambda it: in_transaction(
        it, lambda s: it.update_one({"_id": NEW}, UP, upsert=True, session=s)
    ),
}


def unwaited(collection: Any, write: Callable[[Any], Any]) -> Any:
    done = write(collection.with_options(write_concern=WriteConcern(w=0)))
    return done, collection.find_one({"_id": IDS[1]})


def in_session(collection: Any, act: Callable[[Any], Any]) -> Any:
    with collection.database.client.start_session() as session:
        return act(session)


def in_transaction(collection: Any, act: Callable[[Any], Any]) -> Any:
    with collection.database.client.start_session() as session, session.start_transaction():
        return act(session)


@pytest.mark.parametrize("case", OPTIONS)
def test_options_mean_what_they_always_do(filled: None, case: str) -> None:
    same(TWINS, on(OPTIONS[case]))
