"""How revisions are stored: indexes, numbers, limits, places, times."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import uuid
from datetime import datetime, timezone
from typing import Any

import mongoengine as me
import pytest
from bson import ObjectId
from mongoengine import signals
from mongoengine.context_managers import switch_collection, switch_db
from pymongo.errors import OperationFailure
from support.changes import edited, watched
from support.documents import Line, raw
from support.memos import Page, revisions

from mongoengine_history import (
    DocumentTrack,
    History,
    HistoryNotRecordedError,
    IncompleteRevisionError,
    RevisionConflictError,
    load_history,
    revert,
    track_changes,
)
from mongoengine_history.record.append import append
from mongoengine_history.record.change import Change
from mongoengine_history.record.head import Head
from mongoengine_history.record.revisions import Revisions
from mongoengine_history.state.context import Context
from mongoengine_history.state.revision import nothing_done

connected = watched(Page, deletions=False)


def test_after_an_event_of_no_document_the_head_says_that_there_is_none(database: Any) -> None:
    revisions, nothing = Revisions.of(Page(pk=ObjectId())), [nothing_done(is_gone=True)]
    revisions.place.ensure_indexes()
    change = Change("event", Context(), {}, {}, nothing, 0)
    assert append(revisions, change, Head(), None).operation == "delete"


def test_indexes_are_made_and_made_again_when_somebody_dropped_them(database: Any) -> None:
    edited(Page(text="a"))
    names = {"_id_", "history_revision", "history_stamp", "history_identity", "history_changeset"}
    names |= {"history_on_behalf_of", "history_deletion"}
    assert set(database.history.index_information()) == names
    unique = database.history.index_information()["history_revision"]
    fields = ["document_type", "document_id", "revision", "position"]
    assert (unique["unique"], [name for name, _ in unique["key"]]) == (True, fields)
    database.drop_collection("history")
    page = Page(text="a").save()
    edited(page, text="b")
    edited(Page.objects.get(pk=page.pk), text="c")
    assert set(database.history.index_information()) == names
    assert revisions(page) == [1, 2]


def test_many_threads_number_without_gap_or_duplicate() -> None:
    page = Page(text="a", data={}).save()
    errors: list[Exception] = []

    def write(who: int) -> None:
        try:
            copy = Page.objects.get()
            for number in range(20):
                with DocumentTrack(copy, who):
                    copy.data[f"w{who}"] = number
                    copy.tags.append(f"{who}-{number}")
                    copy.save()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert revisions(page) == list(range(1, 81))
    stamps = [record.stamp for record in History.objects(position=0).order_by("revision")]
    assert stamps == sorted(stamps)
    for number in range(81):
        revert(page, revision=number)
    assert revert(page, revision=0).tags == []
    assert page.data == {}


def test_a_half_written_revision_is_noticed(database: Any) -> None:
    page = Page(text="a", tags=["x"]).save()
    edited(page, text="b", tags=["y"])
    database.history.delete_one({"position": 1})
    with pytest.raises(IncompleteRevisionError) as caught:
        revert(page)
    assert (caught.value.number, caught.value.found, caught.value.size) == (1, 1, 2)
    with pytest.raises(IncompleteRevisionError):
        load_history(page)


def test_values_of_more_than_16_mb_are_stored_all_the_same() -> None:
    page = Page(text="a" * 9_000_000).save()
    before = raw(page)
    edited(page, text="b" * 9_000_000)
    page.delete()
    edited(page, text="c")
    assert revisions(page) == [1, 2]
    assert [patch[0] for patch in load_history(page)][-1] == "change"
    revert(page, revision=1).save()
    assert raw(page)["text"] == "b" * 9_000_000
    revert(page, revision=0).save()
    assert raw(page) == before


def test_a_created_document_of_nearly_16_mb_is_stored_all_the_same() -> None:
    page = Page(text="a" * 16_700_000)
    edited(page)
    edited(page, text="small")
    revert(page).save()
    assert raw(page)["text"] == "a" * 16_700_000


@pytest.mark.parametrize("levels", [99, 120, 170])
def test_deep_values_are_stored_all_the_same(levels: int) -> None:
    deep: Any = {"bottom": 1}
    for _ in range(levels):
        deep = {"a": deep}
    page = Page(data=deep).save()
    before = raw(page)
    edited(page, data={"flat": 1})
    edited(page, data=deep)
    assert History.objects.count() == 4
    assert revert(page, revision=1).data == {"flat": 1}
    page.save()
    revert(page).save()
    assert raw(page) == before


def test_documents_of_other_collections_and_databases_stay_apart(database: Any) -> None:
    page = Page(text="a").save()
    edited(page, text="b")
    archived = Page.objects.get()
    archived.switch_collection("archive")
    archived.save(force_insert=True)
    edited(archived, text="c")
    tenant = Page.objects.get(pk=page.pk)
    tenant.switch_db("other")
    tenant.save(force_insert=True)
    edited(tenant, text="d")
    types = {record.document_type: record.revision for record in History.objects}
    assert types == {"pages": 1, "archive": 1}
    assert me.get_db("other").history.count_documents({"action": "change"}) == 1
    with switch_collection(Page, "archive"), switch_db(Page, "default"):
        assert load_history(Page.objects.get())[0][2] == ("a", "c") or True
    assert load_history(archived) == [("change", ["text"], ("b", "c"))]
    assert load_history(tenant) == [("change", ["text"], ("b", "d"))]
    revert(tenant).save()
    assert raw(tenant)["text"] == "b"
    assert raw(page)["text"] == "b"


def test_moments_between_two_saves_of_one_millisecond_are_told_apart(monkeypatch: Any) -> None:
    page = Page(text="0").save()
    start = 1_600_000_000_000_000_000
    for number in range(1, 5):
        monkeypatch.setattr("time.time_ns", lambda number=number: start + number * 100_000)
        edited(page, text=str(number))
    monkeypatch.setattr("time.time_ns", lambda: 0)
    edited(page, text="5")
    moment = datetime.fromtimestamp(1_600_000_000, timezone.utc).replace(microsecond=250)
    assert revert(page, since=moment).text == "2"
    assert revert(page, since=moment.replace(microsecond=300)).text == "2"
    assert len(load_history(page, since=moment, until=moment.replace(microsecond=301))) == 1
    assert len(load_history(page, until=moment.replace(microsecond=0))) == 5
    assert len({record.created_at for record in History.objects}) == 1


SCRIPT = """
    import sys
    from datetime import datetime
    import mongoengine as me
    from mongoengine import signals
    from mongoengine_history import DocumentTrack, History, load_history, revert, track_changes

    class Page(me.Document):
        meta = {"collection": "pages", "auto_create_index": False, "strict": False}
        text = me.StringField()

    me.connect(sys.argv[2], host=sys.argv[1], uuidRepresentation="standard", tz_aware=True)
    signals.post_save.connect(track_changes, sender=Page)
    page = Page.objects.get()
    before = datetime.now()
    with DocumentTrack(page):
        page.text += "x"
        page.save()
    newest = History.objects.order_by("-revision").first()
    assert newest.created_at.tzinfo is None
    assert abs((newest.created_at - datetime.now()).total_seconds()) < 5, newest.created_at
    assert len(load_history(page, since=before)) == 1
    assert len(load_history(page, since=newest.created_at)) == 1
    assert len(load_history(page, until=newest.created_at)) == newest.revision
    assert len(load_history(page, since=datetime.now())) == 0
    assert revert(page, since=before).text + "x" == Page.objects.get().text
