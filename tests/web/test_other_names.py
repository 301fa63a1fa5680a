"""What may not be seen is hidden whatever name it is stored under, and whatever class has it."""

from __future__ import annotations

from typing import Any

import mongoengine as me
import pytest
from mongoengine import Document, EmbeddedDocument
from support.browsing import browse, decide, text_of

from mongoengine_history import changeset, history_of, track_history, untrack_history

pytestmark = pytest.mark.usefixtures("database")


class Pay(EmbeddedDocument):
    amount = me.IntField(db_field="a")


@track_history
class Person(Document):
    meta = {"collection": "named_people", "auto_create_index": False, "allow_inheritance": True}
    id = me.IntField(primary_key=True)
    name = me.StringField()
    pays = me.EmbeddedDocumentListField(Pay, db_field="p")


class Clerk(Person):
    grade = me.StringField(db_field="x")


class Guest(Person):
    room = me.StringField(db_field="x")


@track_history
class Thing(Document):
    meta = {"collection": "named_things", "auto_create_index": False}
    id = me.IntField(primary_key=True)
    name = me.StringField()


def hiding(*paths: str) -> Any:
    return lambda _request, _model, _pk, path: path not in paths


def pages(name: str, key: Any, newest: int) -> list[str]:
    own = ["", "/1", f"/{newest}", f"/{newest}/state", "/compare?from=1", "/newest"]
    return ["/", *(f"/{name}/{key}{it}" for it in own)]


def test_names_of_attributes_in_lists() -> None:
    clerk = Clerk(id=1, pays=[Pay(amount=770077)]).save()
    clerk.pays[0].amount = 780078
    clerk.save()
    client = browse(Person, user="eve", may_see=hiding("pays.amount"))
    for address in pages("Person", 1, 2):
        page = client.get(address).text
        assert "770077" not in page, address
        assert "780078" not in page, address


@pytest.mark.parametrize("hidden", ["grade", "room"])
def test_one_stored_name_of_two_classes(hidden: str) -> None:
    Clerk(id=1, grade="upper", name="Ann").save().modify(name="Anne")
    Guest(id=2, room="cellar", name="Bob").save().modify(name="Rob")
    client = browse(Person, user="eve", may_see=hiding(hidden))
    for key in (1, 2):
        for address in pages("Person", key, 2):
            assert not [it for it in ("upper", "cellar") if it in client.get(address).text]
    assert "Ann" in client.get("/Person/1").text


def test_a_name_of_before() -> None:
    class Old(Document):
        meta = {"collection": "named_before", "auto_create_index": False}
        id = me.IntField(primary_key=True)
        code = me.StringField()
        note = me.StringField()

    class New(Document):
        meta = {"collection": "named_before", "auto_create_index": False}
        id = me.IntField(primary_key=True)
        secret = me.StringField()
        note = me.StringField()

    track_history(Old)
    track_history(New, renamed={"code": "secret"})
    try:
        Old(id=1, code="4711", note="first").save().modify(code="4712")
        client = browse(New, user="eve", may_see=hiding("secret"))
        for address in pages("New", 1, 2):
            assert not [it for it in ("4711", "4712") if it in client.get(address).text], address
        assert "first" in client.get("/New/1").text
    finally:
        untrack_history(Old)
        untrack_history(New)


def test_documents_are_told_by_the_class_that_they_are_of() -> None:
    Guest(id=1, name="seven").save()
    Clerk(id=2, name="eleven").save()
    client = browse(Clerk, Person, user="eve", may_see=lambda _r, model, *_: model is Person)
    assert 'href="/Person/1"' in client.get("/").text

    def may_see(_request: Any, model: Any, pk: Any, _path: Any) -> bool:
        return model is Clerk or pk != 1

    page = browse(Clerk, Person, user="eve", may_see=may_see).get("/").text
    assert "eleven" in page
    assert "seven" not in page


def test_a_changeset_of_classes_below_one_that_is_shown_goes_back() -> None:
    Clerk(id=1, name="Ann").save()
    with changeset("ada") as done:
        Clerk.objects.get(id=1).modify(name="Anne")
    client = browse(Person, user="eve")
    assert decide(client, f"/changesets/{done.id}/revert").status_code == 303
    assert Clerk.objects.get(id=1).name == "Ann"
    other = browse(Guest, user="eve")
    assert other.get(f"/changesets/{history_of(Person, 1)[-1].changeset}/revert").status_code == 404


def test_conflicts_are_of_the_document_that_may_be_seen() -> None:
    Thing(id=1, name="open").save()
    Clerk(id=1, name="secret one").save()
    with changeset("ada") as done:
        Thing.objects.get(id=1).modify(name="opened")
        Clerk.objects.get(id=1).modify(name="secret two")
    Clerk.objects.get(id=1).modify(name="secret three")
    client = browse(Thing, Person, user="eve", may_see=lambda _r, model, *_: model is Thing)
    page = text_of(client.get(f"/changesets/{done.id}/revert").text)
    assert "secret" not in page
    Thing.objects.get(id=1).modify(name="closed")
    page = text_of(client.get(f"/changesets/{done.id}/revert").text)
    assert 'name "opened" "closed"' in page
    assert "secret" not in page


def test_a_class_that_may_not_be_restored_closes_its_documents() -> None:
    Thing(id=1, name="a").save().modify(name="b")
    client = browse(Thing, user="eve", may_restore=lambda _r, _m, pk, _path: pk is not None)
    assert client.get("/Thing/1/2/undo").status_code == 403
