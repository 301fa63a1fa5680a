"""Reading a history: revisions, states, comparisons, blame, and what each one refuses."""

from __future__ import annotations

import gc
import time
import tracemalloc
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import bson
import dictdiffer
import mongoengine as me
import pytest
from bson import DBRef, ObjectId
from mongoengine import signals
from mongoengine.context_managers import switch_collection, switch_db
from pymongo import MongoClient
from support.documents import Address, Line, raw
from support.stories_1_1 import STATES, Recipe, tracked, walk
from support.wheel_1_1 import Elsewhere, fetch

from mongoengine_history import (
    DocumentDidNotExistError,
    DocumentTrack,
    History,
    IncompleteRevisionError,
    OptionsError,
    Revision,
    RevisionNotFoundError,
    StateMismatchError,
    Version,
    history_of,
    load_history,
    restore,
    revert,
    track_changes,
)


class Book(me.Document):
    meta = {"collection": "books", "auto_create_index": False}
    title = me.StringField()
    pages = me.IntField(db_field="p")
    tags = me.ListField(me.StringField())
    lines = me.EmbeddedDocumentListField(Line)
    address = me.EmbeddedDocumentField(Address)
    facts = me.DictField()


class Kept(me.Document):
    """Keeps a version with every second revision."""

    meta = {"collection": "kept", "auto_create_index": False, "history": {"version_every": 2}}
    text = me.StringField()
    tags = me.ListField(me.StringField())


class Full(me.Document):
    """Keeps every full state."""

    meta = {"collection": "full", "auto_create_index": False, "history": {"version_every": 1}}
    text = me.StringField()


class Bare(me.Document):
    """Keeps no state."""

    meta = {"collection": "bare", "auto_create_index": False, "history": {"version_every": 0}}
    text = me.StringField()


def watch(*classes: type[me.Document]) -> None:
    for cls in classes:
        signals.post_save.connect(track_changes, sender=cls)
        signals.post_delete.connect(track_changes, sender=cls)


@pytest.fixture(autouse=True)
def connected(database: Any) -> None:
    watch(Book, Kept, Full, Bare)


def edited(document: Any, who: object = None, **values: Any) -> datetime:
    """Save some values as one revision; return a moment after it."""
    with DocumentTrack(document, who):
        for name, value in values.items():
            setattr(document, name, value)
        document.save()
    moment = datetime.now()
    time.sleep(0.002)
    return moment


def deleted(document: Any) -> None:
    with DocumentTrack(document):
        document.delete()


@pytest.fixture
def book() -> Book:
    """A book with five revisions."""
    book = Book(title="a", tags=["x"])
    edited(book, "ann")
    for number in range(2, 6):
        edited(book, "ben", pages=number)
    return book


@pytest.fixture(scope="module")
def released(
    request: pytest.FixtureRequest, client: MongoClient, mongodb_uri: str
) -> Iterator[Elsewhere]:
    """The process of 1.1."""
    folder = fetch(request.config.cache.mkdir("mongoengine-history-1.1"))
    name = me.get_db().name
    with Elsewhere("support.stories_1_1", mongodb_uri, name, wheel=folder) as process:
        yield process


def numbers(revisions: Any) -> list[int]:
    return [revision.number for revision in revisions]


