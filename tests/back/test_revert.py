"""The way back: what reverting puts into the document, and what saving it stores."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import Any

import mongoengine as me
import pytest
from mongoengine import signals
from support.changes import edited, watched
from support.documents import Address, Line, raw
from support.moments import now
from support.papers import Invoice

from mongoengine_history import (
    DocumentDidNotExistError,
    DocumentTrack,
    History,
    IncompleteRevisionError,
    OptionsError,
    PatchError,
    RevisionNotFoundError,
    load_history,
    revert,
    track_changes,
)

connected = watched(Invoice, deletions=False)


def operations() -> list[tuple[int, str]]:
    found = History.objects(position=0).order_by("revision")
    return [(record.revision, record.operation) for record in found]


def test_without_history_a_document_comes_back_unchanged() -> None:
    invoice = Invoice(number=1).save()
    invoice.number = 2
    assert revert(invoice) is invoice
    assert invoice.number == 2
    new = Invoice(number=1)
    assert revert(new) is new


def test_reverting_changes_memory_only_until_it_is_saved() -> None:
    invoice = Invoice(number=1).save()
    edited(invoice, number=2)
    revert(invoice)
    assert (invoice.number, raw(invoice)["number"]) == (1, 2)
    invoice.save()
    assert raw(invoice)["number"] == 1


def test_a_revert_is_a_revision_of_its_own_and_can_be_reverted() -> None:
    invoice = Invoice(number=1).save()
    edited(invoice, number=2)
    with DocumentTrack(invoice, "anna"):
        revert(invoice).save()
    assert operations() == [(1, "update"), (2, "revert")]
    assert History.objects(revision=2).get().identity == "anna"
    revert(invoice, revision=1).save()
    assert raw(invoice)["number"] == 2
    assert operations()[-1] == (3, "revert")


def test_without_an_argument_the_very_first_status_comes_back() -> None:
    tracked_late, tracked_early = Invoice(number=1).save(), Invoice(number=1)
    edited(tracked_late, number=2)
    edited(tracked_late, number=3)
    edited(tracked_early)
    edited(tracked_early, number=2)
    assert revert(tracked_late).number == 1
    assert revert(tracked_early).number == 1


def test_since_takes_back_what_was_recorded_at_or_after_it() -> None:
    invoice = Invoice(number=1).save()
    edited(invoice, number=2)
    moment = now()
    edited(invoice, number=3)
    edited(invoice, number=4)
    assert revert(invoice, moment).number == 2
    assert revert(invoice, since=moment.astimezone(timezone.utc)).number == 2
    assert revert(invoice, datetime.now()).number == 4
    newest = History.objects(revision=3).get()
    assert revert(invoice, since=newest.created_at).number == 3
    assert revert(invoice, since=moment - timedelta(days=1)).number == 1


def test_a_moment_before_the_creation_is_an_error() -> None:
    moment = datetime.now()
    time.sleep(0.002)
    invoice = Invoice(number=1)
    edited(invoice)
    with pytest.raises(DocumentDidNotExistError) as caught:
        revert(invoice, since=moment)
    assert (caught.value.document_id, caught.value.number) == (invoice.pk, 0)
    with pytest.raises(DocumentDidNotExistError):
        revert(invoice, revision=0)


@pytest.mark.parametrize("number", [-1, 3])
def test_a_revision_that_is_not_there_is_an_error(number: int) -> None:
    invoice = Invoice(number=1).save()
    edited(invoice, number=2)
    edited(invoice, number=3)
    with pytest.raises(RevisionNotFoundError, match="newest is 2") as caught:
        revert(invoice, revision=number)
    assert (caught.value.number, caught.value.newest) == (number, 2)


def test_since_and_revision_exclude_each_other() -> None:
    with pytest.raises(OptionsError):
        revert(Invoice(number=1).save(), datetime.now(), revision=1)


def test_unsaved_edits_are_lost() -> None:
    invoice = Invoice(number=1, tags=["x"]).save()
    edited(invoice, number=2)
    invoice.number, invoice.status = 9, "unsaved"
    revert(invoice).save()
    assert (raw(invoice)["number"], raw(invoice)["status"]) == (1, "open")


def test_edits_after_the_revert_are_saved_with_it() -> None:
    invoice = Invoice(number=1, tags=["x"], lines=[Line(sku="a")]).save()
    edited(invoice, number=2, tags=[], status="paid", lines=[])
    revert(invoice)
    invoice.tags.append("y")
    invoice.status = "void"
    invoice.save()
    stored = raw(invoice)
    assert (stored["number"], stored["tags"], stored["status"]) == (1, ["x", "y"], "void")
    assert stored["lines"] == [{"sku": "a"}]


def test_the_document_goes_on_as_usual_after_the_revert_was_saved() -> None:
    invoice = Invoice(number=1, lines=[Line(sku="a")]).save()
    edited(invoice, number=2, lines=[])
    revert(invoice).save()
    edited(invoice, number=7)
    invoice.lines[0].sku = "b"
    invoice.save()
    assert (raw(invoice)["number"], raw(invoice)["lines"]) == (7, [{"sku": "b"}])
    assert operations() == [(1, "update"), (2, "revert"), (3, "update")]


def test_a_revert_to_what_is_stored_leaves_no_revision() -> None:
    invoice = Invoice(number=1).save()
    edited(invoice, number=2)
    revert(invoice, revision=1).save()
    assert operations() == [(1, "update")]


def test_drift_stays_and_an_exact_revision_removes_it() -> None:
    invoice = Invoice(number=1, tags=["x"], notes={"a": 1, "b": 1}).save()
    edited(invoice, number=2)
    with DocumentTrack(invoice):
        invoice.notes["a"] = 2
        invoice.save()
    Invoice.objects(pk=invoice.pk).update(set__status="past", set__notes__z=9)
    revert(invoice).save()
    assert raw(invoice)["status"] == "past"
    assert raw(invoice)["notes"] == {"a": 1, "b": 1, "z": 9}
    assert raw(invoice)["number"] == 1
    revert(invoice, revision=1).save()
    assert raw(invoice)["notes"] == {"a": 1, "b": 1}
    assert raw(invoice)["status"] == "open"


def test_a_list_with_drift_comes_back_whole() -> None:
    invoice = Invoice(tags=["a"]).save()
    edited(invoice, tags=["a", "b"])
    Invoice.objects(pk=invoice.pk).update(push__tags="past")
    loaded = Invoice.objects.get()
    edited(loaded, tags=["z", *loaded.tags])
    assert raw(invoice)["tags"] == ["z", "a", "b", "past"]
    assert revert(loaded, revision=1).tags == ["a", "b"]
    assert revert(loaded).tags == ["a"]
    assert revert(loaded, revision=2).tags == ["z", "a", "b", "past"]


def test_undoing_one_writers_key_does_not_undo_the_others() -> None:
    first = Invoice(notes={"n": 0}).save()
    second = Invoice.objects.get()
    with DocumentTrack(first, "anna"):
        first.notes["x"] = 1
        first.save()
    time.sleep(0.002)
    moment = datetime.now()
    with DocumentTrack(second, "ben"):
        second.notes["y"] = 2
        second.save()
    assert raw(first)["notes"] == {"n": 0, "x": 1, "y": 2}
    revert(first, since=moment).save()
    assert raw(first)["notes"] == {"n": 0, "x": 1}
    revert(first).save()
    assert raw(first)["notes"] == {"n": 0}


def test_two_stale_appends_unwind_to_the_true_first_list() -> None:
    first = Invoice(tags=["a"]).save()
    second = Invoice.objects.get()
    edited(first, tags=["a", "b"])
    edited(second, tags=["a", "c"])
    assert raw(first)["tags"] == ["a", "c"]
    assert revert(first, revision=1).tags == ["a", "b"]
    assert revert(first).tags == ["a"]


def test_what_an_old_state_left_empty_is_stored_as_it_was(database: Any) -> None:
    """MongoEngine's own update would send ``$unset`` for each of these."""
    invoice = Invoice(number=1, tags=[], notes={}).save()
    before = raw(invoice)
    edited(invoice, tags=["x"], notes={"a": 1}, status=None, number=None)
    revert(invoice).save()
    assert raw(invoice) == before
    assert raw(invoice)["tags"] == []


