"""Races: what is told as overwritten was there, and nothing is told to be overwritten twice."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from support import racers
from support.changes import automatic, numbers, watch
from support.documents import fields_of, raw, stored, without_id
from support.paths import find
from support.racers import (
    EDITS,
    MODELS,
    PATIENCE,
    THREADS,
    Blocked,
    Tracked,
    by_threads,
)
from support.running import at_once

from mongoengine_history import ABSENT, DocumentTrack, History, history_of, revert

tracking = automatic(Tracked)


@pytest.fixture(autouse=True)
def listening(database: Any) -> None:
    History.ensure_indexes()
    watch(Blocked, deletions=False)


@pytest.fixture(params=["together", "apart"])
def turns(request: Any) -> None:
    """Whether threads share what is known of a history."""
    if request.param == "apart":
        request.getfixturevalue("apart")


def opened(model: Any, keys: list[int]) -> dict[int, Any]:
    """Store documents of which nothing is recorded yet, and return what is stored."""
    for key in keys:
        document = {"_id": key, "title": "first", "lines": ["first"], "cells": {"a": "first"}}
        model._get_db()[model._get_collection_name()].insert_one(document)
    return {key: without_id(stored(model(number=key))) for key in keys}


SCALARS = [("title",), ("cells", "a"), ("cells", "b"), ("cells", "whole")]


def changes_of(model: Any, key: int) -> list[tuple[Any, Any, Any]]:
    """Return what all revisions tell."""
    return [it for revision in history_of(model, key) for it in changes_of_one(revision)]


def changes_of_one(revision: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Return where something is changed, what was there, and what is there since."""
    for action, path, data in revision.patches:
        if action == "change":
            yield tuple(path), *data
            continue
        for name, value in data:
            both = (ABSENT, value) if action == "add" else (value, ABSENT)
            yield (*path, name), *both


def prove_old_values(model: Any, key: int) -> None:
    """Check that each old value of a scalar was stored by somebody, and is told once."""
    changes = changes_of(model, key)
    for path in SCALARS:
        own = [(old, new) for where, old, new in changes if where == path]
        whole = [(old, new) for where, old, new in changes if where == path[:-1] and where]
        pairs = own + [(find(old, path[-1:]), find(new, path[-1:])) for old, new in whole]
        pairs = [(old, new) for old, new in pairs if old != new]
        olds = Counter(old for old, _ in pairs if old is not ABSENT)
        news = {new for _, new in pairs} | {"first"}
        assert set(olds) <= news, path
        assert max(olds.values(), default=1) == 1, (path, olds.most_common(3))


def prove(model: Any, key: int, told: list[str], first: Any) -> None:
    """Check the whole history of a document."""
    timeline = history_of(model, key)
    mine = [who.partition(":")[2] for who in told if who.startswith(f"{key}:")]
    assert numbers(timeline) == list(range(1, len(mine) + 1))
    assert sorted(it.identity for it in timeline) == sorted(mine)
    assert fields_of(timeline.state(0)) == first
    for revision in timeline:
        state = timeline.state(revision.number)
        for where, _, new in changes_of_one(revision):
            if not any(isinstance(name, int) for name in where):
                assert find(state, where) == new
    document = model.objects.get(pk=key)
    with DocumentTrack(document):
        assert without_id(stored(revert(document, revision=0).save())) == first


RACES: dict[str, list[str]] = {
    "scalars": ["set_title"],
    "keys": ["set_key"],
    "lists": ["set_lines", "append_line"],
    "dicts": ["set_cells"],
    "all": list(EDITS),
}


@pytest.mark.parametrize("edits", RACES)
@pytest.mark.parametrize("model", MODELS)
def test_threads_tell_no_old_value_twice_and_none_that_never_was(
    turns: None, model: str, edits: str
) -> None:
    first = opened(MODELS[model], [1, 2])
    told = by_threads(MODELS[model], [1, 2], RACES[edits])
    for key in (1, 2):
        if edits not in {"lists", "dicts", "all"}:
            prove_old_values(MODELS[model], key)
        prove(MODELS[model], key, told, first[key])


