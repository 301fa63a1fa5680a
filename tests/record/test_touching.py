"""Which records the server finds for a path, beside a slow and simple answer in Python."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Any

import mongoengine as me
import pytest
from bson import ObjectId
from hypothesis import example, given
from hypothesis import strategies as st
from mongoengine import signals
from pymongo.database import Database
from support.documents import Person
from support.strategies import examples

from mongoengine_history import DocumentTrack, History, OptionsError, history_of, track_changes
from mongoengine_history.record import layout
from mongoengine_history.record.layout import records_of_revision
from mongoengine_history.state.context import Context
from mongoengine_history.state.diff import diff
from mongoengine_history.state.patches import CHANGE, Patch
from mongoengine_history.state.revision import UPDATE, StoredRevision
from mongoengine_history.state.values import ABSENT, WIRE, Path, find, wire


class Thing(me.Document):
    meta = {"collection": "things", "auto_create_index": False}
    a = me.IntField()
    b = me.DictField()
    c = me.ListField()


class Other(me.Document):
    meta = {"collection": "others", "auto_create_index": False}
    a = me.IntField()


#: Keys that MongoDB reads in more than one way: indexes, empty ones, other digits.
keys = st.sampled_from(["a", "b", "0", "1", "", "²", "٣", "a.b", "$x", "ß"])
plain_keys = st.sampled_from(["a", "b", "c", "ß"])


def values_with(names: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    scalars = st.sampled_from([None, 1, True, "x", "a"])
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
        max_leaves=8,
    )


def lives_with(names: st.SearchStrategy[str]) -> st.SearchStrategy[list[dict[str, Any]]]:
    states = st.dictionaries(names, values_with(names), max_size=3)
    return st.lists(states.map(lambda state: wire(state, WIRE)), min_size=2, max_size=4)


paths = st.lists(keys | st.integers(0, 2), min_size=1, max_size=3)


def store(database: Database, lives: list[dict[str, Any]]) -> dict[int, list[Patch]]:
    """Store the records of revisions that lead through some states; return their patches."""
    database.history.delete_many({})
    owner = {"document_type": "things", "document_id": 1}
    stored: dict[int, list[Patch]] = {}
    for number, (before, after) in enumerate(zip([{}, *lives], lives, strict=False), start=1):
        patches = diff(before, after)
        if patches:
            stored[number] = patches
            revision = StoredRevision(number, number, UPDATE, Context(), tuple(patches))
            database.history.insert_many(records_of_revision(revision, owner))
    return stored


def says_something(patch: Patch, path: Path) -> bool:
    """Whether a record is at a path, below it or above it, or adds or removes what holds it."""
    if patch.path[: len(path)] == path:
        return True
    is_above = path[: len(patch.path)] == patch.path
    if patch.action == CHANGE or not is_above:
        return is_above
    key, rest = path[len(patch.path)], path[len(patch.path) + 1 :]
    return any(
        item == key and type(item) is type(key) and find(value, rest) is not ABSENT
        for item, value in patch.data
    )


def expected(stored: dict[int, list[Patch]], path: Path) -> set[tuple[int, int]]:
    return {
        (number, position)
        for number, patches in stored.items()
        for position, patch in enumerate(patches)
        if says_something(patch, path)
    }


def found(path: Any) -> set[tuple[int, int]]:
    records = History.objects(document_id=1).touching(path)
    return {(record.revision, record.position) for record in records}


def is_plain(path: Path) -> bool:
    """Whether the server can look for all names of a path inside of a value."""
    return not any(isinstance(key, str) and ("." in key or key[:1] in {"", "$"}) for key in path)


@given(lives_with(keys), paths)
@example([{"a": [{"b": 1}]}], ["a", "b"])
@example([{"a": {"0": 1}}, {"a": [1]}], ["a", "0"])
@example([{"a": {"0": 1}}, {"a": [1]}], ["a", 0])
@example([{"a": [[1]]}, {"a": [[1], {"0": 2}]}], ["a", 0, 0])
@example([{"a": {"": 1}}], ["a", ""])
@example([{"a": [1]}, {"a": [1, 2]}], ["a", "1"])
@example([{"a": {"b": [5]}}], ["a", "b", "0"])
@example([{"a": {"b": {"0": 5}}}], ["a", "b", 0])
@examples(300)
def test_a_list_of_keys_is_exact(
    database: Any, lives: list[dict[str, Any]], path: list[Any]
) -> None:
    """Where names have no dot or dollar; else no record is missed."""
    exact = expected(store(database, lives), tuple(path))
    assert found(path) >= exact
    assert found(tuple(path)) == found(path)
    if is_plain(tuple(path)):
        assert found(path) == exact


@given(lives_with(plain_keys), st.lists(plain_keys, min_size=1, max_size=3))
@examples(100)
def test_a_text_of_plain_names_finds_what_the_list_finds(
    database: Any, lives: list[dict[str, Any]], path: list[str]
) -> None:
    store(database, lives)
    assert found(".".join(path)) == found(path)


@given(lives_with(keys), paths)
@examples(300)
def test_a_text_misses_nothing_that_its_keys_find(
    database: Any, lives: list[dict[str, Any]], path: list[Any]
) -> None:
    """
    A text may mean more than one path, and finds the records of all.

    Dots in names below the first are escaped, or not found in values that were added whole.
    """
    exact = expected(store(database, lives), tuple(path))
    text = ".".join(str(key) for key in path)
    if text and not any("." in str(key) for key in path[1:]):
        assert found(text) >= exact
    escaped = ".".join(re.sub(r"([\\.])", r"\\\1", str(key)) for key in path)
    if escaped:
        assert found(escaped) >= exact


@given(lives_with(keys), paths)
@examples(100)
def test_what_is_stored_in_parts_is_never_missed(
    database: Any, lives: list[dict[str, Any]], path: list[Any]
) -> None:
    """Nobody can look into it, so it is found wherever it may hold the path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "LARGEST_VALUE", 30)
        stored = store(database, lives)
    assert found(path) >= expected(stored, tuple(path))


