"""What must be true of a history, whoever wrote it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from support.changes import edited
from support.crews import Saves
from support.documents import fields_of, raw, stored
from support.machine import alike
from support.paths import find, paths_of
from support.writers_at_work import SHARED

from mongoengine_history import (
    ABSENT,
    History,
    IncompleteRevisionError,
    Version,
    history_of,
    load_history,
    revert,
)
from mongoengine_history.record.place import Place
from mongoengine_history.record.revisions import Revisions
from mongoengine_history.record.states import creation_of, state_at
from mongoengine_history.state.merge import list_hash
from mongoengine_history.state.patches import apply


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


def replayed(model: type[Any], key: Any) -> list[dict[str, Any]]:
    """Return all states by their numbers, each made of the first one and all patches since."""
    recorded = Revisions(Place(model), key)
    state: Any = {} if creation_of(recorded) else state_at(recorded, 0)
    states = [state]
    for revision in recorded.between():
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
    timeline, records = history_of(model, key), groups(key)
    revisions = list(timeline)
    assert [it.number for it in revisions] == list(range(1, len(saves) + 2))
    assert len(timeline) == len(saves) + 1
    told = [it.identity for it in revisions[1:]]
    assert sorted(told) == sorted(save["who"] for save in saves)
    for writer in {save["who"].partition("-")[0] for save in saves}:
        own = [who for who in told if who.startswith(f"{writer}-")]
        assert own == [save["who"] for save in saves if save["who"] in own]
    moments = [it.at for it in revisions]
    assert moments == sorted(moments)
    states = replayed(model, key)
    for number, state in enumerate(states):
        if number or key % 2:
            assert fields_of(timeline.state(number)) == fields_of(state), number
    versions = {version.revision: version.state for version in Version.objects(document_id=key)}
    every = model._meta["history"]["version_every"]
    assert set(versions) == {*([0] if key % 2 else []), *range(every, len(states), every)}
    for number, state in versions.items():
        assert fields_of(state) == fields_of(states[number]), number
    for number, [first_one, *_] in records.items():
        prove_lists(states[number], first_one.get("lists", {}))
    now = raw(model(pk=key))
    prove_drift(revisions, states[-1], now, {save["who"]: save for save in saves})
    last = edited(model.objects.get(pk=key), "last", title="last", lines=["last"], cells={})
    assert fields_of(raw(last)) == fields_of(timeline.state(len(states)))
    assert stored(revert(last, revision=len(states) // 2).save()) == {
        **fields_of(states[len(states) // 2]),
        "_id": first["_id"],
    }
    assert stored(revert(last).save()) == first


def prove_drift(revisions: Any, head: Any, now: Any, saves: dict[str, Any]) -> None:
    """Check that what is stored is the newest state, but where saves overlapped in time."""
    paths = [("title",), ("lines",), *(("cells", key) for key in {**head["cells"], **now["cells"]})]
    for path in paths:
        if alike(_shown(head, path), _shown(now, path)):
            continue
        assert path in {("title",), ("lines",), ("cells", SHARED)}, path  # else one writer's own
        windows = [saves[it.identity] for it in revisions[1:] if path in paths_of(it)]
        last = windows.pop()
        assert any(
            other["began"] < last["ended"] and last["began"] < other["ended"] for other in windows
        ), path


def _shown(state: Any, path: Any) -> Any:
    value = find(state, path)
    return None if value is ABSENT else value


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
    timeline, found = history_of(model, key), groups(key)
    versions = complete_versions(key)
    for number, records in found.items():
        nearest = max(version for version in versions if version <= number)
        if number not in torn:
            assert len(timeline[number].patches) == len(records)
        missing = [it for it in torn if nearest < it <= number]
        if missing:
            with pytest.raises(IncompleteRevisionError) as caught:
                timeline.state(number)
            assert caught.value.number == missing[0]
        else:
            prove_lists(timeline.state(number), records[0]["lists"])


def prove_lists(state: Any, lists: Any) -> None:
    """Check that a state has the lists of which its revision tells the hashes."""
    for path, known in lists.items():
        assert list_hash(find(state, tuple(path.split(".")))) == known, path
