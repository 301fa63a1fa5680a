"""Who answers for a write, and why: said once around it, and true for exactly what is inside."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Barrier, Thread
from typing import Any
from uuid import UUID

import mongoengine as me
import pytest
from bson import ObjectId
from mongoengine import Document, signals
from support.documents import Person, raw
from support.twins import numbers

from mongoengine_history import (
    Changeset,
    DocumentTrack,
    History,
    OptionsError,
    changeset,
    history_of,
    set_identity_provider,
    track_changes,
    track_history,
    untrack_history,
)


class Task(Document):
    meta = {"collection": "tasks", "auto_create_index": False}
    text = me.StringField()
    count = me.IntField()


class Provided(Document):
    meta = {"collection": "provided", "auto_create_index": False}
    text = me.StringField()


class Watched(Document):
    """It is not tracked: only saves in a block are recorded."""

    meta = {"collection": "watched", "auto_create_index": False}
    text = me.StringField()


SAID: list[Any] = []
"""What the provider of a class says, if anything."""


@pytest.fixture(scope="module", autouse=True)
def tracking() -> Iterator[None]:
    track_history(Task)
    track_history(Provided, identity=lambda: SAID[0] if SAID else None)
    yield
    untrack_history(Task)
    untrack_history(Provided)


@pytest.fixture(autouse=True)
def nothing_said(database: Any) -> Iterator[None]:
    signals.post_save.connect(track_changes, sender=Watched)
    SAID[:] = ["class"]
    yield
    set_identity_provider(None)


def change(document: Any, text: str, **kwargs: Any) -> Any:
    document.text = text
    return document.save(**kwargs)


def last(document: Any) -> Any:
    return history_of(document)[-1]


def test_who_is_nearest_to_the_write_answers_for_it() -> None:
    document = Provided(text="a")
    set_identity_provider(lambda: "global")
    with ExitStack() as stack:
        for text, block, expected in [
            ("1", None, "class"),
            ("2", lambda: changeset("outer"), "outer"),
            ("3", lambda: DocumentTrack(document, "track"), "track"),
            ("4", lambda: changeset("inner"), "inner"),
            ("5", lambda: changeset(reason="says nobody"), "inner"),
            ("6", lambda: DocumentTrack(document, reason="says nobody"), "inner"),
            ("7", lambda: DocumentTrack(document, "innermost"), "innermost"),
        ]:
            if block:
                stack.enter_context(block())
            assert last(change(document, text)).identity == expected
        change(document, "8", signal_kwargs={"identity": "save"})
        assert last(document).identity == "save"
        assert last(change(document, "9")).identity == "innermost"
    SAID.clear()
    assert last(change(document, "10")).identity == "global"
    set_identity_provider(None)
    assert last(change(document, "11")).identity is None


def test_queries_are_signed_as_saves_are() -> None:
    set_identity_provider(lambda: "global")
    provided, task = Provided(text="a").save(), Task(text="a").save()
    for expected in ("class", "block"):
        with changeset("block" if expected == "block" else None):
            Provided.objects.update(text=expected)
        assert last(provided).identity == expected
    Task.objects.modify(text="b")
    assert last(task).identity == "global"
    with changeset(task):
        Task.objects.insert(Task(text="c"))
        Task.objects.delete()
    assert History.objects(identity=task.pk, operation="delete").count() == 2


@pytest.mark.parametrize("model", [Task, Watched])
def test_a_block_of_a_document_and_a_unit_of_work_nest_either_way(model: type[Document]) -> None:
    document = model(text="a").save()
    with changeset("work", reason="w", one=1) as work, DocumentTrack(document, "track", two=2):
        change(document, "b")
    told = last(document)
    assert (told.identity, told.reason, told.metadata) == ("track", "w", {"one": 1, "two": 2})
    assert told.changeset == work.id
    with DocumentTrack(document, "track", reason="t", one=1), changeset("work", one=2) as work:
        change(document, "c")
    told = last(document)
    assert (told.identity, told.reason, told.metadata) == ("work", "t", {"one": 2})
    assert told.changeset == work.id


def test_all_blocks_inside_of_one_share_its_id() -> None:
    task = Task(text="a").save()
    assert last(task).changeset is None
    with changeset() as outer:
        change(task, "b")
        with changeset("anna") as inner:
            change(task, "c")
        change(task, "d")
    with changeset() as other:
        change(task, "e")
    ids = [revision.changeset for revision in history_of(task)]
    assert ids == [None, outer.id, outer.id, outer.id, other.id]
    assert inner.id == outer.id != other.id


def test_a_unit_of_work_tells_what_holds_inside() -> None:
    with changeset("anna", reason="r", one=1, two=1) as outer:
        with changeset(two=2) as inner:
            assert isinstance(inner, Changeset)
            assert isinstance(inner.id, ObjectId)
            assert (inner.identity, inner.reason) == ("anna", "r")
            assert inner.metadata == {"one": 1, "two": 2}
        assert outer.metadata == {"one": 1, "two": 1}
    with pytest.raises(AttributeError):
        outer.id = ObjectId()


def test_who_is_asked_for_at_each_write_and_once_for_all_of_its_documents() -> None:
    users = iter(range(100))
    task = Task(text="a").save()
    with changeset(lambda: next(users)) as work:
        first = Task(text="b").save()
        change(task, "c")
        Task.objects.update(text="d")
    assert [it.identity for it in history_of(task)] == [None, 1, 2]
    assert [it.identity for it in history_of(first)] == [0, 2]
    assert work.identity == 3


def test_a_saved_document_stands_for_its_key_wherever_it_is_named() -> None:
    anna, task = Person(name="anna").save(), Task(text="a").save()
    set_identity_provider(lambda: anna)
    change(task, "b")
    with changeset(anna):
        change(task, "c")
    with changeset(lambda: anna):
        change(task, "d")
    change(task, "e", signal_kwargs={"identity": anna})
    assert [it.identity for it in history_of(task)][1:] == [anna.pk] * 4


@pytest.mark.parametrize("identity", [UUID(int=5), {"id": 1, "roles": ["x"]}, b"key", 1.5, True])
def test_an_identity_may_be_any_bson_value(identity: Any) -> None:
    with changeset(identity):
        task = Task(text="a").save()
    assert last(task).identity == identity
    assert History.objects.get(identity=identity).document_id == task.pk


@pytest.mark.parametrize("identity", [Person, str, ObjectId])
def test_a_class_is_nobody(identity: type) -> None:
    task = Task(text="a").save()
    says: list[Callable[[], Any]] = [
        lambda: changeset(identity),
        lambda: changeset(identity, reason="r"),
        lambda: DocumentTrack(task, identity),
        lambda: change(task, "b", signal_kwargs={"identity": identity}),
        lambda: track_history(Person, identity=identity),
    ]
    for say in says:
        with pytest.raises(OptionsError) as caught:
            say()
        assert caught.value.name == "identity"
        assert identity.__name__ in str(caught.value)
    assert (raw(task)["text"], numbers(Task)) == ("a", {task.pk: [1]})


UNSTORABLE = [object(), {1, 2}, 2**70, Person(name="not saved"), "x" * 2_000_000]


@pytest.mark.parametrize("identity", UNSTORABLE)
def test_who_cannot_be_stored_is_refused_before_anything_is_written(identity: Any) -> None:
    task = Task(text="a", count=1).save()
    with pytest.raises(OptionsError):
        changeset(identity).__enter__()
    blocks = [lambda: changeset(lambda: identity), lambda: DocumentTrack(task, lambda: identity)]
    for block in blocks:
        with block(), pytest.raises(OptionsError) as caught:
            change(task, "b")
        assert caught.value.name == "identity"
    with pytest.raises(OptionsError):
        change(task, "b", signal_kwargs={"identity": identity})
    set_identity_provider(lambda: identity)
    for write in (lambda: Task.objects.update(count=2), Task.objects.delete, Task(text="n").save):
        with pytest.raises(OptionsError):
            write()
    assert list(Task.objects.scalar("text", "count")) == [("a", 1)]
    assert numbers(Task) == {task.pk: [1]}


@pytest.mark.parametrize("arguments", [{"reason": 5}, {"where": object()}, {"deep": [{2}]}])
def test_what_cannot_be_stored_with_it_is_refused(arguments: Any) -> None:
    with pytest.raises(OptionsError):
        changeset("anna", **arguments).__enter__()
    assert last(Task(text="a").save()).identity is None


def test_a_function_that_answers_with_a_function_names_nobody() -> None:
    task = Task(text="a").save()
    with changeset(lambda: lambda: "anna"), pytest.raises(OptionsError):
        change(task, "b")
    set_identity_provider(lambda: lambda: "anna")
    with pytest.raises(OptionsError):
        Task.objects.update(text="b")
    assert raw(task)["text"] == "a"


def test_a_save_may_name_somebody_to_ask() -> None:
    task = change(Task(text="a").save(), "b", signal_kwargs={"identity": lambda: "anna"})
    assert last(task).identity == "anna"
    task.delete(signal_kwargs={"identity": lambda: "ben", "reason": "r"})
    assert (last(task).identity, last(task).reason) == ("ben", "r")


@pytest.mark.parametrize("provider", ["anna", 7, Person(), Person, str])
def test_a_provider_is_something_to_call(provider: Any) -> None:
    with pytest.raises(OptionsError):
        set_identity_provider(provider)


def test_what_a_provider_raises_the_write_raises_and_does_nothing() -> None:
    task = Task(text="a").save()
    set_identity_provider(lambda: 1 // 0)
    for write in (lambda: change(task, "b"), lambda: Task.objects.update(text="b"), task.delete):
        with pytest.raises(ZeroDivisionError):
            write()
    with changeset("anna"):
        change(task, "c")
    assert [it.identity for it in history_of(task)] == [None, "anna"]


def test_after_an_exception_nothing_of_the_block_is_left() -> None:
    task = Task(text="a").save()
    with pytest.raises(ZeroDivisionError), changeset("anna"):
        with pytest.raises(KeyError), changeset("ben"):
            raise KeyError
        change(task, "b")
        raise ZeroDivisionError
    change(task, "c")
    assert [it.identity for it in history_of(task)] == [None, "anna", None]
    assert last(task).changeset is None


def test_a_decorated_function_is_a_unit_of_work_at_each_call() -> None:
    @changeset("job", reason="nightly")
    def job(text: str, again: bool = True) -> Any:
        task = Task(text=text).save()
        return [task, *(job("inner", again=False) if again else [])]

    first, inner = job("a")
    second, _ = job("b")
    assert [last(it).identity for it in (first, inner, second)] == ["job"] * 3
    assert last(first).changeset == last(inner).changeset != last(second).changeset
    assert job.__name__ == "job"
    assert last(change(first, "c")).identity is None


def steps(identity: str) -> Iterator[Any]:
    with changeset(identity):
        yield Task(text=identity).save()
        yield Task(text=identity).save()


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 0, 2], [1, 2, 0]])
def test_generators_that_end_in_any_order_leave_no_block_open(order: list[int]) -> None:
    names = ["anna", "ben", "cleo"]
    running = [steps(name) for name in names]
    made = [next(each) for each in running]
    assert [last(task).identity for task in made] == names
    for place in order:
        running[place].close()
        names[place] = ""
        still_open = [name for name in names if name]
        expected = still_open[-1] if still_open else None
        assert last(Task(text="between").save()).identity == expected
    assert last(change(made[0], "after")).changeset is None


def written_by(identity: Any) -> None:
    with changeset(identity) as work:
        task = change(Task(text="a").save(), "b")
        with DocumentTrack(task, f"{identity} inside"):
            change(task, "c")
        Task.objects(pk=task.pk).update(count=work.metadata.get("count", 1))
        task.delete()


def signed() -> dict[Any, list[Any]]:
    """Who signed the revisions of each unit of work, in order."""
    found: dict[Any, list[Any]] = {}
    for record in History.objects(position=0).order_by("revision"):
        found.setdefault(record.changeset, []).append(record.identity)
    return found


def expected_of(identities: Any) -> set[tuple[Any, ...]]:
    return {(who, who, f"{who} inside", who, who) for who in identities}


def test_many_threads_write_under_their_own_names() -> None:
    start = Barrier(50)

    def work(who: int) -> None:
        start.wait()
        written_by(who)

    threads = [Thread(target=work, args=(who,)) for who in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {tuple(each) for each in signed().values()} == expected_of(range(50))
    assert None not in signed()


def test_many_tasks_write_under_their_own_names() -> None:
    async def work(who: int) -> None:
        with changeset(who):
            task = Task(text="a")
            await asyncio.to_thread(task.save)
            await asyncio.sleep(0)
            with DocumentTrack(task, f"{who} inside"):
                await asyncio.to_thread(change, task, "b")
            await asyncio.gather(
                asyncio.to_thread(Task.objects(pk=task.pk).update, count=1),
                asyncio.to_thread(Task.objects.insert, Task(text="c")),
            )
        await asyncio.to_thread(change, task, "d")

    async def main() -> None:
        await asyncio.gather(*(work(who) for who in range(200)))

    asyncio.run(main())
    found = signed()
    assert found.pop(None) == [None] * 200
    assert {tuple(sorted(map(str, each))) for each in found.values()} == {
        (str(who), str(who), str(who), f"{who} inside") for who in range(200)
    }


def test_workers_of_a_pool_inherit_only_what_is_handed_to_them() -> None:
    with ThreadPoolExecutor(2) as pool, changeset("anna"):
        alone = pool.submit(Task(text="a").save).result()
        handed = contextvars.copy_context()
        together = pool.submit(handed.run, Task(text="b").save).result()
    assert (last(alone).identity, last(alone).changeset) == (None, None)
    assert last(together).identity == "anna"
