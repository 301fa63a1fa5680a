"""A changeset is taken back as a whole: as it was shown, or not at all."""

from __future__ import annotations

from typing import Any

import pytest
from support.browsing import Cell, Sheet, browse, decide, fields_of, send, text_of

from mongoengine_history import Changeset, changeset, history_of

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def done(database: Any) -> Changeset:
    Cell(name="blue", seats=4).save()
    Cell(name="gone", seats=1).save()
    with changeset("import", reason="list 12") as done:
        Cell.objects(name="blue").update(seats=5)
        Cell(name="new", seats=2).save()
        Cell.objects.get(name="gone").delete()
    return done


def seats() -> dict[str, int]:
    return {it.name: it.seats for it in Cell.objects}


BEFORE = {"blue": 4, "gone": 1}
AFTER = {"blue": 5, "new": 2}


def test_it_is_shown_then_done_and_recorded(done: Changeset) -> None:
    client, address = browse(user="eve"), f"/changesets/{done.id}/revert"
    assert "Revert the changeset…" in client.get(f"/changesets/{done.id}").text
    page = text_of(client.get(address).text)
    assert "in 3 documents" in page
    for step in ("update Cell blue", "delete Cell new", "insert Cell gone"):
        assert step in page
    assert seats() == AFTER
    answer = decide(client, address, reason="the wrong file")
    assert answer.status_code == 303
    assert seats() == BEFORE
    newest = history_of(Cell, "blue")[-1]
    assert (newest.identity, newest.reason) == ("eve", "the wrong file")
    assert answer.headers["location"] == f"/changesets/{newest.changeset}?done=changeset"
    assert "The changeset is taken back." in client.get(answer.headers["location"]).text


def test_conflicts_are_named_and_nothing_can_be_sent(done: Changeset) -> None:
    client, address = browse(user="eve"), f"/changesets/{done.id}/revert"
    fields = {**fields_of(client.get(address).text), "reason": "because"}
    Cell.objects(name="blue").update(seats=6)
    page = client.get(address).text
    assert "Later writes changed what it had set." in page
    assert "it left there is now ~ edited seats 5 6" in text_of(page)
    assert 'method="post"' not in page
    assert send(client, address, fields).status_code == 409
    assert seats() == {**AFTER, "blue": 6}


def test_a_stale_preview_is_refused(done: Changeset) -> None:
    client, address = browse(user="eve"), f"/changesets/{done.id}/revert"
    fields = {**fields_of(client.get(address).text), "reason": "because"}
    Cell.objects(name="new").delete()
    assert send(client, address, fields).status_code == 409
    assert seats() == {"blue": 5}


def test_so_is_one_of_a_document_that_got_another_value(database: Any) -> None:
    sheet = Sheet(status="sent").save()
    with changeset("import") as done:
        sheet.modify(status="paid")
    client, address = browse(user="eve"), f"/changesets/{done.id}/revert"
    fields = {**fields_of(client.get(address).text), "reason": "because"}
    sheet.modify(note="meanwhile")
    assert send(client, address, fields).status_code == 409
    assert Sheet.objects.get().status == "paid"
    assert decide(client, address).status_code == 303
    assert (Sheet.objects.get().status, Sheet.objects.get().note) == ("sent", "meanwhile")


def test_a_reason_is_needed_where_one_of_its_classes_says_so(done: Changeset) -> None:
    with changeset("import") as other:
        Sheet().save()
        Cell(name="grey", seats=7).save()
    answer = decide(browse(user="eve"), f"/changesets/{other.id}/revert", reason=" ")
    assert answer.status_code == 422
    assert "grey" in seats()
    assert decide(browse(user="eve"), f"/changesets/{done.id}/revert", reason="").status_code == 303


def test_without_rights_there_is_no_way(done: Changeset) -> None:
    client, address = browse(), f"/changesets/{done.id}"
    assert "Revert" not in client.get(address).text
    assert client.get(f"{address}/revert").status_code == 403


def test_a_conflict_that_may_not_be_seen_is_not_told(done: Changeset) -> None:
    Cell.objects(name="blue").update(seats=6)
    client = browse(user="eve", may_see=lambda _request, _model, pk, _path: pk != "blue")
    page = client.get(f"/changesets/{done.id}/revert").text
    assert "blue" not in page
    assert 'method="post"' not in page
