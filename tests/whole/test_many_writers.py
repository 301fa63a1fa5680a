"""Many writers of one document, in processes and threads: no number twice, none left out."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pymongo import MongoClient
from support.binding import binds, need_binding
from support.changes import edited, watched
from support.crews import (
    PATIENCE,
    PROCESSES,
    SAVES,
    THREADS,
    Overlap,
    at_work,
    said,
    saves_of_threads,
)
from support.documents import fields_of, raw, stored, without_id
from support.proofs import begun, prove, read
from support.writers_at_work import Folder, Leaflet, Sheet, is_of_history

from mongoengine_history import (
    DocumentTrack,
    HistoryNotRecordedError,
    RevisionConflictError,
    history_of,
    revert,
)
from mongoengine_history.record.revisions import Revisions

connected = watched(Sheet, Leaflet, Folder, deletions=False)


@pytest.mark.parametrize("documents", [1, 10])
def test_processes_lose_nothing_and_every_state_is_rebuilt(
    database: Any, mongodb_uri: str, documents: int
) -> None:
    """Readers meanwhile see whole revisions only, in order."""
    keys = list(range(documents))
    first = {key: begun(Sheet, key) for key in keys}
    task = {"collection": "sheets", "keys": keys, "saves": SAVES}
    with at_work(database, mongodb_uri, PROCESSES, **task) as writers:
        while any(writer.poll() is None for writer in writers):
            read(Sheet, random.choice(keys))
            time.sleep(0.02)  # the writers need the machine
        saves = [save for writer in writers for save in said(writer)]
    assert len(saves) == PROCESSES * SAVES
    for key in keys:
        prove(Sheet, key, [save for save in saves if save["key"] == key], first[key])


@pytest.fixture
def trips(commands: Any, monkeypatch: Any) -> Callable[[], int]:
    """Counts the round trips to the history since the beginning of the test."""
    monkeypatch.setattr(commands, "sent", deque())  # which forgets none
    return lambda: sum(map(is_of_history, commands.sent))


def test_threads_lose_nothing_at_four_round_trips_a_save(trips: Any) -> None:
    first = begun(Sheet, 1)
    before = trips()
    saves = saves_of_threads()
    assert len(saves) == THREADS * SAVES
    assert (trips() - before) / len(saves) <= 4
    prove(Sheet, 1, saves, first)


def test_threads_that_share_nothing_lose_nothing_either(apart: None) -> None:
    first = begun(Sheet, 1)
    prove(Sheet, 1, saves_of_threads(), first)


def test_saves_that_overlap_may_drift_and_every_state_is_rebuilt(monkeypatch: Any) -> None:
    """What was written first is numbered last; the next save of the same path ends the drift."""
    begun(Sheet, 1)
    first, second = Sheet.objects.get(), Sheet.objects.get()
    late = Overlap(
        monkeypatch, lambda: edited(first, "ada", title="ada", lines=["a", "b", "c", "A"])
    )
    late.write()
    edited(second, "bob", title="bob", lines=["B", "a", "b", "c"])
    late.record()
    timeline = history_of(first)
    assert [revision.identity for revision in timeline] == ["main", "bob", "ada"]
    states = [(state["title"], state["lines"]) for state in map(timeline.state, (2, 3))]
    assert states == [("bob", ["B", "a", "b", "c"]), ("ada", ["a", "b", "c", "A"])]
    assert (raw(first)["title"], raw(first)["lines"]) == states[0]
    assert [path for _, path, _ in timeline.compare(3)] == [["title"], ["lines"]]
    edited(Sheet.objects.get(), "cleo", title="cleo", lines=["B", "a"])
    assert timeline.compare(4) == []


def test_a_save_that_overlaps_the_first_revision_is_no_part_of_the_state_before_it(
    monkeypatch: Any,
) -> None:
    """Who made the first revision took what was stored for the beginning."""
    sheet = Sheet(number=1, title="first", lines=["a"]).save()
    before = stored(sheet)
    first, second = Sheet.objects.get(), Sheet.objects.get()
    late = Overlap(monkeypatch, lambda: edited(first, "ada", title="ada"))
    late.write()
    edited(second, "bob", lines=["a", "b"])
    late.record()
    timeline = history_of(first)
    assert [revision.identity for revision in timeline] == ["bob", "ada"]
    titles = [timeline.state(number)["title"] for number in range(3)]
    assert titles == ["first", "first", "ada"]
    assert timeline.compare(2) == []
    assert stored(revert(first).save()) == before


def test_a_list_of_an_overlapping_save_is_no_part_of_the_state_before_it_either(
    monkeypatch: Any,
) -> None:
    """The first revision builds on it; so it does for replaying, not for reading."""
    sheet = Sheet(number=1, title="first", lines=["a"]).save()
    late = Overlap(monkeypatch, lambda: edited(sheet, "ada", lines=["a", "ada"]))
    late.write()
    edited(Sheet.objects.get(), "bob", lines=["a", "ada", "bob"])
    late.record()
    timeline = history_of(sheet)
    lines = [timeline.state(number)["lines"] for number in range(3)]
    assert lines == [["a"], ["a", "ada", "bob"], ["a", "ada"]]


def test_first_saves_of_many_threads_leave_the_first_state_as_it_was(apart: None) -> None:
    start = threading.Barrier(THREADS)

    def work(place: int) -> None:
        for key in range(5):
            sheet = Sheet.objects.get(pk=key)
            start.wait(PATIENCE)
            edited(sheet, str(place), cells={**sheet.cells, f"t{place}": place})

    before = {key: stored(Sheet(number=key, title="a", lines=["a"]).save()) for key in range(5)}
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))
    for key in range(5):
        assert len(history_of(Sheet, key)) == THREADS
        assert stored(revert(Sheet.objects.get(pk=key), revision=0).save()) == before[key]


@pytest.fixture
def bound(client: MongoClient) -> Iterator[Any]:
    """A session that all operations join."""
    need_binding()
    with client.start_session() as session, session.bind(end_session=False):
        yield session


@pytest.mark.usefixtures("apart")
def test_a_writer_inside_a_transaction_reads_the_newest_number_first(
    bound: Any, commands: Any
) -> None:
    """A duplicate key would end its transaction: others have saved since its object last did."""
    begun(Sheet, 1)
    own, other = Sheet.objects.get(), Sheet.objects.get()
    edited(own, "ada", title="own", lines=["a", "b"])
    for number in range(2):
        edited(other, "bob", title=f"title {number}", lines=[str(number)])
    commands.clear()
    with bound.start_transaction():
        edited(own, "ada", title="in a transaction", lines=["a", "b", "c"])
        edited(own, "ada", title="again")
    names = zip(commands.names, map(is_of_history, commands.sent), strict=True)
    once = [("aggregate", True), ("findAndModify", False), ("insert", True)]
    assert list(names) == [*once, *once, ("commitTransaction", False)]
    timeline = history_of(own)
    assert [revision.number for revision in timeline] == list(range(1, 7))
    lines = [timeline.state(number)["lines"] for number in range(3, 7)]
    assert lines == [["0"], ["1"], ["a", "b", "c"], ["a", "b", "c"]]
    assert fields_of(timeline.state(6)) == without_id(stored(own))
    edited(other, "bob", title="after")
    assert len(timeline) == 7


@pytest.mark.usefixtures("apart")
@binds
def test_who_takes_the_number_of_an_open_transaction_lets_it_run_again(
    client: MongoClient, monkeypatch: Any
) -> None:
    """It ends with a conflict that PyMongo's ``with_transaction`` knows how to handle."""
    begun(Sheet, 1)
    other = Sheet.objects.get()
    late = Overlap(monkeypatch, lambda: edited(other, "bob", lines=["b"]))
    late.write()
    tries = []

    def callback(_: Any) -> None:
        own = Sheet.objects.get()
        tries.append(own.lines)
        with DocumentTrack(own, "ada"):
            own.title = "ada"
            len(history_of(own))
            if len(tries) == 1:
                late.record()
            own.save()

    with client.start_session() as session, session.bind(end_session=False):
        session.with_transaction(callback)
    assert tries == [["b"], ["b"]]
    assert [it.identity for it in history_of(other)] == ["main", "bob", "ada"]
    assert history_of(other).compare(3) == []


