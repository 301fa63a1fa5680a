"""Many writers of one document: processes, threads, those that are killed, stale copies."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import mongoengine as me
import pytest
from mongoengine import signals
from pymongo import MongoClient
from support import writers_at_work
from support.documents import raw, stored
from support.writers_at_work import SHARED, Leaflet, Sheet, edit_lines, is_of_history

from mongoengine_history import (
    DocumentTrack,
    History,
    HistoryNotRecordedError,
    IncompleteRevisionError,
    RevisionConflictError,
    Version,
    history_of,
    load_history,
    revert,
    track_changes,
)
from mongoengine_history.archive import Archive
from mongoengine_history.lists import list_hash
from mongoengine_history.patching import apply, paths_of
from mongoengine_history.store import Store
from mongoengine_history.turns import Turn
from mongoengine_history.values import ABSENT, State, encode, find

PROCESSES, THREADS, SAVES = 4, 8, 25
"""Raise them to 8, 8 and 200 for a long run by hand."""

PATIENCE = 60
"""Seconds to wait for what must happen, however busy the machine is."""

Saves = list[dict[str, Any]]


@pytest.fixture(autouse=True)
def connected(database: Any) -> None:
    for model in (Sheet, Leaflet, Folder):
        signals.post_save.connect(track_changes, sender=model)


class Folder(me.Document):
    """Has more lists than a revision carries hashes."""

    meta = {"collection": "folders", "auto_create_index": False}
    title = me.StringField()
    lists = me.MapField(me.ListField(me.StringField()))
    facts = me.DictField()


@contextmanager
def at_work(
    database: Any, uri: str, number: int, *, crew: str = "w", **task: Any
) -> Iterator[list[Any]]:
    """Start writers in processes of their own, all at once; none is left afterwards."""
    task |= {"database": database.name, "uri": uri}
    program = [sys.executable, writers_at_work.__file__]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    writers = [
        subprocess.Popen([*program, json.dumps({**task, "writer": f"{crew}{place}"})], **pipes)
        for place in range(number)
    ]
    try:
        for writer in writers:
            assert writer.stdout.readline() == "ready\n"
        for writer in writers:
            writer.stdin.write("go\n")
            writer.stdin.flush()
        yield writers
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
            writer.stdin.close()
            writer.stdout.close()


def said(writer: Any) -> Saves:
    """Wait until a process has ended, and return the saves that it told of."""
    found = [json.loads(line) for line in writer.stdout]
    writer.wait()
    return found


def edited(document: Any, who: object = None, **values: Any) -> Any:
    with DocumentTrack(document, who):
        for name, value in values.items():
            setattr(document, name, value)
        document.save()
    return document


def begun(model: type[Any], key: int) -> dict[str, bytes]:
    """Make a document and its first revision, and return its first state."""
    sheet = model(number=key, title="first", lines=["a", "b", "c"], cells={SHARED: "first"})
    if key % 2:  # was there before it was tracked
        sheet.save()
        first = stored(sheet)
        edited(sheet, "main", title="opened")
    else:
        first = stored(edited(sheet, "main"))
    return first


def fields_of(state: State) -> dict[str, bytes]:
    """Return a state as BSON; only the order of its fields does not count."""
    return {key: encode(value) for key, value in state.items()}


def without_id(document: dict[str, bytes]) -> dict[str, bytes]:
    return {key: value for key, value in document.items() if key != "_id"}


def replayed(archive: Archive) -> list[State]:
    """Return all states by their numbers, each made of the first one and all patches since."""
    state: State = {} if archive.begins_with_creation() else archive.state(0)
    states = [state]
    for revision in archive.revisions():
        state = apply(revision.patches, state)
        states.append(state)
    return states


def read(model: type[Any], key: int) -> None:
    """Read as an application may at any time: what is there is whole and in order."""
    timeline = history_of(model, key)
    numbers = [revision.number for revision in timeline]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(timeline) >= len(numbers)
    assert timeline.state(len(numbers))
    assert load_history(model(number=key))


def prove(model: type[Any], key: int, saves: Saves, first: dict[str, bytes]) -> None:
    """Check the whole history of a document after all writers are through."""
    archive = Archive(model, key)
    revisions = list(archive.revisions())
    assert [it.number for it in revisions] == list(range(1, len(saves) + 2))
    assert archive.head().number == len(saves) + 1
    told = [it.context.identity for it in revisions[1:]]
    assert sorted(told) == sorted(save["who"] for save in saves)
    for writer in {save["who"].partition("-")[0] for save in saves}:
        own = [who for who in told if who.startswith(f"{writer}-")]
        assert own == [save["who"] for save in saves if save["who"] in own]
    stamps = [it.stamp for it in revisions]
    assert stamps == sorted(stamps)
    states = replayed(archive)
    for number, state in enumerate(states):
        if number or key % 2:
            assert fields_of(archive.state(number)) == fields_of(state), number
    versions = {version.revision: version.state for version in Version.objects(document_id=key)}
    every = model._meta["history"]["version_every"]
    assert set(versions) == {*([0] if key % 2 else []), *range(every, len(states), every)}
    for number, state in versions.items():
        assert fields_of(state) == fields_of(states[number]), number
    for it in revisions:
        prove_lists(states[it.number], it.lists)
    prove_drift(revisions, states[-1], archive.stored(), {save["who"]: save for save in saves})
    last = edited(model.objects.get(pk=key), "last", title="last", lines=["last"], cells={})
    assert fields_of(archive.stored()) == fields_of(archive.state(len(states)))
    assert stored(revert(last, revision=len(states) // 2).save()) == {
        **fields_of(states[len(states) // 2]),
        "_id": first["_id"],
    }
    assert stored(revert(last).save()) == first


def prove_drift(revisions: Any, head: State, now: State, saves: dict[str, Any]) -> None:
    """Check that what is stored is the newest state, but where saves overlapped in time."""
    paths = [("title",), ("lines",), *(("cells", key) for key in {**head["cells"], **now["cells"]})]
    for path in paths:
        if encode([_shown(head, path)]) == encode([_shown(now, path)]):
            continue
        assert path in {("title",), ("lines",), ("cells", SHARED)}, path  # else one writer's own
        windows = [
            saves[it.context.identity] for it in revisions[1:] if path in paths_of(it.patches)
        ]
        last = windows.pop()
        assert any(
            other["began"] < last["ended"] and last["began"] < other["ended"] for other in windows
        ), path


def _shown(state: State, path: Any) -> Any:
    value = find(state, path)
    return None if value is ABSENT else value


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


@pytest.fixture
def apart(monkeypatch: Any) -> None:
    """Objects share nothing that is known of a history, as if each had a process of its own."""
    monkeypatch.setattr("mongoengine_history.store.turn_at", lambda _: Turn())


def saves_of_threads() -> Saves:
    start = threading.Barrier(THREADS)

    def work(writer: str) -> Saves:
        start.wait(PATIENCE)
        return list(writers_at_work.saves(Sheet, [1], writer, SAVES))

    with ThreadPoolExecutor(THREADS) as pool:
        found = pool.map(work, [f"t{place}" for place in range(THREADS)])
        return [save for own in found for save in own]


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


class Overlap:
    """A save in a thread of its own, which waits between its two writes."""

    def __init__(self, monkeypatch: Any, save: Callable[[], Any]) -> None:
        self._thread = threading.Thread(target=save)
        self._is_written, self._may_go = threading.Event(), threading.Event()
        append = Store.append

        def late(store: Store, *args: Any) -> Any:
            if threading.current_thread() is self._thread:
                self._is_written.set()
                self._may_go.wait(PATIENCE)
            return append(store, *args)

        monkeypatch.setattr(Store, "append", late)

    def write(self) -> None:
        """Write the document, but no record."""
        self._thread.start()
        assert self._is_written.wait(PATIENCE)

    def record(self) -> None:
        """Write the records."""
        self._may_go.set()
        self._thread.join()


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


def test_a_list_of_an_overlapping_save_stays_where_the_first_revision_builds_on_it(
    monkeypatch: Any,
) -> None:
    sheet = Sheet(number=1, title="first", lines=["a"]).save()
    late = Overlap(monkeypatch, lambda: edited(sheet, "ada", lines=["a", "ada"]))
    late.write()
    edited(Sheet.objects.get(), "bob", lines=["a", "ada", "bob"])
    late.record()
    timeline = history_of(sheet)
    lines = [timeline.state(number)["lines"] for number in range(3)]
    assert lines == [["a", "ada"], ["a", "ada", "bob"], ["a", "ada"]]


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


def groups(key: int) -> dict[int, list[dict[str, Any]]]:
    """Return all records of a document as they lie there, by revision."""
    found: dict[int, list[dict[str, Any]]] = {}
    query = {"document_id": key, "position": {"$gte": 0}}
    for record in History._get_collection().find(query).sort([("revision", 1), ("position", 1)]):
        found.setdefault(record["revision"], []).append(record)
    return found


def complete_versions(key: int) -> list[int]:
    found = History._get_collection().find({"document_id": key, "position": -1})
    return sorted(version["revision"] for version in found)


def prove_nothing_is_mixed(key: int, saves: Saves, killed: int) -> list[int]:
    """
    Check what killed writers left, and return the numbers of revisions that lack records.

    Nobody took a number that was given, each save that was told of has its revision, and each
    killed writer may have left one more, or the beginning of one.
    """
    found = groups(key)
    assert list(found) == list(range(1, len(found) + 1))
    for records in found.values():
        assert len({record["identity"] for record in records}) == 1
        assert [record["position"] for record in records] == list(range(len(records)))
    torn = [number for number, records in found.items() if len(records) < records[0]["size"]]
    told = [save["who"] for save in saves]
    whole = [found[number][0]["identity"] for number in found if number not in torn]
    whole.remove("main")
    assert len(set(whole)) == len(whole)
    assert set(told) <= set(whole)
    assert len(whole) - len(told) + len(torn) <= killed
    return torn


def prove_torn_is_noticed(model: type[Any], key: int, torn: Sequence[int]) -> None:
    """Check that nothing reads a revision that lacks records as if it were whole."""
    timeline, found, number = history_of(model, key), groups(key), torn[0]
    document = model.objects.get(pk=key)
    before = document.to_mongo()

    def facts(way: Callable[[], Any]) -> tuple[Any, ...]:
        with pytest.raises(IncompleteRevisionError) as caught:
            way()
        error = caught.value
        assert f"Revision {error.number} of document {key} has {error.found} of" in str(error)
        return error.document_id, error.number, error.found, error.size

    oldest, newest = ((key, it, len(found[it]), found[it][0]["size"]) for it in (number, torn[-1]))
    seen: list[Any] = []
    assert facts(lambda: seen.extend(timeline)) == oldest
    assert [revision.number for revision in seen] == list(range(1, number))
    assert facts(lambda: timeline[number]) == oldest
    assert facts(lambda: timeline[number - 1 : number + 1]) == oldest
    assert facts(lambda: timeline.state(number)) == oldest
    assert facts(lambda: timeline.at(number)) == oldest
    assert facts(lambda: timeline.compare(number - 1, number)) == oldest
    assert facts(lambda: revert(document, revision=number)) == oldest
    assert facts(lambda: list(reversed(timeline))) == newest
    assert facts(lambda: load_history(document)) == newest
    assert document.to_mongo() == before


def prove_the_rest_is_read(model: type[Any], key: int, torn: Sequence[int]) -> None:
    """Check each revision, and each state: it needs a torn revision after the version, or not."""
    archive, found = Archive(model, key), groups(key)
    versions = complete_versions(key)
    for number, records in found.items():
        nearest = max(version for version in versions if version <= number)
        if number not in torn:
            assert len(archive.revision(number).patches) == len(records)
        missing = [it for it in torn if nearest < it <= number]
        if missing:
            with pytest.raises(IncompleteRevisionError) as caught:
                archive.state(number)
            assert caught.value.number == missing[0]
        else:
            prove_lists(archive.state(number), records[0]["lists"])


def prove_lists(state: State, lists: Any) -> None:
    """Check that a state has the lists of which its revision tells the hashes."""
    for path, known in lists.items():
        assert list_hash(find(state, tuple(path.split(".")))) == known, path


def ended(writers: Sequence[Any]) -> Saves:
    """Kill the writers, and return the saves that they told of."""
    for writer in writers:
        writer.kill()
    return [save for writer in writers for save in said(writer)]


def go_on(model: type[Any], key: int, more: int) -> None:
    """Wait until the writers at work have recorded some more revisions."""
    wanted = len(history_of(model, key)) + more
    deadline = time.monotonic() + PATIENCE
    while len(history_of(model, key)) < wanted:
        assert time.monotonic() < deadline, "the others do not go on"
        time.sleep(0.01)


def test_writers_that_are_killed_at_any_moment_tear_nothing(
    database: Any, mongodb_uri: str
) -> None:
    begun(Sheet, 1)
    task = {"collection": "sheets", "keys": [1], "saves": 100_000}
    with at_work(database, mongodb_uri, 4, **task) as writers:
        for victim in writers[1:]:
            go_on(Sheet, 1, 5)
            time.sleep(random.uniform(0, 0.1))
            victim.kill()
            read(Sheet, 1)
        go_on(Sheet, 1, 5)
        saves = ended(writers)
    assert prove_nothing_is_mixed(1, saves, killed=4) == []
    archive = Archive(Sheet, 1)
    for number, state in enumerate(replayed(archive)):
        assert fields_of(archive.state(number)) == fields_of(state), number


def test_what_killed_writers_have_torn_is_noticed_and_ends_with_the_next_version(
    database: Any, mongodb_uri: str, monkeypatch: Any
) -> None:
    """Their records go one by one, so that most of those killed leave the beginning of some."""
    first = begun(Leaflet, 1)
    task = {"collection": "leaflets", "keys": [1], "saves": 100_000, "all_edits": True}
    saves: Saves = []
    torn: list[int] = []
    killed = 0
    for crew in "abcdefghij":
        with at_work(database, mongodb_uri, 3, crew=crew, pause=0.02, **task) as writers:
            for victim in writers[1:]:
                go_on(Leaflet, 1, 2)
                time.sleep(random.uniform(0, 0.1))
                victim.kill()
                missing = what_is_missing(lambda: read(Leaflet, 1))
                assert missing is None or 0 < missing <= len(history_of(Leaflet, 1))
            go_on(Leaflet, 1, 2)
            saves += ended(writers)
            killed += len(writers)
        torn = prove_nothing_is_mixed(1, saves, killed)
        if torn and crew != "a":
            break
    assert torn
    monkeypatch.setattr("mongoengine_history.ledger.READS", 1)  # nothing is on its way any more
    prove_torn_is_noticed(Leaflet, 1, torn)
    prove_the_rest_is_read(Leaflet, 1, torn)
    leaflet, number = Leaflet.objects.get(), len(history_of(Leaflet, 1))
    for after in range(number + 1, number + 8):
        edited(leaflet, "last", title=f"title {after}", lines=[*leaflet.lines, "x"])
        assert len(history_of(Leaflet, 1)) == after
        if number < after - after % 3:  # a version has been written since
            assert fields_of(Archive(Leaflet, 1).state(after)) == without_id(stored(leaflet))
    assert stored(revert(leaflet, revision=0).save()) == first


def what_is_missing(reading: Callable[[], Any]) -> int | None:
    """Name the revision without which reading fails; None if it does not."""
    try:
        reading()
    except IncompleteRevisionError as error:
        return error.number
    return None


def killed_at(database: Any, uri: str, key: int, hold: int) -> None:
    """Let a writer save, and kill it when so many of its documents are in the history."""
    task = {"collection": "leaflets", "keys": [key], "saves": 1, "all_edits": True}
    with at_work(database, uri, 1, pause=0, hold=hold, **task) as [writer]:
        assert writer.stdout.readline() == "held\n"


def deep(levels: int) -> Any:
    return {"deeper": deep(levels - 1)} if levels else "bottom"


@pytest.mark.parametrize("hold", [1, 3])
def test_the_beginning_of_a_revision_is_never_read_as_a_whole_one(
    database: Any, mongodb_uri: str, hold: int, monkeypatch: Any
) -> None:
    first = begun(Leaflet, 1)
    killed_at(database, mongodb_uri, 1, hold)
    assert [len(records) for records in groups(1).values()] == [1, hold]
    monkeypatch.setattr("mongoengine_history.ledger.READS", 1)
    prove_torn_is_noticed(Leaflet, 1, [2])
    with pytest.raises(IncompleteRevisionError):
        revert(Leaflet.objects.get())
    leaflet = Leaflet.objects.get()
    assert history_of(leaflet).state(1)["title"] == "opened"
    edited(leaflet, "next", title="next")
    assert history_of(leaflet)[3].identity == "next"
    assert fields_of(Archive(leaflet).state(3)) == without_id(stored(leaflet))
    assert revert(leaflet).title == "first"
    assert stored(revert(leaflet, revision=0).save()) == first


@pytest.mark.usefixtures("apart")
def test_a_version_that_begins_anew_may_hold_a_write_that_is_numbered_later(
    database: Any, monkeypatch: Any
) -> None:
    """What another writer did to a list meanwhile is not done to it once more."""
    begun(Leaflet, 2)
    first = edited(Leaflet.objects.get(), "torn", title="torn", lines=["a"])
    database.history.delete_one({"revision": 2, "position": 1})
    monkeypatch.setattr("mongoengine_history.ledger.READS", 1)

    def insert() -> None:
        second = Leaflet.objects.get()
        edited(second, "late", lines=["late", *second.lines])

    late, stored_now, looks = Overlap(monkeypatch, insert), Store.stored, []

    def interrupted(store: Store) -> Any:
        looks.append(True)
        if len(looks) == 1:
            late.write()
        return stored_now(store)

    monkeypatch.setattr(Store, "stored", interrupted)
    edited(first, "first", lines=["a", "b"])
    late.record()
    timeline = history_of(first)
    assert [timeline[number].identity for number in (3, 4)] == ["first", "late"]
    assert [timeline.state(number)["lines"] for number in (3, 4)] == [["late", "a", "b"]] * 2


@pytest.mark.parametrize("levels", [1, 101])
def test_a_version_that_its_writer_did_not_finish_is_not_used(
    database: Any, mongodb_uri: str, levels: int
) -> None:
    """A state that nests too deep is kept in two documents: both are missing, or the last one."""
    begun(Leaflet, 2)
    leaflet = Leaflet.objects.get()
    edited(leaflet, "main", cells={SHARED: 0, "deep": deep(levels)})
    hold = 4 if levels == 1 else 5
    killed_at(database, mongodb_uri, 2, hold)
    there = [it["position"] for it in database.history.find({"revision": 3}).sort("position", 1)]
    assert there == [0, 1, 2, 3] if hold == 4 else [-2, 0, 1, 2, 3]
    archive = Archive(Leaflet, 2)
    assert fields_of(archive.state(3)) == without_id(stored(leaflet))
    leaflet = Leaflet.objects.get()
    for number in range(4, 8):
        edited(leaflet, "next", title=f"title {number}")
        assert fields_of(archive.state(number)) == without_id(stored(leaflet))
    assert complete_versions(2) == [6]
    for number, state in enumerate(replayed(archive)):
        assert not number or fields_of(archive.state(number)) == fields_of(state)


def test_without_version_0_of_a_writer_that_was_killed_the_first_state_is_unwound(
    database: Any, mongodb_uri: str
) -> None:
    leaflet = Leaflet(number=1, title="first", lines=["a"], cells={SHARED: 0}).save()
    first = stored(leaflet)
    killed_at(database, mongodb_uri, 1, 4)
    assert complete_versions(1) == []
    assert stored(revert(Leaflet.objects.get()).save()) == first
    for number in range(3, 8):
        edited(Leaflet.objects.get(), "next", title=f"title {number}")
    assert complete_versions(1) == [3, 6]
    assert stored(revert(Leaflet.objects.get()).save()) == first


@pytest.fixture
def bound(client: MongoClient) -> Iterator[Any]:
    """A session that all operations join."""
    if not hasattr(MongoClient, "_get_bound_session"):
        pytest.skip("PyMongo binds sessions from 4.17 on")
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
    once = [("aggregate", True), ("find", False), ("update", False), ("insert", True)]
    assert list(names) == [*once, *once, ("commitTransaction", False)]
    timeline = history_of(own)
    assert [revision.number for revision in timeline] == list(range(1, 7))
    lines = [timeline.state(number)["lines"] for number in range(3, 7)]
    assert lines == [["0"], ["1"], ["a", "b", "c"], ["a", "b", "c"]]
    assert fields_of(Archive(own).state(6)) == without_id(stored(own))
    edited(other, "bob", title="after")
    assert len(timeline) == 7


@pytest.mark.usefixtures("apart")
def test_who_takes_the_number_of_an_open_transaction_lets_it_run_again(
    client: MongoClient, monkeypatch: Any
) -> None:
    """It ends with a conflict that PyMongo's ``with_transaction`` knows how to handle."""
    if not hasattr(MongoClient, "_get_bound_session"):
        pytest.skip("PyMongo binds sessions from 4.17 on")
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

    unknown, known = ["aggregate", "update", "insert"], ["update", "insert"]
    conflict, looks = ["update", "insert", "aggregate", "insert"], ["update", "aggregate", "insert"]
    assert [sent(first), sent(second)] == [unknown, unknown]
    assert [sent(first), sent(first), sent(first)] == [conflict, looks, known]
    assert [sent(second), sent(first)] == [conflict, conflict]
    assert [sent(each) for each in [second, first] * 3] == [looks] * 6
    assert [sent(first), sent(first)] == [looks, known]
    assert [sent(second), sent(second), sent(second)] == [looks, looks, known]
    assert [it.number for it in history_of(first)] == list(range(1, 19))


