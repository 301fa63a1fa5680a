"""Taking back creations and deletions, and what may happen before it is saved."""

from __future__ import annotations

import bson
import mongoengine as me
import pytest
from mongoengine import signals
from mongoengine.errors import NotUniqueError, ValidationError
from support.changes import agrees, deleted, edited, told, watched
from support.documents import raw
from support.papers import Letter

from mongoengine_history import (
    ABSENT,
    DocumentDidNotExistError,
    DocumentTrack,
    UndoConflictError,
    history_of,
    restore,
    track_changes,
    undo,
)

connected = watched(Letter)


class TestCreationsAndDeletions:
    def test_a_creation_cannot_be_undone(self) -> None:
        letter = Letter(title="a")
        edited(letter)
        edited(letter, title="b")
        with pytest.raises(DocumentDidNotExistError) as caught:
            undo(letter, 1)
        assert (caught.value.document_id, caught.value.number) == (letter.pk, 0)
        deleted(letter)
        restored = restore(Letter, letter.pk).save()
        with pytest.raises(DocumentDidNotExistError):
            undo(restored, 4)

    def test_a_deletion_can(self) -> None:
        letter = Letter(title="a", tags=[], facts={"x": 1}).save()
        before = bson.encode(raw(letter))
        deleted(letter)
        with DocumentTrack(letter, "ann"):
            undo(letter, 1)
            assert raw(letter) is None
            letter.save()
        assert bson.encode(raw(letter)) == before
        assert told(letter) == [("delete", None), ("undo", "ann")]
        assert agrees(letter)
        edited(letter, title="b")
        assert [history_of(letter).state(number)["title"] for number in (0, 2, 3)] == [*"aab"]

    def test_what_was_deleted_comes_back_not_what_the_history_had(self) -> None:
        letter = Letter(title="a")
        edited(letter)
        Letter.objects.update(set__title="drift", set__facts__x=1)
        before = bson.encode(raw(letter))
        deleted(letter)
        undo(letter, 2).save()
        assert bson.encode(raw(letter)) == before
        assert agrees(letter)

    def test_not_once_the_document_is_stored_again(self) -> None:
        letter = Letter(title="a")
        edited(letter)
        deleted(letter)
        restore(Letter, letter.pk).save()
        with pytest.raises(UndoConflictError) as caught:
            undo(letter, 2)
        [conflict] = caught.value.conflicts
        assert (conflict.path, conflict.expected) == ((), ABSENT)
        assert conflict.found["title"] == "a"

    def test_another_one_who_stores_it_first_is_not_replaced(self) -> None:
        letter = Letter(title="a")
        edited(letter)
        deleted(letter)
        undo(letter, 2)
        Letter(pk=letter.pk, title="first").save()
        with pytest.raises(NotUniqueError):
            letter.save()
        assert raw(letter)["title"] == "first"
        assert len(history_of(letter)) == 2

    def test_after_a_deletion_an_edit_cannot_be_undone(self) -> None:
        letter = Letter(title="a").save()
        edited(letter, title="b")
        deleted(letter)
        with pytest.raises(UndoConflictError) as caught:
            undo(letter, 1)
        assert (caught.value.path, caught.value.found) == ((), ABSENT)
        assert caught.value.expected["title"] == "b"
        assert "the document itself" in str(caught.value)

    def test_a_deletion_undone_after_one_that_nobody_recorded_is_all_that_is_there(self) -> None:
        """The history has values of the life between, which are gone."""
        letter = Letter(title="a")
        edited(letter)
        deleted(letter)
        letter = restore(Letter, letter.pk).save()
        edited(letter, facts={"x": 1}, pages=3)
        Letter.objects.delete()
        undo(letter, 2).save()
        assert "p" not in raw(letter)
        assert agrees(letter)
        assert {"_id": letter.pk, **history_of(letter).state(-1)} == raw(letter)

    def test_lists_are_known_anew_after_a_deletion_that_nobody_recorded(self) -> None:
        """A stale copy has the list of a life before, which the new one has not."""
        letter = Letter(title="a", tags=["x"]).save()
        edited(letter, tags=["x", "y"])
        stale, other = Letter.objects.get(), Letter.objects.get()
        Letter.objects.delete()
        edited(other, title="all that is stored")
        assert raw(letter) == {"_id": letter.pk, "title": "all that is stored"}
        edited(stale, tags=["x", "y", "z"])
        assert history_of(letter).state(2) == {"title": "all that is stored"}
        assert history_of(letter).state(3)["tags"] == raw(letter)["tags"] == ["x", "y", "z"]
        edited(Letter.objects.get(), tags=["z"])
        assert agrees(letter)


