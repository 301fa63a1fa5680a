"""A write that got no answer is found out before the next write of the document, or look at it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import mongoengine as me
import pytest
from pymongo.errors import AutoReconnect
from support.changes import automatic, watch
from support.documents import raw
from support.unanswered import unanswered

from mongoengine_history import (
    DocumentTrack,
    changeset,
    history_of,
    load_history,
    restore,
    revert,
    track_history,
    untrack_history,
    untracked,
)
from mongoengine_history.record import doubt, drift


class Account(me.Document):
    meta = {"collection": "accounts", "auto_create_index": False}
    name = me.StringField(primary_key=True)
    cents = me.IntField(default=0)
    tags = me.ListField(me.StringField())


class Far(me.Document):
    meta = {"collection": "far_accounts", "auto_create_index": False, "db_alias": "later"}
    cents = me.IntField(default=0)


class Passbook(me.Document):
    meta = {"collection": "passbooks", "auto_create_index": False}
    cents = me.IntField(default=0)


tracking = automatic(Account)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: Any, database: Any) -> None:
    monkeypatch.setattr(drift, "PAUSE", 0)


@pytest.fixture
def account() -> Account:
    return Account(name="a", tags=["x"]).save()


def lost(method: str, write: Callable[[], Any], **how: Any) -> None:
    """Let a write of *ada*'s be done without an answer."""
    with changeset("ada", reason="pay"), unanswered(method, **how), pytest.raises(AutoReconnect):
        write()


def paid(account: Account, cents: int = 5, tag: str = "y") -> None:
    account.cents = cents
    account.tags.append(tag)
    lost("find_one_and_update", account.save)


def proven(key: str = "a") -> list[str]:
    """Check that the history leads to what is stored; return the operations."""
    timeline = history_of(Account, key)
    stored = Account._get_collection().find_one({"_id": key})
    assert timeline.state(-1) == {name: it for name, it in stored.items() if name != "_id"}
    return [revision.operation for revision in timeline]


def again(account: Account) -> None:
    account.save()


def by_another_object(_: Account) -> None:
    other = Account.objects.get(name="a")
    other.cents += 1
    other.save()


NEXT: dict[str, Callable[[Account], Any]] = {
    "the same save": again,
    "a save of another object": by_another_object,
    "an update": lambda it: it.update(inc__cents=1),
    "a query": lambda _: Account.objects(cents__gte=0).update(inc__cents=1),
    "history_of": history_of,
    "load_history": load_history,
    "revert": lambda it: revert(it, revision=2),
}


@pytest.mark.parametrize("after", NEXT)
def test_what_a_save_did_is_recorded_before_the_next_write_or_look(
    account: Account, after: str
) -> None:
    paid(account)
    NEXT[after](account)
    external = history_of(account)[2]
    assert (external.operation, external.identity) == ("external", None)
    in_doubt = {"operation": "update", "identity": "ada", "reason": "pay"}
    assert external.metadata == {"in_doubt": in_doubt}
    assert external.changeset is not None
    assert proven()[:2] == ["create", "external"]
    assert history_of(account).state(2) == {"cents": 5, "tags": ["x", "y"]}


def test_a_warning_is_logged(account: Account, caplog: Any) -> None:
    with caplog.at_level(logging.WARNING, "mongoengine_history"):
        paid(account)
    assert [it.levelname for it in caplog.records] == ["WARNING"]
    assert "'a'" in caplog.text


def test_a_creation_that_got_no_answer_is_one() -> None:
    lost("insert_one", Account(name="a", cents=1).save)
    assert proven() == ["create"]
    assert history_of(Account, "a")[1].metadata["in_doubt"]["identity"] == "ada"


def test_a_deletion_that_got_no_answer_is_one(account: Account) -> None:
    lost("find_one_and_delete", account.delete)
    assert [it.operation for it in history_of(account)] == ["create", "delete"]
    restore(Account, "a").save()
    assert proven() == ["create", "delete", "restore"]


@pytest.mark.parametrize(
    ("method", "write", "told"),
    [
        ("update_many", lambda: Account.objects(cents=0).update(set__cents=3), "external"),
        ("delete_many", lambda: Account.objects(cents=0).delete(), "delete"),
    ],
)
def test_so_is_what_a_query_did(account: Account, method: str, write: Any, told: str) -> None:
    Account(name="b").save()
    lost(method, write)
    for key in "ab":
        assert [it.operation for it in history_of(Account, key)] == ["create", told]


def test_so_is_an_insert_of_many() -> None:
    lost("insert_many", lambda: Account.objects.insert([Account(name="a"), Account(name="b")]))
    assert proven("a") == proven("b") == ["create"]


def test_a_write_that_was_not_done_leaves_nothing(account: Account) -> None:
    account.cents = 5
    lost("find_one_and_update", account.save, done=False)
    assert proven() == ["create"]
    account.save()
    assert proven() == ["create", "update"]


def test_a_write_may_be_done_late_and_is_found_then(account: Account) -> None:
    account.cents = 5
    lost("find_one_and_update", account.save, done=False)
    assert proven() == ["create"]
    with untracked():
        Account.objects(name="a").update(set__cents=5)
    assert proven() == ["create", "external"]