def overtake(monkeypatch: Any, other: Any, times: int) -> None:
    """Let another object save after each of the next looks at the newest number."""
    head, looks = Store.head, []

    def overtaken(store: Store) -> Any:
        found = head(store)
        looks.append(store)
        if store is looks[0] and looks.count(store) <= times:
            edited(other, "fast", title=f"after {found.number}")
        return found

    monkeypatch.setattr(Store, "head", overtaken)


def not_recorded(monkeypatch: Any) -> HistoryNotRecordedError:
    """Let a save find each number taken, three times."""
    begun(Sheet, 1)
    slow, fast = Sheet.objects.get(), Sheet.objects.get()
    for sheet in (slow, fast):
        edited(sheet, "known", lines=["a", "b"], title=str(id(sheet)))
    with monkeypatch.context() as patch:
        patch.setattr("mongoengine_history.store.ATTEMPTS", 3)
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


@pytest.mark.parametrize("fixture", ["apart", "connected"])
@pytest.mark.parametrize("seed", range(4))
def test_list_edits_of_stale_copies_replay_to_what_was_stored(
    fixture: str, seed: int, request: Any
) -> None:
    """Without overlap in time each state is the stored document, whoever saved from which copy."""
    request.getfixturevalue(fixture)
    chance = random.Random(seed)
    begun(Sheet, 1)
    copies = [Sheet.objects.get() for _ in range(3)]
    states = {1: stored(copies[0])}
    for number in range(2, 42):
        if not chance.randrange(5):
            copies[chance.randrange(3)] = Sheet.objects.get()
        sheet = chance.choice(copies)
        with DocumentTrack(sheet):
            edit_lines(sheet, str(number), chance)
            sheet.save()
        states[number] = stored(sheet)
    archive = Archive(Sheet, 1)
    kinds = {record.action for record in History.objects(path="lines")}
    assert kinds == {"add", "remove", "change"}  # relative ones, and whole lists
    for number, state in states.items():
        assert fields_of(archive.state(number)) == without_id(state), number
    for number, state in enumerate(replayed(archive)):
        assert fields_of(archive.state(number)) == fields_of(state), number


