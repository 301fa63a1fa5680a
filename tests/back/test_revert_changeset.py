"""A changeset is taken back as one: all that it did, but nothing that others did."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from bson import DBRef, ObjectId
from support.library import (
    Atlas,
    Quiet,
    Reader,
    Seat,
    SeatPlace,
    Volume,
    by_another,
    contents,
    stocked,
    told,
    tracking,
)

from mongoengine_history import (
    ABSENT,
    ChangesetConflictError,
    DocumentTrack,
    History,
    OptionsError,
    changeset,
    history_of,
    revert_changeset,
)


@pytest.fixture(autouse=True)
def tracked(database: Any) -> Iterator[None]:
    with tracking():
        yield


def all_kinds(book: Volume, atlas: Atlas, reader: Reader) -> None:
    """Writes of each kind, to several documents and classes."""
    book.tags.insert(0, "z")
    book.facts["b"] = None
    book.save()
    Volume.objects(title="a").update(inc__code=10, unset__facts=1)
    book.reload()
    book.title = "b"
    book.save()
    Atlas.objects.update(set__maps=6)
    reader.delete()
    Reader.objects.insert([Reader(key=uuid.UUID(int=n), name=f"r{n}") for n in (2, 3)])
    Seat(place=SeatPlace(row=1, seat=2), taken="ann").save()
    Seat.objects.update(taken="ben")
    Atlas(title="new", maps=1).save()
    gone = Volume(title="there and gone").save()
    gone.delete()
    Volume.objects(title="v").upsert_one(set__tags=["made"])


def test_all_that_was_written_is_taken_back_and_forth() -> None:
    documents = stocked()
    before = contents()
    with changeset("ann") as first:
        all_kinds(*documents)
    after = contents()
    second = revert_changeset(first, reason="a mistake")
    assert contents() == before
    assert second.id != first.id
    third = revert_changeset(second.id)
    assert contents() == after
    revert_changeset(third)
    assert contents() == before
    assert history_of(documents[0])[-1].changeset != third.id


def test_it_is_recorded_as_undo_by_the_block_around_it() -> None:
    book = Volume(title="a").save()
    with changeset("ann") as done:
        book.title = "b"
        book.save()
        other = Volume(title="new").save()
    with changeset("ben") as outer:
        own = revert_changeset(done.id, reason="a mistake")
    assert own.id == outer.id
    assert told(Volume, book.pk) == [("create", None), ("update", "ann"), ("undo", "ben")]
    assert told(Volume, other.pk) == [("create", "ann"), ("delete", "ben")]
    assert {it.reason for it in (history_of(book)[-1], history_of(other)[-1])} == {"a mistake"}
    assert {it.changeset for it in (history_of(book)[-1], history_of(other)[-1])} == {outer.id}


def test_a_deletion_that_was_undone_may_be_undone_again() -> None:
    book = Volume(title="a", tags=["x"]).save()
    with changeset() as first:
        book.delete()
    second = revert_changeset(first)
    assert Volume.objects.get(pk=book.pk).tags == ["x"]
    third = revert_changeset(second)
    assert Volume.objects.count() == 0
    revert_changeset(third)
    assert Volume.objects.get(pk=book.pk).tags == ["x"]
    assert [it for it, _ in told(Volume, book.pk)] == ["create", "delete", "undo", "delete", "undo"]


def test_nested_blocks_are_one_changeset() -> None:
    with changeset("ann") as outer:
        Volume(title="a").save()
        with changeset("ben") as inner, DocumentTrack(book := Volume(title="b")):
            book.save()
    assert inner.id == outer.id
    revert_changeset(inner)
    assert Volume.objects.count() == 0


def test_what_others_wrote_elsewhere_in_the_documents_stays() -> None:
    book, *_ = stocked()
    with changeset() as done:
        Volume.objects(pk=book.pk).update(title="b", facts__a=3)
        Volume.objects(pk=book.pk).update(push__tags="mine")
    Volume.objects(pk=book.pk).update(code=7, facts__new=1)
    revert_changeset(done)
    book.reload()
    assert (book.title, book.tags, book.code) == ("a", ["x", "y"], 7)
    assert book.facts == {"b": {"c": 1}, "a": 2, "new": 1}


def test_what_others_wrote_between_two_revisions_is_in_the_way() -> None:
    book = Volume(title="a").save()
    with changeset() as done:
        Volume.objects.update(title="b")
        by_another(lambda: Volume.objects.update(title="c"))
        Volume.objects.update(title="d")
    with pytest.raises(ChangesetConflictError) as caught:
        revert_changeset(done)
    assert [(it.number, it.expected, it.found) for it in caught.value.errors] == [(2, "b", "c")]
    assert history_of(book)[3].changeset is None


def test_all_conflicts_are_told_and_nothing_is_written(commands: Any) -> None:
    book, atlas, reader = stocked()
    with changeset() as done:
        made = Volume(title="made").save()
        Volume.objects(pk=book.pk).update(title="b", push__tags="z")
        Volume.objects(pk=book.pk).update(code=9)
        atlas.delete()
        Reader.objects.update(name="ben")
        lost = Volume(title="lost").save()
    Volume.objects(pk=made.pk).update(code=5)  # it extends what was made
    Volume.objects(pk=book.pk).update(title="c", push__tags="mine")
    Atlas._get_collection().insert_one({"_id": atlas.pk, "_cls": "Volume.Atlas"})
    Reader._get_collection().delete_one({"_id": reader.pk})
    lost.delete()
    before = contents()
    commands.clear()
    with pytest.raises(ChangesetConflictError) as caught:
        revert_changeset(done)
    assert not {"insert", "update", "delete", "findAndModify"} & set(commands.names)
    assert contents() == before
    assert caught.value.changeset == done.id
    found = {error.document_id: error for error in caught.value.errors}
    assert [error.document_id for error in caught.value.errors].count(book.pk) == 1
    assert found.keys() == {made.pk, book.pk, atlas.pk, lost.pk, reader.pk}
    assert [it.path for it in found[book.pk].conflicts] == [("tags",), ("title",)]
    assert [(it.path, it.expected) for it in found[made.pk].conflicts] == [(("code",), ABSENT)]
    assert (found[atlas.pk].expected, found[lost.pk].found) == (ABSENT, ABSENT)
    assert f"{len(found) - 1} more" in str(caught.value)


def test_a_creation_that_others_changed_and_changed_back_is_taken_back() -> None:
    with changeset() as done:
        book = Volume(title="a").save()
    Volume.objects.update(title="b", code=1)
    Volume.objects.update(title="a", unset__code=1)
    revert_changeset(done)
    assert Volume.objects.count() == 0
    assert told(Volume, book.pk)[-1] == ("delete", None)


def test_what_was_taken_back_by_hand_is_not_written_again() -> None:
    book = Volume(title="a").save()
    with changeset() as done:
        other = Volume(title="made").save()
        other.delete()
        Volume.objects.update(title="b")
        Volume.objects.update(title="a")
    known = History.objects.count()
    revert_changeset(done)
    assert (History.objects.count(), Volume.objects.get().title) == (known, "a")
    assert history_of(book)[-1].operation == "update"


def test_delete_rules_hold_and_are_recorded() -> None:
    with changeset() as done:
        book = Volume(title="a").save()
    reader = Reader(key=uuid.UUID(int=4), book=book, name="later").save()
    own = revert_changeset(done)
    assert Reader.objects.count() == 0
    assert history_of(reader)[-1].changeset == own.id
    revert_changeset(own)
    assert Reader.objects.get(key=uuid.UUID(int=4)).book == book


@pytest.mark.parametrize("key", [ObjectId(), None, "text", {"$exists": True}, 5])
def test_an_id_that_is_of_no_changeset_is_refused(key: Any) -> None:
    book = Volume(title="a").save()
    with pytest.raises(OptionsError) as caught:
        revert_changeset(key)
    assert (caught.value.name, caught.value.value) == ("id", key)
    assert len(history_of(book)) == Volume.objects.count() == 1


def test_the_class_of_each_document_has_to_be_imported() -> None:
    with changeset() as done:
        book = Volume(title="a").save()
    other = History._get_collection().find_one({"document_id": book.pk, "position": 0})
    other.update(_id=ObjectId(), document_type="rv_of_no_class")
    History._get_collection().insert_one(other)
    with pytest.raises(OptionsError, match="rv_of_no_class"):
        revert_changeset(done)
    assert Volume.objects.count() == 1


def test_documents_that_only_blocks_watch_are_taken_back_and_recorded() -> None:
    stays, goes = Quiet(name="a").save(), Quiet(name="gone").save()
    with changeset("ann") as done:
        made = Quiet(name="made")
        with DocumentTrack(stays), DocumentTrack(goes), DocumentTrack(made):
            made.save()
            stays.name = "b"
            stays.save()
            goes.delete()
    own = revert_changeset(done)
    assert sorted(Quiet.objects.scalar("name")) == ["a", "gone"]
    newest = [history_of(it)[-1] for it in (stays, goes, made)]
    assert [it.operation for it in newest] == ["undo", "undo", "delete"]
    assert {it.changeset for it in newest} == {own.id}
    revert_changeset(own)
    assert sorted(Quiet.objects.scalar("name")) == ["b", "made"]


def test_an_object_in_memory_is_behind_and_says_so_by_a_conflict_later() -> None:
    book = Volume(title="a").save()
    with changeset() as done:
        book.title = "b"
        book.save()
    revert_changeset(done)
    book.title = "c"
    book.save()
    assert Volume.objects.get().title == "c"
    with pytest.raises(ChangesetConflictError):
        revert_changeset(history_of(book)[3].changeset)


def test_references_to_what_comes_back_are_good_again() -> None:
    book, _, reader = stocked()
    with changeset() as done:
        book.delete()
    assert Reader.objects.count() == 0
    revert_changeset(done)
    raw = Reader._get_collection().find_one()
    assert raw["book"] in (book.pk, DBRef("rv_books", book.pk))
    assert Reader.objects.get(key=reader.key).book == book
