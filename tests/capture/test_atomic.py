"""All or nothing, or nothing on record: atomic units of work, and what is done untracked."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import mongoengine as me
import pytest
from mongoengine import CASCADE, Document, connection, signals
from mongoengine.errors import BulkWriteError, OperationError
from support.binding import CAN_BIND, binds
from support.changes import automatic
from support.documents import raw
from support.twins import contents, numbers, recorded

from mongoengine_history import (
    DocumentTrack,
    History,
    OptionsError,
    changeset,
    history_of,
    revert,
    track_changes,
    undo,
    untracked,
)
from mongoengine_history.record.place import indexed


class Account(Document):
    meta = {"collection": "accounts", "auto_create_index": False}
    owner = me.StringField(primary_key=True)
    balance = me.IntField(default=0)
    notes = me.ListField(me.StringField())


class Card(Document):
    meta = {"collection": "cards", "auto_create_index": False}
    number = me.IntField(primary_key=True)
    account = me.ReferenceField(Account, reverse_delete_rule=CASCADE)


class Watched(Document):
    meta = {"collection": "watched_accounts", "auto_create_index": False}
    owner = me.StringField(primary_key=True)
    balance = me.IntField()


class Indexed(Document):
    meta = {"collection": "indexed_accounts", "indexes": ["owner"]}
    owner = me.StringField()


tracking = automatic(Account, Card, Indexed)


@pytest.fixture(autouse=True)
def filled(database: Any) -> None:
    signals.post_save.connect(track_changes, sender=Watched)
    for owner in ("anna", "ben"):
        account = pay(Account(owner=owner, balance=5).save(), 5)
        Card(number=ord(owner[0]), account=account).save()
        Watched(owner=owner, balance=10).save()


def account(owner: str = "anna") -> Any:
    return Account.objects.get(pk=owner)


def pay(document: Any, amount: int) -> Any:
    document.balance += amount
    return document.save()


def everything() -> list[Any]:
    """All that is stored, and how many revisions each document has."""
    models = (Account, Card, Watched)
    return [(contents(model), numbers(model)) for model in models]


def watched_payment() -> None:
    document = Watched.objects.get(pk="anna")
    with DocumentTrack(document, "anna"):
        pay(document, 5)


def revisions() -> Counter[tuple[str, Any]]:
    found = History._get_collection().find({"position": 0})
    return Counter((record["document_type"], record["document_id"]) for record in found)


WRITES: dict[str, Callable[[], Any]] = {
    "save": lambda: pay(account(), 5),
    "create": lambda: Account(owner="cleo").save(),
    "create by force": lambda: Account(owner="cleo").save(force_insert=True),
    "replace": lambda: Account(owner="anna", balance=3).save(),
    "update": lambda: Account.objects.update(inc__balance=1),
    "update a document": lambda: account().update(inc__balance=1),
    "modify": lambda: Account.objects.modify(inc__balance=1),
    "upsert": lambda: Account.objects(owner="cleo").update_one(upsert=True, balance=1),
    "insert": lambda: Account.objects.insert([Account(owner=owner) for owner in "xyz"]),
    "delete": lambda: account().delete(),
    "delete all": lambda: Account.objects(owner__exists=True).delete(),
    "watched": watched_payment,
    "revert": lambda: revert(account(), revision=1).save(),
    "undo": lambda: undo(account(), 2).save(),
}


@binds
@pytest.mark.parametrize("write", WRITES)
def test_all_is_undone_after_an_exception(write: str) -> None:
    before = everything()
    with pytest.raises(ZeroDivisionError), changeset("anna", atomic=True):
        pay(account("ben"), -1)
        WRITES[write]()
        assert everything() != before
        raise ZeroDivisionError
    assert everything() == before


@binds
@pytest.mark.parametrize("write", WRITES)
def test_all_is_done_and_recorded_at_the_end(write: str) -> None:
    known, before = revisions(), everything()
    with changeset("anna", atomic=True) as work:
        WRITES[write]()
    mine = History.objects(changeset=work.id, position=0)
    assert mine.distinct("identity") == ["anna"]
    assert revisions() - known == Counter((it.document_type, it.document_id) for it in mine)
    assert [stored for stored, _ in everything()] != [stored for stored, _ in before]


@binds
def test_each_revision_of_an_atomic_unit_of_work_tells_what_was_stored() -> None:
    for write in ("save", "update", "create", "insert", "modify", "delete all"):
        with recorded(Account), recorded(Card), changeset(atomic=True):
            WRITES[write]()


@binds
def test_others_see_nothing_before_the_end() -> None:
    with ThreadPoolExecutor(1) as outside, changeset(atomic=True):
        pay(account(), 5)
        assert account().balance == 15
        assert len(history_of(account())) == 3
        assert outside.submit(lambda: account().balance).result() == 10
        assert outside.submit(lambda: len(history_of(Account, "anna"))).result() == 2
    assert account().balance == 15


@binds
def test_of_two_writers_one_gives_way_and_leaves_nothing() -> None:
    def slower() -> None:
        with changeset("slower", atomic=True):
            pay(account("ben"), 1)
            Account.objects(owner="anna").update(inc__balance=1)

    with ThreadPoolExecutor(1) as outside, changeset("faster", atomic=True):
        pay(account(), 5)
        with pytest.raises(OperationError, match="WriteConflict"):
            outside.submit(slower).result()
    assert (account().balance, account("ben").balance) == (15, 10)
    assert History.objects(identity="slower").count() == 0
    assert [it.identity for it in history_of(account())] == [None, None, "faster"]


@binds
def test_inner_units_of_work_belong_to_the_outer_one() -> None:
    before = everything()
    with pytest.raises(ZeroDivisionError), changeset("outer", atomic=True) as outer:
        with changeset("inner") as inner:
            pay(account(), 5)
        assert inner.id == outer.id
        assert account().balance == 15
        raise ZeroDivisionError
    assert everything() == before
    with pytest.raises(ZeroDivisionError), changeset("outer") as outer:
        pay(account("ben"), 1)
        with changeset("inner", atomic=True):
            pay(account(), 5)
            raise ZeroDivisionError
    assert (account().balance, account("ben").balance) == (10, 11)
    assert [it.identity for it in history_of(account("ben"))] == [None, None, "outer"]


@binds
def test_a_transaction_inside_of_another_is_refused_before_anything_is_written() -> None:
    inner = changeset("inner", atomic=True)
    with changeset("outer", atomic=True):
        pay(account(), 5)
        with pytest.raises(OptionsError, match="leave it out"), inner:
            pay(account("ben"), 5)
    client = me.get_connection()
    with client.start_session() as session, session.bind(), session.start_transaction():
        with pytest.raises(OptionsError, match="leave it out"), inner:
            pay(account("ben"), 5)
    assert (account().balance, account("ben").balance) == (15, 10)
    with inner:
        pay(account("ben"), 5)
    assert account("ben").balance == 15


@binds
def test_a_connection_may_be_named_and_need_not_be_if_there_is_one(
    mongodb_uri: str, monkeypatch: Any
) -> None:
    usual = connection._connection_settings["default"]
    monkeypatch.setattr(connection, "_connection_settings", {})
    settings = {"host": mongodb_uri, "uuidRepresentation": "standard", "maxPoolSize": 7}
    me.connect("elsewhere", alias="elsewhere", **settings)

    def fails(atomic: bool | str) -> None:
        with pytest.raises(ZeroDivisionError), changeset(atomic=atomic):
            Account(owner="dora").switch_db("elsewhere").save()
            raise ZeroDivisionError

    fails(atomic=True)
    fails(atomic="elsewhere")
    connection._connection_settings["default"] = usual
    fails(atomic="elsewhere")
    assert not Account.objects.using("elsewhere")
    del connection._connection_settings["default"]
    connection._connection_settings["other"] = {**usual, "maxpoolsize": 3}
    with pytest.raises(OptionsError, match="alias"), changeset(atomic=True):
        pay(account(), 5)
    for alias in ("elsewhere", "other"):
        me.get_connection(alias).drop_database("elsewhere")
        me.disconnect(alias)
    with pytest.raises(OptionsError, match="alias"):
        changeset(atomic=1)  # type: ignore[arg-type]


@binds
def test_a_task_that_outlives_its_transaction_is_told_so() -> None:
    async def late(over: asyncio.Event) -> None:
        await over.wait()
        await asyncio.to_thread(pay, Account(owner="late"), 5)

    async def main() -> None:
        over = asyncio.Event()
        with changeset(atomic=True):
            task = asyncio.create_task(late(over))
            await asyncio.to_thread(pay, Account(owner="in time"), 5)
        over.set()
        await task

    with pytest.raises(OptionsError, match="over"):
        asyncio.run(main())
    assert [it.pk for it in Account.objects(pk__in=["late", "in time"])] == ["in time"]


CALLS: dict[str, Callable[[], Any]] = {
    "read": account,
    "reload": lambda: Account(owner="anna").reload(),
    "make indexes": lambda: [*Indexed.objects],
    "read what is not tracked": lambda: [*Watched.objects],
    "save what is not tracked": lambda: Watched(owner="late").save(),
    "save untracked": untracked()(lambda: Account(owner="late").save()),
    "read records": lambda: [*History.objects],
    "another one": lambda: changeset(atomic=True).__enter__(),
}


@binds
@pytest.mark.parametrize("call", CALLS)
def test_whatever_outlives_a_transaction_is_told_so(call: str) -> None:
    with changeset(atomic=True):
        pay(account(), 5)
        late = copy_context()
    with pytest.raises(OptionsError, match="Wait for the task inside, or begin it outside"):
        late.run(CALLS[call])
    assert account().balance == 15


@binds
def test_a_document_goes_on_after_its_write_was_undone() -> None:
    kept = pay(account(), 1)
    with pytest.raises(ZeroDivisionError), changeset(atomic=True):
        pay(kept, 5)
        pay(kept, 5)
        raise ZeroDivisionError
    kept.reload()
    with recorded(Account):
        pay(kept, 7)
    assert raw(kept)["balance"] == 18
    with changeset(atomic=True), recorded(Account):
        pay(kept, 1)
    with recorded(Account):
        pay(kept, 1)
    assert numbers(Account)["anna"] == [1, 2, 3, 4, 5, 6]


@binds
def test_a_history_without_indexes_gets_them_before_the_work_begins(database: Any) -> None:
    History.drop_collection()
    indexed.clear()  # as in a new process
    with changeset(atomic=True):
        pay(account(), 5)
    assert [it.operation for it in history_of(account())] == ["update"]
    assert len(database["history"].index_information()) > 1


@binds
@pytest.mark.parametrize(
    "failing",
    [
        lambda: Account.objects.insert(Account(owner="ben")),
        lambda: Account.objects.insert([Account(owner="cleo"), Account(owner="ben")]),
        lambda: Account.objects.update(__raw__={"$push": {"balance": 1}}),
        lambda: Account.objects(__raw__={"$no": 1}).update(balance=1),
    ],
)
def test_what_fails_inside_undoes_all(failing: Callable[[], Any]) -> None:
    before = everything()
    with pytest.raises((OperationError, BulkWriteError)), changeset(atomic=True):
        pay(account(), 1)
        failing()
    assert everything() == before


@pytest.mark.skipif(CAN_BIND, reason="that is for older releases of PyMongo")
def test_what_cannot_be_atomic_is_refused() -> None:
    with pytest.raises(OptionsError, match=r"4\.17"), changeset(atomic=True):
        pay(account(), 5)
    assert account().balance == 10


@pytest.mark.parametrize("write", WRITES)
def test_what_is_done_untracked_is_done_and_not_recorded(write: str) -> None:
    before = everything()
    with untracked():
        WRITES[write]()
    after = everything()
    assert [known for _, known in after] == [known for _, known in before]
    assert [stored for stored, _ in after] != [stored for stored, _ in before]


def test_a_block_inside_of_untracked_work_is_untracked_too() -> None:
    known = numbers(Account)
    document = account()
    with untracked(), changeset("anna"), DocumentTrack(document, "anna"):
        pay(document, 5)
        Account.objects.update(inc__balance=1)
    assert numbers(Account) == known
    with changeset("anna"), untracked():
        pay(document, 5)
    assert numbers(Account) == known


def test_tracking_goes_on_after_untracked_work() -> None:
    document = account()
    with pytest.raises(ZeroDivisionError), untracked():
        pay(document, 5)
        raise ZeroDivisionError
    pay(document, 2)
    assert raw(document)["balance"] == 17
    assert list(history_of(document)[-1].patches) == [("change", ["balance"], (15, 17))]
    with recorded(Account):
        pay(document, 2)


def test_a_function_may_be_untracked() -> None:
    @untracked()
    def fix() -> int:
        return Account.objects.update(inc__balance=1)

    known = numbers(Account)
    assert fix() == fix() == 2
    assert numbers(Account) == known
    assert Account.objects.update(inc__balance=1) == 2
    assert {len(each) for each in numbers(Account).values()} == {3}


def test_untracked_work_of_one_task_is_not_that_of_another() -> None:
    async def work(owner: str) -> None:
        document = await asyncio.to_thread(Account(owner=owner).save)
        if owner.startswith("untracked"):
            with untracked():
                await asyncio.sleep(0)
                await asyncio.to_thread(pay, document, 1)
        else:
            await asyncio.sleep(0)
            await asyncio.to_thread(pay, document, 1)

    async def main() -> None:
        names = [f"{kind} {number}" for kind in ("untracked", "tracked") for number in range(20)]
        await asyncio.gather(*(work(name) for name in names))

    asyncio.run(main())
    for owner, found in numbers(Account).items():
        assert found == ([1] if owner.startswith("untracked") else [1, 2])
