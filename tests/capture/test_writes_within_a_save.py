"""What is written to other documents while one is being saved is their own."""

from __future__ import annotations

from typing import Any

import mongoengine as me
import pytest
from support.changes import automatic
from support.documents import raw

from mongoengine_history import DocumentTrack, history_of, revert


class Counter(me.Document):
    meta = {"collection": "counters", "auto_create_index": False}
    count = me.IntField(default=0)


class Counted(me.StringField):
    """Counts in a document of its own how often it is stored."""

    def to_mongo(self, value: Any) -> Any:
        if value == "count":
            Counter.objects.update(inc__count=1)
            Counter.objects(pk=Counter.objects.get().pk).update(inc__count=1)
            Page.objects(title="other").update(set__text="seen")
            Page.objects(pk=Page.objects.get(title="other").pk).update(inc__number=1)
        return value


class Page(me.Document):
    meta = {"collection": "counted_pages", "auto_create_index": False}
    title = me.StringField()
    text = Counted()
    number = me.IntField(default=0)


tracking = automatic(Counter, Page)


@pytest.fixture
def page(database: Any) -> Page:
    Counter().save()
    Page(title="other").save()
    return Page(title="own", text="a").save()


def others() -> list[list[tuple[str, Any]]]:
    """Check the newest states of the others; return who did what to them."""
    documents = [Counter.objects.get(), Page.objects.get(title="other")]
    timelines = [history_of(document) for document in documents]
    for document, timeline in zip(documents, timelines, strict=True):
        assert {"_id": document.pk, **timeline.state(-1)} == raw(document)
    return [[(it.operation, it.identity) for it in timeline] for timeline in timelines]


def test_they_are_neither_checked_as_that_document_nor_told_as_its_writers(page: Page) -> None:
    with DocumentTrack(page, "ada", refuse_stale=True):
        page.text = "count"
        page.save()
    for told in others():
        assert set(told[1:]) == {("update", None)}
        assert len(told) > 2
    assert [it.identity for it in history_of(page)] == [None, "ada"]


def test_they_are_updates_while_the_document_is_reverted(page: Page) -> None:
    page.text = "count"
    page.save()
    page.text = "b"
    page.save()
    revert(page, revision=2).save()
    assert [it.operation for it in history_of(page)] == ["create", "update", "update", "revert"]
    assert {operation for told in others() for operation, _ in told} == {"create", "update"}
