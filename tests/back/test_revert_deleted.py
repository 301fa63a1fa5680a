"""Reverting a document that was deleted."""

from __future__ import annotations

from typing import Any

import bson
import mongoengine as me
import pytest
from mongoengine import signals
from mongoengine.errors import NotUniqueError
from support.changes import agrees, deleted, edited, told, watched
from support.documents import exactly, raw
from support.papers import Plate

from mongoengine_history import (
    DocumentDidNotExistError,
    DocumentTrack,
    history_of,
    restore,
    revert,
    track_changes,
    undo,
)

connected = watched(Plate)


class TestRevertOfWhatIsGone:
    """The object is still there, the document is not."""

    def test_after_a_recorded_deletion_any_state_can_be_stored_again(self) -> None:
        plate = Plate(title="a", tags=[], facts={"x": 1})
        edited(plate)
        states = [b"", exactly(plate)]
        edited(plate, title="b", facts={})
        states.append(exactly(plate))
        deleted(plate)
        for number in (1, 2):
            revert(plate, revision=number)
            assert raw(plate) is None
            with DocumentTrack(plate, "ann"):
                plate.save()
            assert bson.decode(exactly(plate)) == bson.decode(states[number])
            assert told(plate)[-1] == ("revert", "ann")
            assert agrees(plate)
            deleted(plate)

    def test_without_an_argument_it_is_the_first_state(self) -> None:
        plate = Plate(title="a", tags=["x"]).save()
        before = exactly(plate)
        edited(plate, title="b", size=None)
        deleted(plate)
        revert(plate).save()
        assert exactly(plate) == before

    def test_to_a_point_where_it_was_gone_is_an_error(self) -> None:
        plate = Plate(title="a")
        edited(plate)
        deleted(plate)
        for number in (0, 2):
            with pytest.raises(DocumentDidNotExistError):
                revert(plate, revision=number)
        assert raw(plate) is None

    def test_after_a_deletion_that_nobody_recorded_it_is_a_restore(self) -> None:
        """So that the history forgets what the document had before."""
        plate = Plate(title="a")
        edited(plate)
        edited(plate, title="b", facts={"x": 1})
        Plate.objects.delete()
        revert(plate, revision=1).save()
        assert told(plate)[-1] == ("restore", None)
        assert "x" not in raw(plate)["facts"]
        assert agrees(plate)

    def test_somebody_elses_new_one_is_not_replaced(self) -> None:
        plate = Plate(title="a")
        edited(plate)
        deleted(plate)
        revert(plate, revision=1)
        Plate(pk=plate.pk, title="other").save()
        with pytest.raises(NotUniqueError):
            plate.save()
        assert raw(plate)["title"] == "other"

    def test_a_restored_document_can_be_undone_and_reverted_through_its_deletion(self) -> None:
        plate = Plate(title="a")
        edited(plate)
        edited(plate, title="b")
        deleted(plate)
        restored = restore(Plate, plate.pk).save()
        assert undo(restored, 2).save().title == "a"
        assert revert(restored, revision=2).save().title == "b"
        assert agrees(plate)


class Unversioned(me.Document):
    meta = {"collection": "unversioned", "history": {"version_every": 0}}
    text = me.StringField()


@pytest.mark.parametrize("back", [revert, lambda it: undo(it, 1)])
def test_without_versions_what_came_back_is_told_from_its_deletion(
    database: Any, back: Any
) -> None:
    """Nothing before is known: tracking began with the deletion. Nor is the document there."""
    for signal in (signals.post_save, signals.post_delete):
        signal.connect(track_changes, sender=Unversioned)
    document = Unversioned(text="a").save()  # by no block, so not recorded
    deleted(document)
    with DocumentTrack(document):
        back(document).save()
    Unversioned._get_collection().delete_one({"_id": document.pk})
    timeline = history_of(document)
    assert [timeline.state(number) for number in (0, 2)] == [{"text": "a"}] * 2
    with pytest.raises(DocumentDidNotExistError):
        timeline.state(1)
