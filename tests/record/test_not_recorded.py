"""What cannot be recorded is handed to what the class names."""

from __future__ import annotations

from typing import Any

import mongoengine as me
import pytest
from support.changes import tracked
from support.unanswered import unanswered

from mongoengine_history import HistoryNotRecordedError, OptionsError, history_of


class Ticket(me.Document):
    meta = {"collection": "not_recorded_tickets", "auto_create_index": False}
    number = me.IntField(unique=True)


def refusing() -> Any:
    return unanswered("insert_many", among="history", done=False)


@pytest.mark.parametrize("strict", [True, False])
def test_it_gets_the_error_and_the_write_goes_on(database: Any, strict: bool) -> None:
    taken: list[HistoryNotRecordedError] = []
    with tracked(Ticket, on_error=taken.append, strict=strict), refusing():
        tickets = [Ticket(number=1).save(), *Ticket.objects.insert([Ticket(number=2)])]
    assert [it.document_id for it in taken] == [ticket.pk for ticket in tickets]
    for error in taken:
        error.record()
    assert [it.operation for ticket in tickets for it in history_of(ticket)] == ["create"] * 2


def test_what_it_raises_is_logged_and_the_error_raised(database: Any, caplog: Any) -> None:
    def failing(error: HistoryNotRecordedError) -> None:
        raise RuntimeError("no way")

    with tracked(Ticket, on_error=failing), refusing():
        with pytest.raises(HistoryNotRecordedError) as caught:
            Ticket(number=1).save()
    assert "no way" in caplog.text
    caught.value.record()


def test_it_may_raise_the_error_itself(database: Any, caplog: Any) -> None:
    def raising(error: HistoryNotRecordedError) -> None:
        raise error

    with tracked(Ticket, on_error=raising), refusing():
        with pytest.raises(HistoryNotRecordedError):
            Ticket(number=1).save()
    assert caplog.text == ""


def test_where_the_write_raises_itself_that_is_raised(database: Any) -> None:
    taken: list[HistoryNotRecordedError] = []
    database.not_recorded_tickets.create_index("number", unique=True)
    with tracked(Ticket, on_error=taken.append), refusing():
        with pytest.raises(me.errors.BulkWriteError):
            Ticket.objects.insert([Ticket(number=5), Ticket(number=5)])
    assert len(taken) == 1
    assert len(taken[0].records) == 1


def test_before_a_write_the_history_need_not_answer(database: Any) -> None:
    taken: list[HistoryNotRecordedError] = []
    with tracked(Ticket, on_error=taken.append):
        ticket = Ticket(number=1).save()
        with refusing(), unanswered("aggregate", among="history"):
            Ticket.objects.get().modify(set__number=2)
    assert len(taken) == 1
    taken[0].record()
    assert history_of(ticket).state(-1) == {"number": 2}


def test_where_a_document_is_asked_for_and_cannot_be_read_both_happen(database: Any) -> None:
    taken: list[HistoryNotRecordedError] = []
    with tracked(Ticket, on_error=taken.append):
        ticket = Ticket(number=1).save()
        with unanswered("find_one", among="not_recorded"), pytest.raises(HistoryNotRecordedError):
            Ticket.objects(pk=ticket.pk).modify(inc__number=1, new=True)
        taken[0].record()
    assert [it.operation for it in history_of(ticket)] == ["create", "external"]


@pytest.mark.parametrize("value", ["ignore", None, 5, b"log"])
def test_what_cannot_be_called_is_refused(value: Any) -> None:
    with pytest.raises(OptionsError) as caught:
        with tracked(Ticket, on_error=value):
            pass
    assert caught.value.name == "on_error"
