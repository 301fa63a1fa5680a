"""Revisions that are written inside a transaction."""

from __future__ import annotations

from typing import Any

import mongoengine as me
import pytest
from pymongo import MongoClient
from support.binding import binds
from support.changes import edited, watched
from support.documents import raw
from support.memos import Page, revisions

from mongoengine_history import History, IndexesMissingError, backfill, revert

connected = watched(Page, deletions=False)


@binds
def test_an_aborted_transaction_leaves_neither_document_nor_history(client: MongoClient) -> None:
    page, other = Page(text="a").save(), Page(text="o").save()
    edited(page, text="b")
    with client.start_session() as session, session.bind(end_session=False):
        session.start_transaction()
        edited(page, text="c")
        edited(page, text="d")
        edited(other, text="p")
        assert revisions(page) == [1, 2, 3]
        assert revert(page, revision=1).text == "b"
        session.abort_transaction()
    assert (raw(page)["text"], raw(other)["text"]) == ("b", "o")
    assert (revisions(page), revisions(other)) == ([1], [])
    with client.start_session() as session, session.bind(end_session=False):
        with session.start_transaction():
            edited(Page.objects.get(pk=page.pk), text="e")
    assert revisions(page) == [1, 2]
    assert raw(page)["text"] == "e"


@binds
def test_the_first_use_of_all_may_be_inside_a_transaction(
    client: MongoClient, database: Any
) -> None:
    from mongoengine_history.record import place

    page = Page(text="a").save()
    database.drop_collection("history")
    place.indexed.clear()
    with client.start_session() as session, session.bind(end_session=False):
        with session.start_transaction():
            edited(page, text="b")
    assert revisions(page) == [1]
    assert "history_revision" in database.history.index_information()


@binds
def test_a_conflict_inside_a_transaction_is_left_to_the_transaction(client: MongoClient) -> None:
    from pymongo.errors import PyMongoError

    page = Page(text="a").save()
    with pytest.raises((PyMongoError, me.errors.OperationError)):
        with client.start_session() as session, session.bind(end_session=False):
            with session.start_transaction():
                edited(page, text="b")
                raise PyMongoError("as the server would")
    assert revisions(page) == []
    edited(page, text="c")
    assert revisions(page) == [1]


@binds
def test_indexes_that_a_transaction_keeps_from_being_made_are_asked_for(
    client: MongoClient, database: Any, monkeypatch: Any
) -> None:
    from mongoengine_history.record import place

    monkeypatch.setattr(place, "PATIENCE", 200)
    page = Page(text="a").save()
    edited(page, text="b")
    database.history.drop_indexes()
    place.indexed.clear()
    with pytest.raises(IndexesMissingError, match="ensure_indexes"):
        with client.start_session() as session, session.bind(end_session=False):
            with session.start_transaction():
                History.objects.count()
                edited(page, text="c")
    History.ensure_indexes()
    with client.start_session() as session, session.bind(end_session=False):
        with session.start_transaction():
            History.objects.count()
            edited(page, text="d")
    assert revisions(page) == [1, 2]


@binds
def test_only_who_has_something_to_remove_needs_the_right_to(
    client: MongoClient, commands: Any
) -> None:
    """The server ends a transaction at the first command that it refuses."""
    page, kept = Page(text="a").save(), Page(text="b").save()
    Page._get_collection().delete_one({"_id": page.pk})
    backfill(Page)
    Page._get_collection().insert_one({"_id": page.pk, "text": "a"})
    for each, deletions in ((page, 0), (kept, 1)):
        commands.clear()
        with client.start_session() as session, session.bind(end_session=False):
            with session.start_transaction():
                edited(each, text="c")
        assert commands.names.count("delete") == deletions
        assert revisions(each) == [1]
