"""Bringing back what was deleted: once, on the record, or not at all."""

from __future__ import annotations

import threading
from typing import Any

import mongoengine as me
import pytest
from bson import ObjectId
from mongoengine import signals
from mongoengine.errors import NotUniqueError, ValidationError
from support.changes import agrees, deleted, edited, told, watch, watched
from support.documents import Address, Line, exactly, raw
from support.papers import Plate

from mongoengine_history import (
    DocumentExistsError,
    DocumentTrack,
    OptionsError,
    RevisionNotFoundError,
    StateMismatchError,
    history_of,
    restore,
    revert,
    track_changes,
)

connected = watched(Plate)


class TestWhatIsRecorded:
    def test_a_restore_by_whoever_the_block_says(self) -> None:
        plate = Plate(title="a")
        edited(plate, "ann")
        deleted(plate, "ben")
        restored = restore(Plate, plate.pk)
        with DocumentTrack(restored, "cleo", reason="a mistake", request="r1"):
            restored.save()
        assert told(plate) == [("create", "ann"), ("delete", "ben"), ("restore", "cleo")]
        newest = history_of(plate)[-1]
        assert (newest.reason, newest.metadata) == ("a mistake", {"request": "r1"})
        assert [(action, path) for action, path, _ in newest.patches] == [("add", [])]

    def test_one_by_nobody_without_a_block(self) -> None:
        plate = Plate(title="a")
        edited(plate, "ann")
        deleted(plate)
        restore(Plate, plate.pk).save()
        assert told(plate)[-1] == ("restore", None)

    def test_one_by_whoever_the_save_says(self) -> None:
        plate = Plate(title="a")
        edited(plate)
        deleted(plate)
        restore(Plate, plate.pk).save(signal_kwargs={"identity": "ann", "reason": "why"})
        assert (told(plate)[-1], history_of(plate)[-1].reason) == (("restore", "ann"), "why")

    def test_nothing_without_a_connected_handler(self) -> None:
        plate = Plate(title="a")
        edited(plate)
        before = exactly(plate)
        deleted(plate)
        signals.post_save.disconnect(track_changes, sender=Plate)
        restored = restore(Plate, plate.pk)
        restored.save()
        assert exactly(plate) == before
        assert len(history_of(plate)) == 2
        assert not [name for name in vars(restored) if name.startswith("_save")]

    def test_the_document_goes_on_as_usual(self) -> None:
        plate = Plate(title="a", tags=["x"], lines=[Line(sku="1")])
        edited(plate)
        deleted(plate)
        restored = restore(Plate, plate.pk)
        restored.save()
        restored.title = "untracked"
        restored.save()
        assert len(history_of(plate)) == 3
        edited(restored, "ann", tags=["y", "x"])
        restored.lines[0].sku = "2"
        edited(restored, "ann")
        assert told(plate)[3:] == [("update", "ann"), ("update", "ann")]
        assert history_of(plate).state(-1)["lines"] == raw(plate)["lines"] == [{"sku": "2"}]
        assert revert(restored, revision=3).save().tags == ["x"]

    def test_a_second_save_in_the_block_is_a_revision_of_its_own(self) -> None:
        plate = Plate(title="a")
        edited(plate)
        deleted(plate)
        restored = restore(Plate, plate.pk)
        with DocumentTrack(restored, "ann"):
            restored.save()
            restored.title = "b"
            restored.save()
        assert told(plate)[2:] == [("restore", "ann"), ("update", "ann")]

    def test_it_can_be_deleted_and_restored_again(self) -> None:
        plate = Plate(title="a", tags=["x"])
        edited(plate)
        before = exactly(plate)
        for _ in range(3):
            deleted(Plate.objects.get())
            restore(Plate, plate.pk).save()
        assert exactly(plate) == before
        assert [operation for operation, _ in told(plate)] == [
            *("create", *("delete", "restore") * 3)
        ]


