"""When taking one revision back is refused."""

from __future__ import annotations

import uuid
from typing import Any

import bson
import mongoengine as me
import pytest
from mongoengine import signals
from support.changes import edited, told, watched
from support.documents import Address, raw, stored
from support.papers import Letter

from mongoengine_history import (
    ABSENT,
    Conflict,
    DocumentTrack,
    HistoryError,
    OptionsError,
    RevisionNotFoundError,
    StateMismatchError,
    UndoConflictError,
    track_changes,
    undo,
)

connected = watched(Letter)


def in_memory(document: Any) -> tuple[Any, ...]:
    codec = document._get_collection().codec_options
    return (
        bson.encode(document.to_mongo(), codec_options=codec),
        document._get_changed_fields(),
        document._created,
    )


class TestConflicts:
    @pytest.fixture
    def letter(self) -> Letter:
        """Revision 1 sets four values, revision 2 three of them again, and one more."""
        letter = Letter(title="a", pages=1, facts={"x": 1, "y": {"z": 1}}).save()
        edited(letter, title="b", pages=2, facts={"x": 2, "y": {"z": 2}})
        edited(letter, title="c", tags=["t"], facts={"x": 2, "y": {"z": True}}, pages=None)
        return letter

    def test_all_of_them_are_told_the_shortest_path_first(self, letter: Letter) -> None:
        with pytest.raises(UndoConflictError) as caught:
            undo(letter, 1)
        error = caught.value
        assert error.conflicts == [
            Conflict(("p",), 2, ABSENT),
            Conflict(("title",), "b", "c"),
            Conflict(("facts", "y", "z"), 2, True),
        ]
        assert (error.path, error.expected, error.found) == (("p",), 2, ABSENT)
        assert (error.document_id, error.number) == (letter.pk, 1)
        assert isinstance(error, HistoryError)
        assert "'p'" in str(error)
        assert "2 more" in str(error)

    def test_nothing_is_changed_by_one(self, letter: Letter) -> None:
        letter.title, letter.tags = "unsaved", [*letter.tags, "unsaved"]
        kept, before = in_memory(letter), stored(letter)
        with pytest.raises(UndoConflictError):
            undo(letter, 1)
        assert (in_memory(letter), stored(letter)) == (kept, before)
        edited(letter, "ann")
        assert raw(letter)["tags"] == ["t", "unsaved"]
        assert told(letter)[-1] == ("update", "ann")

    def test_drift_at_the_path_is_one(self) -> None:
        letter = Letter(title="a").save()
        edited(letter, title="b")
        Letter.objects.update(set__title="drift")
        with pytest.raises(UndoConflictError) as caught:
            undo(letter, 1)
        assert (caught.value.expected, caught.value.found) == ("b", "drift")

    def test_drift_elsewhere_is_none_and_stays(self) -> None:
        letter = Letter(title="a", facts={"x": 1}).save()
        edited(letter, title="b", facts={"x": 2})
        Letter.objects.update(set__pages=7, set__facts__drift=1)
        undo(letter, 1).save()
        assert (raw(letter)["p"], raw(letter)["facts"]) == (7, {"x": 1, "drift": 1})
        assert raw(letter)["title"] == "a"

    def test_the_type_of_a_value_counts(self) -> None:
        letter = Letter(facts={"n": 0}).save()
        edited(letter, facts={"n": 1})
        Letter._get_collection().update_one({}, {"$set": {"facts.n": 1.0}})
        with pytest.raises(UndoConflictError):
            undo(letter, 1)

    def test_a_value_removed_later_is_one(self) -> None:
        letter = Letter(facts={"x": {"y": 1}, "k": 1}).save()
        with DocumentTrack(letter):
            letter.facts["x"]["y"] = 2
            letter.save()
            del letter.facts["x"]
            letter.save()
        with pytest.raises(UndoConflictError) as caught:
            undo(letter, 1)
        assert caught.value.found is ABSENT

    @pytest.mark.parametrize("later", [5, None, [1], "text", {}])
    def test_another_value_in_the_place_of_a_dict_is_one(self, later: Any) -> None:
        """The key that the revision removed is not there, but neither is what it was in."""
        letter = Letter(facts={"x": {"y": 1, "z": 2}, "k": 1}).save()
        with DocumentTrack(letter):
            del letter.facts["x"]["y"]
            letter.save()
        Letter._get_collection().update_one({}, {"$set": {"facts.x": later}})
        if later == {}:
            assert undo(letter, 1).facts["x"] == {"y": 1}  # a dict still, and nobody set the key
            return
        with pytest.raises(UndoConflictError):
            undo(letter, 1)
        assert raw(letter)["facts"] == {"x": later, "k": 1}

    def test_a_dict_removed_later_is_one_and_is_not_brought_back(self) -> None:
        letter = Letter(facts={"x": {"y": 1, "z": 2}, "k": 1}).save()
        with DocumentTrack(letter):
            del letter.facts["x"]["y"]
            letter.save()
            del letter.facts["x"]
            letter.save()
        with pytest.raises(UndoConflictError):
            undo(letter, 1)

    def test_their_values_are_as_the_application_reads_them(self) -> None:
        letter = Letter(facts={"id": uuid.UUID(int=1)}).save()
        edited(letter, facts={"id": uuid.UUID(int=2)})
        edited(letter, facts={"id": uuid.UUID(int=3)})
        with pytest.raises(UndoConflictError) as caught:
            undo(letter, 1)
        assert (caught.value.expected, caught.value.found) == (uuid.UUID(int=2), uuid.UUID(int=3))


class TestWhatIsRefused:
    @pytest.mark.parametrize("number", ["1", 1.0, None, True, [1]])
    def test_a_number_of_another_kind(self, number: Any) -> None:
        letter = Letter(title="a").save()
        edited(letter, title="b")
        with pytest.raises(OptionsError):
            undo(letter, number)

    @pytest.mark.parametrize("number", [0, 2, 99, -2, -99])
    def test_a_revision_that_is_not_there(self, number: int) -> None:
        letter = Letter(title="a").save()
        edited(letter, title="b")
        with pytest.raises(RevisionNotFoundError) as caught:
            undo(letter, number)
        assert caught.value.newest == 1

    def test_a_document_without_history(self) -> None:
        with pytest.raises(RevisionNotFoundError):
            undo(Letter(title="a").save(), 1)

    @pytest.mark.parametrize("document", [Letter(title="unsaved"), Letter, Address(), None])
    def test_what_is_no_stored_document(self, document: Any) -> None:
        with pytest.raises(OptionsError):
            undo(document, 1)

    def test_a_state_that_todays_class_cannot_hold(self) -> None:
        class Old(me.Document):
            meta = {"collection": "changed_letters", "auto_create_index": False}
            kept = me.IntField()
            gone = me.IntField()

        signals.post_save.connect(track_changes, sender=Old)
        old = Old(kept=1, gone=1).save()
        edited(old, gone=None)
        edited(old, kept=2)

        class New(me.Document):
            meta = {"collection": "changed_letters", "auto_create_index": False}
            kept = me.IntField()

        new = New.objects.get()
        new.kept = 7
        with pytest.raises(StateMismatchError) as caught:
            undo(new, 1)
        assert caught.value.keys == ["gone"]
        assert (new.kept, new._get_changed_fields()) == (7, ["kept"])
        assert undo(new, 2).kept == 1
