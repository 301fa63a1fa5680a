"""Hostile values in every place: they are told as texts, and nothing else comes of them."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta, timezone
from html import escape
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote

import mongoengine as me
import pytest
from bson.datetime_ms import DatetimeMS
from support.browsing import Cell, Sheet, browse

from mongoengine_history import changeset, history_of, record_event, track_history
from mongoengine_history.web.keys import key_text

pytestmark = pytest.mark.usefixtures("database")

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg onload=alert(1)>",
    "{{ 70001 * 7 }}{% raw %}",
    "javascript:alert(1)",
    "</textarea></title><script>alert(1)</script>",
    "&lt;b&gt;&amp;amp;",
    "\u202eevil\u2066\x1b[31m\x00",
    "a\r\nSet-Cookie: x=1",
    "$where",
    "../../../etc/passwd",
]


@track_history
class Loose(me.DynamicDocument):
    meta = {"collection": "browsed_loose", "auto_create_index": False}
    key = me.StringField(primary_key=True)
    text = me.StringField()
    facts = me.DictField()


@track_history
class Keyed(me.Document):
    meta = {"collection": "browsed_keyed", "auto_create_index": False}
    key = me.DynamicField(primary_key=True)
    text = me.StringField()


class Reader(HTMLParser):
    """Keeps which elements and attributes a page has."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[tuple[str, str, str]] = set()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen |= {(tag, name, value or "") for name, value in attrs} | {(tag, "", "")}


def check(page: str, told: str = "") -> None:
    reader = Reader()
    reader.feed(page)
    for tag, name, value in reader.seen:
        assert tag not in {"img", "svg", "iframe", "object", "embed", "base"}
        assert not name.startswith("on")
        if tag == "script" and name == "src":
            assert value.endswith("/static/history.js")
        if name in {"href", "src", "action", "formaction"}:
            assert value.startswith(("/", "#")), (tag, value)
            assert not value.startswith("//")
    assert page.count("<script") == 1
    assert "490007" not in page
    moving = set("\u202e\u2066\x1b\x00")
    rest = page.replace(told, "") if told else page
    assert [rest[max(at - 60, 0) : at + 9] for at, it in enumerate(rest) if it in moving] == []


@pytest.mark.parametrize("evil", HOSTILE)
def test_values_names_people_reasons_keys_and_metadata(evil: str) -> None:
    name = evil.replace("\x00", "").replace("$", "").replace(".", "_") or "x"
    with changeset(evil, reason=evil, note=evil) as done:
        one = Loose(key=evil, text=evil, facts={name: evil, "list": [{name: evil}]}).save()
    with changeset({"who": evil}):
        one.text, one.facts = f"{evil} again and again", {name: [evil, {name: 1}]}
        one.save()
    one.text = f"{evil} again and never"
    one.save()
    record_event(evil.replace("\x00", "") or "x", one, fact=evil)
    client, own = browse(Loose, Cell, user=evil), f"/Loose/{key_text(Loose, evil)}"
    pages = ["", "/1", "/2", "/3", "/4", "/2/state", "/compare?from=1", "/3/undo", "/1/revert"]
    for address in ["/", "/deleted", f"/changesets/{done.id}", *(f"{own}{it}" for it in pages)]:
        answer = client.get(address)
        assert answer.status_code == 200, address
        check(answer.text)
    for name in ("q", "before", "from", "to", "model", "path", "done", "blame"):
        for page in ("/", own, f"{own}/compare", "/deleted", f"{own}/1/revert"):
            answer = client.get(page, params={name: evil})
            assert answer.status_code in {200, 400, 404}
            check(answer.text, escape(evil))  # the question stands in its box as it was typed
            assert "set-cookie" not in answer.headers or "x=1" not in answer.headers["set-cookie"]
    one.delete()
    check(client.get("/deleted").text)
    check(client.get(f"{own}/restore").text)


@pytest.mark.parametrize("evil", HOSTILE)
def test_addresses(evil: str) -> None:
    client = browse()
    for parts in ([evil], ["Cell", evil], [evil, evil], ["Cell", "x", evil], ["changesets", evil]):
        answer = client.get("/" + "/".join(quote(it, safe="") for it in parts))
        assert answer.status_code in {400, 404}
        if "html" in answer.headers["content-type"]:
            check(answer.text)


@pytest.mark.parametrize(
    "question",
    ['by:{"$ne":null}', "by:$ne", "path:$where", "operation:$gt", 'operation:{"$gt":""}',
     "path:a.$[]", "path:" + "a." * 400 + "a", "model:$ne", "by:" + "9" * 900],
)  # fmt: skip
def test_questions_hold_no_operators(question: str) -> None:
    Cell(name="blue", seats=1).save()
    for page in ("/", "/Cell/blue"):
        answer = browse().get(page, params={"q": question})
        assert answer.status_code == 200
        assert '<li class="revision' not in answer.text or 'role="alert"' in answer.text
    assert len(history_of(Cell, "blue")) == 1


