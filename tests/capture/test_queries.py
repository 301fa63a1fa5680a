"""Writes by queries: whatever matches and whatever is asked for, what happened is on record."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from bson import ObjectId
from mongoengine import Q
from mongoengine.errors import NotUniqueError
from support.documents import Line
from support.twins import IDS, Act, Twins, numbers, raws, recorded

from mongoengine_history import history_of
from mongoengine_history.capture.saves import OneWrite
from mongoengine_history.record import append_many

TWINS = Twins()
NEW = ObjectId("f" * 24)

FILTERS: dict[str, Act] = {
    "all": lambda model: model.objects,
    "equal": lambda model: model.objects(number=2),
    "operator": lambda model: model.objects(number__in=[1, 3, 99]),
    "key": lambda model: model.objects(pk=IDS[1]),
    "keys": lambda model: model.objects(pk__in=IDS[:2]),
    "Q": lambda model: model.objects(Q(number=1) | Q(number__gt=3) & ~Q(name="name 5")),
    "raw": lambda model: model.objects(__raw__={"$or": [{"number": 1}, {"code": {"$gte": 4}}]}),
    "raw and more": lambda model: model.objects(__raw__={"$nor": [{"number": 1}]}, code__lt=4),
    "twice": lambda model: model.objects(number__gt=1).filter(number__lt=4),
    "embedded": lambda model: model.objects(lines__qty=20),
    "element": lambda model: model.objects(lines__match={"sku": "s1", "qty__gt": 3}),
    "inside a dict": lambda model: model.objects(facts__deep__b__1__c=2, facts__a__lte=2),
    "text of a pattern": lambda model: model.objects(name__iendswith="E 2"),
    "JavaScript": lambda model: model.objects(__raw__={"$where": "this.number % 2"}),
    "expression": lambda model: model.objects(__raw__={"$expr": {"$gt": ["$number", 3]}}),
    "exists": lambda model: model.objects(number__exists=True, code__ne=2),
    "reference": lambda model: model.objects(parent=IDS[0]),
    "words": lambda model: model.objects.search_text("2"),
    "near": lambda model: model.objects(place__near=[0.3, 0.3], place__max_distance=20_000),
    "within": lambda model: model.objects(place__geo_within_box=[(0.15, 0.15), (0.35, 0.35)]),
    "ordered": lambda model: model.objects.order_by("-number"),
    "partly loaded": lambda model: model.objects.only("name"),
    "without a cache": lambda model: model.objects(number__gt=2).no_cache(),
    "cached again": lambda model: model.objects(number__gt=2).no_cache().cache(),
    "no subclasses": lambda model: model.objects(number__gt=2).no_sub_classes(),
    "as PyMongo has it": lambda model: model.objects(number__gt=2).as_pymongo(),
    "nothing": lambda model: model.objects(number=99),
}

METHODS: dict[str, Callable[[Any], Any]] = {
    "update": lambda found: found.update(inc__number=1, set__name="b", full_result=True),
    "update_one": lambda found: found.update_one(inc__number=1, full_result=True),
    "modify": lambda found: found.modify(inc__number=1, new=True),
    "delete": lambda found: found.delete(),
}

UPDATES: dict[str, Callable[[Any], Any]] = {
    "set": lambda found: found.update(name="b", facts={"x": 1}, lines=[Line(sku="s3")]),
    "set inside": lambda found: found.update(set__facts__deep__b=[3], set__lines__1__qty=7),
    "unset": lambda found: found.update(unset__tags=True, unset__facts__a=True),
    "inc and dec": lambda found: found.update(inc__number=5, dec__facts__a=1),
    "mul": lambda found: found.update(mul__number=1.5),
    "min and max": lambda found: found.update(min__number=3, max__facts__a=3),
    "push": lambda found: found.update(push__tags="z"),
    "push all": lambda found: found.update(push_all__tags=["z", "z"]),
    "push at a place": lambda found: found.update(push__tags__0=["first", "second"]),
    "push sorted": lambda found: found.update(
        __raw__={"$push": {"tags": {"$each": ["a"], "$sort": -1, "$slice": 2}}}
    ),
    "add to set": lambda found: found.update(add_to_set__tags=["x", "z"]),
    "pull": lambda found: found.update(pull__tags="x"),
    "pull by a condition": lambda found: found.update(pull__lines__qty__gt=20),
    "pull all": lambda found: found.update(pull_all__tags=["x", "y", "z"]),
    "pop": lambda found: found.update(pop__tags=-1),
    "rename": lambda found: found.update(rename__name="title"),
    "bit": lambda found: found.update(__raw__={"$bit": {"number": {"xor": 5}}}),
    "set on insert": lambda found: found.update(set_on_insert__name="b", upsert=True),
    "positional": lambda found: found.filter(lines__sku="s2").update(set__lines__S__qty=5),
    "positional in an element": lambda found: found.filter(
        lines__match={"sku": "s2", "qty": 20}
    ).update(set__lines__S__sku="s9"),
    "each item": lambda found: found.update(__raw__={"$inc": {"lines.$[].qty": 1}}),
    "some items": lambda found: found.update(
        __raw__={"$set": {"lines.$[some].sku": "s9"}}, array_filters=[{"some.qty": {"$gt": 20}}]
    ),
    "pipeline": lambda found: found.update(
        __raw__=[{"$set": {"facts.total": {"$sum": "$lines.qty"}}}, {"$unset": "tags"}]
    ),
    "two operators": lambda found: found.update(
        __raw__={"$set": {"facts.deep.b.1": {"$literal": 1}}, "$unset": {"lines.0": ""}}
    ),
    "value by a list": lambda found: found.update(set__tags__2="last", set__tags__5="far"),
    "a wrong type": lambda found: found.update(__raw__={"$push": {"name": 1}}),
    "the key": lambda found: found.update(__raw__={"$set": {"_id": NEW}}),
    "two to one place": lambda found: found.update(__raw__={"$set": {"a": 1}, "$inc": {"a": 1}}),
}


tracking = TWINS.recording()


@pytest.fixture(autouse=True)
def filled(database: Any) -> None:
    TWINS.fill(known=True)


@pytest.fixture(params=[1, 3])
def small_batches(request: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(append_many, "MOST", request.param)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("matching", FILTERS)
def test_whatever_matches_is_recorded(matching: str, method: str) -> None:
    for model in (TWINS.plain, TWINS.tracked):
        model._get_collection().create_index([("name", "text")], name="words")
        model._get_collection().create_index([("place", "2dsphere")], name="places")
    TWINS.both(lambda model: METHODS[method](FILTERS[matching](model)))


@pytest.mark.parametrize("update", UPDATES)
def test_whatever_is_asked_for_is_recorded(update: str) -> None:
    TWINS.both(lambda model: UPDATES[update](model.objects(number__gte=2)))
    TWINS.both(lambda model: UPDATES[update](model.objects(pk=IDS[1])))


def test_a_time_that_the_server_sets_is_recorded() -> None:
    with recorded(TWINS.tracked):
        TWINS.tracked.objects.update(__raw__={"$currentDate": {"facts.now": True}})
    found = TWINS.tracked.objects.get(pk=IDS[0])
    assert history_of(found).state(-1)["facts"]["now"] == found.facts["now"]


UPSERTS: dict[str, Act] = {
    "equal": lambda model: model.objects(name="new", number=7).update(upsert=True, push__tags="z"),
    "key": lambda model: model.objects(pk=NEW).update_one(upsert=True, name="new"),
    "operator": lambda model: model.objects(number__gt=50).update_one(upsert=True, name="new"),
    "equal by operator": lambda model: model.objects(number__in=[50]).update(upsert=True, code=50),
    "both": lambda model: model.objects(Q(number=50) & Q(name="n")).update(upsert=True, code=50),
    "inside": lambda model: model.objects(facts__x__y=1).upsert_one(set__facts__z=2),
    "on insert": lambda model: model.objects(name="new").update_one(
        upsert=True, set_on_insert__number=1, inc__code=9
    ),
    "pipeline": lambda model: model.objects(name="new").update(
        upsert=True, __raw__=[{"$set": {"number": {"$add": [1, 2]}}}]
    ),
    "a taken value": lambda model: model.objects(name="new").update_one(upsert=True, code=2),
    "a taken key": lambda model: model.objects(pk=IDS[0], number=99).update_one(
        upsert=True, name="b"
    ),
    "modify": lambda model: model.objects(name="new").modify(upsert=True, new=True, inc__number=3),
    "modify ordered": lambda model: (
        model.objects(number=50).order_by("-name").modify(upsert=True, new=True, push__tags="z")
    ),
    "modify partly": lambda model: (
        model.objects(name="new").only("number").modify(upsert=True, new=True, inc__number=3)
    ),
    "modify some items": lambda model: model.objects(
        __raw__={"name": "new", "lines": [{"sku": "s1", "qty": 1}]}
    ).modify(
        upsert=True,
        new=True,
        array_filters=[{"some.qty": 1}],
        __raw__={"$set": {"lines.$[some].sku": "s9"}},
    ),
    "a match": lambda model: model.objects(number__gt=2).update(upsert=True, name="b"),
}


@pytest.mark.parametrize(
    "upsert",
    [
        # Before, the details of the two commands were in different orders.
        pytest.param(it, marks=[pytest.mark.mongodb(6)] if it == "a taken key" else [])
        for it in UPSERTS
    ],
)
def test_an_upsert_is_a_creation_or_an_update(upsert: str) -> None:
    TWINS.both(UPSERTS[upsert])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.usefixtures("small_batches")
def test_more_than_fit_into_a_batch_are_written_once_each(method: str) -> None:
    TWINS.both(lambda model: METHODS[method](model.objects(number__gte=2)))


@pytest.mark.usefixtures("small_batches")
def test_more_than_fit_into_a_batch_are_inserted_and_recorded() -> None:
    TWINS.both(lambda model: model.objects.insert([model(number=n) for n in range(10, 17)]))


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.usefixtures("small_batches")
def test_an_update_that_moves_documents_in_the_index_is_applied_once(direction: int) -> None:
    index = [("number", direction)]

    def move(model: Any) -> Any:
        model._get_collection().create_index(index)
        query = {"number": {"$gte": 1, "$lt": 9}}
        return model._get_collection().update_many(query, {"$inc": {"number": 1}}, hint=index)

    TWINS.both(move)
    assert sorted(TWINS.tracked.objects.scalar("number")) == [2, 3, 4, 5, 6]


@pytest.mark.usefixtures("small_batches")
def test_what_a_failing_batch_has_written_is_recorded() -> None:
    told = TWINS.both(lambda model: model.objects.order_by("number").update(set__code=7))
    assert told.startswith("NotUniqueError")
    assert [len(each) for each in numbers(TWINS.tracked).values()].count(2) == 1


@pytest.mark.usefixtures("small_batches")
def test_what_a_failing_insert_has_written_is_recorded() -> None:
    codes = [10, 11, 12, 13, 2, 14]
    told = TWINS.both(lambda model: model.objects.insert([model(code=code) for code in codes]))
    assert told.startswith("BulkWriteError")
    assert TWINS.tracked.objects(code__gte=10).count() == 4


UNACKNOWLEDGED: dict[str, Act] = {
    "save": lambda model: model(pk=NEW, name="new").save(write_concern={"w": 0}),
    "update": lambda model: model.objects(number=2).update(name="b", write_concern={"w": 0}),
    "update_one": lambda model: model.objects.update_one(name="b", write_concern={"w": 0}),
    "insert": lambda model: model.objects.insert(
        [model(pk=NEW), model()], write_concern={"w": 0}, load_bulk=False
    ),
    "delete": lambda model: model.objects(number__gt=2).delete(write_concern={"w": 0}),
    "delete a document": lambda model: model.objects.first().delete(w=0),
}


@pytest.mark.parametrize("write", UNACKNOWLEDGED)
def test_who_does_not_wait_gets_the_same_answer_and_a_record(write: str) -> None:
    TWINS.both(UNACKNOWLEDGED[write])


def test_who_does_not_wait_hears_of_failures_all_the_same() -> None:
    """MongoEngine alone would not; but to record, the library has to wait."""
    with recorded(TWINS.tracked):
        with pytest.raises(NotUniqueError):
            TWINS.tracked.objects(number=3).update(code=2, write_concern={"w": 0})


def at_the_first_write(monkeypatch: Any, act: Callable[[], Any], *, after: bool = False) -> None:
    """Let somebody else act before a document is written for the first time, or after that."""
    write, acts = OneWrite._written, [act]

    def writing(*args: Any) -> Any:
        mine, acts[:] = [*acts], []
        for each in [] if after else mine:
            each()
        found = write(*args)
        for each in mine if after else []:
            each()
        return found

    monkeypatch.setattr(OneWrite, "_written", writing)


FASTER: dict[str, Callable[[Any], Any]] = {
    "modify": lambda found: found.modify(name="mine").pk,
    "update": lambda found: found.update_one(name="mine"),
    "remove": lambda found: found.modify(remove=True).pk,
    "upsert": lambda found: found.update_one(upsert=True, name="mine"),
}


@pytest.mark.parametrize("method", FASTER)
@pytest.mark.parametrize("taken", ["renamed", "deleted"])
def test_what_another_writer_takes_first_is_left_to_it(
    monkeypatch: Any, method: str, taken: str
) -> None:
    model = TWINS.tracked
    first = model.objects(pk=IDS[0])
    faster = first.delete if taken == "deleted" else (lambda: first.update(name="theirs"))
    at_the_first_write(monkeypatch, faster)
    with recorded(model):
        assert FASTER[method](model.objects(name__startswith="name")) in {1, IDS[1]}
    assert model.objects(name="theirs").count() == (taken == "renamed")
    assert model.objects(name__startswith="name").count() == 3


def after_the_first_batch(monkeypatch: Any, act: Callable[[], Any]) -> None:
    """Let somebody else act after a batch was read, before it is written."""
    read = append_many.Bulk.batches
    acts = [act]

    def reading(*args: Any, **kwargs: Any) -> Any:
        for batch in read(*args, **kwargs):
            if acts:
                acts.pop()()
            yield batch

    monkeypatch.setattr(append_many.Bulk, "batches", reading)


TAKEN: dict[str, Callable[[Any], Any]] = {
    "renamed": lambda model: model.objects(pk=IDS[2]).update_one(name="theirs"),
    "deleted": lambda model: model.objects(pk=IDS[2]).delete(),
    "renamed past the history": lambda model: model._get_db()[
        model._get_collection_name()
    ].update_one({"_id": IDS[2]}, {"$set": {"name": "theirs"}}),
}


@pytest.mark.parametrize("taken", TAKEN)
def test_what_another_writer_takes_out_of_an_update_is_left_to_it(
    monkeypatch: Any, taken: str
) -> None:
    model = TWINS.tracked
    after_the_first_batch(monkeypatch, lambda: TAKEN[taken](model))
    with recorded(model):
        assert model.objects(name__startswith="name").update(name="mine") == 4


@pytest.mark.parametrize("taken", ["renamed", "deleted"])
def test_what_another_writer_takes_out_of_a_deletion_is_left_to_it(
    monkeypatch: Any, taken: str
) -> None:
    model = TWINS.tracked
    after_the_first_batch(monkeypatch, lambda: TAKEN[taken](model))
    with recorded(model):
        assert model.objects(name__startswith="name").delete() == 4


def test_what_no_longer_matches_a_deletion_is_not_recorded_as_gone(monkeypatch: Any) -> None:
    model = TWINS.tracked
    after_the_first_batch(monkeypatch, lambda: TAKEN["renamed past the history"](model))
    assert model.objects(name__startswith="name").delete() == 4
    assert numbers(model) == {key: [1] if key == IDS[2] else [1, 2] for key in IDS[:5]}


def test_what_another_writer_makes_first_is_updated(monkeypatch: Any) -> None:
    model = TWINS.tracked
    at_the_first_write(monkeypatch, lambda: model(code=77, name="theirs").save(), after=True)
    made = model.objects(code=77).upsert_one(push__tags="mine")
    assert (made.name, made.tags) == ("theirs", ["mine"])
    assert [it.operation for it in history_of(made)] == ["create", "update"]


def test_writers_of_one_document_lose_no_increment_and_no_revision() -> None:
    before = numbers(TWINS.tracked)[IDS[0]]
    with ThreadPoolExecutor(8) as pool:
        done = [
            pool.submit(lambda: TWINS.tracked.objects(pk=IDS[0]).update_one(inc__number=1))
            for _ in range(40)
        ]
        assert sum(each.result() for each in done) == 40
    assert TWINS.tracked.objects.get(pk=IDS[0]).number == 41
    assert numbers(TWINS.tracked)[IDS[0]] == list(range(1, len(before) + 41))


def test_writers_of_all_documents_lose_no_increment_and_no_revision() -> None:
    with ThreadPoolExecutor(4) as pool:
        done = [pool.submit(lambda: TWINS.tracked.objects.update(inc__number=1)) for _ in range(12)]
        assert {each.result() for each in done} == {5}
    assert sorted(TWINS.tracked.objects.scalar("number")) == [13, 14, 15, 16, 17]
    assert list(numbers(TWINS.tracked).values()) == [list(range(1, 14))] * 5
    for key in IDS[:5]:
        timeline = history_of(TWINS.tracked, key)
        assert [timeline.state(number)["number"] for number in range(1, 14)]


def test_what_many_take_from_a_queue_is_taken_once() -> None:
    def take(worker: int) -> list[ObjectId]:
        mine = []
        while taken := TWINS.tracked.objects(name__startswith="name").modify(name=f"of {worker}"):
            mine.append(taken.pk)
        return mine

    with recorded(TWINS.tracked), ThreadPoolExecutor(8) as pool:
        taken = [key for keys in pool.map(take, range(8)) for key in keys]
    assert sorted(taken) == IDS[:5]
    assert len(raws(TWINS.tracked)) == 5
