"""Taking one revision back: what comes back, what stays, and when it is refused."""

from __future__ import annotations

import uuid
from typing import Any

import bson
import mongoengine as me
import pytest
from bson import ObjectId
from mongoengine import signals
from mongoengine.errors import NotUniqueError, ValidationError
from pymongo import MongoClient
from support.documents import Address, Line, raw, stored

from mongoengine_history import (
    ABSENT,
    Conflict,
    DocumentDidNotExistError,
    DocumentTrack,
    HistoryError,
    OptionsError,
    RevisionNotFoundError,
    StateMismatchError,
    UndoConflictError,
    history_of,
    restore,
    revert,
    track_changes,
    undo,
)


class Letter(me.Document):
    meta = {"collection": "letters", "auto_create_index": False}
    title = me.StringField()
    pages = me.IntField(db_field="p")
    tags = me.ListField(me.StringField())
    lines = me.EmbeddedDocumentListField(Line)
    address = me.EmbeddedDocumentField(Address)
    facts = me.DictField()


@pytest.fixture(autouse=True)
def connected(database: Any) -> None:
    signals.post_save.connect(track_changes, sender=Letter)
    signals.post_delete.connect(track_changes, sender=Letter)


def edited(document: Any, who: object = None, **values: Any) -> None:
    """Save some values as one revision."""
    with DocumentTrack(document, who):
        for name, value in values.items():
            setattr(document, name, value)
        document.save()


def deleted(document: Any) -> None:
    with DocumentTrack(document):
        document.delete()


def told(document: Any) -> list[tuple[str, Any]]:
    """Operation and identity of all revisions, oldest first."""
    return [(it.operation, it.identity) for it in history_of(document)]


def agrees(document: Any) -> bool:
    """Whether the history says what is stored."""
    return history_of(document).compare(-1) == []


def in_memory(document: Any) -> tuple[Any, ...]:
    codec = document._get_collection().codec_options
    return (
        bson.encode(document.to_mongo(), codec_options=codec),
        document._get_changed_fields(),
        document._created,
    )


def test_the_revision_is_taken_back_and_later_ones_are_kept() -> None:
    letter = Letter(title="a", pages=1, tags=["x"])
    edited(letter)
    edited(letter, title="b", tags=["x", "y"])
    edited(letter, pages=2)
    assert undo(letter, 2) is letter
    assert (letter.title, letter.tags, letter.pages) == ("a", ["x"], 2)
    letter.save()
    assert (raw(letter)["title"], raw(letter)["tags"], raw(letter)["p"]) == ("a", ["x"], 2)
    assert agrees(letter)


def test_memory_changes_and_the_store_does_not_until_it_is_saved() -> None:
    letter = Letter(title="a").save()
    edited(letter, title="b")
    undo(letter, 1)
    assert (letter.title, raw(letter)["title"], len(history_of(letter))) == ("a", "b", 1)


def test_it_is_recorded_as_undo_by_whoever_the_block_says() -> None:
    letter = Letter(title="a").save()
    edited(letter, "ann", title="b")
    with DocumentTrack(letter, "ben", reason="wrong"):
        undo(letter, 1).save()
    undo(letter, 2)
    with DocumentTrack(letter, "cleo"):
        letter.save()
    undo(letter, 3).save()
    assert told(letter) == [("update", "ann"), ("undo", "ben"), ("undo", "cleo"), ("undo", None)]
    assert history_of(letter)[2].reason == "wrong"


def test_without_a_connected_handler_it_is_stored_but_not_recorded() -> None:
    letter = Letter(title="a").save()
    edited(letter, title="b")
    signals.post_save.disconnect(track_changes, sender=Letter)
    undo(letter, 1).save()
    assert raw(letter)["title"] == "a"
    assert len(history_of(letter)) == 1


def test_undoing_an_undo_does_it_again() -> None:
    letter = Letter(title="a", tags=["a", "b", "c"], facts={"x": {"y": 1, "z": 2}}).save()
    before = stored(letter)
    edited(letter, title=None, tags=["c", "a"], facts={"x": {"y": 2}, "n": 1})
    after = stored(letter)
    for number in range(1, 6):
        undo(letter, number).save()
        assert stored(letter) == (before if number % 2 else after)
    assert [operation for operation, _ in told(letter)] == ["update", *["undo"] * 5]


def test_undoing_the_newest_is_reverting_by_one() -> None:
    letter = Letter(title="a", address=Address(street="s", zip="1"), lines=[Line(sku="1")]).save()
    before = stored(letter)
    with DocumentTrack(letter):
        letter.address.city = "c"
        letter.lines.insert(0, Line(sku="0"))
        letter.title = None
        letter.save()
    undo(letter, 1).save()
    assert stored(letter) == before
    assert list(raw(letter)["address"]) == ["s", "zip"]


def test_negative_numbers_count_from_the_newest() -> None:
    letter = Letter(title="a", pages=1).save()
    edited(letter, title="b")
    edited(letter, pages=2)
    assert undo(letter, -1).pages == 1
    assert undo(letter, -2).title == "a"


def test_dict_keys_are_values_of_their_own() -> None:
    letter = Letter(facts={"a": 1, "b": {"c": 1, "d": 1}}).save()
    with DocumentTrack(letter):
        letter.facts["a"] = 2
        letter.facts["b"]["c"] = 2
        letter.facts["new"] = 2
        letter.save()
    with DocumentTrack(letter):
        letter.facts["b"]["d"] = 3
        letter.facts["other"] = 3
        letter.save()
    undo(letter, 1).save()
    assert raw(letter)["facts"] == {"a": 1, "b": {"c": 1, "d": 3}, "other": 3}
    assert agrees(letter)


