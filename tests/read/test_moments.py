"""A document as it was at a moment."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import Any

import mongoengine as me
import pytest
from support.books import Bare, Book, Full, Kept
from support.changes import deleted, edited, watch, watched
from support.moments import moment_after

from mongoengine_history import (
    DocumentDidNotExistError,
    DocumentTrack,
    History,
    OptionsError,
    as_of,
    history_of,
    load_history,
    restore,
)

connected = watched(Book, Kept, Full, Bare)


class TestMoments:
    def test_a_moment_between_two_revisions_gives_the_first(self) -> None:
        book = Book(title="0")
        moments = [moment_after(edited(book, title=str(number))) for number in range(5)]
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

    def test_the_clock_of_a_record_counts_as_its_millisecond(self, monkeypatch: Any) -> None:
        """The same belongs to a moment wherever it is asked for."""
        book = Book(title="0").save()
        for microseconds in (1_000, 1_999, 2_000, 2_001, 3_500):
            clock = (1_700_000_000_000_000 + microseconds) * 1000
            monkeypatch.setattr(time, "time_ns", lambda clock=clock: clock)
            edited(book, title=str(microseconds))
        monkeypatch.undo()
        mine = History.objects.of(book)
        titles = ["1999", "1999", "2001", "2001", "3500"]
        for record, title in zip(mine.order_by("revision"), titles, strict=True):
            moment = record.created_at
            until = mine.between(until=moment)
            assert history_of(book).as_of(moment).title == title
            assert [it.title for it in as_of(Book, moment) if it.pk == book.pk] == [title]
            assert until.count() == len(load_history(book, until=moment))
            assert next(it.data["new"] for it in until.order_by("-revision")) == title

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
        first = moment_after(edited(book))
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


def test_the_state_at_a_moment_is_that_of_the_document_then() -> None:
    book = Book(title="0")
    moments = [moment_after(edited(book, title=str(number))) for number in range(3)]
    timeline = history_of(book)
    assert [timeline.state(moment)["title"] for moment in moments] == ["0", "1", "2"]
    with pytest.raises(DocumentDidNotExistError):
        timeline.state(datetime(2001, 1, 1))
