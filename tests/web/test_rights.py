"""The host decides who sees and restores what; what is refused is not there, or masked."""

from __future__ import annotations

from typing import Any

import pytest
from support.browsing import (
    Cell,
    Sheet,
    Street,
    Ware,
    browse,
    decide,
    everybody,
    fields_of,
    send,
    text_of,
)

from mongoengine_history import changeset, history_of, revert_changeset

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def sheet(database: Any) -> Sheet:
    with changeset("ada"):
        sheet = Sheet(status="draft", total=4711, street=Street(name="Mill Lane", city="Leeds"))
        sheet.wares = [Ware(_id=1, name="pot", count=770077)]
        sheet.save()
    sheet.street.city, sheet.total, sheet.wares[0].count = "York", 4712, 780078
    sheet.save()
    Cell(name="blue", seats=4).save()
    return sheet


def hiding(*paths: str) -> Any:
    """Let all be seen but the values at some paths."""
    return lambda _request, _model, _pk, path: path not in paths


def addresses(sheet: Sheet) -> list[str]:
    own = ["", "/1", "/2", "/1/state", "/2/state", "/compare?from=1", "/2/undo", "/1/revert"]
    return ["/", *(f"/Sheet/{sheet.pk}{it}" for it in own)]


def test_hidden_values_are_on_no_page(sheet: Sheet) -> None:
    secrets = hiding("street.city", "total", "wares.count")
    client = browse(user="eve", may_see=secrets)
    later = history_of(sheet)[2].changeset
    for address in [*addresses(sheet), f"/changesets/{later}", f"/changesets/{later}/revert"]:
        page = client.get(address).text
        for value in ("Leeds", "York", "4711", "4712", "770077", "780078"):
            assert value not in page.replace(str(sheet.pk), "").replace(str(later), ""), address
        assert "hidden" in page
    assert "Mill Lane" in client.get(f"/Sheet/{sheet.pk}").text


def test_a_path_that_is_hidden_hides_all_below_it(sheet: Sheet) -> None:
    client = browse(user="eve", may_see=hiding("street", "wares"))
    for address in addresses(sheet):
        page = client.get(address).text
        assert not [it for it in ("Leeds", "York", "Mill Lane", "pot") if it in page], address


def test_keys_inside_of_what_is_hidden_are_a_part_of_it(sheet: Sheet) -> None:
    sheet.modify(facts={"k": 1})
    sheet.modify(facts={"k": 2, "ann@x": 3, "bob@x": [4]})
    sheet.modify(facts={"ann@x": 5})
    client = browse(user="eve", may_see=hiding("facts"), may_erase=everybody)
    own, later = f"/Sheet/{sheet.pk}", history_of(sheet)[4].changeset
    pages = ["", "/4", "/5", "/5/state", "/compare?from=3", "/4/undo", "/3/revert", "/1/revert"]
    for address in ["/", *(own + it for it in pages), f"{own}/erase?path=facts", "/?q=path:facts"]:
        page = client.get(address).text
        assert "hidden" in page or "erase" in address, address
        assert "@x" not in page, address
    assert client.get(f"/changesets/{later}").status_code == 404
    line = 'class="edited"><code>facts</code>: <del>hidden</del> → <ins>hidden</ins>'
    assert client.get(f"{own}/newest?size=1").text.count(line) == 1
    assert text_of(client.get(f"{own}/4/undo").text).count("hidden") == 2
    assert decide(client, f"{own}/3/revert").status_code == 303
    assert Sheet.objects.get().facts == {"k": 1}
    closed = browse(user="eve", may_see=hiding("facts"), may_restore=hiding("facts"))
    assert "@x" not in closed.get(f"{own}/5/revert").text


def test_hidden_values_are_not_told_by_conflicts(sheet: Sheet) -> None:
    sheet.street.city = "Bath"
    sheet.save()
    answer = browse(user="eve", may_see=hiding("street.city")).get(f"/Sheet/{sheet.pk}/2/undo")
    assert answer.status_code == 409
    assert not [it for it in ("Leeds", "York", "Bath") if it in answer.text]


