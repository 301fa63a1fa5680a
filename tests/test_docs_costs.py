"""The tables of costs in the documentation: each row is counted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from mongoengine import Document, IntField, StringField, signals
from support.binding import need_binding

from mongoengine_history import (
    DocumentTrack,
    history_of,
    load_history,
    restore,
    revert,
    track_changes,
    track_history,
    undo,
    untrack_history,
)

EXPLANATION = Path(__file__).parents[1] / "docs" / "explanation.md"

CREATION = "creation"


class Ticket(Document):
    """What the round trips are counted with."""

    title = StringField()
    count = IntField()


@contextmanager
def automatic(_: Ticket | None = None) -> Iterator[None]:
    """Track the class."""
    track_history(Ticket)
    try:
        yield
    finally:
        untrack_history(Ticket)


#: The two ways to have one document recorded.
WAYS: dict[str, Callable[[Ticket], AbstractContextManager[Any]]] = {
    "DocumentTrack": DocumentTrack,
    "track_history": automatic,
}


def change(ticket: Ticket) -> None:
    ticket.title += "!"
    ticket.save()


def change_in_a_transaction(ticket: Ticket) -> None:
    client = Ticket._get_db().client
    with client.start_session() as session, session.bind(), session.start_transaction():
        change(ticket)


def save_again(ticket: Ticket) -> None:
    ticket.title = str(ticket.title)
    ticket._mark_as_changed("title")
    ticket.save()


def ready(ticket: Ticket) -> Ticket:
    """Count from here on: what was sent to make *ticket* as it is belongs to no row."""
    for listener in Ticket._get_db().client.options.event_listeners:
        listener.clear()
    return ticket


def going_back(ticket: Ticket) -> Ticket:
    change(ticket)
    return ready(revert(ticket, revision=1))


#: What the rows of the table of costs mean, for an object that has been saved and a fresh one.
OF_ONE: dict[str, Callable[[Ticket, Ticket], object]] = {
    "first change by an object": lambda known, fresh: change(fresh),
    "every later change by the same object": lambda known, fresh: change(known),
    "change inside a transaction": lambda known, fresh: change_in_a_transaction(known),
    "save that changes nothing": lambda known, fresh: fresh.save(),
    "later save of the value that is stored": lambda known, fresh: save_again(known),
    "save after `revert` or `undo`": lambda known, fresh: going_back(fresh).save(),
    "deletion by an object that has saved nothing": lambda known, fresh: fresh.delete(),
    "deletion by one that has": lambda known, fresh: known.delete(),
}

OF_CLASSES: dict[str, Callable[[Ticket, Ticket], object]] = {
    "first `document.update(set__…)` or `modify(set__…)` by an object": (
        lambda known, fresh: fresh.update(set__title="window")
    ),
    "every later one": lambda known, fresh: known.modify(set__title="window"),
    "every later `document.update(inc__…)` or `update(push__…)`": (
        lambda known, fresh: known.update(inc__count=1)
    ),
    "`Model.objects(id=…)` and `update(set__…)` or `delete()`": (
        lambda known, fresh: Ticket.objects(id=known.id).update(set__title="open")
    ),
    "`Model.objects(…).update(…)` of fewer than 2,000 documents": (
        lambda known, fresh: Ticket.objects.update(title="open")
    ),
    "`Model.objects.insert([…], load_bulk=False)` of up to 2,000 documents": (
        lambda known, fresh: Ticket.objects.insert([Ticket(), Ticket()], load_bulk=False)
    ),
}

READING: dict[str, Callable[[Ticket, Ticket], object]] = {
    "`load_history(document)`": lambda older, deleted: load_history(older),
    "`for revision in history_of(document)`": lambda older, deleted: [*iter(history_of(older))],
    "`history_of(document)[n]`": lambda older, deleted: history_of(older)[1],
    "`history_of(document).state(n)`": lambda older, deleted: history_of(older).state(1),
    "`history_of(document).blame(path)`": lambda older, deleted: history_of(older).blame("title"),
    "`revert(document, revision=n)`": lambda older, deleted: revert(older, revision=0),
    "`revert(document)`": lambda older, deleted: revert(older),
    "`undo(document, n)`": lambda older, deleted: undo(older, 1),
    "`restore(Model, pk)`": lambda older, deleted: restore(Ticket, deleted.pk),
}


@pytest.fixture
def connected() -> None:
    signals.post_save.connect(track_changes, sender=Ticket)
    signals.post_delete.connect(track_changes, sender=Ticket)


@pytest.mark.usefixtures("database", "connected")
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("operation", [CREATION, *OF_ONE])
def test_the_costs_of_one_document_are_true(operation: str, way: Any, commands: Any) -> None:
    if "transaction" in operation:
        need_binding()
    known = Ticket(title="door")
    with way(known):
        ready(known).save()
        if operation != CREATION:
            fresh = ready(Ticket.objects.get(id=known.id))
            with nullcontext() if way is automatic else way(fresh):
                commands.clear()
                OF_ONE[operation](known, fresh)
    assert counted(commands) == costs()[operation], commands.names


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("operation", OF_CLASSES)
def test_the_costs_of_a_tracked_class_are_true(operation: str, commands: Any) -> None:
    with automatic():
        known = Ticket(title="door").save()
        fresh = ready(Ticket.objects.get(id=known.id))
        OF_CLASSES[operation](known, fresh)
    assert counted(commands) == costs()[operation], commands.names


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("operation", READING)
def test_the_costs_of_reading_are_true(operation: str, commands: Any) -> None:
    """The document was there before its first revision, so that it has a version."""
    older, deleted = Ticket(title="gate").save(), Ticket(title="door").save()
    with automatic():
        change(older)
        deleted.delete()
    ready(older)
    READING[operation](older, deleted)
    assert counted(commands) == costs()[operation], commands.names


@pytest.mark.usefixtures("database")
def test_a_save_that_is_not_tracked_takes_one(commands: Any) -> None:
    change(ready(Ticket(title="gate").save()))
    assert counted(commands) == 1


def counted(commands: Any) -> int:
    return sum(name != "commitTransaction" for name in commands.names)


def costs() -> dict[str, int]:
    text = EXPLANATION.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+) \| (\d) \|$", text, re.MULTILINE)
    return {operation: int(count) for operation, count in rows}


def test_each_row_of_the_table_of_costs_is_counted() -> None:
    assert set(costs()) == {CREATION, *OF_ONE, *OF_CLASSES, *READING}
