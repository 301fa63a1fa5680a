"""
Whatever happens to a document, its history tells what was stored, at every revision and moment.

To hunt for more, raise the number of lives (about 0.3 s each)::

    MACHINE_EXAMPLES=1000 pytest tests/whole/test_machine.py
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import dictdiffer
import pytest
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from mongoengine import Document
from mongoengine.errors import OperationError, ValidationError
from support.documents import encoded, exactly, fields_of, raw
from support.machine import EVERY, KINDS, alike, by_key, keys_of, leaves, memory, told
from support.paths import find, paths_of

from mongoengine_history import (
    DocumentDidNotExistError,
    DocumentExistsError,
    DocumentTrack,
    History,
    RevisionNotFoundError,
    Timeline,
    UndoConflictError,
    Version,
    as_of,
    history_of,
    restore,
    revert,
    undo,
)


class Life(RuleBasedStateMachine):
    """One document, and a model of it: what was stored after each revision."""

    def __init__(self) -> None:
        super().__init__()
        self.document: Any = None
        #: What was stored after each revision; None if there was no document.
        self.stored: list[dict[str, Any] | None] = []
        #: A moment after each of them, before the next.
        self.moments: list[datetime] = []
        self.operations: list[str] = []

    @initialize(
        kind=st.sampled_from(list(KINDS)), every=st.sampled_from(EVERY), is_tracked=st.booleans()
    )
    def begin(self, kind: type[Document], every: int, is_tracked: bool) -> None:
        self.kind = kind
        self.keep(every)
        self.document = kind(name="first", tags=["a", "b", "c"], notes={"a": 1, "b": {"c": 2}})
        if is_tracked:
            self.stored, self.moments, self.operations = [None], [datetime.now()], [""]
            with DocumentTrack(self.document, "creator"):
                self.document.save()
            self.learn("create")
        else:
            self.document.save()
            self.stored, self.moments = [raw(self.document)], [datetime.now()]
            self.operations = [""]

    @property
    def timeline(self) -> Timeline[Any]:
        return history_of(self.kind, self.document.pk)

    @property
    def is_gone(self) -> bool:
        return self.stored[-1] is None

    def keep(self, every: int) -> None:
        self.kind._meta["history"] = {"version_every": every}

    def learn(self, operation: str, *, is_sure: bool = False) -> None:
        """Take in what is stored now; it is a revision exactly if it is something else."""
        now = raw(self.document)
        before = self.stored[-1]
        changed = (now is None) != (before is None) or (
            now is not None and before is not None and fields_of(now) != fields_of(before)
        )
        if changed:
            self.stored.append(now)
            self.operations.append(operation)
            self.moments.append(datetime.now())
        assert changed or not is_sure
        assert len(self.timeline) == len(self.stored) - 1
        if changed:
            assert self.timeline[-1].operation == operation

    def edit(self, data: st.DataObject) -> None:
        edits = data.draw(st.lists(KINDS[self.kind], min_size=1, max_size=3))
        for edit in edits:
            edit(self.document)

    def save(self) -> None:
        """Save if MongoEngine and the server take the edits, else forget them."""
        try:
            self.document.save()
        except (ValidationError, OperationError) as error:
            note(f"refused: {error}")
            if raw(self.document) is not None:
                self.document.reload()

    @rule(every=st.sampled_from(EVERY))
    def keep_other_versions(self, every: int) -> None:
        """An option of the class may change between two releases of the application."""
        self.keep(every)

    @rule(data=st.data(), anew=st.booleans())
    @precondition(lambda self: not self.is_gone)
    def edit_and_save(self, data: st.DataObject, anew: bool) -> None:
        if anew:
            self.document = self.kind.objects.get(pk=self.document.pk)
        with DocumentTrack(self.document, "editor"):
            self.edit(data)
            self.save()
        self.learn("update")

    @rule(data=st.data())
    @precondition(lambda self: not self.is_gone)
    def edit_without_saving(self, data: st.DataObject) -> None:
        """Nothing is recorded, and what comes next starts from what is stored."""
        self.edit(data)
        self.learn("")
        self.document.reload()

    @rule()
    @precondition(lambda self: not self.is_gone)
    def delete(self) -> None:
        with DocumentTrack(self.document, "deleter"):
            self.document.delete()
        self.learn("delete", is_sure=True)

    @rule()
    @precondition(lambda self: self.is_gone)
    def restore(self) -> None:
        number = max(place for place, it in enumerate(self.stored) if it is not None)
        self.document = restore(self.kind, self.document.pk)
        assert raw(self.document) is None
        self.document.save()
        assert encoded(raw(self.document)) == encoded(self.stored[number])
        self.learn("restore", is_sure=True)

    @rule()
    @precondition(lambda self: not self.is_gone)
    def restore_what_is_there(self) -> None:
        with pytest.raises(DocumentExistsError):
            restore(self.kind, self.document.pk)
        self.learn("")

    @rule(data=st.data())
    @precondition(lambda self: self.is_gone)
    def create_again(self, data: st.DataObject) -> None:
        self.document = self.kind(pk=self.document.pk, name="again")
        with DocumentTrack(self.document):
            self.edit(data)
            try:
                self.document.save()
            except (ValidationError, OperationError) as error:
                note(f"refused: {error}")
                self.document = self.kind(pk=self.document.pk, name="without the edits")
        self.learn("create")

    @rule()
    @precondition(lambda self: self.is_gone)
    def save_what_is_gone(self) -> None:
        """MongoEngine makes a document of what was changed."""
        with DocumentTrack(self.document):
            self.document.name = f"new name {len(self.stored)}"
            self.document.save()
        self.document.reload()  # else it is a stale copy: all else that it has is not stored
        self.learn("create", is_sure=True)

    @rule(data=st.data(), is_edited=st.booleans())
    def revert(self, data: st.DataObject, is_edited: bool) -> None:
        number = data.draw(st.integers(0, len(self.stored) - 1), label="number")
        wanted = self.stored[number]
        if is_edited:
            self.document.name = "unsaved"
        if wanted is None:
            shown = memory(self.document)
            with pytest.raises(DocumentDidNotExistError):
                revert(self.document, revision=number)
            assert memory(self.document) == shown
        elif len(self.stored) > 1:
            before = exactly(self.document)
            assert revert(self.document, revision=number) is self.document
            assert exactly(self.document) == before
            self.document.save()
            assert fields_of(raw(self.document)) == fields_of(wanted)
        self.learn("revert")
        if not self.is_gone:
            self.document.reload()  # an edit before a block would not be part of its revision

    @rule(data=st.data())
    def revert_to_a_moment(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(0, len(self.stored) - 1), label="number")
        if self.stored[number] is None or len(self.stored) == 1:
            return
        revert(self.document, since=self.moments[number])
        self.document.save()
        assert fields_of(raw(self.document)) == fields_of(self.stored[number])
        self.learn("revert")

    @rule(data=st.data())
    @precondition(lambda self: len(self.stored) > 1)
    def undo(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(1, len(self.stored) - 1), label="number")
        shown, before = memory(self.document), exactly(self.document)
        try:
            undone = undo(self.document, number)
        except (UndoConflictError, DocumentDidNotExistError) as error:
            is_conflict = isinstance(error, UndoConflictError)
            assert number < len(self.stored) - 1 if is_conflict else self.stored[number - 1] is None
            assert (memory(self.document), exactly(self.document)) == (shown, before)
            return
        assert undone is self.document
        assert exactly(self.document) == before
        self.document.save()
        if number == len(self.stored) - 1:
            assert fields_of(raw(self.document)) == fields_of(self.stored[-2])
        self.check_undone(number)
        self.learn("undo")

    def check_undone(self, number: int) -> None:
        """What the revision set is as before it; all else is as it was stored."""
        now, was = raw(self.document), self.stored[-1] or {}
        before = self.stored[number - 1]
        paths = paths_of(self.timeline[number])
        for path in paths:
            assert alike(find(now, path), find(before, path)), path
        for key in {*now, *was} - {path[0] for path in paths} - {"_id"}:
            assert alike(find(now, (key,)), find(was, (key,))), key

    @rule()
    @precondition(lambda self: len(self.stored) > 1 and self.stored[-2] is not None)
    def undo_and_undo_that(self) -> None:
        if self.is_gone:  # the way back from an undone deletion is to delete
            return
        newest = self.stored[-1]
        undo(self.document, len(self.timeline)).save()
        self.learn("undo", is_sure=True)
        undo(self.document, len(self.timeline)).save()
        self.learn("undo", is_sure=True)
        assert fields_of(raw(self.document)) == fields_of(newest)

    @rule(data=st.data())
    def undo_what_is_not_there(self, data: st.DataObject) -> None:
        count = len(self.stored) - 1
        number = data.draw(st.sampled_from([0, count + 1, -count - 1, -count - 2]))
        with pytest.raises(RevisionNotFoundError):
            undo(self.document, number)

    @rule(data=st.data())
    def replace_by_an_old_state(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(0, len(self.stored) - 1), label="number")
        if self.stored[number] is None:
            with pytest.raises(DocumentDidNotExistError):
                self.timeline.at(number)
            return
        old = self.timeline.at(number)
        assert old.pk == self.document.pk
        with DocumentTrack(old, "replacer"):
            old.save()
        was_gone, self.document = self.is_gone, old
        self.learn("create" if was_gone else "update")

    @rule(data=st.data())
    def look_at_one_state(self, data: st.DataObject) -> None:
        self.check_state(data.draw(st.integers(0, len(self.stored) - 1), label="number"))

    def check_state(self, number: int) -> None:
        expected = self.stored[number]
        if expected is None:
            with pytest.raises(DocumentDidNotExistError) as caught:
                self.timeline.state(number)
            assert caught.value.number == number
        else:
            assert fields_of(self.timeline.state(number)) == fields_of(expected), number

    @rule(data=st.data())
    def compare(self, data: st.DataObject) -> None:
        points = st.integers(0, len(self.stored) - 1) | st.none()
        first, second = data.draw(points, label="first"), data.draw(points, label="second")
        states = [
            {} if it is None else {key: value for key, value in it.items() if key != "_id"}
            for it in (self.stored[-1 if number is None else number] for number in (first, second))
        ]
        patches = self.timeline.compare(first, second)
        patched = dictdiffer.patch(patches, states[0])
        assert fields_of(by_key(patched)) == fields_of(by_key(states[1]))
        assert (patches == []) == (fields_of(states[0]) == fields_of(states[1]))

    @rule(data=st.data())
    def slice(self, data: st.DataObject) -> None:
        end = len(self.stored)
        places = st.none() | st.integers(-end - 2, end + 2)
        step = st.none() | st.sampled_from([-3, -2, -1, 1, 2, 3])
        index = slice(data.draw(places), data.draw(places), data.draw(step))
        start, stop, by = index.indices(end)
        wanted = [number for number in range(start or (by > 0), stop, by) if number > 0]
        assert [it.number for it in self.timeline[index]] == wanted

    def teardown(self) -> None:
        if self.document is None:
            return
        self.check_all()
        self.check_blame()
        # No version is needed to know a state.
        versions = {"position": {"$lt": 0}}
        History._get_collection().delete_many({**versions, "revision": {"$mod": [2, 1]}})
        self.check_all()
        History._get_collection().delete_many(versions)
        assert Version.objects.count() == 0
        self.check_all()

    def check_all(self) -> None:
        timeline, count = self.timeline, len(self.stored) - 1
        revisions = [told(it) for it in timeline]
        assert len(timeline) == count
        assert [it.number for it in timeline] == list(range(1, count + 1))
        assert [it.operation for it in timeline] == self.operations[1:]
        assert [told(it) for it in reversed(timeline)] == revisions[::-1]
        assert [told(timeline[number]) for number in range(1, count + 1)] == revisions
        assert [told(timeline[-place]) for place in range(1, count + 1)] == revisions[::-1]
        assert [told(it) for it in timeline[:]] == revisions
        for number, moment in enumerate(self.moments):
            self.check_state(number)
            self.check_moment(number, moment)

    def check_moment(self, number: int, moment: datetime) -> None:
        shown, expected = self.timeline.as_of(moment), self.stored[number]
        of_all = list(as_of(self.kind, moment))
        if expected is None:
            assert shown is None
            assert of_all == []
            return
        [among_all] = of_all
        # To MongoEngine a new object's fields have all changed, and those of one loaded have not.
        loaded = fields_of(self.kind._from_son(expected).to_mongo())
        at = self.timeline.at(number)
        assert loaded == fields_of(at.to_mongo())
        assert memory(among_all) == memory(at) == memory(shown)

    def check_blame(self) -> None:
        """Nobody has set a value after the revision that is blamed, and somebody has in it."""
        newest, blamed = self.stored[-1] or {}, self.timeline.blame()
        for text, revision in blamed.items():
            path = keys_of(text)
            value = find(newest, path)
            for later in self.stored[revision.number :]:
                assert alike(find(later, path), value), (path, revision.number)
            assert told(self.timeline.blame(list(path))) == told(revision)
        for path in leaves(newest, ()):
            if path[0] != "_id" and path not in {keys_of(text) for text in blamed}:
                assert all(alike(find(it, path), find(newest, path)) for it in self.stored), path
                assert self.timeline.blame(list(path)) is None


def test_a_history_tells_what_was_stored_at_every_revision_and_moment(
    live: Callable[[type[RuleBasedStateMachine]], None],
) -> None:
    live(Life)
