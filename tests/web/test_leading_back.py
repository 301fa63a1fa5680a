"""Undo, revert and restore: nothing without a preview, and nothing that the preview did not say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mongoengine.errors import ValidationError
from support.browsing import (
    Cell,
    Sheet,
    Street,
    browse,
    decide,
    fields_of,
    send,
    text_of,
)

from mongoengine_history import changeset, history_of, untracked

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def sheet(database: Any) -> Sheet:
    with changeset("ada"):
        sheet = Sheet(status="draft", total=1, street=Street(name="Mill Lane", city="Leeds")).save()
        sheet.status, sheet.total = "sent", 2
        sheet.save()
    with changeset("bob"):
        sheet.street.city = "York"
        sheet.save()
    return sheet


def now(sheet: Sheet) -> tuple[Any, ...]:
    sheet.reload()
    return sheet.status, sheet.total, sheet.street.city


@pytest.mark.parametrize(
    "way", ["1/restore", "0/restore", "revert", "undo", "-1/undo", "1.5/revert", "9" * 19 + "/undo"]
)
def test_there_is_no_other_way_back(sheet: Sheet, way: str) -> None:
    assert browse(user="eve").get(f"/Sheet/{sheet.pk}/{way}").status_code == 404


class TestUndo:
    def test_it_is_shown_then_done_and_recorded(self, sheet: Sheet) -> None:
        client, address = browse(user="eve"), f"/Sheet/{sheet.pk}/2/undo"
        page = text_of(client.get(address).text)
        assert 'status "sent" "draft"' in page
        assert "sum of all 2 1" in page
        assert "York" not in page
        assert now(sheet) == ("sent", 2, "York")
        answer = decide(client, address, reason="by mistake")
        assert answer.status_code == 303
        assert answer.headers["location"] == f"/Sheet/{sheet.pk}/4?done=undo"
        assert now(sheet) == ("draft", 1, "York")
        newest = history_of(sheet)[-1]
        assert (newest.operation, newest.identity, newest.reason) == ("undo", "eve", "by mistake")
        assert "The revision is undone." in client.get(answer.headers["location"]).text

    def test_conflicts_are_named_and_nothing_is_written(self, sheet: Sheet) -> None:
        sheet.modify(status="paid")
        answer = browse(user="eve").get(f"/Sheet/{sheet.pk}/2/undo")
        assert answer.status_code == 409
        assert 'status "sent" "paid"' in text_of(answer.text)
        assert "sum of all" in text_of(answer.text)  # which can be chosen alone
        assert len(history_of(sheet)) == 4

    def test_single_paths_are_chosen_and_looked_at_again(self, sheet: Sheet) -> None:
        client, address = browse(user="eve"), f"/Sheet/{sheet.pk}/2/undo"
        whole = fields_of(client.get(address).text)
        assert [json.loads(it) for it in whole["path"]] == [["status"], ["total"]]
        chosen = client.get(address, params={"path": '["status"]'})
        assert "sum of all 2 1" not in text_of(chosen.text)
        # What was not looked at is not written.
        unseen = {**whole, "path": ['["total"]'], "reason": "because"}
        assert send(client, address, unseen).status_code == 409
        assert now(sheet) == ("sent", 2, "York")
        fields = {**fields_of(chosen.text), "reason": "because"}
        assert send(client, address, fields).status_code == 303
        assert now(sheet) == ("draft", 2, "York")

    def test_looking_again_keeps_the_reason_and_writes_nothing(self, sheet: Sheet) -> None:
        client, address = browse(user="eve"), f"/Sheet/{sheet.pk}/2/undo"
        whole = fields_of(client.get(address).text)
        fields = {**whole, "path": ['["total"]'], "reason": "too <much>", "look": "again"}
        answer = send(client, address, fields)
        assert (answer.status_code, len(history_of(sheet))) == (200, 3)
        assert ">too &lt;much&gt;</textarea>" in answer.text
        again = {**fields_of(answer.text), "reason": "too much"}
        assert send(client, address, again).status_code == 303
        assert now(sheet) == ("sent", 1, "York")

    @pytest.mark.parametrize(
        ("query", "status", "said"),
        [("", 422, "No path was chosen."), ('?path=["status"]', 409, "other paths were chosen")],
    )
    def test_nothing_is_written_where_no_path_is_left(
        self, sheet: Sheet, query: str, status: int, said: str
    ) -> None:
        client, address = browse(user="eve"), f"/Sheet/{sheet.pk}/2/undo{query}"
        fields = {**fields_of(client.get(address).text), "reason": "because", "path": []}
        answer = send(client, address, fields)
        assert (answer.status_code, now(sheet)) == (status, ("sent", 2, "York"))
        assert said in answer.text

    @pytest.mark.parametrize("path", ["status", "{}", "[]", '[{"$gt": ""}]', '["nothing"]', "[1]"])
    def test_a_path_is_a_list_of_names(self, sheet: Sheet, path: str) -> None:
        client = browse(user="eve")
        answer = client.get(f"/Sheet/{sheet.pk}/2/undo", params={"path": path})
        assert answer.status_code in {200, 400, 404, 409}
        assert now(sheet) == ("sent", 2, "York")

    def test_a_creation_cannot_be_undone_here(self, sheet: Sheet) -> None:
        assert browse(user="eve").get(f"/Sheet/{sheet.pk}/1/undo").status_code == 404


class TestRevert:
    def test_it_says_what_is_lost(self, sheet: Sheet) -> None:
        client, address = browse(user="eve"), f"/Sheet/{sheet.pk}/1/revert"
        page = text_of(client.get(address).text)
        assert 'street.city "York" "Leeds"' in page
        lost = page[page.index("Later work that will be lost") :]
        assert "bob changed 3" in lost
        assert "ada changed 2" in lost
        assert decide(client, address).status_code == 303
        assert now(sheet) == ("draft", 1, "Leeds")
        assert history_of(sheet)[-1].operation == "revert"

    def test_single_paths(self, sheet: Sheet) -> None:
        client, address = browse(user="eve"), f"/Sheet/{sheet.pk}/1/revert"
        answer = decide(client, f'{address}?path=["total"]')
        assert answer.status_code == 303
        assert now(sheet) == ("sent", 1, "York")

    def test_what_is_as_it_was_needs_no_revert(self, sheet: Sheet) -> None:
        answer = decide(browse(user="eve"), f"/Sheet/{sheet.pk}/3/revert")
        assert answer.status_code == 409
        assert len(history_of(sheet)) == 3


class TestRestore:
    def test_a_deleted_document_comes_back(self, database: Any) -> None:
        Cell(name="blue", seats=4).save().delete()
        client = browse(user="eve")
        assert "seats nothing" not in text_of(client.get("/Cell/blue/restore").text)
        answer = decide(client, "/Cell/blue/restore")
        assert answer.headers["location"] == "/Cell/blue/3?done=restore"
        assert Cell.objects.get(name="blue").seats == 4
        assert history_of(Cell, "blue")[-1].operation == "restore"

    def test_one_that_is_there_needs_none(self, database: Any) -> None:
        Cell(name="blue", seats=4).save()
        assert browse(user="eve").get("/Cell/blue/restore").status_code == 409


class TestStale:
    """Between looking and deciding somebody else wrote."""

    @pytest.mark.parametrize("way", ["2/undo", "1/revert"])
    def test_a_later_revision(self, sheet: Sheet, way: str) -> None:
        client, address = browse(user="eve"), f"/Sheet/{sheet.pk}/{way}"
        fields = {**fields_of(client.get(address).text), "reason": "because"}
        sheet.modify(note="meanwhile")
        answer = send(client, address, fields)
        assert answer.status_code == 409
        assert "has changed since" in answer.text
        assert len(history_of(sheet)) == 4

    def test_a_write_past_the_history(self, sheet: Sheet) -> None:
        client, address = browse(user="eve"), f"/Sheet/{sheet.pk}/2/undo"
        fields = {**fields_of(client.get(address).text), "reason": "because"}
        with untracked():
            Sheet.objects(pk=sheet.pk).update(note="meanwhile")
        assert send(client, address, fields).status_code == 409
        assert now(sheet) == ("sent", 2, "York")

    def test_a_write_in_the_last_moment(self, sheet: Sheet, monkeypatch: Any) -> None:
        client, address = browse(user="eve"), f"/Sheet/{sheet.pk}/2/undo"
        fields = {**fields_of(client.get(address).text), "reason": "because"}
        save = Sheet.save

        def late(document: Sheet, *args: Any, **options: Any) -> Any:
            Sheet._get_collection().database.client[sheet._get_db().name][
                "browsed_sheets"
            ].update_one({"_id": sheet.pk}, {"$set": {"status": "paid"}})
            return save(document, *args, **options)

        monkeypatch.setattr(Sheet, "save", late)
        assert send(client, address, fields).status_code == 409
        assert now(sheet) == ("paid", 2, "York")

    def test_somebody_restored_it(self, database: Any) -> None:
        Cell(name="blue", seats=4).save().delete()
        client = browse(user="eve")
        fields = {**fields_of(client.get("/Cell/blue/restore").text), "reason": "because"}
        Cell(name="blue", seats=5).save()
        assert send(client, "/Cell/blue/restore", fields).status_code == 409
        assert Cell.objects.get().seats == 5

    def test_the_new_preview_can_be_decided(self, sheet: Sheet) -> None:
        client, address = browse(user="eve"), f"/Sheet/{sheet.pk}/2/undo"
        fields = {**fields_of(client.get(address).text), "reason": "because"}
        sheet.modify(note="meanwhile")
        answer = send(client, address, fields)
        again = {**fields_of(answer.text), "reason": "because"}
        assert send(client, address, again).status_code == 303


class TestReason:
    def test_it_is_needed(self, sheet: Sheet) -> None:
        client, address = browse(user="eve"), f"/Sheet/{sheet.pk}/2/undo"
        for reason in ("", "  \n", "\u200b \u2060"):  # nothing of which is seen
            answer = decide(client, address, reason=reason)
            assert answer.status_code == 422
            assert "Say why." in answer.text
        assert now(sheet) == ("sent", 2, "York")

    def test_a_class_may_do_without(self, database: Any) -> None:
        cell = Cell(name="blue", seats=1).save()
        cell.modify(seats=2)
        assert decide(browse(user="eve"), "/Cell/blue/2/undo", reason="").status_code == 303
        assert history_of(cell)[-1].reason is None


def test_what_the_application_refuses_is_said(sheet: Sheet, monkeypatch: Any) -> None:
    def clean(document: Sheet) -> None:
        raise ValidationError("a secret value")

    monkeypatch.setattr(Sheet, "clean", clean)
    answer = decide(browse(user="eve"), f"/Sheet/{sheet.pk}/2/undo")
    assert answer.status_code == 409
    assert "The application does not let" in answer.text
    assert "secret value" not in answer.text


def test_masked_values_stay_as_they_are(sheet: Sheet) -> None:
    sheet.modify(iban="GB1")
    sheet.modify(iban="GB2", status="paid")
    client = browse(user="eve")
    assert decide(client, f"/Sheet/{sheet.pk}/1/revert").status_code == 303
    sheet.reload()
    assert (sheet.iban, sheet.status) == ("GB2", "draft")
