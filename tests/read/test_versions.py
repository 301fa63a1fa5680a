"""Versions: from which a state is rebuilt, and without which as well."""

from __future__ import annotations

from typing import Any

import mongoengine as me
import pytest
from bson import ObjectId
from support.books import Bare, Book, Full, Kept
from support.changes import deleted, edited, watch, watched

from mongoengine_history import (
    DocumentTrack,
    History,
    OptionsError,
    Version,
    history_of,
    restore,
    revert,
)

connected = watched(Book, Kept, Full, Bare)


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