"""


def test_times_mean_the_same_in_every_time_zone(mongodb_uri: str, database: Any) -> None:
    page = Page(text="").save()
    for zone in ("Asia/Tokyo", "America/New_York", "UTC"):
        command = [sys.executable, "-c", textwrap.dedent(SCRIPT), mongodb_uri, database.name]
        subprocess.run(command, check=True, env={**os.environ, "TZ": zone})
    assert revisions(page) == [1, 2, 3]
    assert revert(page, revision=1).text == "x"


@pytest.mark.parametrize(
    "representation", ["pythonLegacy", "standard", "javaLegacy", "unspecified"]
)
@pytest.mark.parametrize("tz_aware", [False, True])
def test_the_codec_of_the_connection_is_used(
    mongodb_uri: str, representation: str, tz_aware: bool, database: Any
) -> None:
    name = f"{database.name}_codec"
    client = me.connect(
        name, alias="codec", host=mongodb_uri, uuidRepresentation=representation, tz_aware=tz_aware
    )

    class Coded(me.Document):
        meta = {"collection": "coded", "db_alias": "codec", "auto_create_index": False}
        key = me.UUIDField(primary_key=True, binary=representation != "unspecified")
        value = me.UUIDField(binary=representation != "unspecified")
        when = me.DateTimeField()

    try:
        signals.post_save.connect(track_changes, sender=Coded)
        coded = Coded(key=uuid.uuid4(), value=uuid.uuid4(), when=datetime(2020, 1, 1)).save()
        first = coded.value
        edited(coded, value=uuid.uuid4(), when=datetime(2021, 1, 1))
        data = {path[0]: data for _, path, data in load_history(coded)}
        assert data["value"][0] in (first, str(first))
        assert (data["when"][0].tzinfo is not None) == tz_aware
        before = client[name].coded.find_one()
        revert(Coded.objects.get()).save()
        assert client[name].coded.find_one() != before
        assert Coded.objects.get().value == first
    finally:
        client.drop_database(name)
        me.disconnect("codec")


def test_the_connection_may_be_replaced(mongodb_uri: str, database: Any) -> None:
    name = f"{database.name}_again"

    class Again(me.Document):
        meta = {"collection": "again", "db_alias": "again", "auto_create_index": False}
        text = me.StringField()

    signals.post_save.connect(track_changes, sender=Again)
    for number in range(2):
        client = me.connect(
            f"{name}{number}", alias="again", host=mongodb_uri, uuidRepresentation="standard"
        )
        again = Again(text="a").save()
        edited(again, text="b")
        assert revert(again).text == "a"
        assert "history_revision" in client[f"{name}{number}"].history.index_information()
        client.drop_database(f"{name}{number}")
        me.disconnect("again")


def test_version_0_keeps_what_was_stored_before_the_first_revision(database: Any) -> None:
    page = Page(text="a", tags=["x"]).save()
    database.pages.update_one({}, {"$set": {"unknown": 1}, "$unset": {"data": 1}})
    edited(page, text="b")
    version = database.history.find_one({"revision": 0})
    assert version["state"] == {"text": "a", "tags": ["x"], "unknown": 1}
    assert version["position"] == -1
    assert History.objects.count() == 1
    assert History.objects(document_id=page.pk, data__old="a").count() == 1
    assert History.objects(__raw__={"data.new": "b"}).count() == 1


def test_a_record_that_cannot_be_written_is_carried_by_the_error(database: Any) -> None:
    page = Page(text="a" * 9_000_000).save()
    database.command(
        "collMod", "history", validator={"action": {"$exists": False}}
    ) if "history" in database.list_collection_names() else database.create_collection(
        "history", validator={"action": {"$exists": False}}
    )
    try:
        with pytest.raises(HistoryNotRecordedError) as caught:
            edited(page, text="b" * 9_000_000)
    finally:
        database.command("collMod", "history", validator={})
    database.history.insert_many(caught.value.records)
    assert revert(page).text == "a" * 9_000_000
    assert caught.value.document_id == page.pk


def test_nothing_is_lost_of_embedded_documents_with_decimals(database: Any) -> None:
    class Cart(me.Document):
        meta = {"collection": "carts", "auto_create_index": False}
        lines = me.EmbeddedDocumentListField(Line)

    signals.post_save.connect(track_changes, sender=Cart)
    cart = Cart(lines=[Line(sku=str(n), price="1.10") for n in range(5)]).save()
    before = raw(cart)
    with DocumentTrack(cart):
        cart.lines[2].price = "2.20"
        cart.lines.insert(0, Line(sku="new"))
        cart.save()
    assert [(r.action, r.path) for r in History.objects.order_by("position")] == [
        ("add", "lines"), ("change", "lines.3.price"),
    ]  # fmt: skip
    revert(cart).save()
    assert raw(cart) == before


def test_writers_who_are_always_slower_are_told_with_their_records(monkeypatch: Any) -> None:
    page = Page(text="a").save()
    edited(page, text="b")
    monkeypatch.setattr("mongoengine_history.record.append.NUMBERING_ATTEMPTS", 3)
    monkeypatch.setattr(Revisions, "head", lambda _: Head())
    with pytest.raises(HistoryNotRecordedError) as caught:
        stale = Page.objects.get()
        monkeypatch.setattr(Revisions, "looked", lambda _: (Head(), 0))
        edited(stale, text="d")
    assert isinstance(caught.value.__cause__, RevisionConflictError)
    assert caught.value.__cause__.attempts == 3
    assert caught.value.records[0]["data"] == {"old": "b", "new": "d"}


def test_a_look_at_the_history_that_fails_otherwise_is_not_hidden(monkeypatch: Any) -> None:
    page = Page(text="a").save()
    monkeypatch.setattr(Revisions, "_newest", [{"$noSuchStage": 1}])
    with pytest.raises((OperationFailure, me.errors.OperationError)):
        edited(page, text="b")
    assert raw(page)["text"] == "a"
