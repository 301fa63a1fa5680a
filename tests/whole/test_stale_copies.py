"""Saves from stale copies: what is recorded is what was stored."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from support.changes import edited, watched
from support.documents import fields_of, raw, stored, without_id
from support.proofs import begun, replayed
from support.writers_at_work import Folder, Leaflet, Sheet, edit_lines

from mongoengine_history import DocumentTrack, History, history_of

connected = watched(Sheet, Leaflet, Folder, deletions=False)


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
    timeline = history_of(Sheet, 1)
    kinds = {record.action for record in History.objects(path="lines")}
    assert kinds == {"add", "remove", "change"}  # relative ones, and whole lists
    for number, state in states.items():
        assert fields_of(timeline.state(number)) == without_id(state), number
    for number, state in enumerate(replayed(Sheet, 1)):
        assert fields_of(timeline.state(number)) == fields_of(state), number


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
        ("change", {"old": ["x", "b", "c"], "new": ["a", "b", "c", "y"]}),
        ("remove", {"items": [{"key": 3, "value": "y"}]}),
        ("change", {"old": ["a", "b", "c"], "new": ["x", "b"]}),
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
            assert fields_of(history_of(document).state(-1)) == without_id(stored(document))
    actions = [it.action for it in History.objects(revision__gt=12).order_by("revision")]
    assert actions == ["change", "add", "remove", "remove"]  # from the copy went what it had not


def test_a_dict_of_which_another_writer_made_a_list_does_not_break_the_replay() -> None:
    """MongoDB takes the key "0" for an index there, and so does the history."""
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
    assert states == [{"0": 1}, [5], [2], [2], [5, 6]]


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
