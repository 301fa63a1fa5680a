"""Who has set a value last."""

from __future__ import annotations

from typing import Any

import mongoengine as me
import pytest
from support.books import Bare, Book, Full, Kept, many_revisions
from support.changes import deleted, edited, watch, watched
from support.documents import Address, Line

from mongoengine_history import DocumentTrack, History, OptionsError, history_of, restore, revert

connected = watched(Book, Kept, Full, Bare)


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

    def test_an_earlier_state_is_asked_for_by_its_revision(self, told: Book) -> None:
        timeline = history_of(told)
        numbers = {path: it.number for path, it in timeline.blame(revision=4).items()}
        assert numbers["title"] == 2
        assert (numbers["tags"], numbers["lines"], numbers["facts.x.y"]) == (4, 1, 3)
        assert timeline.blame("lines", revision=4).number == 1
        assert timeline.blame("lines", revision=-4).number == 5
        assert timeline.blame("pages", revision=7) is None
        assert timeline.blame(revision=0) == {}
        with pytest.raises(OptionsError):
            timeline.blame(revision=True)

    def test_no_more_revisions_than_wanted_are_gone_through(self, told: Book) -> None:
        timeline = history_of(told)
        assert {it.number for it in timeline.blame(most=2).values()} == {8}
        assert {it.number for it in timeline.blame(revision=6, most=1).values()} == {6}
        assert timeline.blame(most=0) == {}
        for most in (-1, "2", True):
            with pytest.raises(OptionsError):
                timeline.blame(most=most)

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
            ("pages", 8),
            ("address.street", 1),
            ("lines.0.qty", 5),
            ("facts.nothing", None),
            (["facts", "a", "b"], None),
        ],
    )
    def test_a_path_has_the_revision_that_last_set_it_or_a_part_of_it(
        self, told: Book, path: Any, number: int | None
    ) -> None:
        """Also one that removed the value; names are those of attributes, or stored ones."""
        revision = history_of(told).blame(path)
        assert (revision and revision.number) == number

    @pytest.mark.parametrize("path", ["nothing", "address.nothing", "lines.qty", "lines.0.nothing"])
    def test_a_name_that_neither_class_nor_history_knows_is_refused(
        self, told: Book, path: str
    ) -> None:
        with pytest.raises(OptionsError, match="there is no '"):
            history_of(told).blame(path)
        with pytest.raises(OptionsError, match="there is no '"):
            History.objects.of(told).by(None).touching(path)
        assert history_of(told).blame(path.split(".")) is None

    def test_questions_take_names_of_attributes_in_any_order(self, told: Book) -> None:
        asked = History.objects.of(told)
        for found in (asked.touching("pages").by(None), asked.by(None).touching("p")):
            assert found.distinct("revision") == [8]
        assert asked.touching("address.street").distinct("revision") == [1]

    def test_a_field_that_the_class_had_before_can_be_asked_for(self, told: Book) -> None:
        class Short(me.Document):
            meta = {"collection": "books", "auto_create_index": False}

        assert history_of(Short, told.pk).blame("title").number == 2
        asked = History.objects.of(Short, told.pk)
        assert asked.touching("title").distinct("revision") == [1, 2]
        assert asked.filter(revision=5).touching("title").first() is None
        with pytest.raises(OptionsError, match="there is no 'pages'"):
            asked.touching("pages")

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