@pytest.mark.usefixtures("apart")
def test_who_met_another_writer_looks_first_until_nobody_comes_in_between(commands: Any) -> None:
    Folder(title="opened").save()
    first, second = Folder.objects.get(), Folder.objects.get()
    titles = iter(range(100))

    def sent(folder: Any) -> list[str]:
        commands.clear()
        edited(folder, title=str(next(titles)))
        return list(commands.names)

    unknown, known = ["aggregate", "findAndModify", "insert"], ["findAndModify", "insert"]
    conflict = ["findAndModify", "insert", "aggregate", "insert"]
    looks = ["findAndModify", "aggregate", "insert"]
    assert [sent(first), sent(second)] == [unknown, unknown]
    assert [sent(first), sent(first), sent(first)] == [conflict, looks, known]
    assert [sent(second), sent(first)] == [conflict, conflict]
    assert [sent(each) for each in [second, first] * 3] == [looks] * 6
    assert [sent(first), sent(first)] == [looks, known]
    assert [sent(second), sent(second), sent(second)] == [looks, looks, known]
    assert [it.number for it in history_of(first)] == list(range(1, 19))


def overtake(monkeypatch: Any, other: Any, times: int) -> None:
    """Let another object save after each of the next looks at the newest number."""
    head, looks = Revisions.head, []

    def overtaken(revisions: Revisions) -> Any:
        found = head(revisions)
        looks.append(revisions)
        if revisions is looks[0] and looks.count(revisions) <= times:
            edited(other, "fast", title=f"after {found.number}")
        return found

    monkeypatch.setattr(Revisions, "head", overtaken)


