"""Primary keys of each type come back from an address as they were, and operators are values."""

from __future__ import annotations

import html
import re
import uuid
from datetime import datetime
from typing import Any

import mongoengine as me
import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st
from support.browsing import browse, decide, text_of

from mongoengine_history import OptionsError, changeset, history_of, track_history
from mongoengine_history.faces.classless import classless
from mongoengine_history.web.keys import key_in_text, key_text, name_text, named

pytestmark = pytest.mark.usefixtures("database")


class Named(me.Document):
    name = me.StringField(primary_key=True)


class Counted(me.Document):
    number = me.IntField(primary_key=True)


class Identified(me.Document):
    uid = me.UUIDField(primary_key=True)


@track_history
class Anything(me.Document):
    key = me.DynamicField(primary_key=True)
    value = me.IntField()


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
def test_any_text(text: str) -> None:
    written = key_text(Named, text)
    assert key_in_text(Named, written) == text
    assert re.fullmatch(r"~?[A-Za-z0-9_-][A-Za-z0-9_.-]*", written)


@pytest.mark.parametrize(
    ("model", "key"),
    [
        (Counted, 7),
        (Counted, -7),
        (Identified, uuid.UUID(int=7)),
        (Anything, 7),
        (Anything, "7"),
        (Anything, ObjectId("0" * 24)),
        (Anything, "0" * 24),
        (Anything, datetime(2026, 1, 1)),
        (Anything, {"a": 1, "b": "x"}),
        (Anything, {"$gt": ""}),
        (Anything, b"\x00\xff"),
        (Anything, 1.5),
        (Anything, True),
    ],
)
def test_any_type(model: Any, key: Any) -> None:
    back = key_in_text(model, key_text(model, key))
    assert (type(back), back) == (type(key), key)


@pytest.mark.parametrize("text", ["~", "~!", "~e30", "~eyIkZ3QiOiAiIn0", "~" + "A" * 5])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(OptionsError):
        key_in_text(Counted, text)


def test_a_key_that_looks_like_an_operator_is_looked_up_as_a_value() -> None:
    Anything(key="secret", value=1).save()
    address = f"/Anything/{key_text(Anything, {'$gt': ''})}"
    assert browse(Anything).get(address).status_code == 404
    assert len(history_of(Anything, {"$gt": ""})) == 0


COLLECTIONS = ["changesets", "static", "deleted", "a.b", "a_b", "a/b", "~a", 'ü "quoted"']


def test_each_collection_is_reached_whatever_its_name() -> None:
    models = [classless(it) for it in COLLECTIONS]
    with changeset("ada") as done:
        for model in models:
            model(pk="revert").save()
    client = browse(*models, user="eve")
    latest = client.get("/").text
    found = set()
    for model, name in zip(models, COLLECTIONS, strict=True):
        path = f"/{client.app.path_of(model, 'revert')}"
        found.add(path)
        assert text_of(client.get(path).text).count(f"{name} revert") >= 1
        assert client.get(f"{path}/1").status_code == 200
        told = re.escape(html.escape(name).replace("&quot;", "&#34;"))
        chip = re.search(rf'<a href="([^"]*)">{told}</a>', latest)
        assert chip, name
        listed = client.get(html.unescape(chip[1])).text
        assert re.findall(r'class="document" href="(.*?)"', listed) == [path]
    assert len(found) == len(models)
    assert decide(client, f"/changesets/{done.id}/revert").status_code == 303
    assert [it.objects.count() for it in models] == [0] * len(models)
    assert client.get("/static/history.css").status_code == 200


def test_classes_of_one_name_are_told_apart_by_their_modules() -> None:
    twins = [
        type("Twin", (me.Document,), {"__module__": it, "meta": {"collection": it}})
        for it in ("shop", "billing", "billing")
    ]
    assert named(twins) == {"shop.Twin": twins[0], "billing.Twin": twins[2]}
    assert named(twins[:1]) == {"Twin": twins[0]}


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
def test_no_name_of_a_class_is_one_of_a_page(name: str) -> None:
    written = name_text(name)
    assert re.fullmatch(r"~?[A-Za-z0-9_-][A-Za-z0-9_.-]*", written)
    assert written not in {"changesets", "static"}