@pytest.mark.usefixtures("apart")
def test_the_patch_of_a_list_fits_the_list_that_the_history_has() -> None:
    begun(Sheet, 1)
    first, second = Sheet.objects.get(), Sheet.objects.get()
    edited(first, lines=["x", "a", "b", "c"])  # of which the history knows nothing yet
    edited(first, lines=["x", "b", "c"])
    edited(second, lines=["a", "b", "c", "y"])  # from a copy in which there is no "x"
    edited(second, lines=["a", "b", "c"])
    edited(first, lines=["x", "b"])
    kinds = [(it.action, it.data) for it in History.objects(path="lines").order_by("revision")]
    assert kinds == [
        ("change", {"old": ["a", "b", "c"], "new": ["x", "a", "b", "c"]}),
        ("remove", {"items": [{"key": 1, "value": "a"}]}),
        ("change", {"old": ["a", "b", "c"], "new": ["a", "b", "c", "y"]}),
        ("remove", {"items": [{"key": 3, "value": "y"}]}),
        ("change", {"old": ["x", "b", "c"], "new": ["x", "b"]}),
    ]
    timeline = history_of(first)
    lines = ["".join(timeline.state(number)["lines"]) for number in range(2, 7)]
    assert lines == ["xabc", "xbc", "abcy", "abc", "xb"]