def test_the_order_of_keys_inside_an_embedded_document_comes_back() -> None:
    invoice = Invoice(address=Address(street="s", zip="1")).save()
    with DocumentTrack(invoice):
        invoice.address.city = "c"  # the server puts it last, the class has it in the middle
        invoice.save()
        assert list(raw(invoice)["address"]) == ["s", "zip", "city"]
        invoice.address = None
        invoice.save()
    revert(invoice, revision=1).save()
    assert list(raw(invoice)["address"]) == ["s", "zip", "city"]


def test_embedded_documents_of_a_reverted_document_belong_to_it() -> None:
    invoice = Invoice(address=Address(street="a"), lines=[Line(sku="a")], notes={"k": [1]}).save()
    edited(invoice, address=None, lines=[], notes={})
    revert(invoice).save()
    invoice.address.street, invoice.lines[0].sku = "b", "b"
    invoice.notes["k"].append(2)
    invoice.save()
    stored = raw(invoice)
    assert (stored["address"], stored["lines"]) == ({"s": "b"}, [{"sku": "b"}])
    assert stored["notes"] == {"k": [1, 2]}


def test_without_a_connected_handler_a_revert_is_stored_but_not_recorded() -> None:
    invoice = Invoice(number=1, tags=[]).save()
    before = raw(invoice)
    edited(invoice, number=2, tags=["x"])
    signals.post_save.disconnect(track_changes, sender=Invoice)
    revert(invoice).save()
    assert raw(invoice) == before
    assert operations() == [(1, "update")]
    assert not [name for name in vars(invoice) if name.startswith("_save")]


