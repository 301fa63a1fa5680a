"""The plan of a changeset that is taken back, its parts, and what others write meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mongoengine as me
import pytest
from mongoengine import signals
from pymongo.errors import OperationFailure
from support.binding import binds
from support.library import by_another
from support.ways import Entry, Hidden, Refusing, Total, tracking

from mongoengine_history import (
    ChangesetPartlyRevertedError,
    ChangesetRefusedError,
    History,
    OptionsError,
    changeset,
    history_of,
    revert_changeset,
    untracked,
)


@pytest.fixture(autouse=True)
def tracked(database: Any) -> Iterator[None]:
    with tracking():
        yield


def test_a_plan_writes_nothing_and_says_what_is_written(commands: Any) -> None:
    total = Total(cents=1, note="x").save()
    with changeset() as done:
        total.cents = 2
        total.save()
        made = Hidden(name="new").save()
        Total.objects.update(note="y")
    commands.clear()
    plan = revert_changeset(done, dry_run=True)
    assert not {"insert", "update", "delete", "findAndModify"} & set(commands.names)
    assert (plan.changeset, plan.conflicts) == (done.id, ())
    whole, gone = plan.steps
    assert (whole.kind, whole.document_class, whole.method) == ("update", "Total", None)
    assert (whole.document_id, whole.revisions) == (total.pk, (3, 2))
    assert sorted(whole.patches) == [
        ("change", ["cents"], (2, 1)),
        ("change", ["note"], ("y", "x")),
    ]
    assert (gone.kind, gone.document_id, gone.method) == ("delete", made.pk, "delete()")
    assert (gone.database, gone.collection) == (Hidden._get_db().name, "rm_hidden")
    assert str(whole).startswith(f"update Total {total.pk}: ")


def test_a_plan_tells_of_conflicts() -> None:
    total = Total(cents=1).save()
    with changeset() as done:
        Total.objects.update(cents=2)
    Total.objects.update(cents=3)
    plan = revert_changeset(done, dry_run=True)
    assert [(it.document_id, it.expected, it.found) for it in plan.conflicts] == [(total.pk, 2, 3)]
    assert plan.steps == ()


@binds
def test_large_changesets_go_in_parts_and_say_how_far_they_are(monkeypatch: Any) -> None:
    monkeypatch.setattr("mongoengine_history.back.revert_changeset.LARGEST_TRANSACTION", 3)
    monkeypatch.setattr("mongoengine_history.back.steps.MOST", 2)
    with changeset() as done:
        Total.objects.insert([Total(cents=number) for number in range(6)])
        Hidden(name="new").save()
    told: list[int] = []
    assert not revert_changeset(done, dry_run=True).is_atomic
    with pytest.raises(ChangesetRefusedError):
        revert_changeset(done, progress=told.append)
    assert Total.objects.count() == 6
    own = revert_changeset(done, progress=told.append, bypass_methods=True)
    assert told == [1, 3, 5, 7]
    assert Total.objects.count() == Hidden.objects.count() == 0
    revert_changeset(own, bypass_methods=True)
    assert Total.objects.count() == 6


@binds
def test_of_parts_that_are_done_the_error_says_so_and_how_to_go_back(monkeypatch: Any) -> None:
    monkeypatch.setattr("mongoengine_history.back.revert_changeset.LARGEST_TRANSACTION", 2)
    Total.objects.insert([Total(cents=number) for number in range(2)])
    kept = Refusing(name="a").save()
    with changeset() as done:
        kept.delete()
        Total.objects.update(inc__cents=1)
    Refusing.refuses = True
    with pytest.raises(ChangesetPartlyRevertedError) as caught:
        revert_changeset(done)
    assert sorted(caught.value.written) == sorted(("rm_totals", it.pk) for it in Total.objects)
    revert_changeset(caught.value.reverted_by)
    assert sorted(Total.objects.scalar("cents")) == [1, 2]
    Refusing.refuses = False
    revert_changeset(done)
    assert (sorted(Total.objects.scalar("cents")), Refusing.objects.count()) == ([0, 1], 1)


@binds
def test_a_conflict_with_another_transaction_is_tried_again() -> None:
    total = Total(cents=1).save()
    other = Entry.objects.insert(Entry(total=total, cents=3))
    with changeset() as done:
        other.cents = 4
        Entry.objects.update(cents=4)
    calls: list[int] = []

    def disturb(sender: Any, document: Any, **_: Any) -> None:
        calls.append(len(calls))
        if len(calls) == 1:
            by_another(lambda: Entry._get_collection().update_one({}, {"$set": {"note": "x"}}))

    signals.pre_save.connect(disturb, sender=Entry)
    revert_changeset(done)
    assert calls == [0, 1]
    assert Entry._get_collection().find_one()["cents"] == 3
    assert Entry._get_collection().find_one()["note"] == "x"


def test_without_transactions_what_others_write_meanwhile_is_a_conflict(alone: None) -> None:
    total, kept = Total(cents=1).save(), Refusing(name="a").save()
    with changeset() as done:
        Total.objects.update(cents=2)
        kept.name = "b"
        kept.save()

    def disturb(sender: Any, document: Any, **_: Any) -> None:
        by_another(lambda: Total._get_collection().update_one({}, {"$set": {"cents": 9}}))

    signals.pre_save.connect(disturb, sender=Refusing)
    with pytest.raises(ChangesetPartlyRevertedError) as caught:
        revert_changeset(done)
    assert caught.value.written == [("rm_refusing", kept.pk)]
    assert (caught.value.__cause__.document_id, Total.objects.get().cents) == (total.pk, 9)


@binds
def test_in_a_transaction_of_the_application_the_conflict_is_told_as_the_server_tells_it(
    client: Any,
) -> None:
    entry = Entry.objects.insert(Entry(total=Total().save(), cents=3))
    with changeset() as done:
        Entry.objects.update(cents=4)
    with pytest.raises(OperationFailure) as caught, changeset(atomic=True):
        Total.objects.update(note="x")
        by_another(lambda: Entry._get_collection().update_one({}, {"$set": {"note": "x"}}))
        revert_changeset(done)
    assert caught.value.has_error_label("TransientTransactionError")
    assert len(history_of(entry)) == 3


@pytest.mark.parametrize("bypass", [False, True])
def test_what_is_taken_back_untracked_is_not_recorded(bypass: bool) -> None:
    Total(cents=1).save()
    with changeset() as again:
        Total.objects.update(note="x")
    known = History.objects.count()
    with untracked():
        revert_changeset(again, bypass_methods=bypass)
    assert (History.objects.count(), Total.objects.get().note) == (known, None)


def test_a_connection_that_does_not_answer_may_have_a_part_of_it() -> None:
    with changeset() as done:
        Total(cents=1).save()
    nowhere = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=50"
    me.register_connection("rm_dead", "gone_far", host=nowhere, uuidRepresentation="standard")
    try:
        with pytest.raises(OptionsError, match="'gone_far' does not say"):
            revert_changeset(done)
        assert Total.objects.count() == 1
    finally:
        me.disconnect("rm_dead")
    revert_changeset(done)
    assert Total.objects.count() == 0