@pytest.mark.usefixtures("apart")
def test_a_list_of_which_no_hash_is_carried_is_stored_whole() -> None:
    """A revision carries the hashes of the lists changed last, as many as fit."""
    names = [f"list {number}" for number in range(12)]
    folder = Folder(title="t", lists={name: ["a"] for name in names}).save()
    stale = Folder.objects.get()
    for name in names:
        with DocumentTrack(folder):
            folder.lists[name].append("b")
            folder.save()
    known = set(History.objects.order_by("-revision").first().lists)
    assert f"lists.{names[-1]}" in known
    assert f"lists.{names[0]}" not in known
    for document in (Folder.objects.get(), stale):
        for name in (names[0], names[-1]):
            with DocumentTrack(document):
                document.lists[name].insert(0, "c")
                document.save()
            assert fields_of(Archive(document).state(len(history_of(document)))) == without_id(
                stored(document)
            )
    actions = [it.action for it in History.objects(revision__gt=12).order_by("revision")]
    assert actions == ["change", "add", "change", "change"]


def test_a_dict_of_which_another_writer_made_a_list_does_not_break_the_replay() -> None:
    """MongoDB takes the key "0" for an index there. That is drift; all states can be rebuilt."""
    Folder(title="t", facts={"x": {"0": 1}}).save()
    first, second, third = (Folder.objects.get() for _ in range(3))
    edited(second, facts={"x": [5]})
    with DocumentTrack(first):
        first.facts["x"]["0"] = 2
        first.save()
    edited(third, title="u")
    with DocumentTrack(second):
        second.facts["x"].append(6)
        second.save()
    timeline = history_of(first)
    states = [timeline.state(number)["facts"]["x"] for number in range(5)]
    assert states == [{"0": 1}, [5], {"0": 2}, {"0": 2}, [5, 6]]