class TestRevisions:
    def test_they_are_counted_and_given_oldest_first(self, book: Book) -> None:
        timeline = history_of(book)
        assert len(timeline) == 5
        assert numbers(timeline) == [1, 2, 3, 4, 5]
        assert numbers(reversed(timeline)) == [5, 4, 3, 2, 1]
        assert all(isinstance(revision, Revision) for revision in timeline)

    def test_one_tells_who_what_and_when(self) -> None:
        book = Book(title="a").save()
        before = datetime.now(timezone.utc)
        with DocumentTrack(book, "ann", reason="typo", request="r1"):
            book.title = "b"
            book.save()
        [revision] = history_of(book)
        assert (revision.number, revision.identity, revision.operation) == (1, "ann", "update")
        assert (revision.reason, revision.metadata) == ("typo", {"request": "r1"})
        assert revision.changeset is None
        assert revision.patches == (("change", ["title"], ("a", "b")),)
        assert before <= revision.at <= datetime.now(timezone.utc)
        assert revision.at.utcoffset() == timedelta(0)

    def test_what_was_not_said_is_none_or_empty(self) -> None:
        book = Book(title="a")
        edited(book)
        [revision] = history_of(book)
        assert (revision.identity, revision.reason, revision.metadata) == (None, None, {})

    def test_each_operation_is_named(self) -> None:
        book = Book(title="a")
        edited(book)
        edited(book, title="b")
        revert(book, revision=1).save()
        deleted(book)
        restore(Book, book.pk).save()
        assert [revision.operation for revision in history_of(book)] == [
            *("create", "update", "revert", "delete", "restore")
        ]

    def test_numbers_are_indexes(self, book: Book) -> None:
        timeline = history_of(book)
        assert numbers(timeline[number] for number in range(1, 6)) == [1, 2, 3, 4, 5]
        assert numbers(timeline[-place] for place in range(1, 6)) == [5, 4, 3, 2, 1]
        assert timeline[2] == list(timeline)[1]

    @pytest.mark.parametrize("index", [0, 6, 99, -6, -7, -99])
    def test_a_number_that_is_not_there_is_an_index_error(self, book: Book, index: int) -> None:
        with pytest.raises(IndexError) as caught:
            history_of(book)[index]
        assert isinstance(caught.value, RevisionNotFoundError)
        assert (caught.value.document_id, caught.value.newest) == (book.pk, 5)

    @pytest.mark.parametrize("index", ["1", 1.0, None, True])
    def test_what_is_no_number_is_refused(self, book: Book, index: Any) -> None:
        timeline = history_of(book)
        for read in (timeline.__getitem__, timeline.state, timeline.at):
            with pytest.raises(OptionsError):
                read(index)
        if index is not None:
            with pytest.raises(OptionsError):
                timeline.compare(index, 1)

    @pytest.mark.parametrize("start", [None, -99, -6, -5, -2, 0, 1, 2, 5, 6, 99])
    @pytest.mark.parametrize("stop", [None, -99, -6, -5, -2, 0, 1, 2, 5, 6, 99])
    def test_a_slice_is_half_open_by_number(
        self, book: Book, start: int | None, stop: int | None
    ) -> None:
        """As of a list in which place 0 is empty."""
        places = [None, 1, 2, 3, 4, 5]
        timeline = history_of(book)
        for step in (None, 1, 2, 3, -1, -2):
            wanted = [number for number in places[start:stop:step] if number]
            assert numbers(timeline[start:stop:step]) == wanted

    def test_a_slice_without_a_step_is_refused_as_python_does(self, book: Book) -> None:
        with pytest.raises(ValueError, match="step"):
            history_of(book)[::0]

    def test_a_slice_reads_what_it_needs_only(self, book: Book, commands: Any) -> None:
        timeline = history_of(book)
        commands.clear()
        timeline[2:4]
        [read] = [sent for sent in commands.sent if "find" in sent]
        assert read["filter"]["revision"] == {"$gte": 2, "$lte": 3}

    def test_one_is_frozen_and_can_be_a_key(self, book: Book) -> None:
        revision = history_of(book)[2]
        with pytest.raises(FrozenInstanceError):
            revision.number = 7
        assert {revision: 1}[history_of(book)[2]] == 1

    def test_one_prints_as_a_line(self) -> None:
        book = Book(title="a", tags=["x"]).save()
        with DocumentTrack(book, "ann", reason="typo"):
            book.title, book.pages, book.tags = "b", 7, ["y", "x"]
            book.save()
        revision = history_of(book)[1]
        moment = revision.at.strftime("%Y-%m-%d %H:%M:%S")
        text = str(revision)
        assert text.startswith(f"1. {moment}.")
        assert ' UTC, update by ann (typo): ~ title: "a" -> "b"; ' in text
        assert "+ p: 7" in text
        assert '+ tags[0]: "y"' in text

    def test_who_and_why_keep_to_the_line(self) -> None:
        book = Book(title="a").save()
        with DocumentTrack(book, "ann\nben", reason="first\nsecond\x1b[2J"):
            book.title = "b\nc"
            book.save()
        text = str(history_of(book)[1])
        assert text.isprintable(), text

    def test_a_line_of_a_large_revision_stays_short(self) -> None:
        book = Book(title="x" * 10_000, facts={f"k{place}": "y" * 1000 for place in range(500)})
        edited(book, "ann", tags=["z"] * 1000)
        assert len(str(history_of(book)[1])) < 300

    def test_their_patches_lead_through_all_states_by_dictdiffer(self) -> None:
        book = Book(title="a", tags=["a", "b", "c"], facts={"k": {"l": 1}})
        edited(book)
        edited(book, tags=["c", "a"], facts={"k": {"l": 2}, "m.n": 3})
        edited(book, tags=[], lines=[Line(sku="s")], title=None)
        timeline = history_of(book)
        state: dict[str, Any] = {}
        for revision in timeline:
            state = dictdiffer.patch(list(revision.patches), state)
            assert state == timeline.state(revision.number)
        for revision in reversed(timeline):
            assert state == timeline.state(revision.number)
            state = dictdiffer.revert(list(revision.patches)[::-1], state)
        assert state == {}

    def test_what_one_gives_is_the_readers_own(self, book: Book) -> None:
        timeline = history_of(book)
        timeline[1].patches[0][2].clear()
        timeline.state(1).clear()
        assert timeline[1].patches[0][2]
        assert timeline.state(1)


