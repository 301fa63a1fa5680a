"""Events stand in the timeline of a document, and change nothing of what is read or taken back."""

from __future__ import annotations

from typing import Any

import mongoengine as me
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.binding import binds
from support.changes import automatic, tracked_otherwise
from support.unanswered import unanswered

from mongoengine_history import (
    DocumentDidNotExistError,
    DocumentTrack,
    History,
    HistoryNotRecordedError,
    OptionsError,
    as_of,
    changeset,
    flush_spool,
    history_of,
    load_history,
    record_event,
    restore,
    revert,
    revert_changeset,
    spool,
    undo,
    verify,
)


class Deed(me.Document):
    meta = {"collection": "event_deeds", "auto_create_index": False}
    text = me.StringField()
    parties = me.ListField(me.StringField())
    secret = me.StringField()


tracking = automatic(Deed)


@pytest.fixture
def deed(database: Any) -> Deed:
    return Deed(text="a", parties=["x"]).save()


def operations(deed: Deed) -> list[str]:
    return [revision.operation for revision in history_of(deed)]


def test_it_is_a_revision_that_says_what_happened(deed: Deed) -> None:
    with changeset("ada", reason="audit", channel="api") as block:
        event = record_event("approved", deed, level=2)
    assert (event.number, event.operation, event.identity) == (2, "event", "ada")
    assert event.metadata == {"channel": "api", "kind": "approved", "level": 2}
    assert (event.reason, event.changeset, event.patches) == ("audit", block.id, ())
    assert history_of(deed)[2] == event
    deed.text = "b"
    deed.save()
    assert operations(deed) == ["create", "event", "update"]
    assert verify(deed).ok


def test_it_reads_as_what_happened(deed: Deed) -> None:
    event = record_event("exported", deed, identity="ada", rows=5, to="file")
    assert str(event).endswith('UTC, event by ada: exported; rows: 5; to: "file"')
    assert f"{event:full}".splitlines()[1:] == ["  exported", "  rows: 5", '  to: "file"']
    told = event.to_dict(json=True)
    assert told["changes"] == []
    assert told["metadata"] == {"kind": "exported", "rows": 5, "to": "file"}


def test_what_is_read_of_the_document_knows_nothing_of_it(deed: Deed) -> None:
    before = load_history(deed)
    event = record_event("read", deed)
    timeline = history_of(deed)
    assert load_history(deed) == before
    assert timeline.state(2) == timeline.state(1) == {"text": "a", "parties": ["x"]}
    assert timeline.blame("text") == timeline[1]
    assert {it.number for it in timeline.blame().values()} == {1}
    assert timeline.compare(1, 2) == []
    assert [it.text for it in as_of(Deed, event.at)] == ["a"]
    assert timeline.as_of(event.at).text == "a"


def test_it_cannot_be_undone(deed: Deed) -> None:
    record_event("read", deed)
    with pytest.raises(OptionsError, match="event"):
        undo(deed, 2)


def test_the_way_back_leads_past_it(deed: Deed) -> None:
    event = record_event("read", deed)
    deed.text = "b"
    deed.save()
    record_event("read", deed)
    assert revert(deed, since=event.at).text == "a"
    assert undo(deed, 3).text == "a"
    assert revert(deed, revision=2).text == "a"


def test_a_changeset_is_taken_back_without_its_events(deed: Deed) -> None:
    with changeset() as block:
        record_event("login")
        record_event("opened", deed)
        deed.update(set__text="b")
        record_event("closed", deed)
    revert_changeset(block.id)
    assert Deed.objects.get().text == "a"
    assert operations(deed) == ["create", "event", "update", "event", "undo"]


def test_after_a_deletion_there_is_still_no_document(deed: Deed) -> None:
    deed.delete()
    event = record_event("asked for", deed)
    timeline = history_of(Deed, deed.pk)
    with pytest.raises(DocumentDidNotExistError):
        timeline.state(3)
    assert timeline.as_of(event.at) is None
    assert list(as_of(Deed, event.at)) == []
    assert verify(Deed).ok
    record_event("asked again", deed)
    restore(Deed, deed.pk).save()
    assert operations(deed) == ["create", "delete", "event", "event", "restore"]
    assert history_of(deed).state(5) == {"text": "a", "parties": ["x"]}


def test_a_deletion_is_undone_past_events(deed: Deed) -> None:
    deed.delete()
    record_event("asked for", deed)
    undo(deed, 2).save()
    assert operations(deed) == ["create", "delete", "event", "undo"]
    assert Deed.objects.get().text == "a"


def test_a_document_may_have_events_before_it_is_there(database: Any) -> None:
    deed = Deed(pk=me.fields.ObjectId(), text="a")
    record_event("requested", deed)
    with pytest.raises(DocumentDidNotExistError):
        restore(Deed, deed.pk)
    deed.save(force_insert=True)
    deed.text = "b"
    deed.save()
    assert operations(deed) == ["event", "create", "update"]
    assert revert(deed).text == "a"
    with pytest.raises(DocumentDidNotExistError):
        history_of(deed).state(1)
    assert verify(deed).ok


def test_a_history_may_begin_with_one(database: Any) -> None:
    key = database.event_deeds.insert_one({"text": "old"}).inserted_id
    deed = Deed.objects.get(pk=key)
    record_event("read", deed)
    deed.text = "new"
    deed.save()
    timeline = history_of(deed)
    assert [timeline.state(number)["text"] for number in range(3)] == ["old", "old", "new"]
    assert revert(deed).text == "old"
    assert verify(deed).ok