@pytest.mark.parametrize(
    "path", ["", [], (), None, 5, [None], [1.5], [["a"]], {"a"}, b"a", "a\x00", ["a", "b\x00"]]
)
def test_what_is_no_path_is_refused(database: Any, path: Any) -> None:
    with pytest.raises(OptionsError):
        History.objects.touching(path)


class TestQuestions:
    """The questions of the queryset, alone and together."""

    @pytest.fixture(autouse=True)
    def connected(self, database: Any) -> None:
        for cls in (Thing, Other):
            signals.post_save.connect(track_changes, sender=cls)

    @pytest.fixture
    def thing(self) -> Thing:
        thing = Thing(a=0)
        for number, who in enumerate(["ann", "ben", "ann", None], start=1):
            with DocumentTrack(thing, who):
                thing.a = number
                if number > 2:
                    thing.b = {"x": number}
                thing.save()
        with DocumentTrack(other := Other(pk=thing.pk, a=1), "ann"):
            other.save()
        return thing

    def numbers(self, records: Any) -> list[int]:
        return sorted(set(records.distinct("revision")))

    def test_of_keeps_the_records_of_one_document(self, thing: Thing) -> None:
        assert self.numbers(History.objects.of(thing)) == [1, 2, 3, 4]
        assert self.numbers(History.objects.of(Thing, thing.pk)) == [1, 2, 3, 4]
        assert self.numbers(History.objects.of(Thing, str(thing.pk))) == [1, 2, 3, 4]
        assert self.numbers(History.objects.of(Other, thing.pk)) == [1]
        assert self.numbers(History.objects.of(Thing, ObjectId())) == []

    def test_of_looks_where_the_document_lies(self, thing: Thing) -> None:
        elsewhere = Thing(pk=thing.pk, a=9).switch_db("other")
        with DocumentTrack(elsewhere):
            elsewhere.save()
        assert self.numbers(History.objects.of(elsewhere)) == [1]
        assert self.numbers(History.objects.of(thing)) == [1, 2, 3, 4]

    @pytest.mark.parametrize("arguments", [(Thing(),), (Thing,), (Thing, "x"), (None,), (dict, 1)])
    def test_of_what_names_no_document_is_refused(self, arguments: Any, database: Any) -> None:
        with pytest.raises((OptionsError, AttributeError)):
            History.objects.of(*arguments)

    def test_by_keeps_what_somebody_answers_for(self, thing: Thing) -> None:
        assert self.numbers(History.objects.of(thing).by("ann")) == [1, 3]
        assert self.numbers(History.objects.of(thing).by(None)) == [4]
        assert self.numbers(History.objects.of(thing).by("nobody")) == []
        assert History.objects.by("ann").count() == 4

    @pytest.mark.parametrize(
        "identity", [7, "x", ObjectId("5" * 24), {"id": 1, "name": "x"}, b"key", 1.5, [1, 2]]
    )
    def test_by_takes_any_bson_value(self, thing: Thing, identity: Any) -> None:
        with DocumentTrack(thing, identity):
            thing.a = 99
            thing.save()
        assert self.numbers(History.objects.by(identity)) == [5]

    def test_by_takes_a_saved_document_for_its_key(self, thing: Thing) -> None:
        ann = Person(name="ann").save()
        with DocumentTrack(thing, ann):
            thing.a = 99
            thing.save()
        assert self.numbers(History.objects.by(ann)) == [5]
        with pytest.raises(OptionsError):
            History.objects.by(Person(name="unsaved"))

    def test_between_includes_both_ends(self, thing: Thing) -> None:
        moments = [revision.at for revision in history_of(thing)]
        records = History.objects.of(thing)
        one = timedelta(microseconds=1)
        assert self.numbers(records.between(moments[1], moments[2])) == [2, 3]
        assert self.numbers(records.between(since=moments[2])) == [3, 4]
        assert self.numbers(records.between(since=moments[2] + one)) == [4]
        assert self.numbers(records.between()) == [1, 2, 3, 4]
        assert self.numbers(records.between(moments[2], moments[1] - one)) == []
        until = moments[1].replace(microsecond=moments[1].microsecond // 1000 * 1000)
        assert 2 in self.numbers(records.between(until=until))  # it is all of its millisecond

    def test_between_takes_naive_times_for_local_ones(self, thing: Thing) -> None:
        records, moment = History.objects.of(thing), history_of(thing)[3].at
        local = moment.astimezone().replace(tzinfo=None)
        elsewhere = moment.astimezone(timezone(timedelta(hours=9)))
        for since in (moment, local, elsewhere):
            assert self.numbers(records.between(since=since)) == [3, 4]

    @pytest.mark.parametrize("end", ["2020", 5, datetime(2020, 1, 1).date()])
    def test_between_refuses_what_is_no_moment(self, database: Any, end: Any) -> None:
        for arguments in ((end,), (None, end)):
            with pytest.raises(OptionsError):
                History.objects.between(*arguments)

    def test_they_can_be_combined_in_any_order(self, thing: Thing) -> None:
        moment = history_of(thing)[2].at
        for records in (
            History.objects.of(thing).by("ann").touching("b.x").between(since=moment),
            History.objects.between(since=moment).touching("b.x").by("ann").of(thing),
            History.objects(operation="update").of(thing).touching("b").by("ann"),
            History.objects.of(thing).filter(identity="ann").touching(["b", "x"]),
        ):
            assert self.numbers(records) == [3]
        both = History.objects.of(thing).touching("a").touching("b")
        assert self.numbers(both) == [1]  # the creation is the one record that holds both
        assert self.numbers(History.objects.of(thing).touching("a")) == [1, 2, 3, 4]

    def test_the_answer_is_a_normal_queryset(self, thing: Thing) -> None:
        records = History.objects.of(thing).touching("a")
        assert records.order_by("-revision").first().revision == 4
        assert records.count() == len(records) == 4
        assert [record.revision for record in records.order_by("revision")[1:3]] == [2, 3]
        assert History.objects.of(thing).only("revision").first().path is None
        assert records.filter(revision__gt=2).count() == 2