@pytest.mark.parametrize("edits", ["scalars", "all"])
@pytest.mark.parametrize("model", MODELS)
def test_processes_do_so_as_well(database: Any, mongodb_uri: str, model: str, edits: str) -> None:
    first = opened(MODELS[model], [1, 2])
    task = {"database": database.name, "uri": mongodb_uri, "model": model, "keys": [1, 2]}
    task |= {"number": 15, "edits": RACES[edits]}
    tasks = [{**task, "writer": writer} for writer in ("p0", "p1")]
    with at_once(racers.__file__, tasks) as found:
        told = by_threads(MODELS[model], [1, 2], RACES[edits], 10)
        for process in found:
            told += json.loads(process.stdout.readline())
    for key in (1, 2):
        if edits == "scalars":
            prove_old_values(MODELS[model], key)
        prove(MODELS[model], key, told, first[key])


FIRST: dict[str, Callable[[Any, int], None]] = {
    "titles": lambda it, who: setattr(it, "title", str(who)),
    "keys of their own": lambda it, who: it.cells.__setitem__(str(who), who),
    "one key": lambda it, who: it.cells.__setitem__("a", who),
    "whole dicts": lambda it, who: setattr(it, "cells", {**it.cells, str(who): who}),
    "other dicts": lambda it, who: setattr(it, "cells", {str(who): who}),
    "appended": lambda it, who: it.lines.append(str(who)),
    "other lists": lambda it, who: setattr(it, "lines", [str(who)]),
    "inserted": lambda it, who: it.lines.insert(0, str(who)),
    "emptied": lambda it, who: setattr(it, "cells", {} if who % 2 else {"x": who}),
    "each something else": lambda it, who: [
        lambda: setattr(it, "title", str(who)),
        lambda: it.cells.__setitem__("a", who),
        lambda: setattr(it, "cells", {str(who): who}),
        lambda: it.lines.append(str(who)),
    ][who % 4](),
}


@pytest.mark.parametrize("what", FIRST)
@pytest.mark.parametrize("model", MODELS)
def test_first_saves_that_overlap_leave_the_state_before_all_of_them(
    apart: None, model: str, what: str
) -> None:
    keys = list(range(8))
    first = opened(MODELS[model], keys)
    start = threading.Barrier(THREADS)

    def work(who: int) -> None:
        for key in keys:
            document = MODELS[model].objects.get(pk=key)
            start.wait(PATIENCE)
            with DocumentTrack(document, f"{who}"):
                FIRST[what](document, who)
                document.save()

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))
    everyone = [str(who) for who in range(THREADS)]
    for key in keys:
        timeline = history_of(MODELS[model], key)
        assert fields_of(timeline.state(0)) == first[key]
        if what != "emptied":  # where a save may change nothing
            assert sorted(it.identity for it in timeline) == everyone
        assert numbers(timeline) == list(range(1, len(timeline) + 1))
        for number in range(1, len(timeline) + 1):
            assert timeline.state(number)
        assert raw(MODELS[model](number=key))


def test_both_ways_of_tracking_write_to_one_collection() -> None:
    """A tracked document in a block, and queries of its class, at the same time."""
    first = opened(Tracked, [1])
    start = threading.Barrier(THREADS)

    def work(who: int) -> int:
        start.wait(PATIENCE)
        for count in range(10):
            if who % 2:
                document = Tracked.objects.get(pk=1)
                with DocumentTrack(document, f"{who}-{count}"):
                    document.title = f"{who}-{count}"
                    document.save()
            else:
                Tracked.objects(pk=1).update(title=f"{who}-{count}")
        return 10

    with ThreadPoolExecutor(THREADS) as pool:
        assert sum(pool.map(work, range(THREADS))) == len(history_of(Tracked, 1))
    prove_old_values(Tracked, 1)
    assert fields_of(history_of(Tracked, 1).state(0)) == first[1]
