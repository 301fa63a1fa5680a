"""What a connection asks the servers for: of which reads it wants to see, and of its writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import mongoengine as me
import pytest
from pymongo.read_concern import ReadConcern
from support.changes import tracked

from mongoengine_history import History, HistoryNotRecordedError, history_of


class Meter(me.Document):
    meta = {"collection": "meters", "auto_create_index": False, "db_alias": "careful"}
    count = me.IntField(default=0)


@contextmanager
def connected(model: type[me.Document], uri: str, **options: Any) -> Iterator[None]:
    """Connect a tracked class to the database of the test, with some concerns."""
    alias, name = model._meta["db_alias"], me.get_db().name
    me.connect(name, alias, host=uri, uuidRepresentation="standard", **options)
    with tracked(model):
        yield
    model._collection = None
    me.disconnect(alias)


@pytest.fixture
def careful(mongodb_uri: str, database: Any, commands: Any) -> Iterator[None]:
    """Connect so that reads see what the majority has, and writes do not wait for it."""
    options = {"readConcernLevel": "majority", "w": 1, "event_listeners": [commands]}
    with connected(Meter, mongodb_uri, **options):
        yield


def saved(meter: Meter) -> None:
    meter.count += 1
    meter.save()


WAYS: list[Callable[[Meter], Any]] = [
    saved,
    lambda it: it.update(inc__count=1),
    lambda it: it.modify(inc__count=1),
    lambda it: Meter.objects(count__gte=0).update(inc__count=1),
    lambda it: Meter.objects(count__gte=0).modify(inc__count=1),
    lambda it: Meter._get_collection().update_many({}, {"$inc": {"count": 1}}),
]


@pytest.mark.parametrize("way", WAYS)
def test_what_was_written_last_is_read_for_the_record(
    careful: None, commands: Any, way: Callable[[Meter], Any]
) -> None:
    meter = Meter().save()
    commands.clear()
    for _ in range(10):
        way(meter)
    reads = [it for it in commands.sent if next(iter(it)) in {"find", "aggregate"}]
    assert all(it["readConcern"] == {"level": "local"} for it in reads)
    timeline = history_of(Meter, meter.pk)
    assert me.get_db()["meters"].find_one()["count"] == 10
    assert [timeline.state(number)["count"] for number in range(1, 12)] == [*range(11)]


def test_the_applications_own_reads_see_what_it_asked_for(careful: None) -> None:
    assert Meter._get_collection().read_concern == ReadConcern("majority")


class Deed(me.Document):
    meta = {"collection": "deeds", "auto_create_index": False, "db_alias": "demanding"}
    text = me.StringField()


@pytest.fixture
def demanding(mongodb_uri: str, database: Any) -> Iterator[None]:
    """Connect so that the records of the history ask for more servers than there are."""
    History.ensure_indexes()
    with connected(Deed, mongodb_uri, w=40, wTimeoutMS=50):
        yield


WRITES: dict[str, Callable[[], Any]] = {
    "save": lambda: Deed(text="a").save(write_concern={"w": 1}),
    "update": lambda: Deed.objects(text="z").update(set__text="a", write_concern={"w": 1}),
    "insert of many": lambda: Deed.objects.insert(
        [Deed(text="a"), Deed(text="a")], write_concern={"w": 1}
    ),
}


@pytest.mark.parametrize("case", WRITES)
def test_records_that_too_few_servers_have_are_told(demanding: None, case: str) -> None:
    me.get_db()["deeds"].insert_one({"text": "z"})
    with pytest.raises(HistoryNotRecordedError) as caught:
        WRITES[case]()
    stored = [it["_id"] for it in me.get_db()["deeds"].find({"text": "a"})]
    assert {*caught.value.document_ids} == {*stored}
    caught.value.record()  # they are there, and stay so
    assert me.get_db()["history"].count_documents({"position": 0}) == len(stored)