@pytest.mark.parametrize(
    "key",
    ['{"$oid":"zz"}', '{"$timestamp":{}}', '{"$numberDecimal":"x"}', '{"$binary":{"base64":5}}',
     '{"$date":{"$numberLong":"99999999999999999999"}}', '{"$dbPointer":{}}', "[" * 6000, "\\",
     '{"$regularExpression":{}}', '{"$uuid":7}', '{"$ne":null}', "NaN", '"\\ud800"',
     '{"$code":1,"$scope":2}', '{"$numberLong":[]}', '{"$numberInt":"1e9999"}'],
)  # fmt: skip
def test_keys_that_are_none(key: str) -> None:
    coded = base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")
    for model in ("Cell", "Sheet", "Keyed"):
        for rest in ("", "/1", "/1/undo"):
            answer = browse(Cell, Sheet, Keyed, user="eve").get(f"/{model}/~{coded}{rest}")
            assert answer.status_code in {400, 404}


def test_a_key_is_no_operator() -> None:
    Keyed(key="mine", text="a").save().modify(text="b")
    coded = base64.urlsafe_b64encode(b'{"$gt":""}').decode().rstrip("=")
    client = browse(Keyed, user="eve")
    for rest in ("", "/1", "/2/undo", "/1/revert", "/2/state"):
        assert client.get(f"/Keyed/~{coded}{rest}").status_code == 404


@pytest.mark.parametrize("number", ["9" * 18, "9" * 19, "9" * 30, "9" * 5000, "-1"])
def test_numbers_that_no_revision_has(number: str) -> None:
    Cell(name="blue", seats=1).save()
    client = browse(user="eve")
    for rest in ("", "/state", "/undo"):
        assert client.get(f"/Cell/blue/{number}{rest}").status_code in {400, 404}
    for page in ("/Cell/blue", "/Cell/blue/compare", "/Cell/blue/newest"):
        asked = dict.fromkeys(("before", "from", "to", "size"), number)
        assert client.get(page, params=asked).status_code in {200, 400, 404}


@pytest.mark.parametrize(
    "path", ["[" * 6000, '["\\ud800"]', '["a\\u0000"]', '["_id"]', "[1]", "{}"]
)
def test_paths_that_are_none(path: str) -> None:
    Cell(name="blue", seats=1).save().modify(seats=2)
    for page in ("/Cell/blue/2/undo", "/Cell/blue/1/revert"):
        assert browse(user="eve").get(page, params={"path": path}).status_code == 400


def test_a_form_of_too_many_fields() -> None:
    Cell(name="blue", seats=1).save().modify(seats=2)
    said = "&".join(f"a{it}=1" for it in range(1001))
    address, sent = "/Cell/blue/2/undo", {"Origin": "http://localhost"}
    assert browse(user="eve").post(address, content=said, headers=sent).status_code == 413


def test_moments_at_the_ends_of_time() -> None:
    for at in (datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59)):
        one = Loose(key=f"at{at.year}", facts={"at": at}).save()
        for hours in (-9, 9):
            client = browse(Loose, zone=timezone(timedelta(hours=hours)))
            for page in ("", "/1", "/1/state"):
                assert client.get(f"/Loose/{one.key}{page}").status_code == 200
            asked = f"between:{at.isoformat()}"
            assert client.get("/", params={"q": asked}).status_code == 200


def test_a_document_that_nests_deeply() -> None:
    deep: Any = "bottom"
    for _ in range(90):
        deep = {"in": [deep]} if isinstance(deep, dict) and len(str(deep)) % 2 else {"in": deep}
    Loose(key="deep", facts=deep).save()
    for page in ("", "/1", "/1/state", "/compare?from=0", "/newest"):
        assert browse(Loose).get(f"/Loose/deep{page}").status_code == 200


def test_a_date_that_python_has_none_for_is_told() -> None:
    made = Loose(key="far", text="a").save()
    Loose._get_collection().update_one({}, {"$set": {"text": DatetimeMS(2**60)}})
    client = browse(Loose, user="eve")
    for page in ("/", f"/Loose/{made.key}", f"/Loose/{made.key}/2", f"/Loose/{made.key}/1/revert"):
        answer = client.get(page)
        assert (answer.status_code, "DATETIME_AUTO" in answer.text) == (409, True), page
    assert client.get(f"/Loose/{made.key}/1").status_code == 200
