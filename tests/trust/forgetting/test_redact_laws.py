"""Laws: after `redact` nothing of a value is left, all else is, and whoever saves goes on."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pymongo.database import Database
from support.changes import automatic, tracked_otherwise
from support.diaries import PATHS, Diary, filled, found, scripts
from support.strategies import examples

from mongoengine_history import (
    DocumentDidNotExistError,
    HistoryError,
    as_of,
    history_of,
    redact,
    restore,
    revert,
    undo,
    verify,
)
from mongoengine_history.record.chain import is_intact
from mongoengine_history.record.layout import revision_of
from mongoengine_history.state.mask import is_blank
from mongoengine_history.state.values import same

tracking = automatic(Diary)

ways = st.tuples(st.sampled_from([0, 1, 2, 3, 100]), st.booleans())
paths = st.sampled_from([*PATHS])


def states(diary: Diary) -> list[Any]:
    timeline, found = history_of(diary), []
    for number in range(1, len(timeline) + 1):
        try:
            found.append(timeline.state(number))
        except DocumentDidNotExistError:
            found.append(None)
    return found


def masked_at(left: Any, was: Any, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """Return the paths of masks, by which alone two values may differ."""
    if is_blank(left):
        return {path}
    if isinstance(left, dict) and isinstance(was, dict):
        assert [*left] == [*was]
        return {it for key in left for it in masked_at(left[key], was[key], (*path, key))}
    if isinstance(left, list) and isinstance(was, list):
        assert len(left) == len(was)
        pairs = zip(left, was, strict=True)
        return {it for pair in pairs for it in masked_at(*pair, path)}
    assert same(left, was)
    return set()


def is_at(path: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    pairs = zip(path, wanted, strict=False)
    return len(path) <= len(wanted) and all(b in (a, "*") for a, b in pairs)


def check_chain(database: Database[Any]) -> None:
    before = b""
    for first in database.history.find({"position": 0}).sort("revision"):
        found = [*database.history.find({"revision": first["revision"], "position": {"$gte": 0}})]
        assert is_intact(revision_of(found), first, before)
        before = first["checksum"]


def read_all(diary: Diary) -> None:
    """All that reads goes on."""
    timeline = history_of(diary)
    for revision in timeline:
        assert format(revision, "full")
        assert revision.to_dict(json=True)
    assert timeline.blame() is not None
    assert len([*as_of(Diary, timeline[-1].at)]) == 1
    for number in range(len(timeline)):
        timeline.compare(number, -1)
        with suppress(DocumentDidNotExistError):
            timeline.at(number)


def written(script: Any, diary: Diary) -> Diary:
    for step in script:
        step(diary)
        diary.save()
    return diary


@given(script=scripts, later=scripts, path=paths, way=ways)
@examples(40)
def test_nothing_of_it_is_left_and_all_else_is(
    script: Any, later: Any, path: str, way: tuple[int, bool], database: Database[Any]
) -> None:
    database.history.delete_many({})
    database.diaries.delete_many({})
    marks, masked = PATHS[path]
    version_every, is_stale = way
    with tracked_otherwise(Diary, version_every=version_every):
        diary = written(script, filled().save())
        copy = Diary.objects.get(pk=diary.pk)
        was = states(diary)
        receipt = redact(Diary, path, pk=diary.pk)
        assert not found(*marks)
        assert receipt.revision == len(was) + 1
        left = states(diary)
        for before, after in zip(was, left[:-1], strict=True):
            assert all(is_at(it, masked) for it in masked_at(after, before))
        check_chain(database)
        assert verify(diary).ok
        read_all(diary)
        assert redact(Diary, path, pk=diary.pk).documents == 0

        news = set()  # what is new is told again, and only that
        diary = copy if is_stale else diary
        for step in later:
            was_there = set(found_in(diary, marks))
            step(diary)
            diary.save()
            news |= set(found_in(diary, marks)) - was_there
            told = {
                it
                for number in range(1, 1 + len(history_of(diary)))
                for it in told_of(diary, number, marks)
            }
            assert told <= news
        check_chain(database)
        assert verify(diary).ok, verify(diary).findings
        assert history_of(diary).compare(-1) == []


def texts_in(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for it in value.values() for text in texts_in(it)]
    if isinstance(value, list | tuple):
        return [text for it in value for text in texts_in(it)]
    return [value] if isinstance(value, str) else []


def found_in(diary: Diary, marks: tuple[str, ...]) -> list[str]:
    texts = texts_in(diary.to_mongo().to_dict())
    return [it for it in texts if it.partition("-")[0] in marks]


def told_of(diary: Diary, number: int, marks: tuple[str, ...]) -> list[str]:
    texts = texts_in(history_of(diary)[number].patches)
    return [it for it in texts if it.partition("-")[0] in marks]


@given(script=scripts, path=paths, number=st.integers(1, 9), back=st.sampled_from([revert, undo]))
@examples(40)
def test_going_back_over_it_keeps_what_is_there(
    script: Any, path: str, number: int, back: Any, database: Database[Any]
) -> None:
    database.history.delete_many({})
    database.diaries.delete_many({})
    marks, _ = PATHS[path]
    diary = written(script, filled().save())
    redact(Diary, path, pk=diary.pk)
    stored = database.diaries.find_one({"_id": diary.pk})
    try:
        back(diary, revision=min(number, len(history_of(diary))))
    except HistoryError:
        return
    assert set(found_in(diary, marks)) <= set(texts_in(stored))
    assert not [it for it in texts_in(diary.to_mongo().to_dict()) if is_blank(it)]
    diary.save()
    assert not found(*marks)
    assert verify(diary).ok
    check_chain(database)


@given(script=scripts, path=paths)
@examples(40)
def test_a_deletion_and_a_restoration_after_it_tell_nothing(
    script: Any, path: str, database: Database[Any]
) -> None:
    database.history.delete_many({})
    database.diaries.delete_many({})
    marks, _ = PATHS[path]
    diary = written(script, filled().save())
    redact(Diary, path, pk=diary.pk)
    diary.delete()
    assert not found(*marks)
    restored = restore(Diary, diary.pk).save()
    assert not found_in(restored, marks)
    assert not found(*marks)
    assert verify(restored).ok
    check_chain(database)
