"""Who is kept out, and what pages and forms of others cannot do."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import pytest
from mongoengine import Document
from starlette.testclient import TestClient
from support.browsing import HERE, Cell, Sheet, browse, everybody, fields_of, send
from support.changes import tracked

from mongoengine_history import BaseHistory, OptionsError, history_of
from mongoengine_history.web.browser import history_browser
from mongoengine_history.web.site import address

pytestmark = pytest.mark.usefixtures("database")

LOCAL = ("127.0.0.1", 50_000)


@pytest.fixture
def sheet(database: Any) -> Sheet:
    sheet = Sheet(status="draft").save()
    sheet.modify(status="sent")
    return sheet


class TestWithoutFunctions:
    """Nothing says who may look: so only the own machine does, and nothing can be changed."""

    @pytest.mark.parametrize(
        ("base", "sender", "headers", "status"),
        [
            ("http://localhost", LOCAL, {}, 200),
            ("http://127.0.0.1:8000", LOCAL, {}, 200),
            ("http://[::1]:8000", ("::1", 1), {}, 200),
            ("http://localhost", ("10.0.0.7", 1), {}, 403),
            ("http://localhost", ("testclient", 1), {}, 403),
            ("http://shop.example", LOCAL, {}, 403),  # by a name that leads here
            ("http://localhost.evil.example", LOCAL, {}, 403),
            ("http://localhost", LOCAL, {"X-Forwarded-For": "10.0.0.7"}, 403),
            ("http://localhost", LOCAL, {"Forwarded": "for=10.0.0.7"}, 403),
            ("http://localhost", LOCAL, {"X-Forwarded-Proto": "https"}, 403),
            ("http://localhost", LOCAL, {"Via": "1.1 varnish"}, 403),
            ("http://localhost", LOCAL, {"CF-Connecting-IP": "10.0.0.7"}, 403),
            ("http://localhost", LOCAL, {"True-Client-Ip": "10.0.0.7"}, 403),
            ("http://localhost", LOCAL, {"Host": "[::1"}, 403),
            ("http://localhost", LOCAL, {"Host": ""}, 403),
            ("http://127.0.0.1:8000", LOCAL, {"Connection": "close"}, 403),  # as nginx has it
            ("http://127.0.0.1:8000", LOCAL, {"Connection": ""}, 403),
            ("http://localhost", LOCAL, {"Connection": "x, Keep-Alive"}, 200),
        ],
    )
    def test_it_is_for_the_own_machine(
        self, base: str, sender: Any, headers: dict[str, str], status: int
    ) -> None:
        browser = TestClient(history_browser(Sheet), base, client=sender)
        for page in ("/", "/help", "/deleted", "/Sheet/" + "0" * 24):
            found = browser.get(page, headers=headers).status_code
            assert found == (404 if status == 200 and page.startswith("/Sheet") else status)

    def test_nothing_can_be_changed(self, sheet: Sheet) -> None:
        client = browse()
        assert client.get(f"/Sheet/{sheet.pk}/2/undo").status_code == 403
        assert 'method="post"' not in client.get(f"/Sheet/{sheet.pk}").text

    def test_who_may_restore_asks_for_who_may_see(self) -> None:
        with pytest.raises(OptionsError, match="may_see"):
            history_browser(Sheet, may_restore=everybody)


def test_with_functions_hosts_can_be_named(sheet: Sheet) -> None:
    app = history_browser(Sheet, may_see=everybody, hosts=["shop.example"])
    assert TestClient(app, "http://shop.example").get("/").status_code == 200
    assert TestClient(app, "http://evil.example").get("/").status_code == 421


@pytest.mark.parametrize("hosts", ["shop.example", ["Shop.example"], ["shop.example:443"], [""]])
def test_names_of_hosts_that_no_browser_would_match_are_refused(hosts: Any) -> None:
    with pytest.raises(OptionsError, match="small letters"):
        history_browser(Sheet, hosts=hosts)


async def nobody_waits(*_: object) -> bool:
    return False


class Waiting:
    async def __call__(self, *_: object) -> bool:
        return False


DECISIONS = ["may_see", "may_restore", "may_erase"]


@pytest.mark.parametrize("name", [*DECISIONS, "identity", "identity_label", "form_fields"])
@pytest.mark.parametrize("function", [nobody_waits, Waiting(), partial(nobody_waits)])
def test_what_would_have_to_be_awaited_is_refused(name: str, function: Any) -> None:
    with pytest.raises(OptionsError, match="async"):
        history_browser(Sheet, **{"may_see": everybody, name: function})


def test_nor_does_an_answer_that_waits_let_anybody_in(sheet: Sheet) -> None:
    for name, page in zip(DECISIONS, ("", "/2/undo", "/erase"), strict=True):
        client = browse(user="eve", **{name: lambda *_: nobody_waits()})
        with pytest.raises(TypeError, match="no answer"):
            client.get(f"/Sheet/{sheet.pk}{page}")


@pytest.mark.parametrize("secret", [b"short", "a text of sixteen", 7])
def test_a_secret_is_long(secret: Any) -> None:
    with pytest.raises(OptionsError, match="16 bytes"):
        history_browser(Sheet, secret=secret)


@pytest.mark.parametrize("page", ["/", "/nothing", "/static/history.css", "/Sheet/x", "/static/x"])
def test_headers_of_each_answer(sheet: Sheet, page: str) -> None:
    headers = browse().get(page).headers
    policy = dict(it.split(" ", 1) for it in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"


def test_no_page_has_code_or_style_inside(sheet: Sheet) -> None:
    client = browse(user="eve")
    for page in ("/", "/help", f"/Sheet/{sheet.pk}", f"/Sheet/{sheet.pk}/2/undo"):
        text = client.get(page).text
        assert re.findall(r"<script(?! src=)|<style|\sstyle=|\son\w+=|javascript:", text) == []
        assert not re.search(r'(?:src|href|action)="(?:\w+:|//)', text)


class TestForms:
    @pytest.fixture
    def undo(self, sheet: Sheet) -> str:
        return f"/Sheet/{sheet.pk}/2/undo"

    def fields(self, client: TestClient, undo: str) -> dict[str, Any]:
        return {**fields_of(client.get(undo).text), "reason": "because"}

    def test_the_cookie_is_for_these_pages_alone(self, undo: str) -> None:
        cookie = browse(user="eve").get(undo).headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert "path=/" in cookie
        assert "secure" not in cookie
        safe = history_browser(Sheet, may_see=everybody, may_restore=everybody)
        answer = TestClient(safe, "https://shop.example").get(undo)
        assert "secure" in answer.headers["set-cookie"].lower()

    @pytest.mark.parametrize(
        "headers",
        [
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Origin": ""},
            {"Origin": "http://localhost:81"},
            {"Origin": "http://[::1"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Sec-Fetch-Site": "none"},
        ],
    )
    def test_forms_of_others_are_refused(self, undo: str, headers: dict[str, str]) -> None:
        client = browse(user="eve")
        answer = send(client, undo, self.fields(client, undo), **headers)
        assert answer.status_code == 403

    def test_a_form_that_comes_from_nowhere_is_refused(self, undo: str) -> None:
        client = browse(user="eve")
        assert client.post(undo, data=self.fields(client, undo)).status_code == 403
        same = {"Sec-Fetch-Site": "same-origin"}
        answer = client.post(undo, data=self.fields(client, undo), headers=same)
        assert answer.status_code == 303

    @pytest.mark.parametrize("token", ["", "0" * 64, "é", None])
    def test_a_form_without_its_token_is_refused(self, undo: str, token: str | None) -> None:
        client = browse(user="eve")
        fields = self.fields(client, undo)
        fields = {**fields, "token": token} if token is not None else fields
        if token is None:
            fields.pop("token")
        assert send(client, undo, fields).status_code == 403

    def test_a_token_belongs_to_a_cookie(self, undo: str) -> None:
        client = browse(user="eve")
        fields = self.fields(client, undo)
        client.cookies.clear()
        assert send(client, undo, fields).status_code == 403
        client.cookies.set("history_token", "another", domain="localhost.local", path="/")
        assert send(client, undo, fields).status_code == 403

    def test_a_mark_is_needed_too(self, undo: str, sheet: Sheet) -> None:
        client = browse(user="eve")
        for mark in ("", "0" * 64, "é"):
            fields = {**self.fields(client, undo), "mark": mark}
            assert send(client, undo, fields).status_code == 409
        assert len(history_of(sheet)) == 2

    def test_another_process_with_the_secret_takes_the_form(self, undo: str) -> None:
        first, second = (browse(user="eve", secret=b"0123456789abcdef") for _ in range(2))
        fields = self.fields(first, undo)
        second.cookies = first.cookies
        assert send(second, undo, fields).status_code == 303

    def test_too_much_is_refused(self, undo: str) -> None:
        client = browse(user="eve")
        fields = {**self.fields(client, undo), "reason": "x" * 300_000}
        assert send(client, undo, fields).status_code == 413

    @pytest.mark.parametrize("method", ["put", "delete", "patch"])
    def test_no_other_method(self, undo: str, method: str) -> None:
        assert getattr(browse(user="eve"), method)(undo).status_code == 405

    def test_looking_changes_nothing(self, undo: str, sheet: Sheet) -> None:
        client = browse(user="eve")
        fields = self.fields(client, undo)
        assert client.get(undo, params=fields).status_code in {200, 409}
        assert len(history_of(sheet)) == 2


class TestRedirects:
    @pytest.mark.parametrize(
        "root", ["", "/", "//evil.example", "/history", "https://evil.example"]
    )
    def test_addresses_stay_here(self, root: str) -> None:
        made = address(root, "//evil.example", "..", q="http://evil.example")
        assert re.match(r"/(?!/)", made)
        assert "?q=http%3A%2F%2Fevil.example" in made

    @pytest.mark.parametrize("page", ["//evil.example", "//evil.example/%2f..", "/\\evil.example"])
    def test_no_address_leads_elsewhere(self, sheet: Sheet, page: str) -> None:
        answer = browse(user="eve").get(f"{HERE}{page}")
        assert answer.status_code in {200, 400, 404}
        assert "location" not in answer.headers


def test_the_name_under_which_it_was_asked_stands_on_no_page(sheet: Sheet) -> None:
    client = browse(user="eve")
    for page in ("/", f"/Sheet/{sheet.pk}", f"/Sheet/{sheet.pk}/2/undo"):
        assert "evil" not in client.get(page, headers={"Host": "evil.example"}).text


class Remote(Document):
    meta = {"collection": "remote_sheets", "db_alias": "nobody_connects_this"}


class RemoteHistory(BaseHistory):
    meta = {"db_alias": "nobody_connects_this"}


class Kept(Document):
    meta = {"collection": "kept_sheets"}


@pytest.mark.parametrize(("model", "history"), [(Remote, None), (Kept, RemoteHistory)])
def test_a_class_that_is_not_connected_is_in_nobodys_way(
    model: type[Document], history: Any, sheet: Sheet
) -> None:
    with tracked(model, history=history):
        here = TestClient(history_browser(), HERE, client=LOCAL)
        assert "Sheet" in here.get("/").text
        assert model.__name__ not in here.get("/").text
        assert here.get(f"/{model.__name__}/1").status_code == 404


def test_all_tracked_classes_are_shown_if_none_is_named(sheet: Sheet) -> None:
    Cell(name="blue").save()
    page = TestClient(history_browser(), HERE, client=LOCAL).get("/").text
    assert "Sheet" in page
    assert "Cell" in page
