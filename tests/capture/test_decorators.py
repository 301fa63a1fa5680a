"""Blocks as decorators, and what is written while somebody is asked who writes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import mongoengine as me
import pytest
from mongoengine import Document

from mongoengine_history import (
    OptionsError,
    changeset,
    history_of,
    set_identity_provider,
    track_history,
    untrack_history,
    untracked,
)


class Job(Document):
    meta = {"collection": "jobs", "auto_create_index": False}
    text = me.StringField()


class Clerk(Document):
    meta = {"collection": "clerks", "auto_create_index": False}
    seen = me.IntField(default=0)


@pytest.fixture(autouse=True)
def tracking(database: Any) -> Iterator[None]:
    for model in (Job, Clerk):
        track_history(model)
    yield
    set_identity_provider(None)
    for model in (Job, Clerk):
        untrack_history(model)


def who(document: Document) -> list[Any]:
    return [revision.identity for revision in history_of(document)]


def test_an_async_function_runs_inside_its_block() -> None:
    @changeset("ann")
    async def work(text: str) -> Job:
        await asyncio.sleep(0)
        return Job(text=text).save()

    @untracked()
    async def hide() -> Job:
        await asyncio.sleep(0)
        return Job(text="hidden").save()

    async def both() -> list[Job]:
        return await asyncio.gather(work("a"), work(text="b"), hide())

    first, second, hidden = asyncio.run(both())
    assert (first.text, second.text) == ("a", "b")
    assert who(first) == who(second) == ["ann"]
    assert history_of(first)[1].changeset != history_of(second)[1].changeset
    assert who(hidden) == []
    assert work.__name__ == "work"


def test_each_call_of_a_function_is_a_unit_of_its_own() -> None:
    @changeset("ann", reason="night job")
    def work(text: str, again: bool = False) -> list[Job]:
        return [Job(text=text).save(), *(work("inner") if again else [])]

    outer, inner = work("outer", again=True)
    [other] = work("other")
    ids = [history_of(job)[1].changeset for job in (outer, inner, other)]
    assert ids[0] == ids[1] != ids[2]
    assert who(other) == ["ann"]


def test_an_argument_that_cannot_be_used_is_told_where_it_is_given() -> None:
    with pytest.raises(OptionsError):
        changeset(object())


def test_what_is_written_while_somebody_is_asked_is_nobodys() -> None:
    """A login that notes the last visit, for example, which would ask again without an end."""
    clerk = Clerk().save()

    def current() -> Any:
        clerk.seen += 1
        clerk.save()
        return clerk

    set_identity_provider(current)
    job = Job(text="a").save()
    with changeset(current):
        job.text = "b"
        job.save()
    assert who(job) == [clerk.pk, clerk.pk]
    assert who(clerk) == [None, None, None]
    set_identity_provider(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        Job(text="c").save()
    set_identity_provider(lambda: "ben")
    assert who(Job(text="d").save()) == ["ben"]
