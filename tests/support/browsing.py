"""Looking at histories as a browser does: pages, forms, and what stands in them."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import mongoengine as me
from starlette.testclient import TestClient

from mongoengine_history import changeset, track_history
from mongoengine_history.web.browser import history_browser

HERE = "http://localhost"


class Street(me.EmbeddedDocument):
    name = me.StringField()
    city = me.StringField()


class Ware(me.EmbeddedDocument):
    _id = me.IntField()
    name = me.StringField()
    count = me.IntField()


@track_history(mask=["iban"], reason_required=True)
class Sheet(me.Document):
    """An invoice, say."""

    meta = {"collection": "browsed_sheets", "auto_create_index": False}
    status = me.StringField()
    total = me.IntField(verbose_name="sum of all")
    note = me.StringField()
    street = me.EmbeddedDocumentField(Street)
    wares = me.EmbeddedDocumentListField(Ware)
    iban = me.StringField()
    facts = me.DictField()


@track_history
class Cell(me.Document):
    """Something whose key is a text."""

    meta = {"collection": "browsed_cells", "auto_create_index": False}
    name = me.StringField(primary_key=True)
    seats = me.IntField()


def ordered() -> Sheet:
    """Store a sheet that ada has made."""
    with changeset("ada", reason="order 7"):
        sheet = Sheet(status="draft", total=10, street=Street(name="Mill Lane", city="Leeds"))
        sheet.wares = [Ware(_id=1, name="pot", count=1)]
        return sheet.save()


def everybody(*_: object) -> bool:
    return True


def browse(*models: Any, user: Any = None, path: str = "", **options: Any) -> TestClient:
    """Return a browser on the own machine; with *user* all is allowed, to that user."""
    if user is not None:
        options = {"may_see": everybody, "may_restore": everybody, **options}
        options.setdefault("identity", lambda request: user)
    app = history_browser(*(models or (Sheet, Cell)), **options)
    return TestClient(app, f"{HERE}{path}", client=("127.0.0.1", 50_000), follow_redirects=False)


def text_of(page: str) -> str:
    """Return what a page says, on one line."""
    body = re.sub(r"<head>.*?</head>", "", page, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def fields_of(page: str) -> dict[str, Any]:
    """Return what the form that writes holds when it is shown."""
    form = page[page.index('method="post"') :]
    found = dict(re.findall(r'name="(token|mark)" value="(.*?)"', form))
    chosen = re.findall(r'name="path" value="(.*?)" checked', form)
    return {**found, "path": [unescape(it) for it in chosen]} if chosen else found


def send(client: TestClient, address: str, fields: Any, **headers: str) -> Any:
    """Send a form as a page of the same origin does."""
    return client.post(address, data=fields, headers={"Origin": HERE, **headers})


def decide(client: TestClient, address: str, reason: str = "because", **changed: Any) -> Any:
    """Look at a preview, and send its form."""
    page = client.get(address)
    assert page.status_code == 200, text_of(page.text)
    return send(client, address, {**fields_of(page.text), "reason": reason, **changed})
