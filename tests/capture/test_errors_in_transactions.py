"""An error of a write is that of the untracked one, also inside a transaction, which it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import pytest
from mongoengine import NotUniqueError
from pymongo import DeleteMany, DeleteOne, InsertOne, MongoClient, ReplaceOne, UpdateMany, UpdateOne
from pymongo.client_session import ClientSession
from pymongo.errors import BulkWriteError, PyMongoError
from support.binding import need_binding
from support.saying import OF_TIME, filled_for
from support.twins import IDS, Model, Twins, contents, numbers, raws, recorded, settled, shown

from mongoengine_history import DocumentTrack, History
from mongoengine_history.record.sessions import is_transient

TWINS = Twins()
LABELS = ("TransientTransactionError", "UnknownTransactionCommitResult")

tracking = TWINS.recording()
filled = filled_for(TWINS)

KEY, TWO, NONE = {"_id": IDS[1]}, {"number": {"$in": [2, 12]}}, {"number": 99}
BAD, BAD_KEY = {"$no": 1}, {"_id": IDS[1], "number": {"$no": 1}}

UPDATES: dict[str, Any] = {
    "a taken value": {"$set": {"code": 3}},
    "a value that the server refuses": {"$set": {"name": "refused"}},
    "no such operator": {"$no": {"name": 1}},
    "what is no number": {"$inc": {"name": 1}},
    "a pipeline that fails": [{"$set": {"number": {"$divide": [1, 0]}}}],
    "a wrong filter": {"$set": {"name": "b"}},
}

QUERIES: dict[str, list[dict[str, Any]]] = {"a wrong filter": [BAD, BAD_KEY]}

METHODS: dict[str, Callable[[Any, Any, Any, Any], Any]] = {
    "one": lambda it, query, new, s: it.update_one(query, new, **s),
    "many": lambda it, query, new, s: it.update_many(query, new, **s),
    "upsert": lambda it, query, new, s: it.update_one(query, new, upsert=True, **s),
    "upsert many": lambda it, query, new, s: it.update_many(query, new, upsert=True, **s),
    "modify": lambda it, query, new, s: it.find_one_and_update(query, new, **s),
    "modify some": lambda it, query, new, s: it.find_one_and_update(query, new, {"name": 1}, **s),
    "modify upsert": lambda it, query, new, s: it.find_one_and_update(query, new, upsert=True, **s),
    "requests": lambda it, query, new, s: it.bulk_write(
        [UpdateOne({"_id": IDS[3]}, {"$set": {"name": "d"}}), UpdateOne(query, new)], **s
    ),
    "requests to many": lambda it, query, new, s: it.bulk_write([UpdateMany(query, new)], **s),
    "requests that upsert": lambda it, query, new, s: it.bulk_write(
        [InsertOne({"_id": IDS[5]}), UpdateOne(query, new, upsert=True)], **s
    ),
    "unordered requests": lambda it, query, new, s: it.bulk_write(
        [UpdateOne(query, new), UpdateOne({"_id": IDS[3]}, new)], ordered=False, **s
    ),
}

NEW_ONES: dict[str, dict[str, Any]] = {
    "a taken key": {"_id": IDS[1]},
    "a taken value": {"_id": IDS[5], "code": 3},
    "a value that the server refuses": {"_id": IDS[5], "name": "refused"},
}

INSERTING: dict[str, Callable[[Any, Any, Any], Any]] = {
    "one": lambda it, new, s: it.insert_one(new, **s),
    "many": lambda it, new, s: it.insert_many([{"_id": "a"}, new, {"_id": "b"}], **s),
    "unordered": lambda it, new, s: it.insert_many([new, {"_id": "b"}], ordered=False, **s),
    "requests": lambda it, new, s: it.bulk_write([InsertOne({"_id": "a"}), InsertOne(new)], **s),
    "replace": lambda it, new, s: it.replace_one(KEY, without_key(new) or BAD, **s),
    "replace by a query": lambda it, new, s: it.replace_one(TWO, without_key(new) or BAD, **s),
    "replace upsert": lambda it, new, s: it.replace_one(NONE, new, upsert=True, **s),
    "exchange upsert": lambda it, new, s: it.find_one_and_replace(NONE, new, upsert=True, **s),
    "request to replace": lambda it, new, s: it.bulk_write([ReplaceOne(NONE, new, True)], **s),
}

DELETING: dict[str, Callable[[Any, Any, Any], Any]] = {
    "one": lambda it, query, s: it.delete_one(query, **s),
    "many": lambda it, query, s: it.delete_many(query, **s),
    "find one": lambda it, query, s: it.find_one_and_delete(query, **s),
    "find one, some fields": lambda it, query, s: it.find_one_and_delete(query, {"name": 1}, **s),
    "requests": lambda it, query, s: it.bulk_write([DeleteOne(query)], **s),
    "requests to many": lambda it, query, s: it.bulk_write([DeleteMany(query)], **s),
}


def without_key(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != "_id"}


def objects(model: Any, query: Any = None) -> Any:
    return model.objects(__raw__=query or KEY)


def saved(model: Any, **values: Any) -> Any:
    document = model.objects.get(pk=IDS[1])
    for name, value in values.items():
        setattr(document, name, value)
    return document.save()


DOCUMENTS: dict[str, Callable[[Any], Any]] = {
    "a taken value": lambda it: it(code=3).save(),
    "a taken value of one that is there": lambda it: saved(it, code=3),
    "a taken key": lambda it: it(pk=IDS[1]).save(force_insert=True),
    "refused": lambda it: it(name="refused").save(),
    "refused of one that is there": lambda it: saved(it, name="refused"),
    "inserted": lambda it: it.objects.insert([it(code=9), it(code=3)]),
    "inserted alone": lambda it: it.objects.insert(it(code=3)),
    "inserted, refused": lambda it: it.objects.insert([it(name="a"), it(name="refused")]),
    "updated": lambda it: objects(it, TWO).update(code=3),
    "updated to what is refused": lambda it: objects(it, TWO).update(name="refused"),
    "updated, a wrong filter": lambda it: objects(it, BAD).update(name="b"),
    "updated wrongly": lambda it: objects(it, TWO).update(__raw__={"$inc": {"name": 1}}),
    "updated one": lambda it: objects(it).update_one(code=3),
    "made": lambda it: objects(it, NONE).update(code=3, upsert=True),
    "made one": lambda it: objects(it, NONE).update_one(code=3, upsert=True),
    "made and loaded": lambda it: objects(it, NONE).upsert_one(code=3),
    "modified": lambda it: objects(it).modify(code=3, new=True),
    "modified to what is refused": lambda it: objects(it).modify(name="refused"),
    "modified, a wrong filter": lambda it: objects(it, BAD).modify(name="b"),
    "made by modify": lambda it: objects(it, NONE).modify(code=3, upsert=True, new=True),
    "removed by modify": lambda it: objects(it, BAD).modify(remove=True),
    "one modified": lambda it: it.objects.get(pk=IDS[1]).modify(code=3),
    "one updated": lambda it: it.objects.get(pk=IDS[1]).update(code=3),
    "deleted, a wrong filter": lambda it: objects(it, BAD).delete(),
}


@contextmanager
def bound(client: MongoClient) -> Iterator[dict[str, Any]]:
    need_binding()
    with client.start_session() as session, session.bind(), session.start_transaction():
        yield {}


@contextmanager
def explicit(client: MongoClient) -> Iterator[dict[str, Any]]:
    with client.start_session() as session, session.start_transaction():
        yield {"session": session}


Around = Callable[[MongoClient], AbstractContextManager[dict[str, Any]]]

AROUND: dict[str, Around] = {
    "alone": lambda client: nullcontext({}),
    "bound": bound,
    "explicit": explicit,
}


def told(error: BaseException | None) -> Any:
    """Tell an error and those it came from, but for clocks and the order in which it is told."""
    if error is None:
        return None
    details = getattr(error, "details", None) or {}
    known = sorted((name, it) for name, it in details.items() if name not in OF_TIME)
    labels = [it for it in LABELS if isinstance(error, PyMongoError) and error.has_error_label(it)]
    texts = [settled(it) for it in (str(error).partition(", full error")[0], shown(known))]
    return type(error), getattr(error, "code", None), labels, *texts, told(error.__cause__)


def failure(act: Callable[[Any, dict[str, Any]], Any], model: Model, around: Around) -> Any:
    try:
        with around(model._get_db().client) as options:
            act(model, options)
    except Exception as error:
        return told(error)
    return None


def same_failure(act: Callable[[Any, dict[str, Any]], Any], around: str) -> None:
    """Check that both fail alike; in a transaction nothing is left of it."""
    before, known = raws(TWINS.tracked), numbers(TWINS.tracked)
    expected = failure(act, TWINS.plain, AROUND[around])
    assert failure(act, TWINS.tracked, AROUND[around]) == expected
    assert expected is not None
    if around != "alone":
        assert (raws(TWINS.tracked), numbers(TWINS.tracked)) == (before, known)


@pytest.fixture(scope="module", autouse=True)
def refusing(tracking: None) -> None:
    """Let the server refuse a name."""
    schema = {"properties": {"name": {"not": {"enum": ["refused"]}}}}
    for model in (TWINS.plain, TWINS.tracked):
        name = model._get_collection_name()
        model._get_db().create_collection(name, validator={"$jsonSchema": schema})


KNOWN = [("alone", "unknown"), ("alone", "large"), ("bound", "known"), ("bound", "large")]
"""What is around a write, and of what documents: each with each would tell no more."""

in_all_ways = pytest.mark.parametrize(
    ("around", "filled"), [*KNOWN, ("explicit", "unknown")], indirect=["filled"]
)


@in_all_ways
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("wrong", UPDATES)
def test_updates(filled: None, wrong: str, method: str, around: str) -> None:
    makes = "upsert" in method and wrong != "what is no number"  # of nothing, a count is made
    found = [KEY, TWO, *([NONE] if makes else [])]
    for query in QUERIES.get(wrong, found):
        same_failure(
            lambda it, s, query=query: METHODS[method](
                it._get_collection(), query, UPDATES[wrong], s
            ),
            around,
        )


@in_all_ways
@pytest.mark.parametrize("method", INSERTING)
@pytest.mark.parametrize("wrong", NEW_ONES)
def test_inserts_and_replacements(filled: None, wrong: str, method: str, around: str) -> None:
    same_failure(
        lambda it, s: INSERTING[method](it._get_collection(), {**NEW_ONES[wrong]}, s), around
    )


@in_all_ways
@pytest.mark.parametrize("method", DELETING)
def test_deletions(filled: None, method: str, around: str) -> None:
    for query in (BAD, BAD_KEY):
        same_failure(
            lambda it, s, query=query: DELETING[method](it._get_collection(), query, s), around
        )


@pytest.mark.parametrize(("around", "filled"), KNOWN, indirect=["filled"])
@pytest.mark.parametrize("way", DOCUMENTS)
def test_documents_and_querysets(filled: None, way: str, around: str) -> None:
    same_failure(lambda it, _: DOCUMENTS[way](it), around)


def run(
    act: Callable[[Any, dict[str, Any]], Any], model: Model, *, is_bound: bool
) -> tuple[Any, int]:
    """Do something by ``with_transaction``; tell its error, and how often it was called."""
    calls = []

    def work(session: ClientSession) -> None:
        calls.append(session)
        act(model, {} if is_bound else {"session": session})

    client = model._get_db().client
    with client.start_session() as session:
        with session.bind(end_session=False) if is_bound else nullcontext():
            try:
                session.with_transaction(work)
            except Exception as error:
                return told(error), len(calls)
    return None, len(calls)


AGAIN: dict[str, Callable[[Any, Any], Any]] = {
    "upsert": lambda it, s: METHODS["upsert"](
        it._get_collection(), NONE, UPDATES["a taken value"], s
    ),
    "many": lambda it, s: METHODS["many"](it._get_collection(), BAD, UPDATES["a wrong filter"], s),
    "insert": lambda it, s: INSERTING["many"](it._get_collection(), {"_id": IDS[1]}, s),
    "requests": lambda it, s: INSERTING["requests"](it._get_collection(), {"_id": IDS[1]}, s),
}


@pytest.mark.parametrize("is_bound", [True, False])
@pytest.mark.parametrize("case", AGAIN)
def test_a_transaction_that_failed_for_good_is_not_run_again(
    filled: None, case: str, is_bound: bool
) -> None:
    if is_bound:
        need_binding()
    failed, calls = run(AGAIN[case], TWINS.tracked, is_bound=is_bound)
    assert (failed, calls) == run(AGAIN[case], TWINS.plain, is_bound=is_bound)
    assert (failed is not None, calls) == (True, 1)


@pytest.mark.parametrize("is_bound", [True, False])
def test_requests_of_all_kinds_are_done_in_a_transaction(filled: None, is_bound: bool) -> None:
    if is_bound:
        need_binding()
    requests = [
        InsertOne({"_id": IDS[5], "name": "new"}),
        UpdateOne(KEY, {"$set": {"name": "b"}}),
        UpdateMany(NONE, {"$set": {"name": "c"}}, upsert=True),
        ReplaceOne({"number": 98}, {"name": "d"}, upsert=True),
        DeleteMany({"number": {"$in": [3, 4]}}),
    ]

    def act(model: Any, s: dict[str, Any]) -> Any:
        return model._get_collection().bulk_write(requests, **s)

    assert run(act, TWINS.plain, is_bound=is_bound) == (None, 1)
    with recorded(TWINS.tracked):
        assert run(act, TWINS.tracked, is_bound=is_bound) == (None, 1)
    assert contents(TWINS.tracked) == contents(TWINS.plain)


def test_nothing_is_asked_in_a_transaction_that_is_over(filled: None, commands: Any) -> None:
    History.ensure_indexes()
    documents = [{"_id": "a"}, {"_id": IDS[1]}]
    with pytest.raises(BulkWriteError), explicit(TWINS.tracked._get_db().client) as s:
        commands.clear()
        TWINS.tracked._get_collection().insert_many(documents, **s)
    assert commands.names == ["insert", "abortTransaction"]


def test_a_stale_copy_that_is_new_is_told_as_a_key_that_is_taken(filled: None) -> None:
    need_binding()
    taken = TWINS.tracked(pk=IDS[1])
    with pytest.raises(NotUniqueError) as caught, bound(TWINS.tracked._get_db().client):
        with DocumentTrack(taken, refuse_stale=True):
            taken.save(force_insert=True)
    assert not is_transient(caught.value.__cause__ or caught.value.__context__)
