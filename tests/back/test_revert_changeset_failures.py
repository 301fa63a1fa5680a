"""A changeset that cannot be taken back whole: nothing was written, or the error says what was."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, repeat
from typing import Any

import pytest
from mongoengine import signals
from mongoengine.errors import OperationError
from support.binding import binds
from support.library import Far, Volume, contents, stocked, told, tracking

from mongoengine_history import (
    ChangesetPartlyRevertedError,
    ChangesetRefusedError,
    History,
    HistoryNotRecordedError,
    OptionsError,
    WriteConflictError,
    changeset,
    history_of,
    revert_changeset,
)
from mongoengine_history.record.sessions import is_transient


@pytest.fixture(autouse=True)
def tracked(database: Any) -> Iterator[None]:
    with tracking():
        yield


def failing(sender: Any, document: Any, **_: Any) -> None:
    if document.title == "a":
        raise OperationError("a handler of the application")


def changed_both() -> Any:
    """A changeset of which the part that was written first cannot be taken back."""
    book, atlas, _ = stocked()
    with changeset() as done:
        for document in (book, atlas):
            document.title += "!"
            document.save()
    signals.pre_save.connect(failing, sender=Volume)
    return book, atlas, done


@binds
def test_a_write_that_fails_takes_all_others_back() -> None:
    _, _, done = changed_both()
    before, known = contents(), History.objects.count()
    with pytest.raises(ChangesetRefusedError, match="a handler") as caught:
        revert_changeset(done)
    assert isinstance(caught.value.__cause__, OperationError)
    assert (contents(), History.objects.count()) == (before, known)
    signals.pre_save.disconnect(failing, sender=Volume)
    revert_changeset(done)
    assert set(Volume.objects.scalar("title")) == {"a", "w"}


def test_without_transactions_the_error_says_what_was_written(alone: None) -> None:
    _, atlas, done = changed_both()
    with pytest.raises(ChangesetPartlyRevertedError, match="1 documents") as caught:
        revert_changeset(done)
    assert caught.value.changeset == done.id
    assert caught.value.written == [("rv_books", atlas.pk)]
    assert isinstance(caught.value.__cause__, OperationError)
    assert sorted(Volume.objects.scalar("title")) == ["a!", "w"]
    signals.pre_save.disconnect(failing, sender=Volume)
    revert_changeset(history_of(atlas)[-1].changeset)
    revert_changeset(done)
    assert sorted(Volume.objects.scalar("title")) == ["a", "w"]


def test_without_transactions_a_first_write_that_fails_is_refused(alone: None) -> None:
    book = Volume(title="a", code=1).save()
    with changeset() as done:
        book.code = 2
        book.save()
    Volume(title="b", code=1).save()
    with pytest.raises(ChangesetRefusedError, match="E11000") as caught:
        revert_changeset(done)
    assert caught.value.refused[0][:2] == ("rv_books", book.pk)


def test_without_transactions_what_needs_no_write_does_not_count_as_written(alone: None) -> None:
    Volume(title="a").save(), Volume(title="x").save()
    with changeset() as done:
        for old, new in [("a", "b"), ("x", "y"), ("y", "x")]:
            Volume.objects(title=old).update(title=new)
    signals.pre_save.connect(failing, sender=Volume)
    with pytest.raises(ChangesetRefusedError, match="a handler"):
        revert_changeset(done)


def test_without_transactions_what_was_written_without_a_record_is_told(
    alone: None, database: Any
) -> None:
    book = Volume(title="a").save()
    with changeset() as done:
        book.title = "b"
        book.save()
    refuse = {"document_type": {"$exists": False}}
    database.command("collMod", "history", validator=refuse)
    try:
        with pytest.raises(ChangesetPartlyRevertedError) as caught:
            revert_changeset(done)
    finally:
        database.command("collMod", "history", validator={})
    assert caught.value.written == [("rv_books", book.pk)]
    assert isinstance(caught.value.__cause__, HistoryNotRecordedError)
    assert Volume.objects.get().title == "a"


@binds
def test_inside_a_transaction_it_is_a_part_of_it(client: Any) -> None:
    book = Volume(title="a").save()
    with changeset() as done:
        book.title = "b"
        book.save()
    with changeset("ann", atomic=True):
        revert_changeset(done)
    assert told(Volume, book.pk)[-1] == ("undo", "ann")
    again = history_of(book)[-1].changeset
    with client.start_session() as session, session.bind(end_session=False):
        session.start_transaction()
        revert_changeset(again)
        assert Volume.objects.get().title == "b"
        session.abort_transaction()
    assert (Volume.objects.get().title, len(history_of(book))) == ("a", 3)


def test_documents_in_two_databases_are_taken_back() -> None:
    far, book = Far(name="a").save(), Volume(title="a").save()
    with changeset() as done:
        far.name = "b"
        far.save()
        book.title = "b"
        book.save()
        Far(name="made").save()
    revert_changeset(done)
    assert (list(Far.objects.scalar("name")), Volume.objects.get().title) == (["a"], "a")


def refusing(sender: Any, document: Any, **_: Any) -> None:
    raise OperationError("a handler of the application")


def test_no_transaction_goes_over_two_connections_so_the_error_says_what_was_written() -> None:
    """The other alias of the tests is a client of its own."""
    far, book = Far(name="a").save(), Volume(title="a").save()
    with changeset() as done:
        far.name = "b"
        far.save()
        book.title = "b"
        book.save()
    signals.pre_save.connect(refusing, sender=Far)
    with pytest.raises(ChangesetPartlyRevertedError) as caught:
        revert_changeset(done)
    assert caught.value.written == [("rv_books", book.pk)]
    assert (Far.objects.get().name, Volume.objects.get().title) == ("b", "a")


def overtaken() -> tuple[Any, Any]:
    """Two changed volumes, to the first of which somebody else writes whenever it is saved."""
    books = [Volume(title=title, code=number).save() for number, title in enumerate("ab")]
    with changeset() as done:
        for book in books:
            book.title += "!"
            book.save()

    def overtake(sender: Any, document: Any, **_: Any) -> None:
        if document.pk == books[0].pk:
            other = Volume._get_collection().database.client
            with other.start_session() as apart:  # past the transaction
                plain = other[Volume._get_db().name]["rv_books"]
                plain.update_one({"_id": document.pk}, {"$inc": {"code": 10}}, session=apart)

    signals.pre_save.connect(overtake, sender=Volume, weak=False)
    return done, overtake


def clocked(monkeypatch: Any, *readings: float) -> None:
    """Let the clock show these readings, of which each but the first follows a failed attempt."""
    clock = chain(readings, repeat(readings[-1]))
    monkeypatch.setattr("mongoengine_history.record.sessions.monotonic", clock.__next__)


@binds
def test_whom_others_always_overtake_is_told_so_after_a_while(monkeypatch: Any) -> None:
    done, overtake = overtaken()
    known = History.objects.count()
    clocked(monkeypatch, 0, 10, 29, 31)
    try:
        with pytest.raises(WriteConflictError, match="Nothing was written") as caught:
            revert_changeset(done)
        assert caught.value.attempts == 3
        assert is_transient(caught.value.__cause__)
        assert sorted(Volume.objects.scalar("title")) == ["a!", "b!"]
        assert History.objects.count() == known
    finally:
        signals.pre_save.disconnect(overtake, sender=Volume)
    revert_changeset(done)
    assert sorted(Volume.objects.scalar("title")) == ["a", "b"]


@binds
def test_in_parts_it_is_told_with_what_was_written(monkeypatch: Any) -> None:
    done, overtake = overtaken()
    monkeypatch.setattr("mongoengine_history.back.revert_changeset.LARGEST_TRANSACTION", 1)
    clocked(monkeypatch, 0, 0, 10, 31)
    try:
        with pytest.raises(ChangesetPartlyRevertedError) as caught:
            revert_changeset(done)
        assert len(caught.value.written) == 1
        assert isinstance(caught.value.__cause__, WriteConflictError)
    finally:
        signals.pre_save.disconnect(overtake, sender=Volume)


@binds
def test_a_changeset_of_another_connection_is_one_transaction_there() -> None:
    first, second = Far(name="a").save(), Far(name="b").save()
    with changeset() as done:
        Far.objects.update(name="changed")

    def fail(sender: Any, document: Any, **_: Any) -> None:
        written.append(document.pk)
        if len(written) == 2:
            raise OperationError("no")

    written: list[Any] = []
    signals.pre_save.connect(fail, sender=Far)
    with pytest.raises(ChangesetRefusedError):
        revert_changeset(done)
    assert set(written) == {first.pk, second.pk}
    assert set(Far.objects.scalar("name")) == {"changed"}


@binds
def test_a_transaction_cannot_be_joined_by_documents_of_another_connection() -> None:
    far, book = Far(name="a").save(), Volume(title="a").save()
    with changeset() as done:
        Far.objects.update(name="b")
        Volume.objects.update(title="b")
    with pytest.raises(OptionsError, match="another connection"), changeset(atomic=True):
        revert_changeset(done)
    assert (len(history_of(far)), len(history_of(book))) == (2, 2)
