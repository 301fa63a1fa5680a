"""Fixtures that drop collections or the database between tests: a few round trips more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import mongoengine as me
import pytest
from mongoengine import Document

from mongoengine_history import History, history_of, track_history
from mongoengine_history.record.place import Place


class Ticket(Document):
    meta = {"auto_create_index": False}
    text = me.StringField()


class Seat(Document):
    meta = {"auto_create_index": False}
    text = me.StringField()


for _model in (Ticket, Seat):
    track_history(_model)


@pytest.fixture(autouse=True)
def indexed(database: Any) -> Iterator[None]:
    """The process knows that they are there. Tests drop the history; others find it as it was."""
    Place(Ticket).ensure_indexes()
    History.ensure_indexes()
    yield
    History.ensure_indexes()


def by_collection(database: Any) -> None:
    for name in database.list_collection_names():
        database.drop_collection(name)


def by_database(database: Any) -> None:
    database.client.drop_database(database.name)


DROPS: list[Callable[[Any], None]] = [by_collection, by_database]

DROPPING = ["listCollections", "find", "aggregate", "delete", "insert", "drop"]
CHANGING = ["find", "aggregate", "findAndModify", "insert"]


@pytest.fixture
def sent(commands: Any) -> Callable[..., list[str]]:
    """Names the commands that an operation sends."""

    def names(operation: Callable[..., Any], *args: Any) -> list[str]:
        commands.clear()
        operation(*args)
        return list(commands.names)

    return names


def change(model: type[Document]) -> None:
    document = model.objects.get()
    document.text = "b"
    document.save()


@pytest.mark.parametrize("count", [1, 50])
def test_a_dropped_class_is_recorded_by_one_command(sent: Any, count: int) -> None:
    tickets = Ticket.objects.insert([Ticket() for _ in range(count)])
    assert sent(Ticket.drop_collection) == DROPPING
    assert {it.operation for ticket in tickets for it in history_of(ticket)} == {"create", "delete"}


def test_a_class_that_has_nothing_is_dropped_with_a_look_at_what_it_is(sent: Any) -> None:
    Ticket.drop_collection()
    assert sent(Ticket.drop_collection) == ["listCollections", "drop"]


@pytest.mark.parametrize("drop", DROPS)
def test_indexes_are_made_again_once_by_one_command_when_they_are_missed(
    sent: Any, database: Any, drop: Callable[[Any], None]
) -> None:
    wanted = database.history.index_information().keys()
    for _ in range(2):
        drop(database)
        for model in (Ticket, Seat):
            assert sent(model(text="a").save) == ["insert", "insert"]
        assert sent(change, Ticket) == ["find", "aggregate", "createIndexes", *CHANGING[1:]]
        assert sent(change, Seat) == CHANGING
        assert database.history.index_information().keys() == wanted


@pytest.mark.parametrize("drop", DROPS)
def test_a_fixture_may_make_them_itself(
    sent: Any, database: Any, drop: Callable[[Any], None]
) -> None:
    drop(database)
    assert sent(History.ensure_indexes, "default") == ["createIndexes"]
    Ticket(text="a").save()
    assert sent(change, Ticket) == CHANGING
