"""Writers that are killed: what they leave is noticed, and the next ones go on."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import pytest
from support.changes import edited, watched
from support.crews import Overlap, Saves, at_work, ended, go_on, killed_at
from support.documents import fields_of, stored, without_id
from support.proofs import (
    begun,
    complete_versions,
    groups,
    prove_nothing_is_mixed,
    prove_the_rest_is_read,
    prove_torn_is_noticed,
    read,
    replayed,
)
from support.writers_at_work import SHARED, Folder, Leaflet, Sheet

from mongoengine_history import IncompleteRevisionError, history_of, revert
from mongoengine_history.record.revisions import Revisions

connected = watched(Sheet, Leaflet, Folder, deletions=False)


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
    timeline = history_of(Sheet, 1)
    for number, state in enumerate(replayed(Sheet, 1)):
        assert fields_of(timeline.state(number)) == fields_of(state), number


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
    monkeypatch.setattr(
        "mongoengine_history.record.complete.READS", 1
    )  # nothing is on its way any more
    prove_torn_is_noticed(Leaflet, 1, torn)
    prove_the_rest_is_read(Leaflet, 1, torn)
    leaflet, number = Leaflet.objects.get(), len(history_of(Leaflet, 1))
    for after in range(number + 1, number + 8):
        edited(leaflet, "last", title=f"title {after}", lines=[*leaflet.lines, "x"])
        assert len(history_of(Leaflet, 1)) == after
        if number < after - after % 3:  # a version has been written since
            assert fields_of(history_of(Leaflet, 1).state(after)) == without_id(stored(leaflet))
    assert stored(revert(leaflet, revision=0).save()) == first


def what_is_missing(reading: Callable[[], Any]) -> int | None:
    """Name the revision without which reading fails; None if it does not."""
    try:
        reading()
    except IncompleteRevisionError as error:
        return error.number
    return None


def deep(levels: int) -> Any:
    return {"deeper": deep(levels - 1)} if levels else "bottom"


@pytest.mark.parametrize("hold", [1, 3])
def test_the_beginning_of_a_revision_is_never_read_as_a_whole_one(
    database: Any, mongodb_uri: str, hold: int, monkeypatch: Any
) -> None:
    first = begun(Leaflet, 1)
    killed_at(database, mongodb_uri, 1, hold)
    assert [len(records) for records in groups(1).values()] == [1, hold]
    monkeypatch.setattr("mongoengine_history.record.complete.READS", 1)
    prove_torn_is_noticed(Leaflet, 1, [2])
    with pytest.raises(IncompleteRevisionError):
        revert(Leaflet.objects.get())
    leaflet = Leaflet.objects.get()
    assert history_of(leaflet).state(1)["title"] == "opened"
    edited(leaflet, "next", title="next")
    assert history_of(leaflet)[3].identity == "next"
    assert fields_of(history_of(leaflet).state(3)) == without_id(stored(leaflet))
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
    monkeypatch.setattr("mongoengine_history.record.complete.READS", 1)

    def insert() -> None:
        second = Leaflet.objects.get()
        edited(second, "late", lines=["late", *second.lines])

    late, stored_now, looks = Overlap(monkeypatch, insert), Revisions.stored, []

    def interrupted(revisions: Revisions) -> Any:
        looks.append(True)
        if len(looks) == 1:
            late.write()
        return stored_now(revisions)

    monkeypatch.setattr(Revisions, "stored", interrupted)
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
    timeline = history_of(Leaflet, 2)
    assert fields_of(timeline.state(3)) == without_id(stored(leaflet))
    leaflet = Leaflet.objects.get()
    for number in range(4, 8):
        edited(leaflet, "next", title=f"title {number}")
        assert fields_of(timeline.state(number)) == without_id(stored(leaflet))
    assert complete_versions(2) == [6]
    for number, state in enumerate(replayed(Leaflet, 2)):
        assert not number or fields_of(timeline.state(number)) == fields_of(state)


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