def test_after_a_minute_nothing_is_expected_any_more(account: Account, monkeypatch: Any) -> None:
    account.cents = 5
    lost("find_one_and_update", account.save, done=False)
    monkeypatch.setattr(doubt, "LASTING", 0.0)
    assert proven() == ["create"]
    assert not doubt._doubts


def test_what_another_writer_is_about_to_record_is_not_told_twice(
    account: Account, monkeypatch: Any
) -> None:
    account.cents = 5
    lost("find_one_and_update", account.save, done=False)
    pending: list[Any] = []
    ever = type(account)._get_collection()._beneath.database["history"]
    other = Account.objects.get(name="a")

    def meanwhile(_: float) -> None:
        if pending:
            ever.insert_many(pending.pop())

    with unanswered("insert_many", among="history", done=False):
        other.cents = 7
        with pytest.raises(Exception, match="written, but not its history") as caught:
            other.save()
    pending.append(caught.value.records)
    monkeypatch.setattr(time, "sleep", meanwhile)
    assert proven() == ["create", "update"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), TimeoutError("soft limit")])
def test_what_a_signal_interrupts_is_recorded_at_once(
    account: Account, error: BaseException
) -> None:
    account.cents = 5
    with changeset("ada"), unanswered("find_one_and_update", error), pytest.raises(type(error)):
        account.save()
    assert me.get_db().history.count_documents({"operation": "external"}) == 1
    assert proven() == ["create", "external"]


def test_what_cannot_be_found_out_yet_stays_doubtful(account: Account) -> None:
    paid(account)
    with unanswered("aggregate", among="history"), pytest.raises(AutoReconnect):
        account.save()
    assert proven() == ["create", "external"]


def test_what_cannot_be_recorded_yet_stays_doubtful(account: Account) -> None:
    paid(account)
    with unanswered("insert_many", among="history", done=False):
        assert [it.operation for it in history_of(account)] == ["create"]
    assert proven() == ["create", "external"]


def test_a_history_begins_with_what_the_next_write_finds() -> None:
    with untracked():
        account = Account(name="a").save()
    paid(account)
    account.update(set__cents=7)
    assert proven() == ["update"]
    assert history_of(account).state(0) == {"cents": 5, "tags": ["y"]}


def test_the_first_of_too_many_are_forgotten(monkeypatch: Any) -> None:
    monkeypatch.setattr(doubt, "MOST_DOUBTS", 2)
    accounts = [Account(name=name).save() for name in "abc"]
    for account in accounts:
        paid(account)
    assert [len(history_of(account)) for account in accounts] == [1, 2, 2]


def test_in_a_transaction_nothing_is_doubtful(account: Account, client: Any) -> None:
    account.cents = 5
    with client.start_session() as session, session.start_transaction():
        collection = Account._get_collection()
        with unanswered("find_one_and_update"), pytest.raises(AutoReconnect):
            collection.update_one({"_id": "a"}, {"$set": {"cents": 5}}, session=session)
        session.abort_transaction()
    assert not doubt._doubts
    assert raw(account)["cents"] == 0


@pytest.mark.parametrize(
    "write",
    [
        lambda: Account(name="a", cents=9).save(),
        lambda: Account.objects(cents=5).update_one(set__cents=9),
        lambda: Account.objects(cents=5).modify(set__cents=9),
        lambda: Account._get_collection().update_one({"cents": 5}, {"$set": {"cents": 9}}),
    ],
)
def test_it_is_found_out_before_a_write_that_does_not_name_the_key(
    account: Account, write: Any
) -> None:
    account.cents = 5
    lost("find_one_and_update", account.save)
    write()
    assert proven() == ["create", "external", "update"]
    assert history_of(account).state(2)["cents"] == 5


def test_a_creation_that_was_not_done_is_none_of_what_was_there() -> None:
    with untracked():
        Account(name="a", cents=3).save()
    lost("insert_one", lambda: Account(name="a", cents=1).save(force_insert=True), done=False)
    assert not history_of(Account, "a")


@pytest.mark.parametrize("done", [True, False])
def test_what_interrupts_the_records_of_a_block_is_recorded(done: bool) -> None:
    watch(Passbook)
    book = Passbook(cents=1)
    with DocumentTrack(book, "ada"):
        book.save()
        book.cents = 2
        with unanswered("insert_many", KeyboardInterrupt(), among="history", done=done):
            with pytest.raises(KeyboardInterrupt):
                book.save()
    told = [it.operation for it in history_of(book)]
    assert told == ["create", "update" if done else "external"]
    assert history_of(book).state(-1) == {"cents": 2}


def test_another_client_of_the_same_server_finds_it_out(mongodb_uri: str, database: Any) -> None:
    def connect() -> None:
        me.connect(database.name, "later", host=mongodb_uri, uuidRepresentation="standard")

    connect()
    track_history(Far)
    account = Far().save()
    account.cents = 5
    lost("find_one_and_update", account.save)
    me.disconnect("later")
    Far._collection = None
    connect()
    assert [it.operation for it in history_of(Far, account.pk)] == ["create", "external"]
    untrack_history(Far)
    Far._collection = None
    me.disconnect("later")
