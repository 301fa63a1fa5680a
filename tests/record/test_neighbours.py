"""What else lies in the collection of a history: classes, documents and indexes of others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import mongoengine as me
import pytest
from mongoengine import signals
from pymongo import ASCENDING
from pymongo.errors import DuplicateKeyError

from mongoengine_history import (
    BaseHistory,
    DocumentTrack,
    History,
    OptionsError,
    backfill,
    history_of,
    track_changes,
    track_history,
    untrack_history,
)
from mongoengine_history.record.indexes import BY_REVISION
from mongoengine_history.record.neighbours import _kept
from mongoengine_history.record.place import indexed

SHARED = {"db_alias": "shared", "auto_create_index": False}


class Bill(me.Document):
    meta = {"collection": "shared_bills", **SHARED}
    amount = me.IntField()


class Apart(BaseHistory):
    meta = {"collection": "shared_audit"}


class Beside(BaseHistory):
    meta = {"collection": "history", "db_alias": "shared"}


class Rows(me.Document):
    """Reads records by fields of its own."""

    meta = {"collection": "history", "strict": False, **SHARED}
    whose = me.StringField(db_field="document_type")
    document_id = me.DynamicField()


@pytest.fixture
def shared(database: Any, mongodb_uri: str) -> Iterator[Any]:
    name = f"{database.name}_shared"
    client = me.connect(name, alias="shared", host=mongodb_uri, uuidRepresentation="standard")
    indexed.clear()
    yield client[name]
    client.drop_database(name)
    me.disconnect("shared")


@pytest.fixture
def diary(shared: Any) -> Iterator[Callable[[], Any]]:
    """Makes a class of the application that lies in the history until the test is over."""
    made: list[Any] = []

    def make() -> Any:
        meta = {"collection": "history", **SHARED}
        fields = {"patient": me.StringField(), "revision": me.IntField(default=1)}
        made.append(type("Diary", (me.Document,), {"meta": meta, **fields}))
        return made[-1]

    yield make
    for model in made:
        model._meta["collection"] = "nowhere"


def test_a_class_that_lies_there_is_refused_when_tracking_starts(shared: Any, diary: Any) -> None:
    diary()
    with pytest.raises(OptionsError, match=r"Diary.*history=.*BaseHistory"):
        track_history(Bill)
    with pytest.raises(OptionsError, match="Diary"):
        track_history(Bill, history=Beside)
    Bill(amount=1).save()
    assert "history" not in shared.list_collection_names()


WRITES = {
    "a save": lambda: Bill(amount=1).save(),
    "a query": lambda: Bill.objects.create(amount=1),
    "a backfill": lambda: backfill(Bill),
}


@pytest.mark.parametrize("name", WRITES)
def test_one_that_comes_later_is_refused_before_anything_is_written(
    shared: Any, diary: Any, name: str
) -> None:
    shared.shared_bills.insert_one({"amount": 0})
    track_history(Bill)
    try:
        own = diary()
        own(patient="a").save()
        with pytest.raises(OptionsError, match="Diary"):
            WRITES[name]()
        assert [it["amount"] for it in shared.shared_bills.find()] == [0]
        own(patient="b").save()
        assert [it.patient for it in own.objects] == ["a", "b"]
    finally:
        untrack_history(Bill)


def test_a_block_is_refused_as_well(shared: Any, diary: Any) -> None:
    diary()
    signals.post_save.connect(track_changes, sender=Bill)
    bill = Bill(amount=1)
    with pytest.raises(OptionsError, match="Diary"), DocumentTrack(bill):
        bill.save()
    assert shared.list_collection_names() == []


def test_elsewhere_both_work(shared: Any, diary: Any) -> None:
    own = diary()
    track_history(Bill, history=Apart)
    try:
        for patient in "ab":
            own(patient=patient).save()
            bill = Bill(amount=1).save()
        assert len(history_of(bill)) == 1
        assert [it.patient for it in own.objects] == ["a", "b"]
    finally:
        untrack_history(Bill)


def test_a_class_that_reads_records_may_lie_there(shared: Any) -> None:
    track_history(Bill)
    try:
        bill = Bill(amount=1).save()
        assert [it.whose for it in Rows.objects(document_id=bill.pk)] == ["shared_bills"]
        assert Beside.objects.count() == 1
    finally:
        untrack_history(Bill)


def test_documents_of_other_programs_are_in_nobodys_way(shared: Any) -> None:
    track_history(Bill)
    try:
        others = [{"revision": 1, "patient": name} for name in "ab"]
        shared.history.insert_many(others[:1])
        bill = Bill(amount=1).save()
        shared.history.insert_many(others[1:])
        bill.amount = 2
        bill.save()
        assert [it.operation for it in history_of(bill)] == ["create", "update"]
        assert History.objects.of(bill).count() == History.objects.using("shared").count() == 2
    finally:
        untrack_history(Bill)


def test_an_index_of_an_earlier_form_serves_as_well(shared: Any) -> None:
    shared.history.create_index(
        [(name, ASCENDING) for name in BY_REVISION],
        name="history_revision",
        unique=True,
        partialFilterExpression={"revision": {"$gte": 0}},
    )
    History.ensure_indexes("shared")
    track_history(Bill)
    try:
        bill = Bill(amount=1).save()
        assert len(history_of(bill)) == 1
        record = shared.history.find_one()
        with pytest.raises(DuplicateKeyError):
            shared.history.insert_one({**record, "_id": 1})
        assert "history_changeset" in shared.history.index_information()
    finally:
        untrack_history(Bill)


class Elsewhere(BaseHistory):
    meta = {"collection": "elsewhere", "db_alias": "other"}


class Ticket(me.Document):
    meta = {"collection": "shared_bills", "auto_create_index": False}
    amount = me.IntField()


@pytest.fixture
def elsewhere(shared: Any) -> Iterator[Any]:
    """A history elsewhere, of documents of the default database and of what may be theirs."""
    track_history(Ticket, history=Elsewhere)
    track_history(Bill, history=Elsewhere)
    yield me.get_db("other")["elsewhere"]
    untrack_history(Ticket)
    untrack_history(Bill)


SECOND = {
    "another class": lambda ticket: Bill(pk=ticket.pk, amount=2).save(),
    "a query of another class": lambda _: Bill.objects.create(amount=2),
    "a document that was switched": lambda it: it.switch_db("shared").save(force_insert=True),
    "a look": lambda ticket: len(history_of(Bill, ticket.pk)),
    "a backfill": lambda _: backfill(Bill),
}


@pytest.mark.parametrize("name", SECOND)
@pytest.mark.parametrize("is_new", [False, True])
def test_a_history_elsewhere_keeps_the_documents_of_one_database(
    shared: Any, elsewhere: Any, name: str, is_new: bool
) -> None:
    ticket = Ticket(amount=1).save()
    if is_new:  # as a process that has just begun
        indexed.clear()
        _kept.clear()
    with pytest.raises(OptionsError, match=r"db_alias.*BaseHistory"):
        SECOND[name](ticket)
    assert shared.list_collection_names() == []
    ticket = Ticket.objects.get()
    ticket.amount = 3
    ticket.save()
    assert len(history_of(ticket)) == elsewhere.count_documents({"revision": {"$gte": 1}}) == 2
    assert Elsewhere.objects.count() == 2


@pytest.mark.parametrize("is_first", [False, True])
def test_a_history_elsewhere_is_none_of_a_class_that_lies_there(
    shared: Any, is_first: bool
) -> None:
    """Beside its documents lies a history that other documents say to be theirs."""
    asked: list[Any] = [(Ticket, {"history": Beside}), (Bill, {})]
    (first, options), (second, others) = reversed(asked) if is_first else asked
    track_history(first, **options)
    try:
        with pytest.raises(OptionsError, match="another database"):
            track_history(second, **others)
        with pytest.raises(OptionsError, match="not called"):
            untrack_history(second)
    finally:
        untrack_history(first)
    track_history(Bill, history=Beside)
    untrack_history(Bill)


def test_emptied_it_is_free_for_another_one(shared: Any, elsewhere: Any) -> None:
    Ticket(amount=1).save()
    elsewhere.drop()
    bill = Bill(amount=1).save()
    assert len(history_of(bill)) == 1
    with pytest.raises(OptionsError, match="db_alias"):
        indexed.clear()
        _kept.clear()
        Ticket(amount=1).save()


def test_without_a_db_alias_each_database_has_its_own(shared: Any) -> None:
    track_history(Ticket, history=Apart)
    try:
        ticket = Ticket(amount=1).save()
        ticket.switch_db("shared").save(force_insert=True)
        assert len(history_of(ticket)) == len(history_of(Ticket, ticket.pk)) == 1
    finally:
        untrack_history(Ticket)
