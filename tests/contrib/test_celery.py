"""Tasks that a real Celery worker runs, and who answers for what they write."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from threading import Barrier, get_ident
from typing import Any

import pytest
from bson import Binary, Decimal128, Int64, ObjectId
from celery import Celery, chain
from celery.contrib.testing.worker import start_worker
from celery.result import AsyncResult
from pymongo import MongoClient
from pymongo.database import Database
from support.notes import Note, authors, records, write

from mongoengine_history import changeset, set_identity_provider
from mongoengine_history.contrib.celery import connect_celery

pytestmark = pytest.mark.usefixtures("database")

app = Celery("shop", broker="memory://", backend="cache+memory://")
app.conf.broker_transport_options = {"polling_interval": 0.01}
met = Barrier(4)


@app.task
def create(text: str) -> int:
    write(text)
    return get_ident()


@app.task
def create_two(text: str) -> None:
    write(f"{text} 1")
    write(f"{text} 2")


@app.task
def create_next(before: int, text: str) -> int:
    return create(text)


@app.task
def fail(text: str) -> None:
    write(text)
    raise ZeroDivisionError


@app.task(bind=True, max_retries=2)
def retry(self: Any, text: str) -> None:
    write(f"{text} {self.request.retries}")
    if self.request.retries < 2:
        raise self.retry(countdown=0)


@app.task
def pass_on(text: str) -> str:
    write(f"{text} before")
    inner = create.delay(f"{text} inner")
    write(f"{text} after")
    return inner.id


@app.task
def pass_on_as(who: str, text: str) -> str:
    with changeset(who):
        return create.delay(text).id


@app.task
def run_at_once(text: str) -> None:
    create.apply([f"{text} inner"])
    create(f"{text} call")
    write(f"{text} after")


@app.task
def meet(text: str) -> None:
    write(f"{text} 1")
    met.wait(60)
    write(f"{text} 2")


@pytest.fixture(scope="module", autouse=True)
def connected() -> None:
    connect_celery()
    connect_celery()  # changes nothing


@pytest.fixture(scope="module", params=["solo", "threads"])
def worker(request: pytest.FixtureRequest, client: MongoClient[Any]) -> Iterator[None]:
    with start_worker(app, pool=request.param, concurrency=4, perform_ping_check=False):
        yield


def finish(result: AsyncResult) -> Any:
    return result.get(timeout=60, propagate=False, interval=0.01)


def test_who_enqueued_a_task_answers_for_it(worker: None) -> None:
    results = []
    for who, text in [("ada", "a"), ("bob", "b")]:
        with changeset(who, reason=f"{who} asked", request="POST /"):
            results.append(create_two.delay(text))
    results.append(create_two.delay("c"))
    for result in results:
        finish(result)
    written = records()
    for text, who, result in zip("abc", ["ada", "bob", None], results, strict=True):
        first, second = written[f"{text} 1"], written[f"{text} 2"]
        assert first.identity == second.identity == who
        assert first.reason == second.reason == (who and f"{who} asked")
        assert first.metadata == {"task": create_two.name, "task_id": result.id}
        assert first.changeset == second.changeset
    assert len({record.changeset for record in written.values()}) == 3


def test_a_run_is_no_part_of_the_changeset_that_enqueued_it(worker: None) -> None:
    with changeset("ada") as current:
        write("before")
        finish(create.delay("task"))
        write("after")
    written = records()
    assert written["before"].changeset == written["after"].changeset == current.id
    assert written["task"].changeset not in {None, current.id}
    assert not written["after"].metadata


def ada() -> Note:
    return Note(id=ObjectId("5f43a1c0d1e2f3a4b5c6d7e8"))


IDENTITIES: list[object] = [
    ObjectId(),
    7,
    Int64(7),
    1.0,
    True,
    "ada",
    "",
    b"ada",
    Binary(b"ada", 128),
    Decimal128("1.10"),
    uuid.uuid4(),
    datetime(2024, 2, 29, 12, 30, 0, 5000),
    ["ada", 7],
    {"$oid": "ada", "a.b": [{"c": Int64(1)}]},
    ada(),
    ada,
]


@pytest.mark.parametrize("worker", ["solo"], indirect=True)
def test_an_identity_of_any_kind_arrives_as_it_is(worker: None) -> None:
    """What the task records is what the enqueuer records."""
    for number, identity in enumerate(IDENTITIES):
        with changeset(identity):
            write(f"here {number}")
            finish(create.delay(f"there {number}"))
    found = authors()
    for number, identity in enumerate(IDENTITIES):
        here, there = found[f"here {number}"], found[f"there {number}"]
        assert (type(there), there) == (type(here), here), identity
        assert there is not None


def test_who_enqueues_is_asked_then(worker: None) -> None:
    """A user that logs in later has not enqueued the task."""
    users = ["ada"]
    with changeset(lambda: users[-1]):
        result = create.delay("tea")
        users.append("bob")
        finish(result)
    assert authors() == {"tea": "ada"}


def test_a_task_without_an_identity_asks_the_provider(worker: None) -> None:
    set_identity_provider(lambda: "worker")
    try:
        finish(create.delay("nobody's"))
        with changeset("ada"):
            finish(create.delay("ada's"))
    finally:
        set_identity_provider(None)
    assert authors() == {"nobody's": "worker", "ada's": "ada"}


def test_nothing_remains_of_a_task_that_failed(worker: None) -> None:
    with changeset("ada", reason="import"):
        for number in range(4):
            finish(fail.delay(f"a {number}"))
    for number in range(4):
        finish(create_two.delay(f"b {number}"))
    for text, record in records().items():
        assert (record.identity, record.reason) == (
            ("ada", "import") if text[0] == "a" else (None, None)
        )
    assert len({record.changeset for record in records().values()}) == 8


def test_each_try_of_a_task_is_a_changeset_of_who_enqueued_it(worker: None) -> None:
    with changeset("ada", reason="import"):
        result = retry.delay("try")
    finish(result)
    written = records()
    assert authors() == {"try 0": "ada", "try 1": "ada", "try 2": "ada"}
    assert {record.reason for record in written.values()} == {"import"}
    assert {record.metadata["task_id"] for record in written.values()} == {result.id}
    assert len({record.changeset for record in written.values()}) == 3


def test_a_task_that_a_task_enqueues_has_the_same_author(worker: None) -> None:
    with changeset("ada", reason="import"):
        inner = finish(pass_on.delay("a"))
    finish(AsyncResult(inner, app=app))
    written = records()
    assert authors() == {"a before": "ada", "a inner": "ada", "a after": "ada"}
    assert written["a before"].changeset == written["a after"].changeset
    assert written["a inner"].changeset != written["a after"].changeset
    assert written["a inner"].metadata == {"task": create.name, "task_id": inner}
    assert written["a inner"].reason == "import"


def test_a_task_may_enqueue_for_somebody_else(worker: None) -> None:
    with changeset("ada"):
        inner = finish(pass_on_as.delay("bob", "tea"))
    finish(AsyncResult(inner, app=app))
    assert authors() == {"tea": "bob"}


def test_a_task_that_a_task_runs_at_once_belongs_to_its_run(worker: None) -> None:
    with changeset("ada"):
        result = run_at_once.delay("a")
    finish(result)
    written = records()
    assert authors() == {"a inner": "ada", "a call": "ada", "a after": "ada"}
    assert len({record.changeset for record in written.values()}) == 1
    assert written["a inner"].metadata["task"] == create.name
    assert written["a call"].metadata == {"task": run_at_once.name, "task_id": result.id}
    assert written["a after"].metadata == {"task": run_at_once.name, "task_id": result.id}


def test_a_chain_has_one_author(worker: None) -> None:
    with changeset("ada"):
        result = chain(create.s("1"), create_next.s("2"), create_next.s("3")).delay()
    finish(result)
    assert authors() == {"1": "ada", "2": "ada", "3": "ada"}


def test_a_task_may_be_enqueued_by_name(worker: None) -> None:
    with changeset("ada"):
        finish(app.send_task(create.name, ["tea"]))
    assert authors() == {"tea": "ada"}


@pytest.mark.parametrize("worker", ["threads"], indirect=True)
def test_tasks_in_threads_of_one_pool_keep_their_authors(worker: None) -> None:
    """Four run at the same time, and each thread runs several."""
    names = [f"user{number}" for number in range(20)]
    results = []
    for name in names:
        with changeset(name):
            results.append(meet.delay(name))
    for result in results:
        assert finish(result) is None
    written = records()
    assert authors() == {f"{name} {number}": name for name in names for number in (1, 2)}
    for name in names:
        assert written[f"{name} 1"].changeset == written[f"{name} 2"].changeset
    assert len({record.changeset for record in written.values()}) == len(names)
    threads = {finish(create.delay(f"after {number}")) for number in range(20)}
    assert get_ident() not in threads
    assert {who for text, who in authors().items() if text.startswith("after")} == {None}


@pytest.mark.parametrize("worker", ["solo"], indirect=True)
def test_a_header_that_cannot_be_read_leaves_nothing(
    worker: None, caplog: pytest.LogCaptureFixture
) -> None:
    """The task runs, and Celery logs the error, as it does for all that listens to its signals."""
    finish(create.apply_async(["a"], headers={"mongoengine_history": "?"}))
    with changeset("ada"):
        finish(create.delay("b"))
    finish(create.delay("c"))
    assert authors() == {"a": None, "b": "ada", "c": None}
    assert len({record.changeset for record in records().values()}) == 3
    assert "mongoengine_history" in caplog.text


@pytest.fixture
def eager(database: Database[Any]) -> Iterator[None]:
    app.conf.task_always_eager = True
    yield
    app.conf.task_always_eager = False


@pytest.mark.parametrize("task", [create, fail, retry], ids=lambda task: task.name)
def test_an_eager_task_belongs_to_the_changeset_around_it(
    eager: None, task: Callable[[str], object]
) -> None:
    with changeset("ada", reason="import") as current:
        task.delay("task")
        write("after")
    write("outside")
    written = records()
    outside, after = written.pop("outside"), written["after"]
    assert {(it.identity, it.reason, it.changeset) for it in written.values()} == {
        ("ada", "import", current.id)
    }
    assert not after.metadata
    assert {(it.metadata or {}).get("task") for it in written.values()} == {None, task.name}
    assert (outside.identity, outside.changeset) == (None, None)


def test_an_eager_task_without_a_changeset_is_one(eager: None) -> None:
    create_two.delay("a")
    write("b")
    written = records()
    assert written["a 1"].changeset == written["a 2"].changeset != written["b"].changeset
    assert written["b"].changeset is None


def test_a_task_that_is_called_is_a_function(database: Database[Any]) -> None:
    create("tea")
    assert records()["tea"].changeset is None
