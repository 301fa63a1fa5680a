"""`watch`: what others write is recorded while it happens, and what is ours not again."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest
from pymongo.errors import ConnectionFailure, OperationFailure
from support.changes import automatic, edited, told, tracked_otherwise
from support.crews import Overlap
from support.watching import (
    Bin,
    Shelf,
    bins,
    db,
    keep_images,
    names,
    until,
    watching,
    write,
)

from mongoengine_history import (
    Reconciled,
    changeset,
    history_of,
    untracked,
    verify,
)
from mongoengine_history.record.place import Place
from mongoengine_history.trust import stream as streams
from mongoengine_history.trust import suspicion

pytestmark = pytest.mark.usefixtures("bookmarks")

tracking = automatic(Bin, Shelf)


def test_what_others_write_is_recorded() -> None:
    made = Bin(name="a").save()
    with watching() as work:
        write(made, name="b")
        work.rest()
        assert work.found == [Reconciled("bins", made.pk, 2, "external")]
        write(made, count=1)
        bins().delete_one({"_id": made.pk})
        work.rest()
    assert told(made)[-1] == ("delete", None)
    newest = history_of(made)[2]
    assert (newest.identity, newest.metadata) == (None, {"reconciled": {"last_known": 1}})
    assert verify(Bin).ok


def test_a_document_that_others_insert_is_created() -> None:
    with watching() as work:
        key = bins().insert_one({"name": "z", "more": 1}).inserted_id
        work.rest()
    assert history_of(Bin, key).state(1) == {"name": "z", "more": 1}
    assert history_of(Bin, key)[1].operation == "create"


def test_our_own_writes_are_not_recorded_again() -> None:
    with watching() as work:
        made = [Bin(name=f"{number}").save() for number in range(5)]
        for each in made:
            edited(each, "ada", name="b", tags=["x"])
        Bin.objects(name="b").update(inc__count=1, push__tags="y")
        with changeset("bob"):
            Bin.objects.insert([Bin(name="c"), Bin(name="d")])
        made[0].delete()
        work.rest()
        assert work.found == []


def test_a_record_that_comes_late_is_waited_for(monkeypatch: Any) -> None:
    made = Bin(name="a").save()
    late = Overlap(monkeypatch, lambda: edited(made, "ada", name="ada"))
    with watching() as work:
        looked = noticed(monkeypatch)
        late.write()
        until(looked.is_set)
        late.record()
        work.rest()
        assert work.found == []
    assert told(made) == [("create", None), ("update", "ada")]


def noticed(monkeypatch: Any) -> threading.Event:
    """Tell when a write without a record was looked at for the first time."""
    seen, look = threading.Event(), suspicion.Suspicion.look

    def looking(self: Any, *args: Any) -> Any:
        found = look(self, *args)
        if found == []:
            seen.set()
        return found

    monkeypatch.setattr(suspicion.Suspicion, "look", looking)
    return seen


def test_images_tell_each_of_several_writes(images: None) -> None:
    made = Bin(name="a").save()
    with watching() as work:
        for name in "bcd":
            write(made, name=name)
        work.rest()
        assert [it.revision for it in work.found] == [2, 3, 4]
    assert names(made) == ["a", "b", "c", "d"]
    assert history_of(made)[-1].metadata["reconciled"] == {"last_known": 3}
    assert verify(made).ok


def test_images_tell_what_a_document_without_a_history_was(images: None) -> None:
    with untracked():
        made = Bin(name="a").save()
    with watching() as work:
        write(made, name="b")
        work.rest()
    assert history_of(made).state(0)["name"] == "a"
    assert names(made) == ["b"]


@pytest.mark.mongodb(6)
def test_without_images_it_is_left_to_the_next_write() -> None:
    keep_images(False)
    with untracked():
        made = Bin(name="a").save()
    with watching() as work:
        write(made, name="b")
        work.rest()
    assert len(history_of(made)) == 0


def test_images_among_our_own_writes(images: None) -> None:
    made = Bin(name="a").save()
    with watching() as work:
        edited(made, "ada", name="b")
        write(made, name="c")
        write(made, count=1)
        edited(Bin.objects.get(pk=made.pk), "bob", tags=["x"])
        work.rest()
    assert history_of(made).compare(-1) == []
    assert [who for _, who in told(made) if who] == ["ada", "bob"]
    assert verify(made).ok


def test_writes_that_were_numbered_the_other_way_round(monkeypatch: Any, images: None) -> None:
    made = Bin(name="a").save()
    first, second = Bin.objects.get(pk=made.pk), Bin.objects.get(pk=made.pk)
    late = Overlap(monkeypatch, lambda: edited(first, "ada", name="ada"))
    with watching() as work:
        late.write()
        edited(second, "bob", name="bob")
        late.record()
        work.rest()
    assert history_of(made)[-1].metadata == {"reconciled": {"last_known": 3, "overlap": True}}
    assert history_of(made).state(4)["name"] == "bob"


def test_it_goes_on_where_it_was(images: None) -> None:
    made = Bin(name="a").save()
    with watching() as work:
        work.rest()
    for name in "bc":
        write(made, name=name)
    with watching() as work:
        work.rest()
        assert [it.revision for it in work.found] == [2, 3]
    assert names(made) == ["a", "b", "c"]


def test_a_first_start_sweeps() -> None:
    made = Bin(name="a").save()
    write(made, name="b")
    with watching() as work:
        work.rest()
        assert [it.revision for it in work.found] == [2]


def test_a_token_that_is_no_good_any_more_is_followed_by_a_sweep(monkeypatch: Any) -> None:
    made = Bin(name="a").save()
    with watching() as work:
        work.rest()
    write(made, name="b")
    opening = streams.Stream._open

    def forgotten(self: Any) -> None:
        monkeypatch.setattr(streams.Stream, "_open", opening)
        raise OperationFailure("the resume point may no longer be in the oplog", 286)

    monkeypatch.setattr(streams.Stream, "_open", forgotten)
    with watching() as work:
        work.rest()
        assert [it.revision for it in work.found] == [2]


def test_a_token_of_another_stream_is_no_good() -> None:
    made = Bin(name="a").save()
    write(made, name="b")
    db()["history.watch"].insert_one({"_id": "bins", "token": {"_data": "82"}})
    with watching() as work:
        work.rest()
        assert [it.revision for it in work.found] == [2]


def test_a_killed_cursor_is_opened_again() -> None:
    made = Bin(name="a").save()
    with watching() as work:
        for number in range(3):
            kill_cursors()
            write(made, name=f"{number}")
            work.rest()
        assert [it.revision for it in work.found] == [2, 3, 4]


def kill_cursors() -> None:
    admin = db().client.admin
    idle = [{"$currentOp": {"idleCursors": True, "allUsers": True}}]
    for it in admin.aggregate([*idle, {"$match": {"cursor.tailable": True}}]):
        name = it["ns"].split(".", 1)[1]
        db().command("killCursors", name, cursors=[it["cursor"]["cursorId"]])


@pytest.mark.parametrize("place", ["read", "settle"])
def test_a_server_that_is_away_for_a_while_is_asked_again(monkeypatch: Any, place: str) -> None:
    made = Bin(name="a").save()
    monkeypatch.setattr(streams, "BREATH", 0.0)
    with watching() as work:
        away = iter(range(3))
        name = {"read": (streams.Stream, "_next"), "settle": (suspicion, "compared")}[place]
        whole = getattr(*name)

        def answers(*args: Any) -> Any:
            if next(away, None) is not None:
                if place == "read":
                    args[0]._stream.close()  # as PyMongo does
                raise ConnectionFailure("nobody is there")
            return whole(*args)

        monkeypatch.setattr(*name, answers)
        write(made, name="b")
        work.rest()
        assert [it.revision for it in work.found] == [2]


def test_an_event_that_is_too_large_comes_without_documents(images: None, caplog: Any) -> None:
    caplog.set_level(logging.WARNING, "mongoengine_history")
    made = Bin(name="a" * 9_000_000).save()
    with watching() as work:
        write(made, name="b" * 9_000_000)
        write(made, name="c")
        work.rest()
        assert work.found
    assert "too large" in caplog.text
    assert names(made)[-1] == "c"
    assert verify(made).ok


def test_parts_of_an_event_are_put_together(monkeypatch: Any) -> None:
    parts = [
        {"splitEvent": {"fragment": 1, "of": 2}, "operationType": "update", "documentKey": 1},
        {"splitEvent": {"fragment": 2, "of": 2}, "fullDocument": {"_id": 1}},
    ]

    class Split:
        def try_next(self) -> Any:
            return parts.pop(0) if parts else None

        next = try_next

    stream = streams.Stream([Place(Bin)])
    monkeypatch.setattr(stream, "_stream", Split())
    event = stream._next()
    assert event is not None
    assert (event["operationType"], event["fullDocument"]) == ("update", {"_id": 1})
    assert stream._next() is None


def test_a_collection_that_is_dropped_is_swept_through() -> None:
    made = [Bin(name="a").save() for _ in range(3)]
    with watching() as work:
        db().drop_collection("bins")
        until(lambda: len(work.found) == 3 or work.error)
        work.rest()
    assert [told(each)[-1] for each in made] == [("delete", None)] * 3


def test_what_is_hidden_is_not_recorded(images: None) -> None:
    with tracked_otherwise(Bin, exclude=["count"], mask=["tags"]):
        made = Bin(name="a", tags=["secret"]).save()
        with watching() as work:
            write(made, tags=["other secret"])
            work.rest()
            assert work.found == []
            write(made, count=1234321, name="b")
            write(made, count=1234321, name="c")
            work.rest()
            assert [it.revision for it in work.found] == [2, 3]
        kept = "".join(map(repr, db()["history"].find()))
        assert not {it for it in ("secret", "1234321") if it in kept}


def test_a_broken_history_is_logged_and_stops_nothing(caplog: Any) -> None:
    torn, right = Bin(name="a").save(), Bin(name="a").save()
    edited(torn, name="b", count=2)
    with watching() as work:
        db()["history"].delete_one({"document_id": torn.pk, "revision": 2, "position": 1})
        write(torn, name="c")
        write(right, name="c")
        work.rest()
        assert [it.document_id for it in work.found] == [right.pk]
    assert f"{torn.pk}" in caplog.text