class TestBeforeItIsSaved:
    def test_unsaved_edits_are_lost(self) -> None:
        letter = Letter(title="a", pages=1).save()
        edited(letter, title="b")
        letter.title, letter.pages = "unsaved", 9
        undo(letter, 1).save()
        assert (raw(letter)["title"], raw(letter)["p"]) == ("a", 1)

    def test_it_starts_from_what_is_stored_not_from_memory(self) -> None:
        letter = Letter(title="a", pages=1).save()
        edited(letter, title="b")
        edited(Letter.objects.get(), pages=2)
        undo(letter, 1).save()
        assert (raw(letter)["title"], raw(letter)["p"], letter.pages) == ("a", 2, 2)

    def test_edits_after_it_are_saved_with_it(self) -> None:
        letter = Letter(title="a", tags=["x"], pages=1).save()
        edited(letter, title="b", tags=[])
        undo(letter, 1)
        letter.pages = 7
        letter.tags.append("y")
        letter.save()
        assert (raw(letter)["title"], raw(letter)["p"]) == ("a", 7)
        assert raw(letter)["tags"] == ["x", "y"]
        assert told(letter)[-1] == ("undo", None)
        assert agrees(letter)

    def test_a_write_by_another_one_meanwhile_stays_where_it_is_elsewhere(self) -> None:
        letter = Letter(title="a", pages=1).save()
        edited(letter, title="b")
        undo(letter, 1)
        edited(Letter.objects.get(), "other", pages=5)
        letter.save()
        assert (raw(letter)["title"], raw(letter)["p"]) == ("a", 5)
        assert told(letter) == [("update", None), ("update", "other"), ("undo", None)]
        assert agrees(letter)

    def test_what_it_overwrites_of_another_one_is_told(self) -> None:
        letter = Letter(facts={"x": 1, "y": 1}).save()
        edited(letter, facts={"x": 2, "y": 1})
        undo(letter, 1)
        edited(Letter.objects.get(), "other", facts={"x": 2, "y": 5})
        letter.save()
        assert raw(letter)["facts"] == {"x": 1, "y": 1}
        assert agrees(letter)
        assert history_of(letter).blame("facts.y").number == 3
        assert undo(letter, 3).facts == {"x": 2, "y": 5}

    def test_an_abandoned_one_watches_no_longer(self) -> None:
        letter = Letter(title="a").save()
        edited(letter, title="b")
        undo(letter, 1).reload()
        letter.title = "c"
        letter.save()
        assert len(history_of(letter)) == 1

    def test_a_save_that_fails_can_be_repeated(self) -> None:
        class Strict(me.Document):
            meta = {"collection": "strict_letters", "auto_create_index": False}
            title = me.StringField(required=True)
            text = me.StringField(max_length=3)

        signals.post_save.connect(track_changes, sender=Strict)
        strict = Strict(title="a", text="x").save()
        edited(strict, text="y")
        undo(strict, 1)
        strict.title = None
        with pytest.raises(ValidationError):
            strict.save()
        assert len(history_of(strict)) == 1
        strict.title = "b"
        with DocumentTrack(strict, "ann"):
            strict.save()
        assert (raw(strict)["title"], raw(strict)["text"]) == ("b", "x")
        assert told(strict)[-1] == ("undo", "ann")
