"""Whose history it is, wherever it lies and whoever asks for it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import mongoengine as me
import pytest
from bson import ObjectId
from mongoengine.context_managers import switch_collection, switch_db
from pymongo import MongoClient
from support.binding import binds
from support.books import Bare, Book, Full, Kept
from support.changes import deleted, edited, numbers, watch, watched
from support.documents import Address, raw

from mongoengine_history import (
    DocumentDidNotExistError,
    History,
    OptionsError,
    RevisionNotFoundError,
    StateMismatchError,
    Version,
    history_of,
    load_history,
    restore,
    revert,
)

connected = watched(Book, Kept, Full, Bare)


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
        assert numbers(history_of(Flower, tree.pk)) == []
        Plant._get_collection().update_one({}, {"$set": {"_cls": "Plant.Flower"}})
        assert numbers(history_of(Flower, tree.pk)) == [1, 2]  # it is one now
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

    @binds
    def test_inside_a_transaction_what_that_has_written_is_seen(
        self, kept: Kept, client: MongoClient
    ) -> None:
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