def test_fields_of_an_embedded_document_are_values_of_their_own() -> None:
    letter = Letter(address=Address(street="s", city="c")).save()
    with DocumentTrack(letter):
        letter.address.street = "t"
        letter.save()
        letter.address.city = "d"
        letter.save()
    undo(letter, 1).save()
    assert raw(letter)["address"] == {"s": "s", "city": "d"}


def test_a_list_is_one_value() -> None:
    """Undoing the first of two appends would have to guess where its item is now."""
    letter = Letter(tags=["a"], lines=[Line(sku="1", qty=1), Line(sku="2")]).save()
    edited(letter, tags=["a", "b"])
    edited(letter, tags=["a", "b", "c"])
    with pytest.raises(UndoConflictError) as caught:
        undo(letter, 1)
    assert caught.value.conflicts == [Conflict(("tags",), ["a", "b"], ["a", "b", "c"])]
    with DocumentTrack(letter):
        letter.lines[0].qty = 2
        letter.save()
        letter.lines[1].qty = 3
        letter.save()
    with pytest.raises(UndoConflictError) as caught:
        undo(letter, 3)
    assert caught.value.path == ("lines",)
    assert undo(letter, 4).lines[1].qty is None
    assert letter.lines[0].qty == 2


def test_a_list_below_dicts_is_one_value_too() -> None:
    letter = Letter(facts={"x": {"l": [1, [2, 3]], "k": 1}}).save()
    with DocumentTrack(letter):
        letter.facts["x"]["l"][1].append(4)
        letter.save()
        letter.facts["x"]["k"] = 2
        letter.save()
    undo(letter, 1).save()
    assert raw(letter)["facts"] == {"x": {"l": [1, [2, 3]], "k": 2}}
    with DocumentTrack(letter):
        letter.facts["x"]["l"].append(5)
        letter.save()
    with pytest.raises(UndoConflictError) as caught:
        undo(letter, 3)
    assert caught.value.path == ("facts", "x", "l")


def test_a_value_that_is_as_the_revision_left_it_again_is_no_conflict() -> None:
    letter = Letter(title="a").save()
    edited(letter, title="b")
    edited(letter, title="c")
    edited(letter, title="b")
    undo(letter, 1).save()
    assert raw(letter)["title"] == "a"


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


@pytest.mark.parametrize("version_every", [0, 1, 2, 100])
def test_it_does_not_depend_on_versions(monkeypatch: Any, version_every: int) -> None:
    monkeypatch.setitem(Letter._meta, "history", {"version_every": version_every})
    letter = Letter(title="0", pages=0).save()
    for number in range(1, 5):
        edited(letter, title=str(number))
        edited(letter, pages=number)
    undo(letter, 8).save()
    undo(letter, 7).save()
    assert (raw(letter)["title"], raw(letter)["p"]) == ("3", 3)
    revert(letter, revision=2).save()
    undo(letter, -1).save()
    assert (raw(letter)["title"], raw(letter)["p"]) == ("3", 3)
    assert agrees(letter)


def test_dynamic_fields_come_back_and_go() -> None:
    class Free(me.DynamicDocument):
        meta = {"collection": "free_letters", "auto_create_index": False}

    signals.post_save.connect(track_changes, sender=Free)
    free = Free(a=1, b={"x": 1}).save()
    edited(free, c=3, b=None)
    edited(free, d=4)
    undo(free, 1)
    assert not hasattr(free, "c")
    free.save()
    assert raw(free) == {"_id": free.pk, "a": 1, "b": {"x": 1}, "d": 4}


def test_a_switched_document_is_undone_where_it_lies() -> None:
    letter = Letter(pk=ObjectId(), title="a").switch_db("other").save()
    edited(letter, title="b")
    Letter(pk=letter.pk, title="here").save()
    undo(letter, 1).save()
    assert raw(letter)["title"] == "a"
    assert Letter.objects.get().title == "here"


def test_in_a_transaction_that_is_aborted_nothing_is_left_of_it(client: MongoClient) -> None:
    if not hasattr(MongoClient, "_get_bound_session"):
        pytest.skip("PyMongo binds sessions from 4.17 on")
    letter, gone = Letter(title="a").save(), Letter(title="x")
    edited(letter, title="b")
    edited(gone)
    deleted(gone)
    before = stored(letter)
    with client.start_session() as session, session.bind(end_session=False):
        session.start_transaction()
        undo(letter, 1).save()
        undo(gone, 2).save()
        again = Letter.objects.get(pk=gone.pk)
        edited(again, title="y")
        undo(again, -1).save()
        assert raw(letter)["title"] == "a"
        assert [operation for operation, _ in told(gone)][2:] == ["undo", "update", "undo"]
        session.abort_transaction()
    assert (stored(letter), raw(gone)) == (before, None)
    assert [len(history_of(it)) for it in (letter, gone)] == [1, 2]
    undo(Letter.objects.get(), 1).save()
    restore(Letter, gone.pk).save()
    assert (raw(letter)["title"], raw(gone)["title"]) == ("a", "x")
    assert agrees(letter)
    assert agrees(gone)