def not_recorded(monkeypatch: Any) -> HistoryNotRecordedError:
    """Let a save find each number taken, three times."""
    begun(Sheet, 1)
    slow, fast = Sheet.objects.get(), Sheet.objects.get()
    for sheet in (slow, fast):
        edited(sheet, "known", lines=["a", "b"], title=str(id(sheet)))
    with monkeypatch.context() as patch:
        patch.setattr("mongoengine_history.record.append.NUMBERING_ATTEMPTS", 3)
        edited(slow, "known", title="slow", cells={"a": 1})
        edited(fast, "known", title="fast", cells={"a": 1})
        overtake(patch, fast, times=3)
        with pytest.raises(HistoryNotRecordedError) as caught:
            edited(slow, "slow", lines=["a", "b", "c"], cells={"a": 2})
    return caught.value


@pytest.mark.usefixtures("apart")
def test_who_finds_every_number_taken_is_told_with_all_records(monkeypatch: Any) -> None:
    error = not_recorded(monkeypatch)
    assert error.document_id == 1
    assert isinstance(error.__cause__, RevisionConflictError)
    assert error.__cause__.attempts == 3
    told = [(it["path"], it["data"], it["position"], it["size"]) for it in error.records]
    assert sorted(told) == [
        ("cells", {"old": {"a": 1}, "new": {"a": 2}}, 1, 2),  # sent whole over what others wrote
        ("lines", {"items": [{"key": 2, "value": "c"}]}, 0, 2),
    ]
    assert {(it["identity"], it["operation"]) for it in error.records} == {("slow", "update")}
    sheet = Sheet.objects.get()
    assert (sheet.lines, sheet.cells) == (["a", "b", "c"], {"a": 2})
    assert all(revision.identity != "slow" for revision in history_of(sheet))
    edited(sheet, "next", title="goes on")
    read(Sheet, 1)


@pytest.mark.usefixtures("apart")
def test_records_for_which_no_number_was_free_can_be_inserted_later(
    database: Any, monkeypatch: Any
) -> None:
    error = not_recorded(monkeypatch)
    database.history.insert_many(error.records)
    timeline = history_of(Sheet, 1)
    assert timeline[-1].identity == "slow"
    assert timeline.compare(len(timeline)) == []