def test_a_class_that_may_not_be_seen_is_not_there(sheet: Sheet) -> None:
    client = browse(user="eve", may_see=lambda _request, model, *_: model is Cell)
    assert "Sheet" not in client.get("/").text
    assert "Sheet" not in client.get("/deleted").text
    for address in addresses(sheet)[1:]:
        assert client.get(address).status_code == 404
    assert "no such class" in client.get("/?q=model:Sheet").text


def test_a_document_that_may_not_be_seen_is_not_there(sheet: Sheet) -> None:
    other = Sheet(status="for all").save()
    client = browse(user="eve", may_see=lambda _request, _model, pk, _path: pk != sheet.pk)
    page = client.get("/").text
    assert str(sheet.pk) not in page
    assert str(other.pk) in page
    assert client.get(f"/Sheet/{other.pk}").status_code == 200
    for address in addresses(sheet)[1:]:
        assert client.get(address).status_code == 404
    assert client.get(f"/changesets/{history_of(sheet)[1].changeset}").status_code == 404
    sheet.delete()
    assert str(sheet.pk) not in client.get("/deleted").text


class TestRestoring:
    def test_without_a_function_nobody_may(self, sheet: Sheet) -> None:
        client = browse(may_see=lambda *_: True)
        assert "Undo" not in client.get(f"/Sheet/{sheet.pk}").text
        assert client.get(f"/Sheet/{sheet.pk}/2/undo").status_code == 403
        assert client.get("/Cell/blue/restore").status_code == 403

    def test_it_is_asked_for_each_document(self, sheet: Sheet) -> None:
        client = browse(user="eve", may_restore=lambda _request, _model, pk, _path: pk != sheet.pk)
        assert client.get(f"/Sheet/{sheet.pk}/2/undo").status_code == 403
        assert "Undo" not in client.get(f"/Sheet/{sheet.pk}").text

    def test_it_is_asked_for_each_path(self, sheet: Sheet) -> None:
        client = browse(user="eve", may_restore=hiding("street.city"))
        address = f"/Sheet/{sheet.pk}/2/undo"
        page = client.get(address)
        assert "You may not change: street.city" in page.text
        fields = {**fields_of(page.text), "reason": "because"}
        assert send(client, address, fields).status_code == 403
        assert len(history_of(sheet)) == 2
        assert decide(client, f'{address}?path=["total"]').status_code == 303
        sheet.reload()
        assert (sheet.total, sheet.street.city) == (4711, "York")

    def test_rights_may_end_between_looking_and_deciding(self, sheet: Sheet) -> None:
        rights = {"eve"}
        client = browse(user="eve", may_restore=lambda *_: "eve" in rights)
        address = f"/Sheet/{sheet.pk}/2/undo"
        fields = {**fields_of(client.get(address).text), "reason": "because"}
        rights.clear()
        assert send(client, address, fields).status_code == 403
        assert len(history_of(sheet)) == 2

    def test_a_changeset_needs_the_rights_to_all_of_it(self, sheet: Sheet) -> None:
        with changeset("import") as done:
            sheet.modify(status="sent")
            Cell.objects(name="blue").update(seats=5)
        mine = browse(user="eve", may_restore=lambda _request, model, *_: model is Sheet)
        assert mine.get(f"/changesets/{done.id}/revert").status_code == 403
        alone = browse(Sheet, user="eve")
        assert alone.get(f"/changesets/{done.id}/revert").status_code == 403
        blind = browse(user="eve", may_see=lambda *_: False)
        for known in (done.id, "0" * 24, "nobody"):  # what must not be seen is not there
            assert blind.get(f"/changesets/{known}/revert").status_code == 404
            assert mine.get(f"/changesets/{known}0/revert").status_code == 404
        assert len(revert_changeset(done, dry_run=True).steps) == 2


def test_who_asks_is_known_to_the_functions(sheet: Sheet) -> None:
    asked = []

    def may_see(request: Any, model: Any, pk: Any, path: Any) -> bool:
        asked.append((request.headers.get("x-user"), model, pk, path))
        return True

    client = browse(may_see=may_see)
    client.get(f"/Sheet/{sheet.pk}", headers={"X-User": "eve"})
    assert ("eve", Sheet, None, None) in asked
    assert ("eve", Sheet, sheet.pk, None) in asked
    assert ("eve", Sheet, sheet.pk, "street.city") in asked
    assert ("eve", Sheet, sheet.pk, "wares.count") in asked
    assert text_of(client.get("/").text)
