"""A collection is renamed, and its history goes on: nothing of it is lost, no number is missing."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import mongoengine as me
import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st
from mongoengine.context_managers import switch_collection
from support.binding import binds
from support.moments import now

from mongoengine_history import (
    History,
    MalformedRecordError,
    RevisionNotFoundError,
    Version,
    as_of,
    backfill,
    changeset,
    history_of,
    load_history,
    restore,
    revert,
    revert_changeset,
    track_history,
    undo,
    untrack_history,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


class Old(me.Document):
    meta = {"collection": "rc_old", "auto_create_index": False}
    text = me.StringField()
    tags = me.ListField(me.StringField())


class New(me.Document):
    meta = {
        "collection": "rc_new",
        "auto_create_index": False,
        "history": {"formerly": ["rc_older", "rc_old"]},
    }
    text = me.StringField()
    tags = me.ListField(me.StringField())


class Late(me.Document):
    meta = {"collection": "rc_new", "auto_create_index": False}
    text = me.StringField()
    tags = me.ListField(me.StringField())


class Root(me.Document):
    meta = {"collection": "rc_old", "allow_inheritance": True, "auto_create_index": False}


class Tree(me.Document):
    meta = {
        "collection": "rc_new",
        "allow_inheritance": True,
        "auto_create_index": False,
        "history": {"formerly": ["rc_old"]},
    }


class Branch(Tree):
    text = me.StringField()


@contextmanager
def tracked(model: Any, **options: Any) -> Iterator[Any]:
    track_history(model, **options)
    try:
        yield model
    finally:
        untrack_history(model)


@contextmanager
def renamed(database: Any, **options: Any) -> Iterator[Any]:
    """The application is deployed anew, after its collection got another name."""
    database.rc_old.rename("rc_new", dropTarget=True)
    with tracked(New, **options):
        yield New


def edited(document: Any, text: str) -> Any:
    document.text = text
    return document.save()


@pytest.fixture
def note(database: Any) -> ObjectId:
    with tracked(Old):
        return edited(edited(Old(text="a").save(), "b"), "c").pk


def test_every_question_finds_what_was_before_and_since(database: Any, note: ObjectId) -> None:
    before = now()
    with renamed(database):
        document = edited(New.objects.get(pk=note), "d")
        timeline = history_of(document)
        assert [it.number for it in timeline] == [1, 2, 3, 4]
        assert [it.number for it in reversed(timeline)] == [4, 3, 2, 1]
        assert [timeline.at(number).text for number in (1, 2, 3, 4)] == [*"abcd"]
        assert [timeline[index].number for index in (1, -1)] == [1, 4]
        assert timeline.as_of(before).text == "c"
        assert [it.text for it in as_of(New, before)] == ["c"]
        assert [it.text for it in as_of(New, now())] == ["d"]
        assert timeline.blame("text").number == 4
        assert timeline.blame("tags") is None or timeline.blame("tags").number == 1
        assert [patch[0] for patch in load_history(document)] == ["change"] * 3 + ["add"]
        assert len(load_history(document, before)) == 1
        assert History.objects.of(document).count() == 4
        assert History.objects.of(New, note).touching("text").count() == 4
        names = History.objects.of(document).order_by("revision").scalar("document_type")
        assert list(names) == ["rc_old"] * 3 + ["rc_new"]


def test_every_way_back_leads_past_the_new_name(database: Any, note: ObjectId) -> None:
    with renamed(database):
        document = New.objects.get(pk=note)
        assert revert(document, revision=1).save().text == "a"
        assert undo(edited(document, "e"), 5).save().text == "a"
        assert [it.operation for it in history_of(document)][3:] == ["revert", "update", "undo"]
        document.delete()
        assert restore(New, note).save().text == "a"
        assert len(history_of(New, note)) == 8


def test_what_was_deleted_before_comes_back(database: Any, note: ObjectId) -> None:
    with tracked(Old):
        Old.objects.insert([Old(text="kept")])
        Old.objects.get(pk=note).delete()
    with renamed(database):
        restore(New, note).save()
        assert New.objects.get(pk=note).text == "c"
        assert [it.number for it in history_of(New, note)] == [1, 2, 3, 4, 5]


def test_writes_by_queries_go_on_with_the_numbers(database: Any, note: ObjectId) -> None:
    with tracked(Old):
        other = Old(text="z").save().pk
    with renamed(database):
        New.objects.update(set__text="all")
        New.objects.update(set__text="all again")
        assert [len(history_of(New, key)) for key in (note, other)] == [5, 3]
        New.objects(pk=other).delete()
        assert history_of(New, other)[-1].number == 4
        assert history_of(New, other).state(3)["text"] == "all again"


def test_a_changeset_of_before_is_taken_back(database: Any, note: ObjectId) -> None:
    with tracked(Old), changeset("ann") as work:
        edited(Old.objects.get(pk=note), "wrong")
        made = Old(text="made").save().pk
    with renamed(database):
        plan = revert_changeset(work, dry_run=True)
        assert {step.collection for step in plan.steps} == {"rc_new"}
        revert_changeset(work)
        assert New.objects.get(pk=note).text == "c"
        assert New.objects(pk=made).first() is None
        assert database.rc_old.count_documents({}) == 0


def test_a_changeset_from_before_to_since_is_taken_back(database: Any, note: ObjectId) -> None:
    """All that it did to one document is one subject: the older value is the one to go back to."""
    with tracked(Old), changeset("ann") as work:
        edited(Old.objects.get(pk=note), "wrong")
    with renamed(database):
        with changeset("ann") as since:
            document = edited(New.objects.get(pk=note), "worse")
        last = history_of(document)[-1].number
        database.history.update_one({"revision": last}, {"$set": {"changeset": work.id}})
        revert_changeset(work)
        assert since.id != work.id
        assert New.objects.get(pk=note).text == "c"


@pytest.mark.parametrize("every", [0, 1, 2, 100])
@pytest.mark.parametrize("how", ["save", "query", pytest.param("transaction", marks=binds)])
def test_a_version_kept_early_gives_way_to_the_first_revision(
    database: Any, how: str, every: int
) -> None:
    note = database.rc_old.insert_one({"text": "a"}).inserted_id
    backfill(Old)
    database.rc_old.update_one({}, {"$set": {"text": "drifted"}})
    with renamed(database, version_every=every):
        if every:
            assert backfill(New) == 1
        assert Version.objects.of(New, note).count() == 1
        if how == "query":
            New.objects.update(set__text="b")
        elif how == "save":
            edited(New.objects.get(pk=note), "b")
        else:
            with changeset("ann", atomic=True):
                edited(New.objects.get(pk=note), "b")
        timeline = history_of(New, note)
        assert timeline.at(1).text == "b"
        if every:
            assert timeline.at(0).text == "drifted"
            assert Version.objects.of(New, note).filter(revision=0).count() == 1


def test_what_has_a_history_needs_no_early_version(database: Any, note: ObjectId) -> None:
    with renamed(database):
        backfill(New)
        assert database.history.count_documents({"document_type": "rc_new"}) == 0


def test_records_of_a_class_are_seen_by_it_alone(database: Any) -> None:
    database.rc_old.insert_one({"_cls": "Tree.Branch"})
    with tracked(Root):
        key = Root._get_collection().insert_one({"_cls": "Tree.Branch", "text": "a"}).inserted_id
        Root._get_collection().delete_one({"_id": key})
    with tracked(Tree):
        assert len(history_of(Branch, key)) == 2
        assert History.objects.of(Branch, key).count() == 2


def test_a_collection_that_it_was_switched_to_has_its_own(database: Any, note: ObjectId) -> None:
    with renamed(database):
        with switch_collection(New, "rc_archive") as archived:
            copy = archived(pk=note, text="copy").save()
            assert len(history_of(archived, note)) == 1
        copy.switch_collection("rc_archive")
        assert [it.operation for it in history_of(copy)] == ["create"]
        assert len(history_of(New, note)) == 3


def test_what_1_1_recorded_is_among_it(database: Any, note: ObjectId) -> None:
    made = {"action": "change", "path": "text", "data": {"old": "0", "new": "a"}}
    owner = {"document_type": "rc_old", "document_id": note, "created_at": datetime.now()}
    database.history.insert_one({**owner, **made})
    with renamed(database):
        document = edited(New.objects.get(pk=note), "d")
        assert [it.path for it in history_of(document).legacy] == ["text"]
        assert load_history(document)[-1] == ("change", ["text"], ("0", "a"))


def test_a_purge_takes_all(database: Any, note: ObjectId) -> None:
    with renamed(database):
        edited(New.objects.get(pk=note), "d")
        History.objects.of(New, note).delete()
        assert database.history.count_documents({}) == 0
        with pytest.raises(RevisionNotFoundError):
            history_of(New, note)[1]


def test_numbers_that_began_again_are_told(database: Any, note: ObjectId) -> None:
    """Nobody said so before the first write under the new name."""
    database.rc_old.rename("rc_new", dropTarget=True)
    with tracked(Late):
        edited(Late.objects.get(pk=note), "d")
    with tracked(New):
        timeline = history_of(New, note)
        for read in (lambda: timeline[1], lambda: list(timeline), lambda: timeline.at(3)):
            with pytest.raises(MalformedRecordError, match="formerly="):
                read()


def test_a_revision_that_is_gone_is_told(database: Any, note: ObjectId) -> None:
    with renamed(database):
        document = edited(New.objects.get(pk=note), "d")
        database.history.delete_many({"revision": {"$lt": 3}})
        assert len(history_of(document)) == 4
        assert history_of(document)[3].number == 3


texts = st.lists(st.sampled_from([*"abcdef"]), min_size=2, max_size=9)


@given(texts, st.data())
def test_it_is_the_history_as_if_there_had_been_one_name(
    database: Any, written: list[str], data: Any
) -> None:
    """Whatever was written under which name, with whatever versions: states and numbers agree."""
    cut = data.draw(st.integers(0, len(written)))
    every = data.draw(st.sampled_from([0, 1, 2, 3]))
    is_known = data.draw(st.booleans())
    for name in ("rc_old", "rc_new", "history"):
        database[name].delete_many({})
    key = ObjectId()
    if is_known:
        database.rc_old.insert_one({"_id": key, "text": "0", "tags": ["0"]})

    def write(model: Any, some: list[str]) -> None:
        for text in some:
            document = model.objects(pk=key).first() or model(pk=key)
            document.tags.insert(len(document.tags) // 2, text)
            edited(document, text)

    with tracked(Old, version_every=every):
        write(Old, written[:cut])
    if cut == 0 and not is_known:
        database.create_collection("rc_old", check_exists=False)
    with renamed(database, version_every=every):
        write(New, written[cut:])
        agrees(key, written, ["0"] if is_known else [], has_start=bool(every or cut))
        older = {"revision": {"$lt": data.draw(st.integers(0, len(written) + 1))}}
        database.history.update_many(older, {"$set": {"document_type": "rc_older"}})
        agrees(key, written, ["0"] if is_known else [], has_start=bool(every or cut))
        New.objects.update(set__text="last")
        assert history_of(New, key)[-1].number == len(written) + 1


def agrees(key: ObjectId, written: list[str], tags: list[str], *, has_start: bool) -> None:
    timeline = history_of(New, key)
    assert [it.number for it in timeline] == [*range(1, len(written) + 1)]
    if tags and has_start:
        assert timeline.state(0) == {"text": "0", "tags": tags}
    for number, text in enumerate(written, 1):
        tags.insert(len(tags) // 2, text)
        assert timeline.state(number) == {"text": text, "tags": tags}
    assert [it.text for it in as_of(New, now())] == [written[-1]]
