"""What was written past the history and overwritten later: a revert brings back what was stored."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import mongoengine as me
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mongoengine import Document
from support.changes import automatic
from support.documents import raw
from support.moments import moment_after
from support.strategies import examples

from mongoengine_history import history_of, restore, revert


class Sheet(Document):
    meta = {"collection": "sheets", "auto_create_index": False}
    a = me.IntField()
    b = me.IntField()
    notes = me.DictField()
    rows = me.ListField(me.IntField())


tracking = automatic(Sheet)
pytestmark = pytest.mark.usefixtures("database")

PATHS = ["a", "b", "notes.x", "notes.y", "rows"]


def drift(sheet: Any, path: str, value: Any) -> None:
    """Write past the history."""
    update = {"$unset": {path: 1}} if value is None else {"$set": {path: value}}
    Sheet._get_collection().database["sheets"].update_one({"_id": sheet.pk}, update)


def record(sheet: Any, path: str, value: Any) -> datetime:
    """Save one value by a copy that has just been loaded; return a moment after it."""
    copy = Sheet.objects.get(pk=sheet.pk)
    if path.startswith("notes."):
        copy.notes = {**copy.notes, path[6:]: value}
        if value is None:
            del copy.notes[path[6:]]
    else:
        setattr(copy, path, value)
    return moment_after(copy.save())


def at(state: Any, path: str) -> Any:
    name, _, key = path.partition(".")
    return state.get(name, {}).get(key) if key else state.get(name)


def test_what_the_first_of_them_found_comes_back() -> None:
    sheet = Sheet(a=1, b=1).save()
    moment = moment_after(sheet)
    drift(sheet, "a", 50)
    drift(sheet, "b", 60)
    record(sheet, "a", 2)
    record(sheet, "a", 3)
    drift(sheet, "b", 70)
    revert(sheet, moment).save()
    assert (raw(sheet)["a"], raw(sheet)["b"]) == (50, 70)
    assert list(history_of(sheet)[-1].patches) == [("change", ["a"], (3, 50))]


def test_a_part_that_was_set_before_the_whole_comes_back_in_it() -> None:
    sheet = Sheet(notes={"x": 1, "y": 1}).save()
    moment = moment_after(sheet)
    record(sheet, "notes.x", 2)
    drift(sheet, "notes.y", 50)
    record(sheet, "notes", {"z": 3})
    assert revert(sheet, moment).notes == {"x": 1, "y": 50}


def test_what_was_deleted_comes_back_as_it_was_stored_then() -> None:
    sheet = Sheet(a=1, b=1).save()
    moment = moment_after(sheet)
    drift(sheet, "a", 50)
    sheet.delete()
    assert revert(sheet, moment).a == 50
    restore(Sheet, sheet.pk).save()
    record(sheet, "b", 2)
    revert(sheet, moment).save()
    assert (raw(sheet)["a"], raw(sheet)["b"]) == (50, 1)


def test_writers_that_overlap_are_no_drift_to_each_other() -> None:
    """Two saves may be numbered the other way round than they were stored."""
    sheet = Sheet(a=1).save()
    moment = moment_after(sheet)
    for value in (2, 3):
        record(sheet, "a", value)
    history = Sheet._get_collection().database["history"]
    swapped = {2: 9, 3: 2, 9: 3}
    for number, other in swapped.items():
        history.update_many({"revision": number}, {"$set": {"revision": other}})
    assert [it.patches[0][2] for it in history_of(sheet)[2:]] == [(2, 3), (1, 2)]
    assert revert(sheet, moment).a == 1


@pytest.mark.parametrize("number", [1, 2])
def test_a_revision_by_its_number_is_as_the_history_has_it(number: int) -> None:
    sheet = Sheet(a=1).save()
    drift(sheet, "a", 50)
    record(sheet, "a", 2)
    assert revert(sheet, revision=number).a == number


kinds = st.tuples(st.sampled_from([drift, record]), st.sampled_from(PATHS), st.booleans())


@given(st.lists(kinds, max_size=8), st.data())
@examples(50)
def test_each_value_is_what_was_stored_before_it_was_first_set(script: Any, data: Any) -> None:
    """Each value is another one: equal ones could be those of writers that overlap."""
    sheet = Sheet(a=1, b=1, notes={"x": 1, "y": 1, "z": 0}, rows=[1]).save()
    moments, states, sets = [moment_after(sheet)], [raw(sheet)], []
    for number, (write, path, is_gone) in enumerate(script, start=10):
        value = [*raw(sheet)["rows"], number] if path == "rows" else None if is_gone else number
        write(sheet, path, value)
        states.append(raw(sheet))
        is_set = write is record and at(states[-2], path) != at(states[-1], path)
        sets.append(path if is_set else None)
        moments.append(moment_after(sheet))
    place = data.draw(st.integers(0, len(script)))
    revert(sheet, moments[place]).save()
    for path in PATHS:
        firsts = [number for number in range(place, len(script)) if sets[number] == path]
        then = states[firsts[0]] if firsts else states[-1]
        assert at(raw(sheet), path) == at(then, path), path