class TestWhoseHistory:
    @pytest.mark.parametrize(
        ("field", "pk", "asked"),
        [
            (me.IntField, 7, 7),
            (me.IntField, 7, "7"),
            (me.StringField, "a.b $x", "a.b $x"),
            (me.StringField, "", ""),
            (me.UUIDField, uuid.UUID(int=5), uuid.UUID(int=5)),
            (me.UUIDField, uuid.UUID(int=5), str(uuid.UUID(int=5))),
            (lambda **k: me.UUIDField(binary=False, **k), uuid.UUID(int=5), uuid.UUID(int=5)),
            (me.ObjectIdField, ObjectId("5" * 24), ObjectId("5" * 24)),
            (me.ObjectIdField, ObjectId("5" * 24), "5" * 24),
            (me.DateTimeField, datetime(2020, 1, 2, 3), datetime(2020, 1, 2, 3)),
            (me.DecimalField, Decimal("1.5"), Decimal("1.5")),
            (me.DynamicField, {"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 2}}),
            (me.DynamicField, 0, 0),
            (me.DynamicField, False, False),
            (me.DictField, {"year": 2020, "number": 5}, {"year": 2020, "number": 5}),
            (
                lambda **k: me.EmbeddedDocumentField(Address, **k),
                Address(street="s", city="c"),
                Address(street="s", city="c"),
            ),
        ],
    )
    def test_primary_keys_are_taken_in_any_form_that_a_query_takes(
        self, field: Any, pk: Any, asked: Any
    ) -> None:
        class Keyed(me.Document):
            meta = {"collection": "keyed", "auto_create_index": False}
            key = field(primary_key=True)
            text = me.StringField()

        watch(Keyed)
        Keyed._get_collection().insert_one(Keyed(key=pk, text="a").to_mongo())
        keyed = Keyed.objects.get()
        edited(keyed, text="b")
        edited(keyed, text="c")
        for timeline in (history_of(Keyed, asked), history_of(keyed)):
            assert [timeline.state(number) for number in range(3)] == [
                {"text": text} for text in "abc"
            ]
            assert timeline.at(1).pk == keyed.pk
            assert timeline.at(1).text == "b"
            assert timeline.as_of(datetime.now()).text == "c"
            assert timeline.compare(0) == [("change", ["text"], ("a", "c"))]
            assert timeline.blame("text").number == 2
        Keyed._get_collection().delete_many({})
        restore(Keyed, asked).save()
        assert Keyed.objects.get().text == "c"

    def test_a_reference_may_be_the_primary_key(self) -> None:
        class Owner(me.Document):
            meta = {"collection": "owners", "auto_create_index": False}

        class Profile(me.Document):
            meta = {"collection": "profiles", "auto_create_index": False}
            owner = me.ReferenceField(Owner, primary_key=True)
            text = me.StringField()

        watch(Profile)
        owner = Owner().save()
        profile = Profile(owner=owner, text="a")
        edited(profile)
        edited(profile, text="b")
        for asked in (owner, owner.pk):
            assert history_of(Profile, asked).state(1) == {"text": "a"}
            assert history_of(Profile, asked).at(2).owner == owner
        owner.delete()
        assert numbers(history_of(Profile, owner.pk)) == [1, 2]

    def test_a_deleted_document_is_read_by_class_and_key(self, book: Book) -> None:
        deleted(book)
        timeline = history_of(Book, book.pk)
        assert len(timeline) == 6
        assert timeline[-1].operation == "delete"
        assert timeline.state(5)["p"] == 5
        assert timeline.at(5).pages == 5
        with pytest.raises(DocumentDidNotExistError) as caught:
            timeline.state(6)
        assert (caught.value.document_id, caught.value.number) == (book.pk, 6)
        assert timeline.as_of(datetime.now()) is None
        assert timeline.compare(5) == timeline.compare(5, 6)
        assert timeline.blame() == {}
        assert timeline.blame("title").number == 6

    def test_a_document_without_history_has_an_empty_one(self) -> None:
        book = Book(title="a").save()
        timeline = history_of(book)
        assert (len(timeline), list(timeline), list(reversed(timeline))) == (0, [], [])
        assert (timeline[:], timeline.legacy, timeline.blame()) == ([], [], {})
        assert timeline.blame("title") is None
        assert timeline.state(0)["title"] == "a"
        assert timeline.as_of(datetime.now()).title == "a"
        assert timeline.compare(0) == []
        for index in (1, -1):
            with pytest.raises(RevisionNotFoundError):
                timeline[index]
        with pytest.raises(RevisionNotFoundError):
            timeline.state(1)

    def test_a_key_that_was_never_used_has_an_empty_one(self) -> None:
        timeline = history_of(Book, ObjectId())
        assert (len(timeline), list(timeline), timeline.blame()) == (0, [], {})
        assert timeline.as_of(datetime.now()) is None
        with pytest.raises(DocumentDidNotExistError):
            timeline.state(0)

    def test_it_belongs_to_one_collection(self, book: Book) -> None:
        assert len(history_of(Kept, book.pk)) == 0

    def test_nothing_is_read_before_it_is_asked(self, book: Book, commands: Any) -> None:
        commands.clear()
        timeline = history_of(book)
        iter(timeline)
        assert commands.names == []
        edited(book, pages=77)
        assert timeline[-1].number == 6

    @pytest.mark.parametrize(
        "arguments",
        [
            (Book(title="unsaved"),),
            (Book,),
            (Book, None),
            (Book, "no object id"),
            (Book(pk=ObjectId()), ObjectId()),
            (Address(),),
            (Address, 1),
            (dict, 1),
            ("books", 1),
            (None, 1),
        ],
    )
    def test_what_names_no_document_is_refused(
        self, database: Any, arguments: tuple[Any, ...]
    ) -> None:
        with pytest.raises(OptionsError):
            history_of(*arguments)

    def test_an_abstract_class_is_refused(self) -> None:
        class Base(me.Document):
            meta = {"abstract": True}

        with pytest.raises(OptionsError):
            history_of(Base, ObjectId())

    def test_a_base_class_gives_the_subclass(self) -> None:
        class Plant(me.Document):
            meta = {"collection": "plants", "allow_inheritance": True, "auto_create_index": False}
            name = me.StringField()

        class Tree(Plant):
            height = me.IntField()

        class Flower(Plant):
            colour = me.StringField()

        watch(Plant, Tree, Flower)
        tree = Tree(name="oak", height=3)
        edited(tree)
        edited(tree, height=4)
        assert isinstance(history_of(Plant, tree.pk).at(1), Tree)
        assert history_of(Plant, tree.pk).as_of(datetime.now()).height == 4
        assert history_of(Tree, tree.pk).at(1).height == 3
        assert numbers(history_of(Flower, tree.pk)) == [1, 2]  # one collection, one history
        with pytest.raises(StateMismatchError) as caught:
            history_of(Flower, tree.pk).at(1)
        assert caught.value.keys == ["_cls"]

    def test_another_database_has_a_history_of_its_own(self, book: Book) -> None:
        other = Book(pk=book.pk, title="elsewhere").switch_db("other")
        edited(other)
        edited(other, pages=99)
        timeline = history_of(other)
        assert (len(timeline), len(history_of(book))) == (2, 5)
        assert timeline.state(1)["title"] == "elsewhere"
        assert timeline.compare(2) == []
        with switch_db(Book, "other") as elsewhere:
            inside = history_of(elsewhere, book.pk)
            assert inside.state(2)["p"] == 99
        assert inside.state(2)["p"] == 99
        assert history_of(Book, book.pk).state(2)["title"] == "a"
        assert Version.objects.count() == 0

    def test_another_collection_has_a_history_of_its_own(self, book: Book) -> None:
        other = Book(pk=book.pk, title="archived").switch_collection("old_books")
        edited(other)
        assert (len(history_of(other)), len(history_of(book))) == (1, 5)
        with switch_collection(Book, "old_books") as elsewhere:
            assert history_of(elsewhere, book.pk).state(1)["title"] == "archived"

    @pytest.mark.parametrize("switch", ["switch_db", "switch_collection"])
    def test_what_comes_of_a_switched_document_is_switched_as_well(self, switch: str) -> None:
        book = getattr(Book(title="a"), switch)("other")
        edited(book)
        edited(book, title="b")
        old = history_of(book).at(1)
        assert old._get_collection().full_name == book._get_collection().full_name
        old.save()
        assert raw(book)["title"] == "a"
        assert old.reload().title == "a"
        old.title = "c"
        old.save()
        assert raw(book)["title"] == "c"
        old.delete()
        assert raw(book) is None
        assert Book.objects.count() == 0

    def test_it_can_be_shown(self, book: Book) -> None:
        assert repr(book.pk) in repr(history_of(book))


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
        for fail in (
            lambda: timeline.at(1),
            lambda: timeline.as_of(timeline[1].at),
            lambda: revert(document, revision=1),
        ):
            with pytest.raises(StateMismatchError) as caught:
                fail()
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


class TestMoments:
    def test_a_moment_between_two_revisions_gives_the_first(self) -> None:
        book = Book(title="0")
        moments = [edited(book, title=str(number)) for number in range(5)]
        timeline = history_of(book)
        for number, moment in enumerate(moments):
            assert timeline.as_of(moment).title == str(number)
            assert timeline.as_of(moment.astimezone(timezone.utc)).title == str(number)
            elsewhere = moment.astimezone(timezone(timedelta(hours=-9, minutes=-30)))
            assert timeline.as_of(elsewhere).title == str(number)

    def test_the_moment_of_a_revision_counts_to_the_microsecond(self) -> None:
        book = Book(title="a").save()
        edited(book, title="b")
        [revision] = history_of(book)
        timeline = history_of(book)
        assert timeline.as_of(revision.at).title == "b"
        assert timeline.as_of(revision.at - timedelta(microseconds=1)).title == "a"

    def test_of_revisions_of_one_moment_the_last_counts(self, monkeypatch: Any) -> None:
        """A clock that stands still, or goes back, does not disturb the order."""
        book = Book(title="0")
        monkeypatch.setattr(time, "time_ns", lambda: 1_700_000_000_000_000_000)
        for number in range(3):
            with DocumentTrack(book):
                book.title = str(number)
                book.save()
        monkeypatch.setattr(time, "time_ns", lambda: 1_600_000_000_000_000_000)
        with DocumentTrack(book):
            book.title = "3"
            book.save()
        monkeypatch.undo()
        moments = {revision.at for revision in history_of(book)}
        assert len(moments) == 1
        assert history_of(book).as_of(moments.pop()).title == "3"

    def test_before_the_first_revision_it_is_what_that_one_found(self) -> None:
        class Coded(me.Document):
            meta = {"collection": "coded_books", "auto_create_index": False}
            code = me.StringField(primary_key=True)
            text = me.StringField()

        watch(Coded)
        coded = Coded(code="x", text="a").save()
        edited(coded, text="b")
        assert history_of(coded).as_of(datetime(2001, 1, 1)).text == "a"
        created = Coded(code="y", text="a")
        edited(created)
        assert history_of(created).as_of(datetime(2001, 1, 1)) is None

    def test_an_object_id_tells_that_there_was_no_document_yet(self) -> None:
        book = Book(title="a").save()
        edited(book, title="b")
        born = book.pk.generation_time
        assert history_of(book).as_of(born - timedelta(seconds=1)) is None
        assert history_of(book).as_of(born).title == "a"
        unrecorded = Book(title="c").save()
        assert history_of(unrecorded).as_of(born - timedelta(seconds=1)) is None

    def test_a_gap_between_two_lives_has_no_document(self) -> None:
        book = Book(title="a")
        first = edited(book)
        deleted(book)
        gap = datetime.now()
        time.sleep(0.002)
        restore(Book, book.pk).save()
        timeline = history_of(book)
        assert timeline.as_of(first).title == "a"
        assert timeline.as_of(gap) is None
        assert timeline.as_of(datetime.now()).title == "a"

    @pytest.mark.parametrize("when", ["2020-01-01", 5, None, datetime(2020, 1, 1).date()])
    def test_what_is_no_moment_is_refused(self, book: Book, when: Any) -> None:
        with pytest.raises(OptionsError):
            history_of(book).as_of(when)

    @pytest.mark.parametrize("when", [datetime.min, datetime.max])
    def test_the_ends_of_time_can_be_asked(self, book: Book, when: datetime) -> None:
        found = history_of(book).as_of(when)
        assert (found is None) == (when.year == 1)


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


class TestBlame:
    @pytest.fixture
    def told(self) -> Book:
        book = Book(
            title="a",
            tags=["x"],
            address=Address(street="s", city="c"),
            facts={"x": {"y": 1, "z": 2}, "a.b": 1, "e": {}},
            lines=[Line(sku="1")],
        )
        edited(book)  # 1
        with DocumentTrack(book):
            book.title = "b"
            book.save()  # 2
            book.facts["x"]["y"] = 5
            book.save()  # 3
            book.tags.append("y")
            book.save()  # 4
            book.lines[0].qty = 3
            book.save()  # 5
            book.facts = {"x": {"y": 5, "z": 2}, "a.b": 2, "e": {}}
            book.save()  # 6
            book.address.city = None
            book.save()  # 7
            book.pages = 4
            book.save()  # 8
        return book

    def test_each_value_has_the_revision_that_last_set_it(self, told: Book) -> None:
        blamed = history_of(told).blame()
        assert {path: revision.number for path, revision in blamed.items()} == {
            "title": 2,
            "tags": 4,
            "lines": 5,
            "address.s": 1,
            "facts.x.y": 3,
            "facts.x.z": 1,
            r"facts.a\.b": 6,
            "facts.e": 1,
            "p": 8,
        }
        assert blamed["facts.x.y"] == history_of(told)[3]

    @pytest.mark.parametrize(
        ("path", "number"),
        [
            ("title", 2),
            (["title"], 2),
            (("facts", "x", "y"), 3),
            ("facts.x.y", 3),
            ("facts.x.z", 1),
            ("facts.x", 3),
            ("facts", 6),
            (["facts", "a.b"], 6),
            (r"facts.a\.b", 6),
            ("facts.e", 1),
            ("tags", 4),
            ("lines", 5),
            ("address", 7),
            ("address.s", 1),
            ("address.city", 7),
            ("p", 8),
            ("pages", None),
            ("nothing", None),
            ("facts.nothing", None),
            (["facts", "a", "b"], None),
        ],
    )
    def test_a_path_has_the_revision_that_last_set_it_or_a_part_of_it(
        self, told: Book, path: Any, number: int | None
    ) -> None:
        """Also one that removed the value; names are those that are stored."""
        revision = history_of(told).blame(path)
        assert (revision and revision.number) == number

    def test_a_list_of_keys_is_exact(self) -> None:
        """The server looks into lists on its own, and takes digits for indexes and keys."""
        book = Book(facts={"a": [{"b": 1}], "c": {"0": "x"}, "d": [5]})
        edited(book)
        timeline = history_of(book)
        assert timeline.blame(["facts", "a"]).number == 1
        assert timeline.blame(["facts", "a", "b"]) is None
        assert timeline.blame(["facts", "c", "0"]).number == 1
        assert timeline.blame(["facts", "d", "0"]) is None

    def test_values_that_no_revision_has_set_are_left_out(self) -> None:
        book = Book(title="a", tags=["x"], facts={"x": 1}).save()
        edited(book, pages=1)
        assert list(history_of(book).blame()) == ["p"]
        assert history_of(book).blame("title") is None

    def test_who_brought_it_back_set_it(self, told: Book) -> None:
        revert(told, revision=2).save()
        timeline = history_of(told)
        assert timeline[-1].operation == "revert"
        blamed = {path: revision.number for path, revision in timeline.blame().items()}
        assert blamed["facts.x.y"] == 9
        assert blamed["title"] == 2
        deleted(told)
        restore(Book, told.pk).save()
        assert {revision.number for revision in history_of(told).blame().values()} == {11}

    def test_it_reads_back_only_as_far_as_needed(self, database: Any, commands: Any) -> None:
        book = Full(text="a")
        edited(book)
        many_revisions(database, book, 3000)
        commands.clear()
        assert history_of(book).blame()["text"].number == 3000
        assert history_of(book).blame("text").number == 3000
        assert len(commands.names) < 10

    @pytest.mark.parametrize(
        "path",
        ["", [], (), 5, [None], [1.5], {"title"}, b"title", "a\x00b", ["a\x00b"], ["a", "b\x00"]],
    )
    def test_what_is_no_path_is_refused(self, book: Book, path: Any) -> None:
        with pytest.raises(OptionsError):
            history_of(book).blame(path)

    def test_a_value_that_lies_in_parts_hides_nothing_else(self) -> None:
        """A record whose values are stored apart may hold any key, but does not hold each."""

        class Free(me.DynamicDocument):
            meta = {"collection": "free_books", "auto_create_index": False}

        watch(Free)
        free = Free(title="a").save()
        edited(free, title="b")
        edited(free, blob="x" * 13_000_000)
        timeline = history_of(free)
        assert timeline.blame("blob").number == 2
        assert timeline.blame()["title"].number == 1
        assert timeline.blame("title").number == 1


class TestVersions:
    def test_one_has_number_state_identity_and_stamp(self) -> None:
        kept = Kept(text="0").save()
        for number in range(1, 6):
            edited(kept, f"user {number}", text=str(number))
        versions = list(Version.objects.of(kept).order_by("revision"))
        assert [version.revision for version in versions] == [0, 2, 4]
        assert [version.state["text"] for version in versions] == ["0", "2", "4"]
        assert [version.identity for version in versions] == [None, "user 2", "user 4"]
        for version in versions:
            assert (version.document_type, version.document_id) == ("kept", kept.pk)
            of_revision = History.objects.get(revision=max(version.revision, 1))
            assert version.stamp == of_revision.stamp
            assert version.created_at == of_revision.created_at
        assert list(Version.objects.of(kept).by("user 4")) == versions[2:]

    def test_a_created_document_has_no_version_zero(self) -> None:
        full = Full(text="a")
        edited(full)
        edited(full, text="b")
        deleted(full)
        versions = Version.objects.order_by("revision")
        assert [(it.revision, it.state) for it in versions] == [
            *((1, {"text": "a"}), (2, {"text": "b"}), (3, {}))
        ]

    def test_records_and_versions_are_kept_apart(self) -> None:
        full = Full(text="a").save()
        edited(full, text="b")
        assert (History.objects.count(), Version.objects.count()) == (1, 2)
        assert History._get_collection().count_documents({}) == 3

    def test_zero_keeps_none(self) -> None:
        bare = Bare(text="0").save()
        for number in range(1, 5):
            edited(bare, text=str(number))
        deleted(bare)
        assert Version.objects.count() == 0
        timeline = history_of(Bare, bare.pk)
        assert [timeline.state(number)["text"] for number in range(5)] == list("01234")

    def test_by_default_one_is_kept_with_every_hundredth(self) -> None:
        book = Book(title="0").save()
        for number in range(1, 202):
            with DocumentTrack(book):
                book.title = str(number)
                book.save()
        assert Version.objects.order_by("revision").distinct("revision") == [0, 100, 200]

    def test_the_state_is_the_one_after_its_revision_whoever_writes_it(self) -> None:
        """A writer who knows nothing yet, one who does, and one with a stale copy."""
        kept = Kept(text="0", tags=["a"])
        edited(kept)
        stale = Kept.objects.get()
        edited(Kept.objects.get(), text="2", tags=["a", "b"])
        edited(kept, tags=["x", "a"])
        edited(stale, tags=["a", "c"])
        edited(kept, text="5")
        edited(kept, text="6")
        timeline = history_of(kept)
        states = [timeline.state(number) for number in range(1, 7)]
        for version in Version.objects:
            assert version.state == states[version.revision - 1]
        Version.objects.delete()
        assert [timeline.state(number) for number in range(1, 7)] == states

    def test_a_later_change_of_the_option_holds_from_then_on(self, monkeypatch: Any) -> None:
        full = Full(text="1")
        edited(full)
        monkeypatch.setitem(Full._meta, "history", {"version_every": 0})
        edited(Full.objects.get(), text="2")
        monkeypatch.setitem(Full._meta, "history", {"version_every": 3})
        for number in (3, 4, 5):
            edited(Full.objects.get(), text=str(number))
        assert Version.objects.order_by("revision").distinct("revision") == [1, 3]
        assert [history_of(full).state(it)["text"] for it in range(1, 6)] == list("12345")

    def test_versions_asked_for_later_are_right(self, monkeypatch: Any) -> None:
        """Nothing was kept before the first one, and the save that brings it is stored already."""
        monkeypatch.setitem(Kept._meta, "history", {"version_every": 0})
        kept = Kept(text="0", tags=["a"]).save()
        edited(kept, tags=["a", "b"])
        monkeypatch.setitem(Kept._meta, "history", {"version_every": 2})
        edited(Kept.objects.get(), tags=["a", "b", "c"])
        edited(Kept.objects.get(), tags=["c", "a", "b", "c"])
        expected = [["a"], ["a", "b"], ["a", "b", "c"], ["c", "a", "b", "c"]]
        timeline = history_of(Kept, kept.pk)
        assert [timeline.state(number)["tags"] for number in range(4)] == expected
        Kept.objects.update(set__tags=["drift"])
        assert [timeline.state(number)["tags"] for number in range(4)] == expected
        Kept.objects.delete()
        assert [timeline.state(number)["tags"] for number in range(4)] == expected

    def test_subclasses_inherit_the_option_and_may_have_their_own(self) -> None:
        class Base(me.Document):
            meta = {
                "collection": "bases",
                "allow_inheritance": True,
                "auto_create_index": False,
                "history": {"version_every": 1},
            }
            text = me.StringField()

        class Inheriting(Base):
            pass

        class Own(Base):
            meta = {"history": {"version_every": 0}}

        watch(Base, Inheriting, Own)
        for cls in (Base, Inheriting, Own):
            edited(cls(text="a"))
        assert {version.state["_cls"] for version in Version.objects} == {"Base", "Base.Inheriting"}

    @pytest.mark.parametrize(
        "options",
        [
            {"version_every": -1},
            {"version_every": 1.0},
            {"version_every": "1"},
            {"version_every": None},
            {"version_every": True},
            {"versions_every": 1},
            "version_every",
            5,
            [],
        ],
    )
    def test_wrong_options_are_refused_before_anything_is_written(self, options: Any) -> None:
        class Wrong(me.Document):
            meta = {"collection": "wrong", "auto_create_index": False, "history": options}
            text = me.StringField()

        watch(Wrong)
        with pytest.raises(OptionsError):
            edited(Wrong(text="a"))
        assert Wrong.objects.count() == 0
        with pytest.raises(OptionsError):
            history_of(Wrong, ObjectId())

    def test_large_states_are_kept_in_parts(self) -> None:
        full = Full(text="a" * 15_500_000)
        edited(full)
        edited(full, text="b" * 15_500_000)
        edited(full, text="small")
        timeline = history_of(full)
        assert [timeline.state(number)["text"][:1] for number in (1, 2, 3)] == ["a", "b", "s"]
        assert [len(timeline.state(number)["text"]) for number in (1, 2)] == [15_500_000] * 2
        assert [it.number for it in timeline] == [1, 2, 3]
        versions = Version.objects.order_by("revision")
        assert [(it.revision, it.state and len(it.state["text"])) for it in versions] == [
            *((1, None), (2, None), (3, 5))
        ]
        deleted(full)
        assert len(restore(Full, full.pk).save().text) == 5
        assert len(revert(full, revision=2).save().text) == 15_500_000

    def test_deep_states_are_kept_in_parts(self) -> None:
        class Deep(me.Document):
            meta = {
                "collection": "deep",
                "auto_create_index": False,
                "history": {"version_every": 1},
            }
            data = me.DictField()

        watch(Deep)
        data: Any = {"bottom": 1}
        for _ in range(170):
            data = {"a": data}
        deep = Deep(data=data).save()
        edited(deep, data={"flat": 1})
        assert history_of(deep).state(0) == {"data": data}
        assert history_of(deep).state(1) == {"data": {"flat": 1}}
        assert history_of(deep).compare(1, 0)

    def test_reading_a_state_does_not_depend_on_the_length_of_the_history(
        self, commands: Any
    ) -> None:
        kept = Kept(text="0")
        edited(kept)
        for number in range(1, 40):
            with DocumentTrack(kept):
                kept.text = str(number)
                kept.save()
        for number in (3, 20, 40):
            commands.clear()
            assert history_of(kept).state(number)["text"] == str(number - 1)
            assert len(commands.names) <= 2
            bounds = commands.sent[-1]["filter"]["revision"]
            assert bounds["$lte"] - bounds["$gte"] < 2


def many_revisions(database: Any, document: Any, count: int) -> None:
    """Continue a history of one creation, without saving each time."""
    first = database.history.find_one({"document_id": document.pk, "revision": 1, "position": 0})
    database.history.insert_many(
        {
            **{key: value for key, value in first.items() if key not in {"_id", "lists"}},
            "action": "change",
            "path": "text",
            "keys": ["text"],
            "data": {"old": f"{number - 1:08}", "new": f"{number:08}"},
            "operation": "update",
            "revision": number,
            "stamp": first["stamp"] + number,
        }
        for number in range(2, count + 1)
    )


class TestMemory:
    def test_iterating_holds_a_batch_at_a_time(self, database: Any) -> None:
        book = Book(title="a")
        edited(book)
        many_revisions(database, book, 20_000)
        for read in (iter, reversed):
            count = 0
            gc.collect()
            tracemalloc.start()
            for _ in read(history_of(book)):
                count += 1
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert count == 20_000
            assert peak < 8_000_000, peak  # all of them take about 40 MB


class TestIncompleteHistories:
    @pytest.fixture
    def broken(self, database: Any) -> Kept:
        """Six revisions with versions at 0, 2, 4, 6; of revision 3 one of two records is gone."""
        kept = Kept(text="0", tags=["0"]).save()
        for number in range(1, 7):
            edited(kept, text=str(number), tags=[str(number)])
        found = database.history.delete_one({"revision": 3, "position": 1})
        assert found.deleted_count == 1
        return kept

    def test_an_incomplete_revision_is_noticed(self, broken: Kept) -> None:
        timeline = history_of(broken)
        moment = timeline[4].at - timedelta(microseconds=1)
        for read in (
            lambda: timeline[3],
            lambda: timeline[2:5],
            lambda: list(timeline),
            lambda: list(reversed(timeline)),
            lambda: timeline.state(3),
            lambda: timeline.at(3),
            lambda: timeline.compare(2, 3),
            lambda: timeline.as_of(moment),
            lambda: revert(broken, revision=3),
        ):
            with pytest.raises(IncompleteRevisionError) as caught:
                read()
            error = caught.value
            assert (error.document_id, error.number) == (broken.pk, 3)
            assert (error.found, error.size) == (1, 2)

    def test_what_lies_before_it_and_after_a_later_version_can_be_read(self, broken: Kept) -> None:
        timeline = history_of(broken)
        assert len(timeline) == 6
        for number in (0, 1, 2, 4, 5, 6):
            assert timeline.state(number)["text"] == str(number)
        assert timeline[4].number == 4
        assert numbers(timeline[4:]) == [4, 5, 6]
        assert timeline.blame("text").number == 6

    def test_a_version_written_after_it_makes_the_later_states_readable(
        self, broken: Kept, database: Any
    ) -> None:
        """Who knows nothing of the history yet takes what is stored for a new beginning."""
        database.history.delete_many({"position": {"$lt": 0}, "revision": {"$gt": 2}})
        with pytest.raises(IncompleteRevisionError):
            history_of(broken).state(6)
        loaded = Kept.objects.get()
        edited(loaded, text="7")
        with pytest.raises(IncompleteRevisionError):
            history_of(broken).state(7)
        edited(Kept.objects.get(), text="8")
        edited(loaded, text="9", tags=["9", *loaded.tags])
        timeline = history_of(broken)
        assert (timeline.state(8)["text"], timeline.state(9)["tags"]) == ("8", ["9", "6"])
        assert revert(loaded, revision=8).save().text == "8"

    def test_a_missing_one_is_noticed_in_both_directions(self, database: Any) -> None:
        book = Book(title="0").save()
        for number in range(1, 6):
            edited(book, title=str(number))
        database.history.delete_many({"revision": 3})
        timeline = history_of(book)
        for read in (iter, reversed):
            with pytest.raises(IncompleteRevisionError) as caught:
                list(read(timeline))
            assert (caught.value.number, caught.value.found) == (3, 0)
        with pytest.raises(RevisionNotFoundError):
            timeline[3]
        for index in (slice(2, 5), slice(3, 5), slice(2, 4), slice(3, 4)):
            with pytest.raises(IncompleteRevisionError) as caught:
                timeline[index]
            assert caught.value.number == 3

    def test_a_version_whose_last_part_is_missing_is_passed_over(self, database: Any) -> None:
        """A writer who died in the middle leaves parts of a version, but not its last document."""
        full = Full(text="a" * 13_000_000)
        edited(full)
        edited(full, text="b")
        database.history.delete_one({"revision": 1, "position": -1})
        assert history_of(full).state(1)["text"] == "a" * 13_000_000
        assert history_of(full).state(2)["text"] == "b"


class TestSurroundings:
    def questions(self, kept: Any) -> list[Callable[[], Any]]:
        """Each one that can be asked."""
        timeline = history_of(kept)
        middle = timeline[3].at
        return [
            lambda: [timeline.state(number) for number in range(6)],
            lambda: len(timeline),
            lambda: list(timeline),
            lambda: list(reversed(timeline)),
            lambda: timeline[2:5],
            lambda: timeline[-1],
            lambda: timeline.at(2).text,
            lambda: timeline.as_of(middle).text,
            lambda: timeline.as_of(middle + timedelta(hours=1)).text,
            lambda: timeline.compare(1, 4),
            lambda: timeline.compare(2),
            lambda: timeline.legacy,
            timeline.blame,
            lambda: timeline.blame("text"),
            lambda: timeline.blame(["tags"]),
            lambda: revert(Kept.objects.get(), revision=2).text,
            lambda: revert(Kept.objects.get(), since=middle).text,
            lambda: load_history(kept),
        ]

    def read(self, kept: Any) -> list[Any]:
        return [ask() for ask in self.questions(kept)]

    @pytest.fixture
    def kept(self) -> Kept:
        kept = Kept(text="0", tags=["0"]).save()
        for number in range(1, 6):
            edited(kept, text=str(number), tags=[str(number), *kept.tags])
        return kept

    def test_without_indexes_all_is_read_all_the_same(self, kept: Kept, database: Any) -> None:
        """As before the first record after an upgrade, or when somebody dropped them."""
        for ask in self.questions(kept):
            expected = ask()
            database.history.drop_indexes()
            assert ask() == expected
        History.ensure_indexes()

    def test_inside_a_transaction_what_that_has_written_is_seen(
        self, kept: Kept, client: MongoClient
    ) -> None:
        if not hasattr(MongoClient, "_get_bound_session"):
            pytest.skip("PyMongo binds sessions from 4.17 on")
        expected = self.read(kept)
        with client.start_session() as session, session.bind(end_session=False):
            session.start_transaction()
            assert self.read(kept) == expected
            edited(kept, text="6")
            edited(Kept.objects.get(), text="7")
            timeline = history_of(kept)
            assert len(timeline) == 7
            assert [timeline.state(number)["text"] for number in (6, 7)] == ["6", "7"]
            assert timeline.as_of(datetime.now()).text == "7"
            assert timeline.blame("text").number == 7
            session.abort_transaction()
        assert self.read(Kept.objects.get()) == expected

    def test_many_threads_may_read_one_timeline(self, kept: Kept) -> None:
        timeline, expected = history_of(kept), self.read(kept)[0]
        with ThreadPoolExecutor(8) as pool:
            states = list(pool.map(timeline.state, list(range(6)) * 20))
        assert states == expected * 20


class TestRecordsOf11:
    @pytest.fixture
    def recipe(self, released: Elsewhere) -> Recipe:
        """A recipe that 1.1 has saved twice, and the new release then twice."""
        recipe = Recipe(**STATES[0]).save()
        recipe.moments = released.call("walk", recipe.pk, 1, 2)
        return recipe

    def test_they_have_no_number(self, recipe: Recipe) -> None:
        timeline = history_of(recipe)
        assert (len(timeline), list(timeline)) == (0, [])
        with pytest.raises(RevisionNotFoundError):
            timeline[1]
        walk(recipe.pk, 3, 4)
        assert numbers(timeline) == [1, 2]

    def test_legacy_has_them_oldest_first(self, recipe: Recipe) -> None:
        walk(recipe.pk, 3, 4)
        records = history_of(recipe).legacy
        assert all(isinstance(record, History) for record in records)
        assert {(record.revision, record.stamp) for record in records} == {(None, None)}
        times = [record.created_at for record in records]
        assert times == sorted(times)
        assert [record.path for record in records if record.data.get("new") == "B"] == ["t"]
        assert len(records) == History.objects(revision=None).count()
        assert history_of(Recipe, ObjectId()).legacy == []

    def test_a_moment_before_revision_1_is_unwound_through_them(self, recipe: Recipe) -> None:
        moments = [*recipe.moments, *walk(recipe.pk, 3, 4), datetime.now()]
        timeline = history_of(recipe)
        shown = [timeline.as_of(moment) for moment in moments]
        assert [it.title for it in shown] == ["A", "B", "B", "C", "C"]
        assert [it.tags for it in shown] == [
            *(["a", "b", "c"], ["b", "c"], [], ["new", "c", "b"], ["c"])
        ]
        assert [it.facts for it in shown[:3]] == [
            *({"1": [1]}, {"1": [1, 2], "a.b": 0}, {"a.b": {"c": 1}})
        ]

    def test_without_a_revision_they_are_unwound_from_what_is_stored(self, recipe: Recipe) -> None:
        timeline = history_of(recipe)
        assert [timeline.as_of(it).title for it in [*recipe.moments, datetime.now()]] == [
            *("A", "B", "B")
        ]
        assert timeline.state(0)["servings"] == 1

    def test_one_of_the_very_moment_counts(self, recipe: Recipe) -> None:
        """They know milliseconds, by the wall clock."""
        changed = History.objects.get(path="t").created_at
        timeline = history_of(recipe)
        assert timeline.as_of(changed).title == "B"
        assert timeline.as_of(changed - timedelta(milliseconds=1)).title == "A"

    def test_state_zero_is_the_one_in_which_they_end(self, recipe: Recipe) -> None:
        walk(recipe.pk, 3, 3)
        state = history_of(recipe).state(0)
        assert (state["t"], state["servings"], state["facts"]) == ("B", 1, {"a.b": {"c": 1}})
        assert Version.objects.get().revision == 0

    def test_a_deletion_recorded_later_does_not_hide_them(self, recipe: Recipe) -> None:
        watch(Recipe)
        recipe.reload()
        with tracked(recipe):
            recipe.delete()
        timeline = history_of(Recipe, recipe.pk)
        assert [timeline.as_of(it).title for it in recipe.moments] == ["A", "B"]
        assert timeline.as_of(datetime.now()) is None
        assert len(timeline.legacy) == History.objects(revision=None).count() > 0
