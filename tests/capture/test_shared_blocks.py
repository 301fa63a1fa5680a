"""One block used many times, decorators of what runs later, and names that were meant otherwise."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable, Iterator
from threading import Barrier, Thread
from typing import Any

import mongoengine as me
import pytest
from bson import DBRef
from mongoengine import Document
from mongoengine.base import LazyReference

from mongoengine_history import (
    DocumentTrack,
    HistoryWarning,
    OptionsError,
    changeset,
    history_of,
    track_history,
    untrack_history,
    untracked,
)


class Slip(Document):
    meta = {"collection": "slips", "auto_create_index": False}
    text = me.StringField()


@pytest.fixture(autouse=True)
def tracking(database: Any) -> Iterator[None]:
    track_history(Slip)
    yield
    untrack_history(Slip)


def write() -> Slip:
    return Slip(text="a").save()


def who(slip: Document) -> list[Any]:
    return [revision.identity for revision in history_of(slip)]


@pytest.mark.parametrize("make", [untracked, lambda: changeset("ann")])
def test_of_a_block_that_threads_share_nothing_remains(make: Callable[[], Any]) -> None:
    block, entered, left, found = make(), Barrier(2, timeout=9), Barrier(2, timeout=9), []

    def work() -> None:
        with block:
            entered.wait()
        left.wait()
        found.append(write())

    threads = [Thread(target=work) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert [who(slip) for slip in found] == [[None], [None]]


def test_tasks_that_share_a_block_have_a_unit_each() -> None:
    block = changeset("ann")

    async def work(turns: int) -> list[Slip]:
        with block:
            for _ in range(turns):
                await asyncio.sleep(0)
            first = write()
        return [first, write()]

    async def main() -> list[list[Slip]]:
        return await asyncio.gather(*map(work, [3, 1, 2]))

    slips = asyncio.run(main())
    assert [[who(slip) for slip in pair] for pair in slips] == [[["ann"], [None]]] * 3
    assert len({history_of(first)[1].changeset for first, _ in slips}) == 3


def test_a_block_inside_itself_ends_with_the_outer_one() -> None:
    block = changeset("ann")
    with block:
        with block:
            inner = write()
        outer = write()
    assert [who(inner), who(outer), who(write())] == [["ann"], ["ann"], [None]]


def test_a_watch_inside_itself_ends_with_the_outer_one() -> None:
    slip = write()
    block = DocumentTrack(slip, "ann")
    with block:
        with DocumentTrack(slip, "ben"), block:
            slip.update(text="b")
        slip.update(text="c")
    slip.update(text="d")
    assert who(slip) == [None, "ann", "ann", None]


def test_a_block_that_ends_in_another_context_says_so() -> None:
    block = changeset("ann")
    contextvars.copy_context().run(block.__enter__)
    with pytest.warns(HistoryWarning, match="async def"):
        contextvars.copy_context().run(block.__exit__, None, None, None)
    with block:
        assert who(write()) == ["ann"]
    assert who(write()) == [None]


def test_a_generator_is_in_its_block_and_its_consumer_is_not() -> None:
    @changeset("ann")
    def steps() -> Iterator[Any]:
        try:
            sent = yield write()
            with pytest.raises(KeyError):
                yield (sent, write())
            return write()
        finally:
            ended.append(write())

    ended: list[Slip] = []
    running = steps()
    first, between = next(running), write()
    sent, second = running.send("told")
    with pytest.raises(StopIteration) as stopped:
        running.throw(KeyError())
    own = [first, second, stopped.value.value, *ended]
    assert sent == "told"
    assert [who(slip) for slip in own] == [["ann"]] * 4
    assert len({history_of(slip)[1].changeset for slip in own}) == 1
    assert who(between) == who(write()) == [None]
    early = steps()
    next(early)
    early.close()
    assert who(ended[1]) == ["ann"]


def test_an_async_generator_is_in_its_block_and_its_consumer_is_not() -> None:
    @changeset("ann")
    async def steps() -> AsyncIterator[Slip]:
        yield write()
        await asyncio.sleep(0)
        yield write()

    async def main() -> list[tuple[Slip, Slip]]:
        return [(slip, write()) async for slip in steps()]

    assert [[who(own), who(other)] for own, other in asyncio.run(main())] == [[["ann"], [None]]] * 2


def test_async_objects_and_methods_of_a_class_run_inside() -> None:
    class Desk:
        async def __call__(self) -> Slip:
            await asyncio.sleep(0)
            return write()

        @changeset("ann")
        @classmethod
        def own(cls) -> Slip:
            return write()

    assert who(asyncio.run(changeset("ann")(Desk())())) == ["ann"]
    assert who(Desk.own()) == ["ann"]


def test_nothing_is_written_by_an_untracked_generator() -> None:
    @untracked
    def steps() -> Iterator[Slip]:
        yield write()

    assert [who(slip) for slip in steps()] == [[]]


def test_the_parentheses_may_be_left_out() -> None:
    @changeset
    def plain() -> list[Slip]:
        return [write(), write()]

    @changeset
    def counted(count: int) -> list[Slip]:
        return [write() for _ in range(count)]

    for slips in (plain(), counted(2)):
        [unit] = {history_of(slip)[1].changeset for slip in slips}
        assert unit is not None
    with changeset(lambda: "ann"):
        assert who(write()) == ["ann"]


def test_bare_methods_are_those_of_their_objects() -> None:
    class Service:
        job = changeset("job")

        @changeset
        def counted(self, count: int) -> list[Slip]:
            return [self.job(write)() for _ in range(count)]

        @changeset
        def anything(*args: Any, **kwargs: Any) -> list[Slip]:
            service, *_ = args
            assert (isinstance(service, Service), kwargs) == (True, {"count": 2})
            return service.counted(2)

    for slips in (Service().counted(2), Service().anything(count=2), Service.counted(Service(), 2)):
        assert [who(slip) for slip in slips] == [["job"], ["job"]]
        assert len({history_of(slip)[1].changeset for slip in slips}) == 1
    with Service().job:
        assert who(write()) == ["job"]


@pytest.mark.parametrize("target", [Slip, 7, None])
def test_what_cannot_be_decorated_is_refused(target: Any) -> None:
    with pytest.raises(OptionsError, match="function"):
        changeset("ann")(target)


def test_no_transaction_waits_for_a_consumer() -> None:
    def steps() -> Iterator[int]:
        yield 1

    with pytest.raises(OptionsError, match="transaction"):
        changeset("ann", atomic=True)(steps)


@pytest.mark.parametrize(
    "name", ["identiy", "Identity", "idenity", "resaon", "reasn", "atomc", "user", "author"]
)
def test_a_name_that_is_meant_for_an_argument_is_refused(name: str) -> None:
    with pytest.raises(OptionsError, match="did you mean"):
        changeset(**{name: "ann"})


@pytest.mark.parametrize("name", ["season", "entity", "automatic", "request", "region", "x"])
def test_other_names_are_metadata(name: str) -> None:
    with changeset(**{name: "spring"}):
        assert history_of(write())[1].metadata == {name: "spring"}


def test_beside_an_identity_its_neighbours_are_metadata() -> None:
    with changeset("ann", user="ben"):
        assert history_of(write())[1].metadata == {"user": "ben"}
    with pytest.raises(OptionsError, match="refuse_stale"):
        DocumentTrack(write(), refuse_stal=True)
    for name in ("atomik", "Atomic", "atomc"):
        with pytest.raises(OptionsError, match="did you mean atomic"):
            DocumentTrack(write(), "ann", **{name: True})


@pytest.mark.parametrize("is_atomic", [True, False])
def test_a_document_alone_is_no_transaction(is_atomic: bool) -> None:
    with pytest.raises(OptionsError, match="atomic=True"):
        DocumentTrack(write(), "ann", atomic=is_atomic)


def test_of_a_reference_the_key_is_kept() -> None:
    slip = write()
    for reference in (slip.to_dbref(), LazyReference(Slip, slip.pk), DBRef("slips", slip.pk)):
        with changeset(lambda: reference):  # noqa: B023  # it is asked in its own turn
            assert who(write()) == [slip.pk]
        with changeset(reference):
            assert who(write()) == [slip.pk]