def test_a_document_deleted_past_the_history_can_be_reverted_and_stored_again() -> None:
    invoice = Invoice(number=1, tags=["x"]).save()
    before = raw(invoice)
    edited(invoice, number=2)
    Invoice.objects.delete()
    revert(invoice).save()
    assert raw(invoice) == before


def test_history_tampered_with_is_noticed() -> None:
    invoice = Invoice(tags=["a", "b", "c"]).save()
    edited(invoice, tags=["a", "b", "c", "d"])
    edited(invoice, tags=["a", "b", "d"])
    History._get_collection().update_one({"revision": 2}, {"$set": {"data.items.0.value": "x"}})
    with pytest.raises(PatchError, match="'x'") as caught:
        revert(invoice, revision=2)
    assert (caught.value.path, caught.value.expected, caught.value.found) == (("tags", 2), "x", "c")


def test_a_revision_that_is_missing_as_a_whole_is_noticed() -> None:
    invoice = Invoice(number=1).save()
    for number in (2, 3, 4):
        edited(invoice, number=number)
    History.objects(document_id=invoice.pk, revision=2).delete()
    with pytest.raises(IncompleteRevisionError) as caught:
        revert(invoice, revision=3)
    assert (caught.value.number, caught.value.found) == (2, 0)


def test_an_abandoned_revert_watches_no_longer() -> None:
    invoice = Invoice(number=1).save()
    edited(invoice, number=2)
    revert(invoice).reload()
    invoice.number = 9
    invoice.save()
    assert operations() == [(1, "update")]
    assert not [name for name in vars(invoice) if name.startswith("_save")]


def test_an_unsaved_document_with_a_key_of_its_own_is_left_alone() -> None:
    invoice = Invoice(id="5" * 24, number=3)
    revert(invoice, revision=0)
    invoice.save()
    assert raw(invoice)["number"] == 3


@pytest.mark.parametrize(
    "arguments",
    [{"since": "2020"}, {"since": 5}, {"revision": "1"}, {"revision": 1.0}, {"revision": True}],
)
def test_arguments_of_another_kind_are_refused(arguments: dict[str, Any]) -> None:
    invoice = Invoice(number=1).save()
    edited(invoice, number=2)
    with pytest.raises(OptionsError):
        revert(invoice, **arguments)
    with pytest.raises(OptionsError):
        load_history(invoice, "2020")


def test_defaults_that_the_store_lacks_stay_out_of_later_revisions(database: Any) -> None:
    class Taxed(me.EmbeddedDocument):
        name = me.StringField()
        vat = me.IntField(default=19)

    class Basket(me.Document):
        meta = {"collection": "baskets", "auto_create_index": False}
        a = me.IntField()
        items = me.EmbeddedDocumentListField(Taxed)

    signals.post_save.connect(track_changes, sender=Basket)
    database.baskets.insert_one({"a": 1, "items": [{"name": "x"}, {"name": "y"}]})
    basket = Basket.objects.get()
    with DocumentTrack(basket):
        basket.a = 2
        basket.save()
        basket.items[1].name = "z"
        basket.save()
        basket.items = []
        basket.save()
    removed = History.objects(revision=3).get()
    assert removed.data["items"][0]["value"] == [{"name": "x"}, {"name": "z"}]
    revert(basket, revision=2).save()
    assert database.baskets.find_one()["items"] == [{"name": "x"}, {"name": "z"}]