def saved(folder: Any, edit: Callable[[Any], Any]) -> dict[str, Any]:
    """Save an edit of facts, and return those that are stored then."""
    with DocumentTrack(folder):
        edit(folder.facts)
        folder.save()
    facts: dict[str, Any] = raw(folder).get("facts", {})
    return facts


def prove_facts(folder: Any, *facts: dict[str, Any]) -> None:
    """Check that the newest states have the facts that were stored, in the order of their keys."""
    timeline = history_of(folder)
    numbers = range(len(timeline) + 1 - len(facts), len(timeline) + 1)
    found = [timeline.state(number).get("facts", {}) for number in numbers]
    assert [(it, list(it)) for it in found] == [(it, list(it)) for it in facts]


def test_a_key_of_a_dict_that_another_writer_removed_makes_it_anew() -> None:
    Folder(title="t", facts={"a": 1, "b": 1}).save()
    first, second = Folder.objects.get(), Folder.objects.get()
    prove_facts(
        first,
        saved(first, lambda facts: facts.__setitem__("a", 2)),
        saved(second, lambda facts: facts.clear()),
        saved(first, lambda facts: facts.__setitem__("a", 3)),
    )


@pytest.mark.parametrize("how", ["assigned", "updated", "set inside"])
def test_a_dict_that_a_stale_copy_wrote_as_a_whole_is_recorded_as_one(how: str) -> None:
    """It takes back what another writer has done to its other keys."""
    Folder(title="t", facts={"in": {"a": 1}}).save()
    first, second, third = (Folder.objects.get() for _ in range(3))
    edited(third, title="u")  # the first revision, whose writer knows all that was stored

    def write(facts: Any) -> None:
        if how == "assigned":
            second.facts = {"in": {"a": 1}, "c": 3}
        elif how == "updated":
            facts.update(c=3)
        else:
            facts["in"] = {"a": 1, "c": 3}

    prove_facts(
        first,
        saved(first, lambda facts: facts["in"].__setitem__("b", 2)),
        saved(second, write),
    )


@pytest.mark.xfail(reason="the dict around it is recorded, too", raises=AssertionError)
def test_a_key_of_a_dict_that_another_writer_made_meanwhile_is_recorded_alone() -> None:
    Folder(title="t", facts={"a": 1}).save()
    first, second = Folder.objects.get(), Folder.objects.get()
    prove_facts(
        first,
        saved(first, lambda facts: facts.clear()),
        saved(second, lambda facts: facts.__setitem__("b", 2)),
        saved(first, lambda facts: facts.__setitem__("c", 3)),
    )


def test_a_key_that_two_writers_added_keeps_its_place() -> None:
    Folder(title="t", facts={"a": 1}).save()
    first, second = Folder.objects.get(), Folder.objects.get()
    prove_facts(
        first,
        saved(first, lambda facts: facts.__setitem__("b", 1)),
        saved(first, lambda facts: facts.__setitem__("c", 1)),
        saved(second, lambda facts: facts.__setitem__("b", 2)),
    )
