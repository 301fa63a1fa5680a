"""Values are erased by those who may, after they looked and typed the path again."""

from __future__ import annotations

from typing import Any

import pytest
from support.browsing import Sheet, Street, browse, everybody, fields_of, send, text_of

from mongoengine_history import backfill, changeset, history_of, prune, untracked

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def sheet(database: Any) -> Sheet:
    with changeset("ada"):
        sheet = Sheet(status="draft", street=Street(city="Leeds")).save()
        sheet.modify(status="sent", set__street__city="York")
    return sheet


def eraser(**options: Any) -> Any:
    return browse(user="eve", **{"may_erase": everybody, **options})


def test_it_is_shown_then_done_and_recorded(sheet: Sheet) -> None:
    client, address = eraser(), f"/Sheet/{sheet.pk}/erase"
    assert f'href="{address}"' in client.get(f"/Sheet/{sheet.pk}").text
    page = client.get(address, params={"path": "street.city"})
    assert "ada changed 2" in text_of(page.text)
    fields = {**fields_of(page.text), "path": "street.city", "reason": "asked for"}
    answer = send(client, address, {**fields, "again": "street.city"})
    assert answer.status_code == 303
    newest = history_of(sheet)[-1]
    assert (newest.operation, newest.identity, newest.reason) == ("redact", "eve", "asked for")
    page = client.get(answer.headers["location"]).text
    assert "The values are erased." in page
    assert "Leeds" not in page


def test_the_path_is_typed_again_and_a_reason_is_given(sheet: Sheet) -> None:
    client, address = eraser(), f"/Sheet/{sheet.pk}/erase"
    fields = fields_of(client.get(address, params={"path": "status"}).text)
    for again, reason in (("", "why"), ("state", "why"), ("status", " ")):
        said = {**fields, "path": "status", "again": again, "reason": reason}
        assert send(client, address, said).status_code == 422
    said = {**fields, "path": "street", "again": "street", "reason": "why"}
    assert send(client, address, said).status_code == 409  # it was not looked at
    sheet.modify(note="meanwhile")
    said = {**fields, "path": "status", "again": "status", "reason": "why"}
    assert send(client, address, said).status_code == 409
    assert len(history_of(sheet)) == 3


@pytest.mark.parametrize("path", ["nothing", "_id", "$where", "street..city"])
def test_a_path_has_to_be_known(sheet: Sheet, path: str) -> None:
    answer = eraser().get(f"/Sheet/{sheet.pk}/erase", params={"path": path})
    assert answer.status_code == 200
    assert 'role="alert"' in answer.text
    assert 'method="post"' not in answer.text


def test_without_the_right_nobody_may(sheet: Sheet) -> None:
    address = f"/Sheet/{sheet.pk}/erase"
    assert browse(user="eve").get(address).status_code == 403
    assert "Erase" not in browse(user="eve").get(f"/Sheet/{sheet.pk}").text
    client = eraser(may_erase=lambda _request, _model, _pk, path: path != "street.city")
    assert client.get(address, params={"path": "status"}).status_code == 200
    assert client.get(address, params={"path": "street.city"}).status_code == 403
    fields = fields_of(client.get(address, params={"path": "status"}).text)
    said = {**fields, "path": "street.city", "again": "street.city", "reason": "why"}
    assert send(client, address, said).status_code == 403
    assert len(history_of(sheet)) == 2


def test_what_lies_below_a_path_has_to_be_free_too(sheet: Sheet) -> None:
    sheet.modify(note="later")
    client = eraser(may_erase=lambda _request, _model, _pk, path: path != "street.city")
    address = f"/Sheet/{sheet.pk}/erase"
    fields = fields_of(client.get(address, params={"path": "note"}).text)
    assert client.get(address, params={"path": "street"}).status_code == 403
    said = {**fields, "path": "street", "again": "street", "reason": "why"}
    assert send(client, address, said).status_code == 403
    assert history_of(sheet)[-1].operation == "update"
    said = {**fields, "path": "note", "again": "note", "reason": "why"}
    assert send(client, address, said).status_code == 303


def test_nor_may_anything_be_that_no_revision_has_set(database: Any) -> None:
    with untracked():
        sheet = Sheet(status="draft", street=Street(city="Leeds")).save()
    backfill(Sheet)
    client = eraser(may_erase=lambda _request, _model, _pk, path: path != "street.city")
    address = f"/Sheet/{sheet.pk}/erase"
    for _ in range(2):
        assert client.get(address, params={"path": "street"}).status_code == 403
        assert client.get(address, params={"path": "status"}).status_code == 200
        sheet.modify(status="sent")
    prune(Sheet, keep=1)
    assert client.get(address, params={"path": "street"}).status_code == 403
