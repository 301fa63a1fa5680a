"""States and documents of the past, and what differs between them."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta, timezone
from typing import Any

import bson
import dictdiffer
import mongoengine as me
import pytest
from bson import DBRef
from support.books import Bare, Book, Full, Kept
from support.changes import deleted, edited, watch, watched
from support.documents import Address, raw

from mongoengine_history import (
    DocumentDidNotExistError,
    DocumentTrack,
    HistoryWarning,
    RevisionNotFoundError,
    StateMismatchError,
    history_of,
    revert,
)

connected = watched(Book, Kept, Full, Bare)


class TestStates:
    def test_each_one_is_what_was_stored(self) -> None:
        kept = Kept(text="0")
        edited(kept)
        stored = [raw(kept)]
        for number in range(1, 8):
            edited(kept, text=str(number), tags=[*kept.tags[-2:], str(number)])
            stored.append(raw(kept))
        for place, state in enumerate(stored, start=1):
            assert {"_id": kept.pk, **history_of(kept).state(place)} == state

    def test_an_older_document_has_a_state_before_its_first_revision(self) -> None:
        book = Book(title="a", tags=["x"]).save()
        before = raw(book)
        edited(book, title="b")
        deleted(book)
        assert {"_id": book.pk, **history_of(Book, book.pk).state(0)} == before
        assert history_of(Book, book.pk).at(0).title == "a"

    def test_a_created_one_has_none(self, book: Book) -> None:
        with pytest.raises(DocumentDidNotExistError) as caught:
            history_of(book).state(0)
        assert caught.value.number == 0
        assert isinstance(caught.value, LookupError)

    @pytest.mark.parametrize("number", [6, 7, 100, 10**12, -7, -100])
    def test_one_of_no_revision_is_an_index_error(self, book: Book, number: int) -> None:
        timeline = history_of(book)
        for read in (timeline.state, timeline.at, timeline.compare):
            with pytest.raises(RevisionNotFoundError):
                read(number)
        with pytest.raises(RevisionNotFoundError):
            timeline.compare(None, number)

    def test_negative_numbers_count_from_the_newest(self, book: Book) -> None:
        timeline = history_of(book)
        assert timeline.state(-1) == timeline.state(5)
        assert timeline.at(-2).pages == 4
        assert timeline.compare(-1, -3) == timeline.compare(5, 3)

    def test_the_values_have_the_types_that_the_connection_gives(self, mongodb_uri: str) -> None:
        class Timed(me.Document):
            meta = {"collection": "timed", "db_alias": "aware", "auto_create_index": False}
            when = me.DateTimeField()
            code = me.UUIDField()
            facts = me.DictField()

        name = f"{me.get_db().name}_aware"
        client = me.connect(
            name,
            alias="aware",
            host=mongodb_uri,
            tz_aware=True,
            uuidRepresentation="pythonLegacy",
        )
        try:
            watch(Timed)
            when, code = datetime(2020, 1, 2, tzinfo=timezone.utc), uuid.UUID(int=1)
            timed = Timed(when=when, code=code, facts={"at": when, "code": code})
            with DocumentTrack(timed, code, at=when):
                timed.save()
            edited(timed, when=when + timedelta(1), facts={"at": when, "code": uuid.UUID(int=2)})
            timeline = history_of(timed)
            expected = {"when": when, "code": code, "facts": {"at": when, "code": code}}
            assert timeline.state(1) == expected
            assert dict(timeline[1].patches[0][2]) == expected
            assert (timeline[1].identity, timeline[1].metadata) == (code, {"at": when})
            assert timeline.at(1).facts["code"] == code
            assert timeline.at(1).when == when
            changes = [
                ("change", ["when"], (when, when + timedelta(1))),
                ("change", ["facts", "code"], (code, uuid.UUID(int=2))),
            ]
            assert timeline.compare(1, 2) == changes
            assert list(timeline[2].patches) == changes
            assert timeline.as_of(datetime.now()).when == when + timedelta(1)
        finally:
            client.drop_database(name)
            me.disconnect("aware")

    def test_a_state_is_rebuilt_from_what_was_recorded_whatever_is_stored_now(self) -> None:
        kept = Kept(text="a").save()
        for text in "bcdef":
            edited(kept, text=text)
        Kept.objects.update(set__text="drift")
        Kept.objects.delete()
        assert [history_of(kept).state(number)["text"] for number in range(6)] == list("abcdef")

    def test_any_bson_is_a_state(self) -> None:
        odd = {
            "a.b": {"c": [1, {"": None}]},
            "²": DBRef("gone", 1),
            "0": bson.Decimal128("1.00"),
        }
        book = Book(facts={}).save()
        Book._get_collection().update_one({"_id": book.pk}, {"$set": {"facts": odd}})
        book.reload()
        edited(book, title="b")
        assert history_of(book).state(1)["facts"] == odd
        assert history_of(book).state(0)["facts"] == odd


class TestDocumentsOfThePast:
    def test_one_is_new_and_nothing_is_written(self, book: Book, commands: Any) -> None:
        commands.clear()
        old = history_of(book).at(2)
        assert set(commands.names) <= {"find", "aggregate"}
        assert old is not book
        assert type(old) is Book
        assert (old.pk, old.pages, old.title, old.tags) == (book.pk, 2, "a", ["x"])
        assert (book.pages, raw(book)["p"]) == (5, 5)

    def test_saving_one_stores_all_of_it_in_the_place_of_what_is_there(self, book: Book) -> None:
        Book.objects.update(set__facts={"drift": 1})
        with DocumentTrack(history_of(book).at(2), "ann") as track:
            track._document.save()
        assert (raw(book)["p"], raw(book)["facts"]) == (2, {})
        newest = history_of(book)[-1]
        assert (newest.number, newest.operation, newest.identity) == (6, "update", "ann")
        assert history_of(book).state(6) == history_of(book).state(2) | {"facts": {}}

    def test_saving_one_of_a_deleted_document_creates_it_anew(self, book: Book) -> None:
        deleted(book)
        edited(history_of(book).at(3), "ann")
        assert raw(book)["p"] == 3
        assert history_of(book)[-1].operation == "create"

    def test_a_state_that_todays_class_cannot_hold_is_data_and_names_the_keys(self) -> None:
        class Old(me.Document):
            meta = {"collection": "changing", "auto_create_index": False}
            kept = me.IntField()
            gone = me.IntField()
            lost = me.StringField()

        watch(Old)
        old = Old(kept=1, gone=1, lost="x")
        edited(old)
        edited(old, kept=2, gone=None, lost=None)

        class New(me.Document):
            meta = {"collection": "changing", "auto_create_index": False}
            kept = me.IntField()

        moment = datetime.now()
        timeline = history_of(New, old.pk)
        assert timeline.state(1) == {"kept": 1, "gone": 1, "lost": "x"}
        assert timeline[1].patches[0][2] == [("kept", 1), ("gone", 1), ("lost", "x")]
        assert timeline.compare(2, 1)[0][0] == "change"
        assert timeline.blame("gone").number == 2
        assert timeline.as_of(moment).kept == 2
        document = New.objects.get()
        for look in (lambda: timeline.at(1), lambda: timeline.as_of(timeline[1].at)):
            with pytest.warns(HistoryWarning, match="gone.*lost"):
                assert look().to_mongo() == {"_id": old.pk, "kept": 1}
        with pytest.raises(StateMismatchError) as caught:
            revert(document, revision=1)
        assert caught.value.keys == ["gone", "lost"]
        assert caught.value.document_id == old.pk

    def test_a_value_of_another_kind_is_named(self) -> None:
        class Text(me.Document):
            meta = {"collection": "kinds_of_values", "auto_create_index": False}
            value = me.StringField()
            other = me.StringField()

        watch(Text)
        text = Text(value="a", other="b")
        edited(text)

        class Embedded(me.Document):
            meta = {"collection": "kinds_of_values", "auto_create_index": False}
            value = me.EmbeddedDocumentField(Address)
            other = me.StringField()

        with pytest.raises(StateMismatchError) as caught:
            history_of(Embedded, text.pk).at(1)
        assert caught.value.keys == ["value"]

    def test_references_are_not_fetched(self, commands: Any) -> None:
        class Friend(me.Document):
            meta = {"collection": "friends", "auto_create_index": False}
            friend = me.ReferenceField("self")
            friends = me.ListField(me.ReferenceField("self"))

        watch(Friend)
        gone, friend = Friend().save(), Friend()
        edited(friend, friend=gone, friends=[gone])
        gone.delete()
        commands.clear()
        old = history_of(friend).at(1)
        assert "friends" not in {sent.get("find") for sent in commands.sent}
        assert old.to_mongo()["friend"] == gone.pk


class TestComparing:
    def test_the_patches_lead_from_one_point_to_the_other(self) -> None:
        book = Book(title="a", tags=["a", "b", "c", "d"], facts={"x": {"y": 1}})
        edited(book)
        edited(book, tags=["d", "b"], facts={"x": {"z": 1}})
        edited(book, title=None, pages=3, tags=["n", "d", "b", "e"])
        timeline = history_of(book)
        for first in range(4):
            for second in range(4):
                states = [timeline.state(it) if it else {} for it in (first, second)]
                patches = timeline.compare(first, second)
                assert dictdiffer.patch(patches, states[0]) == states[1]
                assert dictdiffer.revert(patches[::-1], states[1]) == states[0]

    def test_without_a_second_point_it_is_what_is_stored(self, book: Book) -> None:
        Book.objects.update(set__title="drift")
        timeline = history_of(book)
        assert timeline.compare(5) == [("change", ["title"], ("a", "drift"))]
        assert timeline.compare(None, 5) == [("change", ["title"], ("drift", "a"))]
        assert timeline.compare(None) == []

    def test_a_document_that_is_not_there_is_empty(self, book: Book) -> None:
        timeline = history_of(book)
        assert timeline.compare(0, 1) == list(timeline[1].patches)
        Book.objects.delete()
        assert [action for action, _, _ in timeline.compare(5)] == ["remove"]

    def test_types_count_and_the_order_of_fields_does_not(self) -> None:
        book = Book(facts={"n": 1}).save()
        edited(book, title="a")
        Book._get_collection().replace_one(
            {"_id": book.pk}, {"title": "a", "facts": {"n": True}, "tags": [], "lines": []}
        )
        assert history_of(book).compare(1) == [("change", ["facts", "n"], (1, True))]
