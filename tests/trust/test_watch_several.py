"""`watch` of several databases, by several watchers, beside many writers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from pymongo.errors import OperationFailure
from support.changes import automatic
from support.watching import (
    Bin,
    Shelf,
    Watch,
    bins,
    names,
    until,
    watching,
    write,
)

from mongoengine_history import (
    OptionsError,
    history_of,
    verify,
    watch,
)
from mongoengine_history.trust import stream as streams

pytestmark = pytest.mark.usefixtures("bookmarks")

tracking = automatic(Bin, Shelf)


def test_classes_of_several_databases() -> None:
    shelf = Shelf(name="a").save()
    made = Bin(name="a").save()
    with watching(Bin, Shelf) as work:
        Shelf._get_collection().database["shelves"].update_one({}, {"$set": {"name": "b"}})
        until(lambda: work.found or work.error)
        write(made, name="b")
        work.rest()
        assert {it.document_type for it in work.found} == {"bins", "shelves"}
    assert history_of(shelf).compare(-1) == []


def _have_found(count: int, *works: Watch) -> bool:
    return sum(len(it.found) for it in works) >= count


def test_two_watchers_record_once() -> None:
    made = Bin(name="a").save()
    with watching() as first, watching() as second:
        for number in range(5):
            write(made, name=f"{number}")
            until(partial(_have_found, number + 1, first, second))
    assert len(first.found) + len(second.found) == 5
    assert names(made) == ["a", *"01234"]


def test_eight_writers_and_others() -> None:
    made = [Bin(name="a", count=0).save() for _ in range(4)]

    def work_at(place: int) -> None:
        for number in range(10):
            key = made[(place + number) % 4].pk
            if number % 5 == 4:
                bins().update_one({"_id": key}, {"$set": {f"other{place}": number}})
            else:
                Bin.objects(pk=key).update(inc__count=1)

    with watching() as work:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work_at, range(8)))
        work.rest()
    assert [history_of(each).compare(-1) for each in made] == [[]] * 4
    own = [it for each in made for it in history_of(each) if it.operation == "update"]
    assert len(own) == 64
    assert verify(Bin).ok


def test_a_block_ends_it() -> None:
    made = Bin(name="a").save()
    write(made, name="b")
    with watch(Bin) as watcher:
        for it in watcher:
            assert it.document_id == made.pk
            break
    assert not watcher._followed[0]._stream.is_open
    assert list(watcher) == []


@pytest.mark.parametrize("models", [(), (5,), (Bin(),)])
def test_what_is_no_class_is_refused(models: Any) -> None:
    with pytest.raises(OptionsError):
        watch(*models)


def test_a_server_without_change_streams_is_told(monkeypatch: Any) -> None:
    def refused(self: Any) -> None:
        raise OperationFailure("only supported on replica sets", 40573)

    monkeypatch.setattr(streams.Stream, "_open", refused)
    with pytest.raises(OptionsError, match="replica set"):
        list(watch(Bin))
