"""What was written past the history, and from stale copies, changes nothing of the past."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

import mongoengine as me
import pytest
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from mongoengine import Document
from mongoengine.errors import DoesNotExist, OperationError, ValidationError
from support.documents import Line, exactly, fields_of, raw
from support.edits import words
from support.machine import EVERY, KINDS, Fields, alike, memory, told
from support.paths import find, paths_of

from mongoengine_history import (
    DocumentDidNotExistError,
    DocumentTrack,
    History,
    StateMismatchError,
    Timeline,
    UndoConflictError,
    as_of,
    history_of,
    restore,
    revert,
    undo,
)

simple = st.integers(0, 3) | words | st.lists(words, max_size=2) | st.just({"c": 1})
drifts: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "name": words.map(lambda text: {"$set": {"name": text}}),
    "notes": st.dictionaries(st.sampled_from(["a", "b", "d"]), simple).map(
        lambda notes: {"$set": {"notes": notes}}
    ),
    "key": st.integers(0, 9).map(lambda number: {"$set": {"notes.d": number}}),
    "no notes": st.just({"$unset": {"notes": 1}}),
    "tags": words.map(lambda text: {"$set": {"tags": [text, "drift"]}}),
    "no tags": st.just({"$unset": {"tags": 1}}),
}
"""Writes that no history knows of."""


class Drifting(RuleBasedStateMachine):
    """Stale copies, untracked writes and deletions: the past stays what it was all the same."""

    def __init__(self) -> None:
        super().__init__()
        self.copies: list[Any] = []
        #: Each state as it was rebuilt right after its revision; None if there was no document.
        self.states: list[Fields | None] = []

    @initialize(
        kind=st.sampled_from(list(KINDS)),
        every=st.sampled_from(EVERY),
        is_tracked=st.booleans(),
    )
    def begin(self, kind: type[Document], every: int, is_tracked: bool) -> None:
        self.kind = kind
        # Without any version, and without a creation, what is stored is all that there is.
        every = every or int(not is_tracked)
        kind._meta["history"] = {"version_every": every}
        first = kind(
            name="first", tags=["a", "b"], notes={"a": 1, "b": {"c": 2}}, lines=[Line(sku="x")]
        )
        if is_tracked:
            self.states = [None]
            with DocumentTrack(first):
                first.save()
        else:
            self.states = []  # what is written before the first revision counts as its own past
            first.save()
        self.copies = [first, *(kind.objects.get(pk=first.pk) for _ in range(2))]
        self.learn()

    @property
    def timeline(self) -> Timeline[Any]:
        return history_of(self.kind, self.copies[0].pk)

    def learn(self) -> None:
        known, newest = len(self.states), len(self.timeline)
        if newest:
            self.states += [self.state(number) for number in range(known, newest + 1)]

    def state(self, number: int) -> Fields | None:
        try:
            return fields_of(self.timeline.state(number))
        except DocumentDidNotExistError:
            return None

    @rule(which=st.integers(0, 2), data=st.data())
    def edit_a_copy_and_save(self, which: int, data: st.DataObject) -> None:
        copy = self.copies[which]
        with DocumentTrack(copy, which):
            for edit in data.draw(st.lists(KINDS[self.kind], min_size=1, max_size=2)):
                edit(copy)
            self.save(which)
        self.learn()

    def save(self, which: int) -> bool:
        """Save if MongoEngine and the server take it, else forget it."""
        try:
            self.copies[which].save()
        except (ValidationError, OperationError) as error:
            note(f"refused: {error}")
            with suppress(DoesNotExist):
                self.copies[which].reload()
            return False
        return True

    @rule(which=st.integers(0, 2))
    def load_anew(self, which: int) -> None:
        found = self.kind.objects(pk=self.copies[0].pk).first()
        if found is not None:
            self.copies[which] = found

    @rule(which=st.integers(0, 2), data=st.data())
    def edit_a_fresh_copy_and_save(self, which: int, data: st.DataObject) -> None:
        """What was just loaded and written stands in the state as it is stored."""
        self.load_anew(which)
        if raw(self.copies[0]) is None:
            return
        known = len(self.timeline)
        self.edit_a_copy_and_save(which, data)
        if len(self.timeline) == known:
            return
        now, state = raw(self.copies[0]), self.timeline.state(known + 1)
        for path in paths_of(self.timeline[-1]):
            assert alike(find(now, path), find(state, path)), path

    @rule(data=st.data())
    def drift(self, data: st.DataObject) -> None:
        update = data.draw(st.sampled_from(list(drifts)).flatmap(drifts.get))
        self.kind._get_collection().update_one({"_id": self.copies[0].pk}, update)

    @rule()
    def delete_past_the_history(self) -> None:
        self.kind._get_collection().delete_one({"_id": self.copies[0].pk})

    @rule(which=st.integers(0, 2))
    def delete(self, which: int) -> None:
        with DocumentTrack(self.copies[which]):
            self.copies[which].delete()
        self.learn()

    @rule(which=st.integers(0, 2))
    @precondition(lambda self: len(self.states) > 1 and raw(self.copies[0]) is None)
    def restore(self, which: int) -> None:
        last = max(number for number, state in enumerate(self.states) if state is not None)
        try:
            self.copies[which] = restore(self.kind, self.copies[0].pk)
        except StateMismatchError as error:  # a stale copy made a dict of a list
            note(f"refused: {error}")
            return
        if not self.save(which):
            return
        if self.states[-1] is not None:
            assert fields_of(raw(self.copies[0])) == self.states[last]
        self.learn()
        assert self.states[-1] == fields_of(raw(self.copies[0]))

    @rule(which=st.integers(0, 2), data=st.data())
    @precondition(lambda self: len(self.states) > 1)
    def revert(self, which: int, data: st.DataObject) -> None:
        number = data.draw(st.integers(0, len(self.states) - 1), label="number")
        if self.states[number] is None:
            return
        try:
            revert(self.copies[which], revision=number)
        except StateMismatchError as error:
            note(f"refused: {error}")
            return
        if self.save(which):
            assert fields_of(raw(self.copies[0])) == self.states[number]
        self.learn()

    @rule(which=st.integers(0, 2), data=st.data())
    @precondition(lambda self: len(self.states) > 1)
    def undo(self, which: int, data: st.DataObject) -> None:
        """It either changes nothing, or what the revision set is as before it."""
        number = data.draw(st.integers(1, len(self.states) - 1), label="number")
        copy = self.copies[which]
        shown, was = memory(copy), exactly(copy)
        try:
            undo(copy, number)
        except (UndoConflictError, DocumentDidNotExistError, StateMismatchError) as error:
            note(f"refused: {error}")
            assert (memory(copy), exactly(copy)) == (shown, was)
            return
        if not self.save(which):
            return
        known = len(self.states)
        self.learn()
        if not was and len(self.states) > known:  # it is there anew, and known in full
            assert self.states[-1] == fields_of(raw(copy))

    def teardown(self) -> None:
        if len(self.states) < 2:
            return  # without a revision, what is stored is all that is known
        self.check_all()
        versions = {"position": {"$lt": 0}, "revision": {"$gt": 0}}
        History._get_collection().delete_many({**versions, "revision": {"$mod": [2, 1]}})
        self.check_all()
        History._get_collection().delete_many(versions)
        self.check_all()

    def check_all(self) -> None:
        timeline = self.timeline
        revisions = list(timeline)
        assert [it.number for it in revisions] == list(range(1, len(self.states)))
        assert [told(it) for it in reversed(timeline)] == [told(it) for it in revisions[::-1]]
        assert [self.state(number) for number in range(len(self.states))] == self.states
        moments = [it.at for it in revisions]
        assert moments == sorted(moments)
        for revision in revisions:
            self.check_moment(revision.number, revision.at)
        timeline.blame()

    def check_moment(self, number: int, moment: datetime) -> None:
        try:
            shown = self.timeline.as_of(moment)
        except StateMismatchError:  # a stale copy made a dict of a list
            return
        of_all = list(as_of(self.kind, moment))
        if self.states[number] is None:
            assert (shown, of_all) == (None, [])
        else:
            at = memory(self.timeline.at(number))
            assert [memory(it) for it in [shown, *of_all]] == [at, at]


def test_the_past_stays_what_it_was_whatever_is_written_past_the_history(
    live: Callable[[type[RuleBasedStateMachine]], None],
) -> None:
    live(Drifting)


@pytest.mark.parametrize("kind", KINDS)
def test_the_classes_of_the_machine_are_left_as_they_were(kind: type[me.Document]) -> None:
    assert "history" not in kind._meta