def test_what_is_hidden_stays_hidden_where_it_begins_a_history(database: Any) -> None:
    key = database.event_deeds.insert_one({"secret": "s"}).inserted_id
    with tracked_otherwise(Deed, exclude=["secret"]):
        record_event("read", Deed.objects.get(pk=key))
    assert database.history.count_documents({"state.secret": "s"}) == 0


def test_a_full_state_that_is_due_with_it_is_kept(database: Any) -> None:
    with tracked_otherwise(Deed, version_every=1):
        deed = Deed(text="a").save()
        record_event("read", deed)
        deed.delete()
        record_event("missed", deed)
        assert operations(deed) == ["create", "event", "delete", "event"]
        with pytest.raises(DocumentDidNotExistError):
            history_of(deed).state(4)
        assert restore(Deed, deed.pk).text == "a"


def test_who_says_so_in_a_block_of_the_document_counts(deed: Deed) -> None:
    with DocumentTrack(deed, "bob", ticket=7):
        event = record_event("read", deed)
        deed.text = "b"
        deed.save()
    assert (event.identity, event.metadata) == ("bob", {"ticket": 7, "kind": "read"})
    assert operations(deed) == ["create", "event", "update"]


@binds
def test_in_a_transaction_it_is_part_of_it(deed: Deed) -> None:
    with pytest.raises(ZeroDivisionError), changeset(atomic=True):
        record_event("read", deed)
        record_event("login")
        raise ZeroDivisionError
    assert History.objects.count() == 1


def test_without_a_document_it_has_a_history_of_its_own(database: Any) -> None:
    with changeset("ada", on_behalf_of="bob"):
        first, second = record_event("login", ip="::1"), record_event("login")
    assert (first.number, second.number) == (1, 1)
    found = History.objects(document_type="").by("ada").order_by("stamp")
    assert [it.metadata["kind"] for it in found] == ["login", "login"]
    assert len({it.document_id for it in found}) == 2


@pytest.mark.parametrize(
    "call",
    [
        lambda: record_event(""),
        lambda: record_event(5),  # type: ignore[arg-type]
        lambda: record_event("read", Deed),  # type: ignore[arg-type]
        lambda: record_event("read", Deed()),
        lambda: record_event("read", fact=object()),
        lambda: record_event("read", Deed(pk=me.fields.ObjectId()), using="default"),
    ],
)
def test_what_cannot_be_kept_is_refused(database: Any, call: Any) -> None:
    with pytest.raises(OptionsError):
        call()
    assert database.history.count_documents({}) == 0


def test_what_cannot_be_recorded_is_raised_or_spooled(deed: Deed, tmp_path: Any) -> None:
    with unanswered("insert_many", among="history", done=False):
        with pytest.raises(HistoryNotRecordedError):
            record_event("login")
        with tracked_otherwise(Deed, on_error=spool(tmp_path / "s")):
            assert record_event("read", deed).number == 0
    assert flush_spool(tmp_path / "s").recorded == 1
    assert operations(deed) == ["create", "event"]


def test_it_takes_two_round_trips_with_a_document_and_one_without(
    deed: Deed, commands: Any
) -> None:
    commands.clear()
    record_event("read", deed)
    assert commands.names == ["aggregate", "insert"]
    commands.clear()
    record_event("login")
    assert commands.names == ["insert"]


LIVES = st.lists(st.sampled_from(["event", "text", "list", "delete", "restore"]), max_size=9)


@given(life=LIVES, every=st.sampled_from([0, 1, 2, 100]), is_known=st.booleans())
def test_a_life_with_events_is_the_same_life(
    database: Any, life: list[str], every: int, is_known: bool
) -> None:
    """Without the numbers of events, all states are those of a life in which none happened."""
    assert lived(life, every, is_known) == lived(
        [it for it in life if it != "event"], every, is_known
    )


def lived(life: list[str], every: int, is_known: bool) -> list[Any]:
    """Live, and return each operation with the state after it, and where the way back leads."""
    for name in ("event_deeds", "history"):
        me.get_db()[name].delete_many({})
    with tracked_otherwise(Deed, version_every=every):
        deed = Deed(pk=me.fields.ObjectId(), text="a", parties=["x"])
        if is_known:
            deed.save(force_insert=True)
        else:
            me.get_db().event_deeds.insert_one(deed.to_mongo())
            deed = Deed.objects.get(pk=deed.pk)
        is_there = True
        for number, step in enumerate(life):
            if step == "event":
                record_event("read", deed, number=number)
            elif step == "restore" and not is_there:
                deed, is_there = restore(Deed, deed.pk).save(), True
            elif step == "delete" and is_there:
                deed.delete()
                is_there = False
            elif step == "text" and is_there:
                deed.update(set__text=str(life[:number].count("text")))
            elif step == "list" and is_there:
                deed.update(push__parties="y")
        timeline = history_of(Deed, deed.pk)
        told = [(it.operation, state_of(timeline, it.number)) for it in timeline]
        assert verify(Deed).findings == ()
        first = revert(deed) if is_there else None
        back = first and (first.text, list(first.parties))
        return [*(it for it in told if it[0] != "event"), back]


def state_of(timeline: Any, number: int) -> Any:
    try:
        return timeline.state(number)
    except DocumentDidNotExistError:
        return None