class TestBeforeItIsSaved:
    def test_edits_are_saved_with_it(self) -> None:
        plate = Plate(title="a", tags=["x"], facts={"k": 1}, address=Address(street="s"))
        edited(plate)
        deleted(plate)
        restored = restore(Plate, plate.pk)
        restored.title = "b"
        restored.tags.append("y")
        restored.facts["l"] = 2
        restored.address = None
        restored.save()
        stored = raw(plate)
        assert (stored["title"], stored["tags"]) == ("b", ["x", "y"])
        assert (stored["facts"], stored["s"]) == ({"k": 1, "l": 2}, 7)
        assert "address" not in stored
        assert list(stored)[:3] == ["_id", "title", "s"]
        assert [operation for operation, _ in told(plate)] == ["create", "delete", "restore"]
        assert agrees(plate)

    def test_a_save_that_is_not_valid_can_be_repeated(self) -> None:
        class Strict(me.Document):
            meta = {"collection": "strict_plates", "auto_create_index": False}
            title = me.StringField()
            text = me.StringField()

        watch(Strict)
        strict = Strict(text="x")
        edited(strict)
        deleted(strict)
        Strict._fields["title"].required = True
        try:
            restored = restore(Strict, strict.pk)
            with pytest.raises(ValidationError):
                restored.save()
            assert (raw(strict), len(history_of(strict))) == (None, 2)
            restored.title = "now needed"
            restored.save()
        finally:
            Strict._fields["title"].required = False
        assert raw(strict) == {"_id": strict.pk, "text": "x", "title": "now needed"}
        assert told(strict)[-1] == ("restore", None)
        assert agrees(strict)

    def test_one_stored_by_somebody_else_meanwhile_is_not_replaced(self) -> None:
        plate = Plate(title="a")
        edited(plate)
        deleted(plate)
        restored = restore(Plate, plate.pk)
        Plate(pk=plate.pk, title="other").save()
        with pytest.raises(NotUniqueError):
            restored.save()
        with pytest.raises(NotUniqueError), DocumentTrack(restored, "ann"):
            restored.save()
        assert (raw(plate)["title"], len(history_of(plate))) == ("other", 2)

    def test_a_second_restore_of_the_same_document_loses(self) -> None:
        plate = Plate(title="a")
        edited(plate)
        deleted(plate)
        first, second = restore(Plate, plate.pk), restore(Plate, plate.pk)
        first.save()
        second.title = "b"
        with pytest.raises(NotUniqueError):
            second.save()
        assert raw(plate)["title"] == "a"
        assert [operation for operation, _ in told(plate)] == ["create", "delete", "restore"]

    def test_of_many_at_once_one_wins(self) -> None:
        plate = Plate(title="a")
        edited(plate)
        deleted(plate)
        restored = [restore(Plate, plate.pk) for _ in range(8)]
        start = threading.Barrier(8)
        outcomes: list[str] = []

        def save(who: int) -> None:
            start.wait()
            try:
                with DocumentTrack(restored[who], who):
                    restored[who].save()
                outcomes.append("stored")
            except NotUniqueError:
                outcomes.append("refused")

        threads = [threading.Thread(target=save, args=(who,)) for who in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["refused"] * 7 + ["stored"]
        assert [operation for operation, _ in told(plate)] == ["create", "delete", "restore"]
        assert agrees(plate)

    def test_a_unique_value_that_is_taken_is_an_error(self, database: Any) -> None:
        class Unique(me.Document):
            meta = {"collection": "unique_plates"}
            name = me.StringField(unique=True)

        watch(Unique)
        unique = Unique(name="a")
        edited(unique)
        deleted(unique)
        Unique(name="a").save()
        with pytest.raises(NotUniqueError):
            restore(Unique, unique.pk).save()
        assert len(history_of(unique)) == 2
        database.drop_collection("unique_plates")


class TestWhatIsRefused:
    def test_a_document_that_is_stored(self) -> None:
        plate = Plate(title="a")
        edited(plate)
        for _ in range(2):
            with pytest.raises(DocumentExistsError) as caught:
                restore(Plate, plate.pk)
            assert caught.value.document_id == plate.pk
            deleted(plate)
            restore(Plate, plate.pk).save()

    def test_one_that_has_no_history(self) -> None:
        plate = Plate(title="a").save()
        plate.delete()
        for key in (plate.pk, ObjectId()):
            with pytest.raises(RevisionNotFoundError) as caught:
                restore(Plate, key)
            assert (caught.value.document_id, caught.value.newest) == (key, 0)

    @pytest.mark.parametrize(
        "arguments",
        [
            (Plate, None),
            (Plate, "no object id"),
            (Address, 1),
            (dict, 1),
            (Plate(pk=ObjectId()), ObjectId()),
        ],
    )
    def test_what_names_no_document(self, database: Any, arguments: tuple[Any, ...]) -> None:
        with pytest.raises(OptionsError):
            restore(*arguments)

    def test_a_state_that_todays_class_cannot_hold(self) -> None:
        class Old(me.Document):
            meta = {"collection": "changed_plates", "auto_create_index": False}
            kept = me.IntField()
            gone = me.IntField()

        watch(Old)
        old = Old(kept=1, gone=1)
        edited(old)
        deleted(old)

        class New(me.Document):
            meta = {"collection": "changed_plates", "auto_create_index": False}
            kept = me.IntField()

        with pytest.raises(StateMismatchError) as caught:
            restore(New, old.pk)
        assert (caught.value.document_id, caught.value.keys) == (old.pk, ["gone"])
