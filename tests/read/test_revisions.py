"""Revisions of a history: counting, slicing, whose they are not, and what is missing."""

from __future__ import annotations

import gc
import tracemalloc
from dataclasses import FrozenInstanceError
from datetime import datetime, timedelta, timezone
from typing import Any

import dictdiffer
import pytest
from support.books import Bare, Book, Full, Kept, many_revisions
from support.changes import deleted, edited, numbers, watched
from support.documents import Line

from mongoengine_history import (
    DocumentTrack,
    IncompleteRevisionError,
    OptionsError,
    Revision,
    RevisionNotFoundError,
    history_of,
    restore,
    revert,
)

connected = watched(Book, Kept, Full, Bare)


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
        """What is there of the numbers asked for, from the first of them on."""

        def meant(number: int | None, otherwise: int) -> int:
            return otherwise if number is None else number if number >= 0 else 6 + number

        timeline = history_of(book)
        for step in (None, 1, 2, 3):
            within = [it for it in range(1, 6) if meant(start, 1) <= it < meant(stop, 6)]
            assert numbers(timeline[start:stop:step]) == within[::step]
        for step in (-1, -2, -3):
            within = [it for it in range(5, 0, -1) if meant(start, 5) >= it > meant(stop, 0)]
            assert numbers(timeline[start:stop:step]) == within[::-step]

    @pytest.mark.parametrize("step", [1, 2, 3, 7, -1, -2, -3, -7])
    def test_a_whole_slice_is_that_of_a_list(self, book: Book, step: int) -> None:
        timeline = history_of(book)
        assert timeline[::step] == list(timeline)[::step]

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
